package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"tenet/internal/api"
	"tenet/internal/knowledge"
)

// The OpenAPI document as the tests read it: the golden file, not the code that wrote it.
type document struct {
	Paths map[string]map[string]operation `json:"paths"`
}

type operation struct {
	OperationID string         `json:"operationId"`
	Summary     string         `json:"summary"`
	Description string         `json:"description"`
	Parameters  []parameterDoc `json:"parameters"`
	RequestBody struct {
		Content map[string]media `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]media `json:"content"`
	} `json:"responses"`
}

type parameterDoc struct {
	Name     string `json:"name"`
	In       string `json:"in"`
	Required bool   `json:"required"`
	Example  any    `json:"example"`
}

type media struct {
	Schema   map[string]any     `json:"schema"`
	Example  any                `json:"example"`
	Examples map[string]example `json:"examples"`
}

type example struct {
	Value any `json:"value"`
}

func readGolden(t *testing.T) *document {
	t.Helper()
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatalf("%s: %v", golden, err)
	}
	return &d
}

// requests returns a request for every example of an operation: each body as it is, each parameter that need not be
// given by itself.
func (op *operation) requests(t *testing.T, method, path string) map[string]ask {
	t.Helper()
	query, optional := url.Values{}, []parameterDoc{}
	for _, p := range op.Parameters {
		if p.Example == nil {
			t.Errorf("%s: parameter %s has no example", op.OperationID, p.Name)
			continue
		}
		switch {
		case p.In == "path":
			path = strings.Replace(path, "{"+p.Name+"}", text(p.Example), 1)
		case p.In == "query" && p.Required:
			query.Set(p.Name, text(p.Example))
		default:
			optional = append(optional, p)
		}
	}
	plain := ask{method: method, path: path}
	if len(query) > 0 {
		plain.path += "?" + query.Encode()
	}
	all := map[string]ask{}
	for mediaType, m := range op.RequestBody.Content {
		if len(m.Examples) == 0 {
			t.Errorf("%s: no example of a body", op.OperationID)
		}
		for name, e := range m.Examples {
			a := plain
			a.body = encoded(e.Value)
			all["body "+name] = a.with("Content-Type", mediaType)
			plain.body, plain.header = a.body, all["body "+name].header
		}
	}
	if plain.body == "" {
		all["plain"] = plain
	}
	for _, p := range optional {
		if p.In == "header" {
			all["header "+p.Name] = plain.with(p.Name, text(p.Example))
			continue
		}
		q := url.Values{p.Name: {text(p.Example)}}
		switch p.Name { // those that can't stand alone
		case "version":
			q.Set("id", "SEC-001")
			fallthrough
		case "id":
			q.Set("kind", "rule")
		}
		all["query "+p.Name] = plain.plus(q.Encode())
	}
	return all
}

// text spells an example as it stands in a path, a query or a header.
func text(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = text(v[i])
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(v)
}

// prepared are the requests that an example needs to have been made before it.
func prepared(operation, name string) []ask {
	switch {
	case operation == "apply-proposal":
		return []ask{as(knowledge.RoleMaintainer, post("/api/v1/proposals/"+exampleID(knowledge.KindProposal)+
			"/reviews", `{"verdict":"approve"}`))}
	case operation == "get-batch":
		return []ask{post("/api/v1/categories", `{"category_id":"for-its-batch"}`).with("Idempotency-Key",
			exampleBatchID)}
	case strings.HasPrefix(operation, "diff-") && strings.HasPrefix(name, "query"):
		kind := knowledge.Kind(strings.TrimPrefix(operation, "diff-"))
		return []ask{patch("/api/v1/"+kind.Plural()+"/"+exampleID(kind), encoded(examplePatches(kind)[0].value))}
	}
	return nil
}

// TestEveryExampleWorks sends every example of the OpenAPI document to a tenet, and holds the answer against the schema
// that the document gives for it.
func TestEveryExampleWorks(t *testing.T) {
	doc := readGolden(t)
	n := newTenet(t, counting)
	v := newValidator(t)
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for method, op := range doc.Paths[path] {
			if op.Summary == "" || op.Description == "" {
				t.Errorf("%s: no summary or no description", op.OperationID)
			}
			for name, a := range op.requests(t, strings.ToUpper(method), path) {
				t.Run(op.OperationID+"_"+name, func(t *testing.T) {
					n.t = t
					for _, first := range prepared(op.OperationID, name) {
						if r := n.do(first); r.status >= 400 {
							t.Fatalf("%s %s first: %d %s", first.method, first.path, r.status, r.body)
						}
					}
					r := n.do(a)
					// The tag of an example can't be that of a document which is not there, or not there yet.
					conditional := name == "header If-None-Match" || name == "header If-Match" && method == "get"
					refused := conditional && r.status == http.StatusPreconditionFailed
					if r.status >= 300 && r.status != http.StatusNotModified && !refused {
						t.Fatalf("%s %s: %d %s", a.method, a.path, r.status, r.body)
					}
					answer, ok := op.Responses[strconv.Itoa(r.status)]
					if !ok {
						t.Fatalf("%s %s: %d is not documented", a.method, a.path, r.status)
					}
					got, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
					m, ok := answer.Content[got]
					if !ok && len(answer.Content) > 0 {
						t.Errorf("Content-Type %s is not documented", got)
					}
					if strings.HasSuffix(got, "json") {
						// Who asks for a part of each document gets no more, also where its schema requires more.
						v.check(t, m.Schema, r.body, strings.HasPrefix(op.OperationID, "list-") &&
							(name == "query view" || name == "query fields"))
					}
				})
				n = n.renewed(t, counting)
			}
		}
	}
}

// A validator holds JSON against the schemas of the OpenAPI document.
type validator struct{ schemas huma.Registry }

func newValidator(t *testing.T) *validator {
	t.Helper()
	r := newSchemas()
	h := newHandler(nil)
	for _, rt := range h.routes {
		for _, a := range rt.answers {
			if a.body != nil {
				r.Schema(a.body, true, rt.id)
			}
		}
		if rt.body != nil {
			r.Schema(rt.body.body, true, "")
		}
	}
	r.Schema(typeOf[api.Problem](), true, "")
	finishSchemas(r)
	for _, s := range r.Map() {
		s.PrecomputeMessages()
	}
	return &validator{r}
}

func (v *validator) check(t *testing.T, schema map[string]any, body []byte, part bool) {
	t.Helper()
	ref, ok := schema["$ref"].(string)
	if !ok {
		return // a free object
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		t.Errorf("the answer is no JSON: %v", err)
		return
	}
	s := v.schemas.SchemaFromRef(ref)
	if s == nil {
		t.Errorf("no schema %s", ref)
		return
	}
	var res huma.ValidateResult
	huma.Validate(v.schemas, s, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, value, &res)
	for _, err := range res.Errors {
		if part && strings.Contains(err.Error(), "expected required property") && strings.Contains(err.Error(),
			"(items[") {
			continue
		}
		t.Errorf("the answer is not as %s says: %v", ref, err)
	}
}
