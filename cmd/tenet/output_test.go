package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestYAMLHoldsWhatJSONHolds prints JSON as YAML, reads that, and expects the same JSON.
func TestYAMLHoldsWhatJSONHolds(t *testing.T) {
	for _, text := range yamlSamples() {
		checkYAML(t, text)
	}
}

func yamlSamples() []string {
	return []string{
		`{"b":1,"a":[],"c":{},"d":null,"e":[1,2.5,-3e10,true,false,"x"]}`,
		`{"s":"yes","t":"null","u":"1","v":"1.5","w":"2026-01-01","x":"~","y":"","z":" a "}`,
		`{"lines":"one\ntwo\n","trail":"one\n\n\n","lead":"\n  x","tabs":"\ta\tb","crlf":"a\r\nb"}`,
		`{"odd":"- a: b # c","colon":"Note: this","quote":"it's \"so\"","uni":"\u2028\u00e9\ud83d\ude00"}`,
		`{"big":12345678901234567890,"long":0.1234567890123456789}`,
		`["a",["b",["c"]]]`,
	}
}

func checkYAML(t *testing.T, text string) {
	t.Helper()
	var b bytes.Buffer
	if err := printYAML(&b, json.RawMessage(text)); err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	back, err := jsonOf(b.Bytes())
	if err != nil {
		t.Errorf("%s became YAML that can't be read: %v\n%s", text, err, b.String())
		return
	}
	var want any
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	list, isList := want.([]any)
	if !isList {
		list = []any{want}
	}
	if len(back) != len(list) {
		t.Errorf("%s: %d values came back, want %d\n%s", text, len(back), len(list), b.String())
		return
	}
	for i := range list {
		var got any
		if err := json.Unmarshal(back[i], &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, list[i]) {
			t.Errorf("%s came back as %s\n%s", text, back[i], b.String())
		}
	}
}

// FuzzYAML prints any JSON object of texts as YAML and reads it back.
func FuzzYAML(f *testing.F) {
	for _, s := range []string{
		"a", "a\nb", " x", "yes", "1e3", "- x", "# x", "{{x}}", "\t", "a: b", "|\n x",
		"é\u2028",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		data, err := json.Marshal(map[string]string{"k" + key: value})
		if err != nil || strings.ContainsFunc(key+value, unprintable) {
			t.Skip() // what no document holds
		}
		checkYAML(t, string(data))
	})
}

// unprintable reports what a document may not hold.
func unprintable(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r >= 0x7f && r < 0xa0 || r == 0xfffd || r == 0xfffe ||
		r == 0xffff || r == 0xfeff
}

func TestASecretIsNeverPrinted(t *testing.T) {
	s := struct{ S secret }{"hush"}
	for _, text := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s.S, s.S), fmt.Sprint(s.S.LogValue()),
	} {
		if strings.Contains(text, "hush") {
			t.Errorf("printed: %s", text)
		}
	}
	data, err := json.Marshal(s)
	if err != nil || strings.Contains(string(data), "hush") {
		t.Errorf("encoded: %s, %v", data, err)
	}
	if fmt.Sprint(secret("")) != "" {
		t.Error("no secret looks like one")
	}
}

// What goes wrong in an outage goes wrong again and again: the status says each once, with when it was last seen.
func TestRepeatedErrorsAreShownOnce(t *testing.T) {
	got := repeated([]string{"12:00 refused", "12:01 too slow", "12:02 refused", "12:03 refused"})
	if want := []string{"12:01 too slow", "12:03 refused (3 times)"}; !reflect.DeepEqual(got, want) {
		t.Errorf("repeated gave %q, want %q", got, want)
	}
}
