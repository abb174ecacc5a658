package knowledge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestWhatMeansTwoThingsIsNamedWithItsPlace(t *testing.T) {
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf(`"n%d":0`, i)
	}
	object := "{" + strings.Join(many, ",") + "%s}"
	for data, want := range map[string]string{
		`{}`: "", `[]`: "", `7`: "", `"a"`: "", `null`: "",
		`{"a":{"a":[{"a":1},{"a":2}]},"b":"a","c":["a","a"]}`: "",
		`{"a":1,"b":2,"a":3}`:                        `byte 14: a second "a" in the same object`,
		`{"a":1,"\u0061":3}`:                         `byte 8: a second "\u0061" in the same object`,
		`{"x":[{"y":{"z":1,"z":1}}]}`:                `byte 19: a second "z" in the same object`,
		`{"a":"},{\"a\":","b":"\\"}`:                 "",
		`{"a":{"b":1},"b":2,"a":3}`:                  `byte 20: a second "a" in the same object`,
		`{"":1,"":2}`:                                `byte 7: a second "" in the same object`,
		fmt.Sprintf(object, ""):                      "",
		fmt.Sprintf(object, `,"n7":1`):               `a second "n7"`,
		fmt.Sprintf(object, `,"n39":1`):              `a second "n39"`,
		`"\ud83d\ude00 \u00e9 \\ud800 \\\\ud800 \n"`: "",
		`"\ud800"`:             `byte 2: \ud800 is half of a character`,
		`"ab\udc00"`:           `byte 4: \udc00 is half of a character`,
		`"\ud83d\ud83d\ude00"`: `byte 2: \ud83d is half of a character`,
		`"\ud83d\n"`:           `byte 2: \ud83d is half of a character`,
		`{"\uD83D\uDE00":1}`:   "",
		`{"\uDE00":1}`:         `byte 3: \uDE00 is half of a character`,
		`{"a":[1,2],"b":{},"c":[],"d":{"a":1,"b":[{}]},"e":"x"}`: "",
	} {
		if !json.Valid([]byte(data)) {
			t.Fatalf("the test's %s is no JSON", data)
		}
		if got := Ambiguity([]byte(data)); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("Ambiguity(%.60s) = %q, want %q", data, got, want)
		}
	}
}

func FuzzAmbiguity(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"a":2}`, `"\ud800"`, `{"a":[{"b":"\\\""}]}`, `[[],{},"\ud83d\ude00"]`,
		`{"\u0061":1,"a":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<12 || !json.Valid(data) { // the counting takes its time
			t.Skip()
		}
		// What the decoder hears must be what any other would: read and written again it has as many names.
		if Ambiguity(data) != "" {
			return
		}
		var v any
		if json.Unmarshal(data, &v) != nil {
			t.Skip() // a number that is too large, say
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Skip()
		}
		if why := Ambiguity(again); why != "" {
			t.Errorf("%s is clear, and written again it is not: %s", data, why)
		}
		if a, b := countNames(data), countNames(again); a != b {
			t.Errorf("%s has %d names, written again %d: one was there twice", data, a, b)
		}
	})
}

func countNames(data []byte) int {
	n, dec := 0, json.NewDecoder(strings.NewReader(string(data)))
	for {
		tok, err := dec.Token()
		if err != nil {
			return n
		}
		if tok == json.Delim('{') {
			for dec.More() {
				if _, err := dec.Token(); err != nil {
					return n
				}
				n++
				var raw json.RawMessage
				if dec.Decode(&raw) != nil {
					return n
				}
				n += countNames(raw)
			}
		}
	}
}
