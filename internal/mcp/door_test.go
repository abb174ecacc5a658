package mcp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/awaittest"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
)

func (x *house) put(docs ...knowledge.Document) {
	x.Helper()
	b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "admin"}
	for _, d := range docs {
		d.Normalize()
		b.Ops = append(b.Ops, knowledge.Put(d, knowledge.AnyVersion))
	}
	if _, err := x.store.Apply(x.Context(), b); err != nil {
		x.Fatal(err)
	}
}

// await waits until something holds.
func (x *house) await(what string, holds func() bool) {
	x.Helper()
	if !awaittest.Until(time.Minute, holds) {
		x.Fatalf("waited too long for %s", what)
	}
}

// client connects the reference client.
func (x *house) client(era string) *mcp.ClientSession {
	x.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	for _, err := range []error{
		mcp.AddSendingCustomMethod[*listSkillsParams, *listSkillsResult](c, "skills/list"),
		mcp.AddSendingCustomMethod[*getSkillParams, *getSkillResult](c, "skills/get"),
	} {
		if err != nil {
			x.Fatal(err)
		}
	}
	s, err := c.Connect(x.Context(), &mcp.StreamableClientTransport{Endpoint: x.url, MaxRetries: -1},
		&mcp.ClientSessionOptions{ProtocolVersion: era})
	if err != nil {
		x.Fatal(err)
	}
	x.Cleanup(func() { s.Close() })
	return s
}

func eras() []string { return []string{"2025-11-25", "2026-07-28"} }

func rule(id, activation string) *knowledge.Rule {
	r := &knowledge.Rule{
		RuleID: id, Category: "c", Title: "Rule " + id, Description: "What " + id + " asks for.",
		IsActive: true,
	}
	r.Scope = knowledge.Scope{Activation: activation}
	if activation == "glob" {
		r.Scope.Globs = []string{"**"}
	}
	return r
}

func TestASkillIsListedOnceAndItsFileIsWhatItsDigestSays(t *testing.T) {
	x := open(t, trial{})
	docs := []knowledge.Document{
		&knowledge.Category{ID: "c", Name: "C", IsActive: true}, &knowledge.Category{
			ID: "other", Name: "Other",
			IsActive: true,
		},
		rule("A__B.1", "model"), rule("ALWAYS", "always"), rule("GLOB", "glob"), rule("HAND", "manual"),
		&knowledge.Practice{
			PracticeID: "small", Category: "c", Title: "Small \"things\": first",
			Description: "Small.", IsActive: true,
		},
		&knowledge.Pack{PackID: "a", Select: knowledge.Selection{Categories: []string{"c"}}, IsActive: true},
		&knowledge.Pack{PackID: "b", Extends: []string{"a"}, IsActive: true},
	}
	outside := rule("OUTSIDE", "model")
	outside.Category = "other"
	many := 2*skillPage + 3
	for i := range many {
		docs = append(docs, rule(fmt.Sprintf("M-%03d", i), "model"))
	}
	x.put(append(docs, outside)...)
	x.await("the index to have heard of every document", func() bool {
		left, err := x.index.LeftToModel(t.Context())
		return err == nil && len(left) == many+3
	})
	for _, era := range eras() {
		s := x.client(era)
		var got []string
		seen := map[string]bool{}
		for cursor, pages := "", 0; ; pages++ {
			r, err := mcp.CallCustomMethod[*listSkillsParams, *listSkillsResult](t.Context(), s, "skills/list",
				&listSkillsParams{Cursor: cursor})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range r.Skills {
				if seen[e.URI] {
					t.Errorf("%s is listed twice", e.URI)
				}
				seen[e.URI] = true
				if !strings.Contains(e.URI, "/tenet-m-") {
					got = append(got, e.URI)
				}
				read, err := s.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: e.URI})
				if err != nil {
					t.Fatal(err)
				}
				text := read.Contents[0].Text
				sum := sha256.Sum256([]byte(text))
				if want := (skillResource{e.URI, "sha256:" + hex.EncodeToString(sum[:]), len(text)}); len(
					e.Resources) != 1 || e.Resources[0] != want {
					t.Errorf("%s: %+v, and its file is %+v", e.URI, e.Resources, want)
				}
				one, err := mcp.CallCustomMethod[*getSkillParams, *getSkillResult](t.Context(), s, "skills/get",
					&getSkillParams{URI: e.URI})
				if err != nil || cmp.Diff(e, one.Skill) != "" {
					t.Errorf("%s by itself: %v, %s", e.URI, err, cmp.Diff(e, one.Skill))
				}
			}
			if cursor = r.NextCursor; cursor == "" {
				if pages != 2 {
					t.Errorf("%d pages, want 3", pages+1)
				}
				break
			}
		}
		want := []string{"skill://a/tenet-a-b-1/SKILL.md", "skill://a/tenet-practice-small/SKILL.md"}
		if diff := cmp.Diff(want, got); diff != "" || len(seen) != many+2 {
			t.Errorf("%s: %d skills, %s", era, len(seen), diff)
		}
		for _, uri := range []string{
			"", "skill://a/tenet-always/SKILL.md", "skill://b/tenet-a-b-1/SKILL.md",
			"tenet://rule/ALWAYS",
		} {
			if _, err := mcp.CallCustomMethod[*getSkillParams, *getSkillResult](t.Context(), s, "skills/get",
				&getSkillParams{URI: uri}); err == nil {
				t.Errorf("%q is a skill", uri)
			}
		}
		if _, err := s.ReadResource(t.Context(),
			&mcp.ReadResourceParams{URI: "skill://a/tenet-always/SKILL.md"}); err == nil {
			t.Error("what is no skill was read as one")
		}
	}
}

// TestAPromptIsACompleteAnswer looks at the bytes: the newer protocol wants it said that nothing more is asked.
func TestAPromptIsACompleteAnswer(t *testing.T) {
	x := open(t, trial{})
	x.put(&knowledge.Category{ID: "c", Name: "C", IsActive: true},
		&knowledge.Template{
			TemplateID: "note", Name: "Note", Category: "c", TemplateContent: "Say it.",
			IsActive: true,
		})
	got := x.post(`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"note","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
		"io.modelcontextprotocol/clientCapabilities":{}}}}`, "prompts/get", "note")
	if !strings.Contains(got, `"resultType":"complete"`) || !strings.Contains(got, "Say it.") {
		t.Errorf("the answer is %s", got)
	}
}

// post sends a message of the newer protocol and returns the body of the answer.
func (x *house) post(body, method, name string) string {
	x.Helper()
	r, err := http.NewRequestWithContext(x.Context(), http.MethodPost, x.url, strings.NewReader(body))
	if err != nil {
		x.Fatal(err)
	}
	for header, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": name,
	} {
		r.Header.Set(header, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		x.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		x.Fatal(err)
	}
	return string(answer)
}

func TestNullCountsAsLeftOutOnlyAtTheTop(t *testing.T) {
	for _, c := range [][2]string{
		{`{"a":null,"b":1}`, `{"b":1}`},
		{`{"a": {"b": null}, "c":null }`, `{"a":{"b":null}}`},
		{`{"a":"null"}`, `{"a":"null"}`},
		{`null`, `null`},
		{`[null]`, `[null]`},
		{`{"a":null`, `{"a":null`},
		{``, ``},
	} {
		if got := string(withoutNulls(json.RawMessage(c[0]))); got != c[1] {
			t.Errorf("%s becomes %s, want %s", c[0], got, c[1])
		}
	}
}

func FuzzWithoutNulls(f *testing.F) {
	f.Add(`{"a":null,"b":{"c":null},"d":[null,1.50,"\u0000"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		got := withoutNulls(json.RawMessage(text))
		var before, after map[string]any
		if json.Unmarshal([]byte(text), &before) != nil {
			if string(got) != text {
				t.Errorf("%q is no object and becomes %q", text, got)
			}
			return
		}
		for name, value := range before {
			if value == nil {
				delete(before, name)
			}
		}
		if err := json.Unmarshal(got, &after); err != nil || cmp.Diff(before, after) != "" {
			t.Errorf("%q becomes %q: %v %s", text, got, err, cmp.Diff(before, after))
		}
	})
}

func FuzzAddresses(f *testing.F) {
	for _, uri := range []string{
		"tenet://rule/SEC-001", "tenet://rule/{id}", "tenet://x", "skill://a/b/SKILL.md",
		"tenet://rule/a/b",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if key, ok := keyOf(uri); ok && scheme+key.String() != uri {
			t.Errorf("%q is read as %s", uri, key)
		}
		if kind, ok := kindOf(uri); ok && !strings.HasPrefix(uri, scheme+string(kind)+"/") {
			t.Errorf("%q is said to be of %s", uri, kind)
		}
	})
}

// FuzzArguments makes values of a template's types from what a client sends, and renders with them.
func FuzzArguments(f *testing.F) {
	f.Add("note", "2", "true", "a, b")
	tpl := &knowledge.Template{
		TemplateID: "t", Name: "T", Category: "c",
		TemplateContent: "{{text}} {{number}} {{truth}} {{list}}", IsActive: true, Variables: []knowledge.Variable{
			{Name: "text"},
			{Name: "number", Type: knowledge.TypeNumber},
			{Name: "truth", Type: knowledge.TypeBoolean},
			{Name: "list", Type: knowledge.TypeMultiselect, Options: []string{"a", "b"}},
		},
	}
	tpl.Normalize()
	f.Fuzz(func(t *testing.T, text, number, truth, list string) {
		values := typed(tpl, map[string]string{"text": text, "number": number, "truth": truth, "list": list})
		if _, err := tpl.Render(values); err == nil && values["text"] != text {
			t.Errorf("%q became %v", text, values["text"])
		}
	})
}

// FuzzServe sends lines on standard input: whatever they are, each answer is a message of the protocol, and the end of
// the input is the end.
func FuzzServe(f *testing.F) {
	f.Add(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	f.Add(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},` +
		`"clientInfo":{"name":"x","version":"1"}}}` + "\n" +
		`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"get","arguments":{"key":null}}}`)
	f.Add(`{"jsonrpc":"2.0","id":1,"method":"skills/list","params":[]}`)
	f.Add(`[{"jsonrpc":"2.0"}]`)
	s, err := sqlite.Open(f.Context(), filepath.Join(f.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, lines string) {
		var out bytes.Buffer
		within, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_ = New(Options{Store: s}).Serve(within, strings.NewReader(lines), &out) // what can't be read is an error
		if within.Err() != nil {
			t.Errorf("%q is waited for", lines)
		}
		for line := range strings.Lines(out.String()) {
			var m struct {
				Version string `json:"jsonrpc"`
			}
			if err := json.Unmarshal([]byte(line), &m); err != nil || m.Version != "2.0" {
				t.Errorf("%q is answered with %q", lines, line)
			}
		}
	})
}
