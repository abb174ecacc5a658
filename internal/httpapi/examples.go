package httpapi

import (
	"encoding/json"
	"reflect"
	"strconv"
	"time"

	"tenet/internal/knowledge"
)

// The examples of the OpenAPI document. A test sends each of them to a server that holds exampleStored of every kind.

const exampleBatchID = "018f4a3e-7c10-7a5e-9f0b-2f6d1c3b5a70"

func exampleTime() knowledge.Time { return knowledge.At(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)) }

// exampleID is the id of the example document of a kind.
func exampleID(k knowledge.Kind) string { return exampleDocument(k).Key().ID }

// exampleDocument is a document of a kind as a writer may send it.
func exampleDocument(k knowledge.Kind) knowledge.Document {
	d := knowledge.Describe(k).Example()
	d.Normalize()
	return d
}

// exampleStored is the example document of a kind as a server answers with it.
func exampleStored(k knowledge.Kind) knowledge.Document {
	d := exampleDocument(k)
	knowledge.StampNext(d, nil, 0, "anna", exampleTime())
	return d
}

// sentFields returns a document as a writer sends it, without the stamps of the store.
func sentFields(d knowledge.Document) map[string]any {
	m, _ := asJSONValue(d).(map[string]any)
	for _, f := range reflect.VisibleFields(reflect.TypeOf(d).Elem()) {
		if f.Tag.Get("readOnly") == "true" {
			delete(m, f.Tag.Get("json"))
		}
	}
	return m
}

// leastFields returns the fields that a writer must give.
func leastFields(d knowledge.Document) map[string]any {
	all, m := sentFields(d), map[string]any{}
	for _, name := range knowledge.Describe(d.Key().Kind).Needed {
		m[name] = all[name]
	}
	return m
}

// anotherExample returns the example document of a kind under an unused id that ends with n, from 2 to 9.
func anotherExample(k knowledge.Kind, n int) knowledge.Document {
	d := exampleDocument(k)
	id := d.Key().ID
	if c := id[len(id)-1]; c >= '0' && c <= '9' {
		id = id[:len(id)-1] + strconv.Itoa(n)
	} else {
		id += "-" + strconv.Itoa(n)
	}
	knowledge.SetID(d, id)
	if p, ok := d.(*knowledge.Proposal); ok { // what its writer has proposed already is not proposed again
		p.Ops[0].Patch = map[string]any{"priority": 10 * n}
	}
	d.Normalize()
	return d
}

func exampleCreates(k knowledge.Kind) []sample {
	return []sample{
		{"least", "Only what is needed", leastFields(anotherExample(k, 2))},
		{"whole", "Everything", sentFields(anotherExample(k, 3))},
	}
}

func examplePuts(k knowledge.Kind) []sample {
	return []sample{
		{"whole", "Everything", sentFields(exampleDocument(k))},
		{"least", "Only what is needed: the rest gets its defaults", leastFields(exampleDocument(k))},
	}
}

func examplePatches(k knowledge.Kind) []sample {
	var list []sample
	for _, s := range knowledge.Describe(k).Patches {
		list = append(list, sample{s.Name, s.Summary, s.Patch})
	}
	return list
}

// exampleCursor is a cursor that fits a list without filters.
func exampleCursor(k knowledge.Kind) string {
	r, err := knowledge.NewRecord(exampleStored(k))
	if err != nil {
		panic(err) // examples are constants
	}
	q, _, err := knowledge.Query{Kind: k}.Check()
	if err != nil {
		panic(err)
	}
	return q.NextCursor(r, "")
}

func examplePage(k knowledge.Kind) any {
	return map[string]any{"items": []any{exampleStored(k)}}
}

// asJSONValue returns a value as JSON decodes it, so that the document holds it as it is sent.
func asJSONValue(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // examples are constants
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	return out
}
