package knowledge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzDecode(f *testing.F) {
	for i, d := range valid() {
		f.Add(byte(i), []byte(canonical(f, d)))
	}
	f.Add(byte(0), []byte(`{"extra":{"a":[1e2,-0,1.50,null,{"b":"\u0000"}]},"tags":["a"],"examples":[{"code":"x"}]}`))
	f.Add(byte(1), []byte(`{"effectiveness_score":0.285,"adoption_rate":-0.001}`))
	f.Add(byte(2), []byte(`{"template_content":"{{a}}","variables":[{"name":"a","default":1e400,"type":"number"}]}`))
	f.Add(byte(4), []byte(`{"violation_id":"{01890A5D-AC96-774B-BCCE-B302099A8057}",`+
		`"reported_at":"0001-01-01T00:00:00+23:59"}`))
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		k := Kinds()[int(kind)%len(Kinds())]
		d, err := Decode(k, data)
		if err != nil {
			for _, p := range faultsOf(t, err) {
				if p != "" && p[0] != '/' {
					t.Errorf("the pointer %q", p)
				}
			}
			return
		}
		first := canonical(t, d)
		again, err := DecodeStored(k, []byte(first))
		if err != nil {
			t.Fatalf("%s can't be read again: %v", first, err)
		}
		if got := canonical(t, again); got != first {
			t.Fatalf("it changes on the way:\n%s\n%s", first, got)
		}
		if d.Rank() < 0 {
			t.Errorf("rank %d", d.Rank())
		}
		if d.Validate() != nil {
			return
		}
		// What is valid is taken again as it was stored, and has the same meaning for a merge patch that says nothing.
		strict, err := Decode(k, []byte(first))
		if err != nil {
			t.Fatalf("%s is refused when it is sent back: %v", first, err)
		}
		if err := strict.Validate(); err != nil {
			t.Fatalf("%s is invalid when it is sent back: %v", first, err)
		}
		op := Op{Verb: VerbPatch, Key: d.Key(), Patch: []byte(`{}`)}
		same, err := op.Next(strict)
		if err != nil || canonical(t, same) != first {
			t.Fatalf("%s is another after an empty patch: %v", first, err)
		}
		if strings.Contains(first, `\u0000`) || !utf8.ValidString(first) {
			t.Fatalf("what no database keeps: %q", first)
		}
	})
}

func FuzzDecodeOp(f *testing.F) {
	f.Add([]byte(`{"verb":"put","kind":"rule","document":{"rule_id":"x"},"if_version":3}`))
	f.Add([]byte(`{"verb":"patch","kind":"rules","id":"x","patch":{"a":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		op, err := DecodeOp(data)
		if err != nil {
			faultsOf(t, err)
			return
		}
		b := Batch{ID: NewBatchID(), Actor: "x", Ops: []Op{op}}
		if b.Validate() != nil {
			return
		}
		first, err := b.Fingerprint()
		if err != nil {
			t.Fatalf("a valid batch has no fingerprint: %v", err)
		}
		again, err := json.Marshal(op)
		if err != nil {
			t.Fatal(err)
		}
		if b.Ops[0], err = DecodeOp(again); err != nil {
			t.Fatalf("%s can't be read again: %v", again, err)
		}
		if second, err := b.Fingerprint(); err != nil || second != first {
			t.Fatalf("the fingerprint changes on the way: %v", err)
		}
	})
}

func FuzzMergePatch(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,2]},"c":null}`), []byte(`{"a":{"b":null,"d":1.50},"e":{"f":null}}`))
	f.Add([]byte(`[1]`), []byte(`{"a":"<>"}`))
	f.Fuzz(func(t *testing.T, target, patch []byte) {
		if CheckJSON(target) != nil {
			return
		}
		once, err := MergePatch(target, patch)
		if err != nil {
			return
		}
		if !json.Valid(once) {
			t.Fatalf("no JSON: %s", once)
		}
		twice, err := MergePatch(once, patch)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("the same patch again changes it (%v):\n%s\n%s", err, once, twice)
		}
		var got map[string]any
		if err := json.Unmarshal(once, &got); err != nil {
			t.Fatalf("no object: %s", once)
		}
		var p map[string]any
		if err := json.Unmarshal(patch, &p); err != nil {
			t.Fatal(err)
		}
		for k, v := range p {
			if _, there := got[k]; there == (v == nil) {
				t.Fatalf("%q is %v in the patch, and there afterwards: %v", k, v, there)
			}
		}
	})
}

func FuzzSearch(f *testing.F) {
	f.Add(`a "b c" -d OR e* title:f`, "A title with a", "tag-a", "some b c text", "and e-mail")
	f.Add("größe БАЗА", "Größe", "", "die größe, БАЗА", "")
	f.Add(`i "s"`, "İ", "ſ", "K", "ǅ")
	f.Add("c++ .net --no-verify a/b::c.d-e_fG", "C++/C#", "AVD-AWS-0004", "连接池 format-all再提交",
		"\u0313 node:net:1555:16 '\\u2713'")
	f.Add("tag:x id:a-* kind:rule -category:y severity:z", "x", "x", "x", "x")
	f.Add(`n+1 s3:* -a:* "b:*" c++17`, "n+1", "s3:*", "**Note:** b:*, ü:*", "c++17 x#y")
	f.Fuzz(func(t *testing.T, text, title, tags, lead, body string) {
		_, q, err := SearchQuery{Text: text}.Check()
		if err != nil {
			faultsOf(t, err)
			return
		}
		if len(q.Wishes)+len(q.Must) == 0 || len(q.Slots) > maxSlots {
			t.Fatalf("%d wishes, %d conditions, %d slots", len(q.Wishes), len(q.Must), len(q.Slots))
		}
		for _, text := range []string{title, tags, lead, body} {
			if TextFault(text) != "" { // is never stored
				return
			}
		}
		doc := &Rule{
			RuleID: "a-1", Category: "y", Title: title, Description: lead, ViolationsConsequence: body,
			IsActive: true,
		}
		doc.Tags = strings.Fields(tags)
		e := NewEntry(doc)
		frequency := make([]int, len(q.Slots))
		for i := range e.Postings {
			p := &e.Postings[i]
			if p.Term == "" || len(p.Term) > maxTerm+2 || i > 0 && e.Postings[i-1].Term >= p.Term ||
				!slices.IsSorted(p.Places) {
				t.Fatalf("posting %d is %+v", i, p)
			}
		}
		for i := range q.Slots {
			if q.Holds(i, e, true) {
				frequency[i] = 1
			}
		}
		s := q.Scorer(1, frequency)
		mask, inTitle, sum := s.Look(e)
		score := s.Final(sum, mask, inTitle, Shape{e.Title, e.Words}) +
			s.Near(mask, func(slot int) []uint32 { return q.Places(slot, e) })
		if !(score >= 0 && score < 1e6) || inTitle&^mask != 0 {
			t.Fatalf("score %v, mask %b, in the title %b", score, mask, inTitle)
		}
		snippet, marks := q.Snippet(&Text{Lead: lead, Body: body}, q.newMarker())
		if !utf8.ValidString(snippet) || !strings.Contains(lead, snippet) && !strings.Contains(body, snippet) {
			t.Fatalf("the snippet %q is no part of the text", snippet)
		}
		end := 0
		for _, m := range marks {
			if m[0] < end || m[1] <= m[0] || m[1] > len(snippet) || !utf8.ValidString(snippet[m[0]:m[1]]) {
				t.Fatalf("marks %v in %q", marks, snippet)
			}
			end = m[1]
		}
		s.Reading([]uint64{mask}, frequency)
	})
}

func FuzzSearchCursor(f *testing.F) {
	f.Add(SearchQuery{Text: "a"}.NextCursor(20), "a")
	f.Add("AAAA", "b")
	f.Fuzz(func(t *testing.T, cursor, text string) {
		q := SearchQuery{Text: text, Cursor: cursor}
		if n, ok := q.offset(); ok && cursor != "" && (n <= 0 || n >= MaxPaged || q.NextCursor(n) != cursor) {
			t.Fatalf("the cursor %q stands for %d", cursor, n)
		}
	})
}

func FuzzCursor(f *testing.F) {
	q, _, err := Query{Kind: KindRule}.Check()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(q.NextCursor(&Record{Key: Key{KindRule, "a"}, Rank: 7}, ""), `{"i":"a","r":7}`)
	f.Add("", `{"i":"a","t":"\u0000"}`)
	f.Fuzz(func(t *testing.T, cursor, place string) {
		for _, kind := range []Kind{KindRule, KindViolation} {
			q, _, err := Query{Kind: kind, Order: OrderTitle}.Check()
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []string{cursor, forge(q, place)} {
				q.Cursor = c
				_, at, err := q.Check()
				if err != nil || at == nil {
					continue
				}
				if !utf8.ValidString(at.Title+at.ID) || strings.ContainsRune(at.Title, 0) || idFault(at.ID) != "" {
					t.Fatalf("a place that no database can look for: %+v", at)
				}
				if _, err := json.Marshal(at); err != nil {
					t.Fatal(err)
				}
			}
		}
		q, _, err := Query{Kind: KindRule, Order: OrderTitle}.Check()
		if err != nil {
			t.Fatal(err)
		}
		if idFault(cursor) != "" || TextFault(place) != "" || utf8.RuneCountInString(place) > MaxTitle {
			return
		}
		q.Cursor = q.NextCursor(&Record{Key: Key{KindRule, cursor}}, place)
		if _, err := base64.RawURLEncoding.DecodeString(q.Cursor); err != nil {
			t.Fatal(err)
		}
		if _, at, err := q.Check(); err != nil || at.ID != cursor || at.Title != place {
			t.Fatalf("the cursor of %q after %q: %+v, %v", cursor, place, at, err)
		}
	})
}

func FuzzRender(f *testing.F) {
	f.Add("a {{x}} {{#x}}b{{/x}} {{^y}}c{{/y}} {{{y}}} {{z}}", "value", "2")
	f.Add(`{"a":{{x}}}`, "1", "")
	f.Fuzz(func(t *testing.T, content, x, y string) {
		tmpl := template(content, Variable{Name: "x", Type: TypeMultiline}, Variable{Name: "y", Type: TypeNumber})
		valid := tmpl.Validate() == nil
		got, err := tmpl.Render(map[string]any{"x": x, "y": y})
		if err != nil {
			if len(faultsOf(t, err)) == 0 {
				t.Fatal(err)
			}
			return
		}
		if valid && TextFault(content) == "" && !utf8.ValidString(got) {
			t.Fatalf("%q is not valid UTF-8", got)
		}
		names := Placeholders(content)
		if len(names) == 0 && got != content {
			t.Fatalf("%q has no placeholder and renders as %q", content, got)
		}
		// What is rendered depends on the values by their placeholders only: a text without them is always the same.
		if !strings.Contains(content, "{{") && got != content {
			t.Fatalf("%q renders as %q", content, got)
		}
		for _, name := range names {
			if !variableName().MatchString(name) && len(name) <= 128 {
				t.Fatalf("the placeholder %q", name)
			}
		}
		if name := SafeName(content); !variableName().MatchString(name) {
			t.Fatalf("SafeName(%q) = %q", content, name)
		}
	})
}

func FuzzTextFault(f *testing.F) {
	f.Add("plain")
	f.Add("AKIAIOSFODNN7ABCDEFG \u202e \x00 \xff")
	f.Fuzz(func(t *testing.T, s string) {
		why := TextFault(s)
		if why == "" && (!utf8.ValidString(s) || strings.ContainsRune(s, 0)) {
			t.Fatalf("%q may be stored", s)
		}
		if why != "" && !strings.HasPrefix(why, "line ") {
			t.Fatalf("no place: %s", why)
		}
		// A text that may be stored comes back from JSON as it was.
		if why == "" {
			b, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var again string
			if err := json.Unmarshal(b, &again); err != nil || again != s {
				t.Fatalf("%q comes back as %q (%v)", s, again, err)
			}
		}
	})
}
