package mcp

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/access"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

const plainCall = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"NAME","arguments":ARGUMENTS,"_meta":{
"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"sampling":{}},
"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},"progressToken":3}}}`

func callOf(name, arguments string) string {
	return strings.NewReplacer("NAME", name, "ARGUMENTS", arguments).Replace(plainCall)
}

// request is a request of an admin. header replaces headers of a plain call, or removes them.
func (x *house) request(body, name string, header http.Header) *http.Request {
	x.Helper()
	return requestOf(x.Context(), body, name, header)
}

func requestOf(ctx context.Context, body, name string, header http.Header) *http.Request {
	ctx = access.WithCaller(ctx, &access.Caller{ID: "admin", Role: knowledge.RoleAdmin})
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://example.com/mcp", strings.NewReader(body))
	r.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Authorization": {"Bearer x"}, "Mcp-Protocol-Version": {"2026-07-28"},
		"Mcp-Method": {"tools/call"}, "Mcp-Name": {name},
	}
	maps.Copy(r.Header, header)
	return r
}

func (x *house) toolbox() {
	x.Helper()
	r := rule("SEC-001", "always")
	r.Description = "Keep \"secrets\" out of <code> & logs,\u2028 \\ too."
	x.put(&knowledge.Category{ID: "c", Name: "C", IsActive: true}, r, rule("GLOB", "glob"), &knowledge.Template{
		TemplateID: "note", Name: "Note", Category: "c", TemplateContent: "Say {{what}}.", IsActive: true,
		Variables: []knowledge.Variable{{Name: "what", Required: true}},
	})
	x.await("the index to have followed the log", func() bool {
		_, err := x.index.Prepare(store.WithWish(x.Context(), store.Wish{Required: true}), x.store, guidance.Query{})
		return err == nil
	})
}

func TestAPlainCallIsAnsweredWithTheBytesOfTheSDK(t *testing.T) {
	x := open(t, trial{})
	x.toolbox()
	asOf := regexp.MustCompile(`"as_of":"[^"]*"`)                                 // it moves on between the two
	unescaped := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&") // the SDK escapes for HTML
	for _, c := range [][2]string{
		{"get_guidance", `{"paths":["a.go"],"task":"write <b> & \"c\"","known":["rule/GLOB@1"]}`},
		{"get_guidance", `{"paths":["a.go"],"known":["no key"]}`},
		{"get_guidance", `{"budget":null}`},
		{"search", `{"query":"secrets"}`},
		{"search", `{"query":"nothing like it","kinds":["rule"],"limit":1e0}`},
		{"get", `{"key":"rule/SEC-001"}`},
		{"get", `{"key":"rule/none"}`},
		{"get", `{"kez":"rule/none"}`},
		{"get", `{}`},
		{"render_template", `{"template":"note","values":{"what":"yes"}}`},
		{"render_template", `{"template":"note"}`},
		{"propose", `{"title":"","ops":[]}`},
		{"nothing", `{}`},
	} {
		direct, sdk := httptest.NewRecorder(), httptest.NewRecorder()
		x.door.ServeHTTP(direct, x.request(callOf(c[0], c[1]), c[0], nil))
		twoLines := http.Header{"Accept": {"application/json", "text/event-stream"}}
		x.door.ServeHTTP(sdk, x.request(callOf(c[0], c[1]), c[0], twoLines))
		got, want := strings.TrimSuffix(direct.Body.String(), "\n"), unescaped.Replace(sdk.Body.String())
		got, want = asOf.ReplaceAllString(got, "as of"), asOf.ReplaceAllString(want, "as of")
		if diff := cmp.Diff(want, got); diff != "" || direct.Code != sdk.Code {
			t.Errorf("%s %s: %d and %d\n%s", c[0], c[1], sdk.Code, direct.Code, diff)
		}
		for _, name := range []string{"Cache-Control", "Content-Type"} {
			if got, want := direct.Header().Get(name), sdk.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", c[0], name, got, want)
			}
		}
	}
}

func TestOnlyPlainCallsGoPastTheSDK(t *testing.T) {
	x := open(t, trial{})
	x.toolbox()
	plain := callOf("get", `{"key":"rule/SEC-001"}`)
	first := httptest.NewRecorder()
	if !x.door.direct(first, x.request(plain, "get", nil)) || !strings.Contains(first.Body.String(), "secrets") {
		t.Fatalf("a plain call goes through the SDK: %s", first.Body)
	}
	long := callOf("search", `{"query":"`+strings.Repeat("long ", maxDirect/5)+`"}`)
	for name, c := range map[string]struct {
		body   string
		header http.Header
	}{
		"a batch":               {"[" + plain + "]", nil},
		"two values":            {plain + plain, nil},
		"no JSON":               {plain[:40], nil},
		"no text":               {strings.Replace(plain, "SEC", "\xff", 1), nil},
		"too long":              {long, nil},
		"a notification":        {strings.Replace(plain, `"id":7,`, "", 1), nil},
		"an id that is null":    {strings.Replace(plain, `"id":7`, `"id":null`, 1), nil},
		"a fraction as id":      {strings.Replace(plain, `"id":7`, `"id":7.5`, 1), nil},
		"another method":        {strings.Replace(plain, "tools/call", "tools/list", 1), nil},
		"a member more":         {strings.Replace(plain, `"id":7`, `"id":7,"x":1`, 1), nil},
		"another case":          {strings.Replace(plain, `"method"`, `"Method"`, 1), nil},
		"a parameter more":      {strings.Replace(plain, `"name":"get"`, `"name":"get","requestState":"x"`, 1), nil},
		"a wrong argument":      {callOf("get", `{"key":1}`), nil},
		"an argument more":      {callOf("get", `{"key":"rule/SEC-001","x":1}`), nil},
		"no arguments":          {callOf("get", `[]`), nil},
		"no capabilities":       {strings.Replace(plain, "clientCapabilities", "x", 1), nil},
		"capabilities as text":  {strings.Replace(plain, `{"sampling":{}}`, `"all"`, 1), nil},
		"a client without name": {strings.Replace(plain, `{"name":"test","version":"1"}`, `[]`, 1), nil},
		"no metadata":           {strings.Replace(plain, `"_meta"`, `"x"`, 1), nil},
		"another version":       {strings.Replace(plain, `"2026-07-28"`, `"2027-01-01"`, 1), nil},
		"another name":          {plain, http.Header{"Mcp-Name": {"search"}}},
		"another header method": {plain, http.Header{"Mcp-Method": {"tools/list"}}},
		"no name":               {plain, http.Header{"Mcp-Name": nil}},
		"the older version":     {plain, http.Header{"Mcp-Protocol-Version": {"2025-11-25"}}},
		"events only":           {plain, http.Header{"Accept": {"text/event-stream"}}},
		"another media type":    {plain, http.Header{"Content-Type": {"text/plain"}}},
		"a stream resumed":      {plain, http.Header{"Last-Event-Id": {"1"}}},
		"a tool that writes":    {callOf("report_violation", `{"rule":"SEC-001","path":"a","message":"b"}`), nil},
	} {
		tool := "get"
		if strings.Contains(c.body, "report_violation") {
			tool = "report_violation"
		}
		r := x.request(c.body, tool, c.header)
		w := httptest.NewRecorder()
		if x.door.direct(w, r) {
			t.Errorf("%s goes past the SDK, and is answered with %.200s", name, w.Body)
		}
		if rest, err := io.ReadAll(r.Body); err != nil || string(rest) != c.body {
			t.Errorf("%s: the SDK finds %d of %d bytes: %v", name, len(rest), len(c.body), err)
		}
	}
	anonymous := x.request(plain, "get", nil)
	if x.door.direct(httptest.NewRecorder(), anonymous.WithContext(t.Context())) {
		t.Error("a call of nobody was answered")
	}
}

func TestACallOfASessionGoesPastTheSDKAsLongAsTheSessionIsOpen(t *testing.T) {
	x := open(t, trial{})
	x.toolbox()
	s := x.client("2025-11-25")
	body := `{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"get",` +
		`"arguments":{"key":"rule/SEC-001"}}}`
	header := http.Header{"Mcp-Protocol-Version": {"2025-11-25"}, "Mcp-Session-Id": {s.ID()}}
	ask := func(header http.Header) (*httptest.ResponseRecorder, bool) {
		w := httptest.NewRecorder()
		return w, x.door.direct(w, x.request(body, "get", header))
	}
	var got *httptest.ResponseRecorder
	x.await("the client to be ready", func() bool {
		var ok bool
		got, ok = ask(header)
		return ok
	})
	if text := got.Body.String(); !strings.Contains(text, `"id":"a"`) || strings.Contains(text, "resultType") {
		t.Errorf("the answer is %s", text)
	}
	if _, ok := ask(http.Header{"Mcp-Protocol-Version": {"2025-11-25"}, "Mcp-Session-Id": {"another"}}); ok {
		t.Error("a call of no session was answered")
	}
	if _, ok := ask(http.Header{"Mcp-Protocol-Version": {"2020-01-01"}, "Mcp-Session-Id": {s.ID()}}); ok {
		t.Error("a version that does not exist was answered")
	}
	stranger := x.request(body, "get", header)
	stranger = stranger.WithContext(access.WithCaller(t.Context(),
		&access.Caller{ID: "eve", Role: knowledge.RoleAdmin}))
	if x.door.direct(httptest.NewRecorder(), stranger) {
		t.Error("a session of another principal was used")
	}

	x.door.mu.Lock()
	x.door.byID[s.ID()].heard = time.Now().Add(-time.Hour)
	x.door.mu.Unlock()
	if _, ok := ask(header); ok {
		t.Error("the SDK has heard nothing for an hour, and would end the session")
	}
	again := &mcp.CallToolParams{Name: "get", Arguments: map[string]any{"key": "rule/SEC-001"}}
	if _, err := s.CallTool(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if _, ok := ask(header); !ok {
		t.Error("the SDK has heard of the session, and the next call goes through it too")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	x.door.ServeHTTP(w, x.request(body, "get", header))
	if w.Code != http.StatusNotFound {
		t.Errorf("a session that was ended answers %d", w.Code)
	}
}

func TestAWrongCallIsToldWhatIsWanted(t *testing.T) {
	x := open(t, trial{})
	x.toolbox()
	old := http.Header{"Mcp-Protocol-Version": nil, "Mcp-Method": nil, "Mcp-Name": nil}
	for _, c := range []struct {
		name, body string
		header     http.Header
		status     int
		want       string
	}{
		{
			"get", callOf("get", `{"id":"SEC-001"}`), nil, http.StatusOK,
			`get has no argument \"id\": it needs key, and takes label`,
		},
		{
			"get_guidance", callOf("get_guidance", `{"path":"a.go"}`), nil, http.StatusOK,
			`no argument \"path\": it takes paths, `,
		},
		{
			"propose", callOf("propose", `{"title":"x","ops":[{"verb":"put","id":"a"}]}`), nil, http.StatusOK,
			`propose/ops/0 has no argument \"id\": it needs verb, key, and takes document, patch, version`,
		},
		{
			"render_template", callOf("render_template", `{"template":"note","values":{"what":"it","more":1}}`), nil,
			http.StatusOK, `more`,
		},
		{
			"", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, old, http.StatusBadRequest,
			`tools/list needs a session: send initialize first, and then the header Mcp-Session-Id`,
		},
		{"", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, old, http.StatusOK, `"result":{}`},
	} {
		w := httptest.NewRecorder()
		x.door.ServeHTTP(w, x.request(c.body, c.name, c.header))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s is answered with %d %s\nwant %d and %s", c.body, w.Code, w.Body, c.status, c.want)
		}
	}
}

// FuzzDirect sends messages: what is answered without the SDK, the SDK answers alike.
func FuzzDirect(f *testing.F) {
	plain := callOf("search", `{"query":"\u0041 <b>","limit":2}`)
	for _, body := range []string{
		plain, callOf("get", `{"key":null}`), strings.Replace(plain, `"id":7`, `"id":"\u00e9"`, 1), "[" + plain + "]",
		strings.Replace(plain, `"id":7`, `"id":7,"id":8`, 1), strings.Replace(plain, `"id":7`, `"id":-0`, 1),
		callOf("get", `{"key":"a","key":"rule/x"}`), callOf("render_template", `{"template":"t","values":{"a":[[]]}}`),
	} {
		f.Add("search", body)
	}
	s, err := sqlite.Open(f.Context(), filepath.Join(f.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	d := New(Options{Store: s})
	f.Fuzz(func(t *testing.T, name, body string) {
		direct := httptest.NewRecorder()
		if !d.direct(direct, requestOf(t.Context(), body, name, nil)) {
			return
		}
		sdk := httptest.NewRecorder()
		twoLines := http.Header{"Accept": {"application/json", "text/event-stream"}}
		d.ServeHTTP(sdk, requestOf(t.Context(), body, name, twoLines))
		var got, want any
		if err := json.Unmarshal(direct.Body.Bytes(), &got); err != nil {
			t.Fatalf("%q is answered with %q", body, direct.Body)
		}
		if err := json.Unmarshal(sdk.Body.Bytes(), &want); err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%q: the SDK answers %q, and we %q", body, sdk.Body, direct.Body)
		}
	})
}
