package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/server"
)

// eras are the versions of the protocol that clients speak: with sessions, and without.
func eras() []string { return []string{"2025-11-25", "2026-07-28"} }

// bearer sends a token with every request.
type bearer struct{ token string }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}

func (x *tenet) token(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(x.dir, server.TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// assistant connects a client of the protocol, with the reference SDK.
func (x *tenet) assistant(t *testing.T, era, token string, o *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, o)
	s, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: x.Facts().URL + "/mcp", HTTPClient: &http.Client{Transport: bearer{token}}, MaxRetries: -1,
	}, &mcp.ClientSessionOptions{ProtocolVersion: era})
	if err != nil {
		t.Fatalf("connect as %s: %v", era, err)
	}
	t.Cleanup(func() { s.Close() })
	if got := s.InitializeResult().ProtocolVersion; got != era {
		t.Fatalf("the protocol is %s, want %s", got, era)
	}
	return s
}

func call(t *testing.T, s *mcp.ClientSession, tool string, args map[string]any) *mcp.CallToolResult {
	t.Helper()
	r, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return r
}

func textOf(r *mcp.CallToolResult) string {
	var b strings.Builder
	for _, c := range r.Content {
		if t, ok := c.(*mcp.TextContent); ok {
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

// rest sends a request to the REST door.
func (x *tenet) rest(t *testing.T, accept, path string, body any) []byte {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, x.Facts().URL+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", accept)
	resp, err := (&http.Client{Transport: bearer{x.token(t)}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %d, %v\n%s", path, resp.StatusCode, err, answer)
	}
	return answer
}

func TestAnAssistantOfEachEraGetsWhatRESTAnswers(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		x := start(t, o)
		put(t, x, &knowledge.Repository{RepositoryID: "acme.pay", Name: "Payments", Packs: []string{"backend-go"}, IsActive: true})
		for _, era := range eras() {
			t.Run(era, func(t *testing.T) {
				s := x.assistant(t, era, x.token(t), nil)
				texts := map[string]bool{}
				for _, narrow := range []map[string]any{
					{}, {"repository": "acme.pay"}, {"packs": []string{"common"}},
				} {
					question := map[string]any{"paths": []string{"cmd/pay/main.go"}, "task": "add a refund endpoint"}
					maps.Copy(question, narrow)
					texts[x.askedAlike(t, s, question)] = true
				}
				if len(texts) != 3 {
					t.Errorf("a repository and packs make no other answer: %d texts", len(texts))
				}
			})
		}
	})
}

// askedAlike asks an assistant's door and REST's the same, and returns the text that both answer.
func (x *tenet) askedAlike(t *testing.T, s *mcp.ClientSession, question map[string]any) string {
	t.Helper()
	got := call(t, s, "get_guidance", question)
	if got.IsError {
		t.Fatal(textOf(got))
	}
	if want := string(x.rest(t, "text/markdown", "/api/v1/guidance", question)); textOf(got) != want ||
		!strings.Contains(want, "mandatory") {
		t.Errorf("the text differs: %s", cmp.Diff(want, textOf(got)))
	}
	var answers [2]map[string]any
	data, err := json.Marshal(got.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range [][]byte{data, x.rest(t, "application/json", "/api/v1/guidance", question)} {
		if err := json.Unmarshal(text, &answers[i]); err != nil {
			t.Fatal(err)
		}
		// When and as of which change they were asked: in between the index may have heard of one more.
		delete(answers[i], "as_of")
		if seq, _ := answers[i]["seq"].(float64); seq < 1 {
			t.Errorf("the answer does not say as of which change it is: %v", answers[i]["seq"])
		}
		delete(answers[i], "seq")
	}
	if diff := cmp.Diff(answers[1], answers[0]); diff != "" {
		t.Errorf("the answer differs from REST's: %s", diff)
	}
	if got.Meta["tenet/mode"] != "normal" || got.Meta["tenet/as-of"] == nil ||
		got.Meta["tenet/seq"] == nil {
		t.Errorf("the result does not say how fresh it is: %v", got.Meta)
	}
	return textOf(got)
}

func TestEveryToolAnswersAndExplainsItsErrors(t *testing.T) {
	x := start(t, server.Options{})
	for _, era := range eras() {
		t.Run(era, func(t *testing.T) {
			s := x.assistant(t, era, x.token(t), nil)
			tools, err := s.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			size := len(s.InitializeResult().Instructions)
			for _, tool := range tools.Tools {
				if len(tool.Description) > 1024 || tool.InputSchema == nil {
					t.Errorf("%s: a description of %d bytes, schema %v", tool.Name, len(tool.Description),
						tool.InputSchema)
				}
			}
			if size > 2048 || size == 0 {
				t.Errorf("the instructions have %d bytes: assistants cut them off at 2 kB", size)
			}
			found := call(t, s, "search", map[string]any{"query": "commit message", "limit": 3})
			if found.IsError || !strings.Contains(textOf(found), "/") {
				t.Errorf("search: %s", textOf(found))
			}
			for _, c := range []struct {
				tool string
				args map[string]any
				want string // in the text
				bad  bool
			}{
				{"get", map[string]any{"key": "rule/SEC-001"}, "SEC-001", false},
				{"get", map[string]any{"key": "rule/NONE"}, "does not exist", true},
				{"get", map[string]any{"key": "SEC-001"}, "want kind and id", true},
				{"get", map[string]any{}, "key", true},
				{"search", map[string]any{"query": "x", "kinds": []string{"spell"}}, "spell", true},
				{"get_guidance", map[string]any{"paths": []string{"../x"}}, "/paths/0", true},
				{"get_guidance", map[string]any{"budget": "much"}, "budget", true},
				{"render_template", map[string]any{
					"template": "incident-report",
					"values":   map[string]any{"nobody": 1},
				}, "nobody", true},
				{"report_violation", map[string]any{
					"rule": "SEC-001", "path": "a.go",
					"message": "put together from text " + era,
				}, "reported", false},
				{"report_violation", map[string]any{
					"rule": "SEC-001", "path": "a.go",
					"message": "put together from text " + era,
				}, "before", false},
				{"check", map[string]any{"files": []any{map[string]any{
					"path":    "a.go",
					"content": "-----BEGIN RSA PRIVATE KEY-----",
				}}}, "a.go:1: A private key", false},
				{
					"check",
					map[string]any{"files": []any{map[string]any{"path": "a.go", "content": "package a"}}},
					"kept in 1 file", false,
				},
				{"check", map[string]any{"files": []any{map[string]any{
					"path": "a.go", "content": "-----BEGIN RSA PRIVATE KEY-----\n",
					"before": "-----BEGIN RSA PRIVATE KEY-----",
				}}}, "kept in 1 file", false},
				{"check", map[string]any{
					"repository": "nobody",
					"files":      []any{map[string]any{"path": "a.go", "content": ""}},
				}, "does not exist", true},
				{"check", map[string]any{"files": []any{}}, "/files", true},
				{"propose", map[string]any{"title": "Stricter", "ops": []any{map[string]any{
					"verb": "patch", "key": "rule/SEC-001", "patch": map[string]any{"severity": "ERROR"},
				}}}, "waits for a person", false},
				{"propose", map[string]any{"title": "A pack", "ops": []any{map[string]any{
					"verb": "put", "key": "pack/slip", "document": map[string]any{
						"pack_id": "slip", "name": era, "select": map[string]any{"ids": []any{"rule/SEC-01"}},
					},
				}}}, "/ops/0/document/select/ids/0: there is no rule/SEC-01 yet: did you mean rule/SEC-001?", false},
				{"propose", map[string]any{
					"title": "Stricter",
					"ops":   []any{map[string]any{"verb": "drop", "key": "rule/SEC-001"}},
				}, "/ops/0", true},
				{"propose", map[string]any{
					"title": "Stricter",
					"ops":   []any{map[string]any{"verb": "put", "key": "SEC-001"}},
				}, "want kind and id", true},
				{
					"report_violation",
					map[string]any{"rule": "NONE", "path": "a.go", "message": "m"},
					"does not exist",
					true,
				},
				{"report_violation", map[string]any{"rule": "SEC-001", "path": "a.go", "message": ""}, "message", true},
			} {
				got := call(t, s, c.tool, c.args)
				if got.IsError != c.bad || !strings.Contains(textOf(got), c.want) {
					t.Errorf("%s %v: error %v, %q; want %q", c.tool, c.args, got.IsError, textOf(got), c.want)
				}
			}
			if _, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "drop_tables"}); err == nil {
				t.Error("a tool that does not exist answered")
			}
		})
	}
	page, err := x.admin(t).List(t.Context(), knowledge.Query{Kind: knowledge.KindViolation})
	if err != nil || len(page.Records) != 2 {
		t.Errorf("%d violations are there (%v), want one of each era", len(page.Records), err)
	}
}

func TestResourcesPromptsAndCompletion(t *testing.T) {
	x := start(t, server.Options{})
	put(t, x, &knowledge.Template{
		TemplateID: "deploy-note", Name: "Deploy note", Category: "delivery",
		TemplateContent: "{{what}} to {{where}}, {{times}} times, {{tell}}", IsActive: true,
		Variables: []knowledge.Variable{
			{Name: "where", Type: "select", Options: []string{"staging", "production", "preview"}, Default: "staging"},
			{Name: "times", Type: "number", Default: 1},
			{Name: "tell", Type: "boolean", Default: false},
			{Name: "what", Required: true, Description: "What is deployed."},
		},
	})
	for _, era := range eras() {
		t.Run(era, func(t *testing.T) {
			s := x.assistant(t, era, x.token(t), nil)
			var deploy *mcp.Prompt
			names := map[string]bool{}
			for p, err := range s.Prompts(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				if names[p.Name] {
					t.Errorf("%s is listed twice", p.Name)
				}
				if names[p.Name] = true; p.Name == "deploy-note" {
					deploy = p
				}
			}
			if deploy == nil || deploy.Arguments[0].Name != "what" || !deploy.Arguments[0].Required ||
				deploy.Arguments[1].Required {
				t.Fatalf("the template as a prompt: %+v", deploy)
			}
			got, err := s.GetPrompt(t.Context(), &mcp.GetPromptParams{
				Name: "deploy-note", Arguments: map[string]string{
					"what": "pay", "where": "production", "times": "2",
					"tell": "true",
				},
			})
			if err != nil || got.Messages[0].Content.(*mcp.TextContent).Text != "pay to production, 2 times, true" {
				t.Errorf("the prompt: %+v, %v", got, err)
			}
			for _, bad := range []*mcp.GetPromptParams{
				{Name: "none"}, {Name: "deploy-note"}, {Name: "deploy-note", Arguments: map[string]string{
					"what":  "x",
					"where": "moon",
				}},
			} {
				if _, err := s.GetPrompt(t.Context(), bad); err == nil {
					t.Errorf("prompt %+v was rendered", bad)
				}
			}
			for _, c := range []struct {
				ref   mcp.CompleteReference
				value string
				name  string
				want  []string
			}{
				{
					mcp.CompleteReference{Type: "ref/prompt", Name: "deploy-note"},
					"p", "where",
					[]string{"production", "preview"},
				},
				{
					mcp.CompleteReference{Type: "ref/resource", URI: "tenet://template/{id}"},
					"deploy", "id",
					[]string{"deploy-note"},
				},
				{mcp.CompleteReference{Type: "ref/resource", URI: "tenet://rule/{id}"}, "zzz", "id", []string{}},
			} {
				r, err := s.Complete(t.Context(), &mcp.CompleteParams{
					Ref:      &c.ref,
					Argument: mcp.CompleteParamsArgument{Name: c.name, Value: c.value},
				})
				if err != nil {
					t.Fatalf("complete %+v: %v", c.ref, err)
				}
				if diff := cmp.Diff(c.want, r.Completion.Values); diff != "" {
					t.Errorf("complete %+v %q: %s", c.ref, c.value, diff)
				}
			}
			list, err := s.ListResources(t.Context(), nil)
			if err != nil || len(list.Resources) == 0 {
				t.Fatalf("resources: %v, %v; want the packs", list, err)
			}
			for _, pack := range list.Resources {
				read, err := s.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: pack.URI})
				if err != nil || !strings.HasPrefix(pack.URI, "tenet://pack/") || !strings.Contains(read.Contents[0].Text,
					pack.Name) {
					t.Errorf("the resource %s: %v, %v", pack.URI, read, err)
				}
			}
			templates, err := s.ListResourceTemplates(t.Context(), nil)
			if err != nil || len(templates.ResourceTemplates) < 4 {
				t.Fatalf("templates of resources: %v, %v", templates, err)
			}
			for _, known := range templates.ResourceTemplates {
				if strings.Contains(known.URITemplate, "principal") {
					t.Errorf("%s is shown to everybody", known.URITemplate)
				}
			}
			read, err := s.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "tenet://rule/SEC-001"})
			if err != nil || !strings.Contains(read.Contents[0].Text, "SEC-001") {
				t.Errorf("read: %v, %v", read, err)
			}
			for _, uri := range []string{"tenet://rule/NONE", "tenet://spell/x", "file:///etc/passwd", "tenet://rule"} {
				if _, err := s.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri}); err == nil {
					t.Errorf("%s was read", uri)
				}
			}
		})
	}
}

func TestWhoSubscribedIsToldOfAChange(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, o server.Options) {
		x := start(t, o)
		for _, era := range eras() {
			t.Run(era, func(t *testing.T) {
				updated, prompts := make(chan string, 10), make(chan bool, 10)
				s := x.assistant(t, era, x.token(t), &mcp.ClientOptions{
					ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) {
						updated <- r.Params.URI
					},
					PromptListChangedHandler: func(context.Context, *mcp.PromptListChangedRequest) {
						select {
						case prompts <- true:
						default:
						}
					},
				})
				if err := s.Subscribe(t.Context(), &mcp.SubscribeParams{URI: "tenet://rule/SEC-001"}); err != nil {
					t.Fatal(err)
				}
				// The first change may come before the stream stands: what is told later is what counts.
				for n := 0; ; n++ {
					write(t, x.admin(t), "admin", patch("rule/SEC-001", fmt.Sprintf(`{"priority": %d}`, n)),
						patch("rule/SEC-002", fmt.Sprintf(`{"priority": %d}`, n)),
						patch("template/incident-report", fmt.Sprintf(`{"description": "%s %d"}`, era, n)))
					select {
					case uri := <-updated:
						if uri != "tenet://rule/SEC-001" {
							t.Fatalf("told of %s, which nobody asked for", uri)
						}
					case <-time.After(2 * time.Second):
						if n < 20 {
							continue
						}
						t.Fatal("nobody told of the change")
					}
					break
				}
				select {
				case <-prompts:
				case <-time.After(20 * time.Second):
					t.Error("nobody told of another list of prompts")
				}
			})
		}
	})
}

func put(t *testing.T, x *tenet, d knowledge.Document) {
	t.Helper()
	d.Normalize()
	write(t, x.admin(t), "admin", knowledge.Put(d, knowledge.AnyVersion))
}

// person makes a principal and returns its token.
func person(t *testing.T, x *tenet, id, role string) string {
	t.Helper()
	token, hash, prefix, err := access.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	put(t, x, &knowledge.Principal{PrincipalID: id, Name: id, Role: role, TokenHash: hash, TokenPrefix: prefix})
	return token
}

func TestRightsHoldForAssistants(t *testing.T) {
	x := start(t, server.Options{})
	viewer, agent := person(t, x, "reader", knowledge.RoleViewer), person(t, x, "bot", knowledge.RoleContributor)
	for _, era := range eras() {
		report := map[string]any{"rule": "SEC-001", "path": "a.go", "message": "found by a bot of " + era}
		s := x.assistant(t, era, viewer, nil)
		if r := call(t, s, "report_violation", report); !r.IsError || !strings.Contains(textOf(r), "role") {
			t.Errorf("%s: a viewer's report: %s", era, textOf(r))
		}
		if r := call(t, s, "get", map[string]any{"key": "principal/reader"}); !r.IsError {
			t.Errorf("%s: a viewer read a principal: %s", era, textOf(r))
		}
		if r := call(t, s, "get_guidance", map[string]any{"paths": []string{"a.go"}}); r.IsError {
			t.Errorf("%s: a viewer's guidance: %s", era, textOf(r))
		}
		if r := call(t, x.assistant(t, era, agent, nil), "report_violation", report); r.IsError {
			t.Errorf("%s: an agent's report: %s", era, textOf(r))
		}
	}
	page, err := x.admin(t).List(t.Context(), knowledge.Query{Kind: knowledge.KindViolation})
	if err != nil || len(page.Records) != 2 {
		t.Fatalf("violations: %v, %v", page, err)
	}
	if v, _ := page.Records[0].Document(); v.(*knowledge.Violation).CreatedBy != "bot" {
		t.Errorf("reported by %s", v.(*knowledge.Violation).CreatedBy)
	}
	for name, token := range map[string]string{"no token": "", "another token": "tnt_x"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, x.Facts().URL+"/mcp",
			strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
	}
}

// TestASessionIsItsOpeners sends a session's id with another principal's token.
func TestASessionIsItsOpeners(t *testing.T) {
	x := start(t, server.Options{})
	other := person(t, x, "other", knowledge.RoleViewer)
	s := x.assistant(t, "2025-11-25", x.token(t), nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, x.Facts().URL+"/mcp",
		strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"tools/list"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + other, "Mcp-Session-Id": s.ID(), "Content-Type": "application/json",
		"Accept": "application/json, text/event-stream",
	} {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a stranger in a session: status %d", resp.StatusCode)
	}
}

// TestAPageOfAnotherOriginIsRefused holds that a web page can't use a tenet of this machine.
func TestAPageOfAnotherOriginIsRefused(t *testing.T) {
	x := start(t, server.Options{})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, x.Facts().URL+"/mcp", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+x.token(t))
	r.Header.Set("Origin", "https://elsewhere.example")
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// plainRPC returns the body and the headers of a request of the protocol without sessions, written without the SDK.
// params are the first members of its parameters, each with a comma behind it.
func plainRPC(method, params string) (body string, header []string) {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s"_meta":{`+
			`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
			method, params),
		[]string{
			"Content-Type", "application/json", "Accept", "application/json, text/event-stream",
			"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", method,
		}
}

// TestAListeningStreamEndsWithTheServer holds that the end of a server waits for nobody who listens: what it waits for
// until it may wait no longer, it breaks off and says so.
func TestAListeningStreamEndsWithTheServer(t *testing.T) {
	var said strings.Builder
	x := start(t, server.Options{Log: slog.New(slog.NewTextHandler(&said, nil))})
	body, header := plainRPC("subscriptions/listen", `"notifications":{"promptsListChanged":true},`)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, x.Facts().URL+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+x.token(t))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, first line %q", resp.StatusCode, lines.Text())
	}
	x.end(t)
	for lines.Scan() {
	}
	if lines.Err() != nil || strings.Contains(said.String(), "broken off") {
		t.Errorf("the stream ended with %v, and the server said:\n%s", lines.Err(), said.String())
	}
}
