package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
	"tenet/internal/store"
)

// A doorOp is something that callers do at a door other than REST, whose operations package httpapi holds against the
// table of rights.
type doorOp struct {
	door, name string
	do         func(w *web) (refused bool, said string)
	least      string // the role that may do it
}

// tool calls a tool for assistants.
func tool(name, arguments string) doorOp {
	return doorOp{door: "mcp", name: name, do: func(w *web) (bool, string) {
		s := w.rpc("tools/call", name, arguments)
		return s.status != http.StatusOK || strings.Contains(s.body, `"isError":true`) ||
			strings.Contains(s.body, `"error":`), s.body
	}}
}

// asked asks the door of assistants for something that is no tool; name is what the method's header names.
func asked(method, name, params string) doorOp {
	return doorOp{"mcp", method + " " + name, func(w *web) (bool, string) {
		body, header := plainRPC(method, params)
		if name != "" {
			header = append(header, "Mcp-Name", name)
		}
		s := w.ask(http.MethodPost, "/mcp", body, header...)
		return s.status != http.StatusOK || strings.Contains(s.body, `"error":`), s.body
	}, knowledge.RoleViewer}
}

// rpc asks the door of assistants.
func (w *web) rpc(method, name, arguments string) *said {
	w.t.Helper()
	body, header := plainRPC(method, fmt.Sprintf(`"name":%q,"arguments":%s,`, name, arguments))
	return w.ask(http.MethodPost, "/mcp", body, append(header, "Mcp-Name", name)...)
}

func (o doorOp) by(role string) doorOp {
	o.least = role
	return o
}

// toolCalls are calls that do something, one for each tool that there is.
func toolCalls(t *testing.T, w *web) []doorOp {
	t.Helper()
	calls := []doorOp{
		tool("get_guidance", `{"task":"pay"}`).by(knowledge.RoleViewer),
		tool("search", `{"query":"sql"}`).by(knowledge.RoleViewer),
		tool("get", `{"key":"rule/SEC-001"}`).by(knowledge.RoleViewer),
		tool("render_template", `{"template":"hello"}`).by(knowledge.RoleViewer),
		tool("check", `{"files":[{"path":"a.go","content":"package a"}]}`).by(knowledge.RoleViewer),
		tool("report_violation", `{"rule":"SEC-001","path":"a.go","message":"broken"}`).by(knowledge.RoleContributor),
		tool("propose", `{"title":"T","ops":[{"verb":"patch","key":"rule/SEC-001","patch":{"priority":9}}]}`).by(
			knowledge.RoleContributor),
	}
	var list struct {
		Result struct{ Tools []struct{ Name string } }
	}
	text := w.rpc("tools/list", "", `{}`).body
	if i := strings.Index(text, "{"); i < 0 || json.NewDecoder(strings.NewReader(text[i:])).Decode(&list) != nil {
		t.Fatalf("the tools: %s", text)
	}
	for _, have := range list.Result.Tools {
		if !slices.ContainsFunc(calls, func(o doorOp) bool { return o.name == have.Name }) {
			t.Errorf("nothing here calls the tool %s", have.Name)
		}
	}
	return calls
}

// stream opens a stream of live changes, and leaves it; with header, in another form than that of events.
func stream(query, least string, header ...string) doorOp {
	return doorOp{"live", fmt.Sprint("a stream of ", query, header), func(w *web) (bool, string) {
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+"/api/v1/live?"+query, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+w.token)
		req.Header.Set("Accept", "text/event-stream")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusSwitchingProtocols, resp.Status
	}, least}
}

// TestEveryDoorObeysTheTableAndKeepsTheRecord does everything that the doors of assistants and of live changes know as
// every role, and reads each refusal in the audit.
func TestEveryDoorObeysTheTableAndKeepsTheRecord(t *testing.T) {
	x := start(t, server.Options{})
	admin := x.browse(t)
	admin.want(http.StatusCreated, http.MethodPut, "/api/v1/templates/hello",
		`{"category":"security","name":"Hello","template_content":"Hello"}`)
	ops := append(toolCalls(t, admin), stream("kind=rule", knowledge.RoleViewer),
		stream("kind=principal", knowledge.RoleAdmin), stream("key=principal/admin", knowledge.RoleAdmin),
		asked("resources/list", "", ""), asked("resources/templates/list", "", ""), asked("prompts/list", "", ""),
		asked("resources/read", "tenet://rule/SEC-001", `"uri":"tenet://rule/SEC-001",`),
		asked("prompts/get", "hello", `"name":"hello","arguments":{},`))
	socket := []string{
		"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
	}
	ops = append(ops, stream("kind=rule", knowledge.RoleViewer, socket...),
		stream("kind=principal", knowledge.RoleAdmin, socket...))
	refused := map[string]int{}
	for rank, role := range knowledge.Roles() {
		p, token, err := access.NewPrincipal("the-"+role, role)
		if err != nil {
			t.Fatal(err)
		}
		p.Normalize()
		write(t, x.admin(t), "admin", knowledge.Put(p, knowledge.NoVersion))
		w := &web{t, x.Facts().URL, token}
		for _, op := range ops {
			want := slices.Index(knowledge.Roles(), op.least) > rank
			got, said := op.do(w)
			if got != want {
				t.Errorf("%s at the door %s as %s: refused %t, want %t: %s", op.name, op.door, role, got, want, said)
			}
			if want {
				refused[p.PrincipalID+" "+op.door]++
			}
		}
	}
	for _, op := range ops { // without a token that opens
		w := &web{t, x.Facts().URL, "tenet_" + strings.Repeat("x", 43)}
		if got, said := op.do(w); !got {
			t.Errorf("%s at the door %s with an unknown token: %s", op.name, op.door, said)
		}
		refused[" "+op.door]++
	}
	if refused["the-viewer mcp"] == 0 || refused["the-maintainer live"] == 0 {
		t.Fatalf("too little was refused to say anything: %v", refused)
	}
	kept := map[string]int{}
	defer func() {
		if t.Failed() {
			t.Logf("refused were %v, and the record has %v", refused, kept)
		}
	}()
	pgtest.Await(t, "the record has every refusal", func() bool {
		var audit struct{ Entries []store.AuditEntry }
		text := admin.want(http.StatusOK, http.MethodGet, "/api/v1/audit?kind=refused&limit=500", "").body
		if err := json.Unmarshal([]byte(text), &audit); err != nil {
			t.Fatal(err)
		}
		clear(kept)
		for i := range audit.Entries {
			e := &audit.Entries[i]
			if kept[e.Actor+" "+e.Door]++; e.Reason == "" || e.Peer == "" || e.RequestID == "" ||
				time.Since(e.At.Time) > time.Hour {
				t.Fatalf("the record does not say why, from where and when: %+v", e)
			}
		}
		for who, n := range refused {
			if kept[who] != n {
				return false
			}
		}
		return true
	})
}
