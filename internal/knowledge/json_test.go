package knowledge

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeNamesEveryFaultOfForm(t *testing.T) {
	for _, c := range []struct {
		data string
		want []string
	}{
		{`{"rule_id":"x"}`, nil},
		{
			`{"rule_id":7,"title":null,"priority":"high","active":"yes","tags":"a","examples":{},"scope":[],"extra":[]}`,
			[]string{"/rule_id", "/priority", "/active", "/tags", "/examples", "/scope", "/extra"},
		},
		{
			`{"examples":[{"code":1,"nope":2},3,null,{"title":{}}]}`,
			[]string{"/examples/0/code", "/examples/0/nope", "/examples/1", "/examples/2", "/examples/3/title"},
		},
		{`{"tags":["a",1,null]}`, []string{"/tags/1"}},
		{`{"scope":{"globs":[1],"langs":[]}}`, []string{"/scope/globs/0", "/scope/langs"}},
		{`{"priority":1.5}`, []string{"/priority"}},
		{`{"priority":1e2}`, []string{"/priority"}},
		{`{"priority":99999999999999999999}`, []string{"/priority"}},
		{`{"created_at":"yesterday","version":"1"}`, []string{"/created_at", "/version"}},
		{`{"a/b~c":1}`, []string{"/a~1b~0c"}},
		{`{"Title":"x"}`, []string{"/Title"}}, // names are exact
		{`[]`, []string{""}},
		{`"rule"`, []string{""}},
		{`null`, []string{""}},
		{``, []string{""}},
		{`   `, []string{""}},
		{`{`, []string{""}},
		{`{} {}`, []string{""}},
		{`{"a":}`, []string{""}},
		{"{\"title\":\"\xff\"}", []string{""}},
		{"{\"title\":\"\x01\"}", []string{""}},
		{strings.Repeat("[", MaxDepth+1), []string{""}},
		{strings.Repeat("[", 1<<20), []string{""}},
		{`{"extra":{"deep":` + strings.Repeat("[", MaxDepth-2) + strings.Repeat("]", MaxDepth-2) + `}}`, nil},
		{`{"extra":{"deep":` + strings.Repeat("[", MaxDepth-1) + strings.Repeat("]", MaxDepth-1) + `}}`, []string{""}},
		{`{"description":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"{{{{"}`, nil}, // brackets in a text are text
		{`{"description":"` + strings.Repeat("x", MaxDocument) + `"}`, []string{""}},
	} {
		_, err := Decode(KindRule, []byte(c.data))
		err = butMissing(err)
		wantFaults(t, "Decode "+clipped(c.data).String(), err, c.want...)
	}
	_, err := Decode("nonsense", []byte(`{}`))
	wantFaults(t, "a kind", err, "/kind")
	_, err = Decode(KindTemplate, []byte(`{"variables":[{"name":1},{"name":"b","default":"x"},{"name":"c",`+
		`"required":1}]}`))
	wantFaults(t, "variables", butMissing(err), "/variables/0/name", "/variables/2/required")
	_, err = Decode(KindPractice, []byte(`{"effectiveness_score":"high","adoption_rate":null}`))
	wantFaults(t, "scores", butMissing(err), "/effectiveness_score")
}

// butMissing returns the error without the faults that something is missing.
func butMissing(err error) error {
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok {
		return err
	}
	list := slices.DeleteFunc(slices.Clone(invalid.Faults),
		func(f Fault) bool { return strings.HasPrefix(f.Detail, "missing") })
	return &InvalidError{Faults: list}
}

func TestDecodeNamesFaultyValuesTooWhereTheFormIsAtFault(t *testing.T) {
	for _, c := range []struct {
		data string
		want []string
	}{
		{`{"title":5,"severity":"HUGE","tags":["a","a"]}`, []string{
			"/title", "/severity", "/tags/1", "/category",
			"/description",
		}},
		{`{"titel":"T","category":"c","description":"d"}`, []string{"/titel", "/title"}},
		// The place of the number is no second empty tag, and what stands after it is judged the next time.
		{`{"tags":["a",1,null,"a"],"category":"c","title":"t","description":"d"}`, []string{"/tags/1"}},
		{
			`{"scope":{"globs":[1],"activation":"x"},"category":"c","title":"t","description":"d"}`,
			[]string{"/scope/globs/0", "/scope/activation"},
		},
		{`{"scope":7,"category":"c","title":"t","description":"d"}`, []string{"/scope"}},
		{
			`{"rule_id":"a b","category":"c","title":"t","description":"d","priority":"1"}`,
			[]string{"/priority", "/rule_id"},
		},
		// the id may come from a path
		{`{"category":"c","title":"t","description":"d","priority":"1"}`, []string{"/priority"}},
		{
			`{"category":"c","title":"t","description":"d","examples":[{"code":1},{}]}`,
			[]string{"/examples/0/code", "/examples/1"},
		},
		{`[]`, []string{""}},
	} {
		_, err := Decode(KindRule, []byte(c.data))
		wantFaults(t, "Decode "+c.data, err, c.want...)
	}
}

func TestUnknownNamesAreToldWhatWasMeant(t *testing.T) {
	for name, want := range map[string]string{
		"tittle": `did you mean "title"?`, "Title": `did you mean "title"?`,
		"desription": `did you mean "description"?`, "rule-id": `did you mean "rule_id"?`,
		"nothing_like_it": "", "x": "",
	} {
		_, err := Decode(KindRule, []byte(`{"`+name+`":1}`))
		if err == nil || !strings.Contains(err.Error(), want) || want == "" && strings.Contains(err.Error(),
			"did you mean") {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}

func TestCanonicalJSONIsOneForEqualDocuments(t *testing.T) {
	for _, d := range valid() {
		first := canonical(t, d)
		for range 3 {
			again, err := DecodeStored(d.Key().Kind, []byte(first))
			if err != nil {
				t.Fatal(err)
			}
			if got := canonical(t, again); got != first {
				t.Errorf("%s changes on the way:\n%s", d.Key(), cmp.Diff(first, got))
			}
		}
		// In any order of keys and with any spaces, as a database may hand it out.
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(first), &members); err != nil {
			t.Fatal(err)
		}
		shuffled, err := json.MarshalIndent(members, " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		r, err := RecordOf(d.Key().Kind, shuffled)
		if err != nil {
			t.Fatal(err)
		}
		if string(r.JSON) != first {
			t.Errorf("%s in another order of keys:\n%s", d.Key(), cmp.Diff(first, string(r.JSON)))
		}
	}
	d, err := DecodeStored(KindRule, []byte(`{"rule_id":"x","title":"a<b>&c \u2028 \u00e9 `+
		`\ud83d\ude00","field_of_tomorrow":1}`))
	if err != nil {
		t.Fatalf("a field of a newer schema: %v", err)
	}
	if got := canonical(t, d); !strings.Contains(got, `"title":"a<b>&c \u2028 é 😀"`) {
		t.Errorf("escapes: %s", got)
	}
}

func TestNumbersAreWrittenInOneWayWithEveryDigit(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.0": "0", "0e999999999999": "0", "1": "1", "1.0": "1", "1.50": "1.5", "-1.5e0": "-1.5",
		"1e3": "1000", "1E+3": "1000", "1.25e1": "12.5",
		"1e-7": "0.0000001", "12e-1": "1.2", "100": "100", "1200e-2": "12", "0.05": "0.05",
		"9007199254740993":                 "9007199254740993",
		"123456789012345678901234567890.5": "123456789012345678901234567890.5",
		"3.141592653589793238462643383279": "3.141592653589793238462643383279",
		"1e300":                            "1" + strings.Repeat("0", 300), "1e1000": `"1e1000"`,
		"1e-1000":                `"1e-1000"`,
		"1e99999999999999999999": `"1e99999999999999999999"`,
		strings.Repeat("7", 401): `"` + strings.Repeat("7", 401) + `"`,
	} {
		d, err := Decode(KindRule, []byte(`{"extra":{"n":`+in+`}}`))
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(d.(*Rule).Extra["n"])
		if err != nil || string(b) != want {
			t.Errorf("%s is kept as %s (%v), want %s", clipped(in), b, err, want)
		}
	}
	for _, bad := range []string{
		"", "-", "+1", "01", ".5", "5.", "1e", "0x1", "NaN", "Infinity", "1_000", " 1", "1 ",
		"true", "[1]",
	} {
		if got, ok := plainDecimal(bad); ok {
			t.Errorf("plainDecimal(%q) = %q", bad, got)
		}
	}
}

func TestFreeValuesMadeInGoAreAsIfRead(t *testing.T) {
	made := &Rule{RuleID: "x", Common: Common{Extra: map[string]any{
		"int": 7, "int64": int64(-7), "uint8": uint8(7), "float": 1e21, "float32": float32(0.5),
		"strings": []string{"a"}, "map": map[string]int{"a": 1},
		"list": []any{1, 2.5, nil, true}, "nothing": nil,
	}}}
	made.Normalize()
	if err := made.Validate(); err != nil && strings.Contains(err.Error(), "/extra") {
		t.Error(err)
	}
	read, err := DecodeStored(KindRule, []byte(canonical(t, made)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, read); diff != "" {
		t.Errorf("made and read differ:\n%s", diff)
	}
}

// TestMergePatchFollowsTheRFC runs the table of RFC 7396's appendix; its patches that are no objects are refused here.
func TestMergePatchFollowsTheRFC(t *testing.T) {
	for _, c := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{
			`{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],` +
				`"content":"This will be unchanged"}`,
			`{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}`,
			`{"author":{"givenName":"John"},"content":"This will be ` +
				`unchanged","phoneNumber":"+01-123-456-7890","tags":["example"],"title":"Hello!"}`,
		},
		{`{"n":12345678901234567890}`, `{"<":"&"}`, `{"<":"&","n":12345678901234567890}`},
	} {
		got, err := MergePatch([]byte(c.target), []byte(c.patch))
		if err != nil || strings.TrimSpace(string(got)) != c.want {
			t.Errorf("%s patched with %s: %s (%v), want %s", c.target, c.patch, got, err, c.want)
		}
	}
	for _, bad := range []string{`["c"]`, `null`, `"bar"`, `1`, ``, `{`, `{} {}`, strings.Repeat(`{"a":`, 40) + `1` +
		strings.Repeat(`}`, 40)} {
		_, err := MergePatch([]byte(`{}`), []byte(bad))
		wantFaults(t, "patch "+bad, err, "")
	}
}

func TestNearestIsTheSameEachTime(t *testing.T) {
	known := func(yield func(string) bool) {
		for _, k := range []string{"bat", "cat", "rat", "house"} {
			if !yield(k) {
				return
			}
		}
	}
	for name, want := range map[string]string{"hat": "bat", "hous": "house", "mouse": "house", "elephant": "", "": ""} {
		if got := Nearest(name, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
