package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
	"tenet/internal/store"
)

// handsOutNothing names the operations that answer well without handing out a document, and why.
func handsOutNothing() map[string]string {
	return map[string]string{
		"get-status": "the state of the instance", "get-health": "the state of the instance",
		"get-readiness": "the state of the instance",
		"get-metrics":   "numbers", "get-openapi": "describes the API", "get-openapi-yaml": "describes the API",
		"get-docs": "describes the API", "get-asyncapi": "describes the API", "get-caller": "who is asking",
		"list-jobs": "runs of jobs", "get-job": "runs of a job", "list-job-runs": "runs of a job",
		"get-batch": "where a batch stands",
		"get-fleet": "counts of repositories", "list-fleet": "counts of repositories",
		"list-effects": "counts of what documents do",
	}
}

// An operation is one of the OpenAPI description.
type operation struct {
	ID         string `json:"operationId"`
	Parameters []struct {
		Name     string `json:"name"`
		In       string `json:"in"`
		Required bool   `json:"required"`
		Example  any    `json:"example"`
		Schema   struct {
			Example any `json:"example"`
		} `json:"schema"`
	} `json:"parameters"`
}

// address returns the address that an operation's examples make of its path.
func (o *operation) address(path string) string {
	query := url.Values{}
	for _, p := range o.Parameters {
		example := p.Example
		if example == nil {
			example = p.Schema.Example
		}
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(fmt.Sprint(example)))
		case p.Required && p.In == "query":
			query.Set(p.Name, fmt.Sprint(example))
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// identified sends a request under an id of its own, and returns the answer's status.
func (w *web) identified(id, method, path, body string, header ...string) int {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("X-Request-Id", id)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			w.t.Fatal(err)
		}
	}
	return resp.StatusCode
}

// auditor makes a principal with a role, and returns its way in.
func auditor(t *testing.T, x *tenet, id, role string) *web {
	t.Helper()
	p, token, err := access.NewPrincipal(id, role)
	if err != nil {
		t.Fatal(err)
	}
	p.Normalize()
	write(t, x.admin(t), "admin", knowledge.Put(p, knowledge.NoVersion))
	return &web{t, x.Facts().URL, token}
}

// TestWhoHasReadIsInTheAudit calls every operation that reads, as the OpenAPI description tells of them, and every
// other door. Each that hands out a document must be in the audit under the id of its request.
func TestWhoHasReadIsInTheAudit(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		o.Upkeep.AuditReads = true
		x := start(t, o)
		w := auditor(t, x, "reader", knowledge.RoleAdmin)
		w.want(http.StatusCreated, http.MethodPut, "/api/v1/labels/production", `{"seq":1}`)
		asked := map[string]string{} // by the id of the request
		ask := func(name, method, path, body string, header ...string) int {
			id := fmt.Sprintf("r%d", len(asked))
			asked[id] = name
			return w.identified(id, method, path, body, header...)
		}
		var api struct {
			Paths map[string]map[string]operation `json:"paths"`
		}
		if err := json.Unmarshal([]byte(w.want(http.StatusOK, http.MethodGet, "/openapi.json", "").body),
			&api); err != nil {
			t.Fatal(err)
		}
		answered := 0
		for path, methods := range api.Paths {
			o, reads := methods["get"]
			if !reads {
				continue
			}
			if ask(o.ID, http.MethodGet, o.address(path), "") != http.StatusOK {
				for id, name := range asked {
					if name == o.ID {
						delete(asked, id)
						asked["not "+id] = "" // keeps the ids apart
					}
				}
				continue
			}
			answered++
		}
		if answered < 30 {
			t.Errorf("%d operations answer: too few to prove anything", answered)
		}
		more := []struct{ name, method, path, body string }{
			{"guidance", http.MethodPost, "/api/v1/guidance", `{"paths":["a.go"],"task":"write"}`},
			{"explained guidance", http.MethodGet, "/api/v1/guidance?path=a.go&budget=0", ""},
			{"check", http.MethodPost, "/api/v1/check", `{"files":[{"path":"a.go","content":"package a\n"}]}`},
			{"get at a label", http.MethodGet, "/api/v1/categories/security?label=production", ""},
			{"list at a label", http.MethodGet, "/api/v1/rules?label=production", ""},
			{"search at a label", http.MethodGet, "/api/v1/search?q=secrets&label=production", ""},
			{"page: list", http.MethodGet, "/read/rules", ""},
			{"page: document", http.MethodGet, "/read/rule/SEC-001", ""},
			{"page: search", http.MethodGet, "/search?q=secrets", ""},
		}
		for _, m := range more {
			if status := ask(m.name, m.method, m.path, m.body, "Cookie", "tenet_session="+
				w.token); status != http.StatusOK && m.name != "get at a label" {
				t.Errorf("%s: status %d", m.name, status)
			}
		}
		if status := ask("live", http.MethodGet, "/api/v1/live?kind=rule", "", "Accept",
			"text/event-stream"); status != http.StatusOK {
			t.Errorf("live: status %d", status)
		}
		for _, era := range eras() {
			s := x.assistant(t, era, w.token, nil)
			call(t, s, "get", map[string]any{"key": "rule/SEC-002"})
			call(t, s, "get_guidance", map[string]any{"paths": []string{"era-" + era}})
		}
		told := readsOf(t, x, "get_guidance")
		for id, name := range asked {
			if name == "list-conflicts" && o.DatabaseURL == "" { // an embedded database has none
				continue
			}
			if why := handsOutNothing()[name]; told.requests[id] == 0 && why == "" && name != "" &&
				name != "get at a label" {
				t.Errorf("%s has answered, and is not in the audit", name)
			}
		}
		for _, want := range []string{
			"rest get rule/SEC-001 1", "rest check rule", "pages get rule/SEC-001 1", "pages search ",
			"pages list rule", "live follow ",
			"mcp get rule/SEC-002 1", "mcp guidance ", "rest audit ",
		} {
			if !told.has(want) {
				t.Errorf("the audit lacks %q; it has\n%s", want, strings.Join(told.lines, "\n"))
			}
		}
	})
}

// readings are what the audit tells of reads.
type readings struct {
	requests map[string]int // by the request's id
	lines    []string
}

func (r *readings) has(prefix string) bool {
	for _, line := range r.lines {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// readsOf waits until the audit has what was read before, and returns the reads of the principal "reader".
func readsOf(t *testing.T, x *tenet, mark string) *readings {
	t.Helper()
	admin := x.admin(t)
	get(t, admin, "rule/SEC-003") // the last read, by somebody else
	var list []store.AuditEntry
	pgtest.Await(t, "the reads in the audit after "+mark, func() bool {
		last, err := admin.Audit(t.Context(), store.AuditQuery{Actor: "admin", Key: "rule/SEC-003", Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		return len(last) == 1
	})
	r := &readings{requests: map[string]int{}}
	for below := int64(0); ; below = list[len(list)-1].Seq {
		var err error
		if list, err = admin.Audit(t.Context(), store.AuditQuery{
			Actor: "reader", Below: below,
			Limit: 500,
		}); err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return r
		}
		for i := range list {
			e := &list[i]
			if e.Kind != store.AuditRead {
				continue
			}
			if e.Peer != "127.0.0.1" || e.RequestID == "" {
				t.Errorf("an entry does not say from where, or of which request: %+v", e)
			}
			r.requests[e.RequestID]++
			r.lines = append(r.lines, fmt.Sprintf("%s %s %s %d %s", e.Door, e.Action, e.Key, e.Count, e.Question))
		}
	}
}

// TestReadsOfAnOutageComeToTheAuditOfThePrimary reads while PostgreSQL is away, and looks once it is back.
func TestReadsOfAnOutageComeToTheAuditOfThePrimary(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Options{})
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: pg.URL("postgres"), Outage: outage()}
	o.Upkeep.AuditReads = true
	x := start(t, o)
	w := auditor(t, x, "reader", knowledge.RoleAdmin)
	w.want(http.StatusCreated, http.MethodPut, calmPath, named("Before"))
	level(t, x.admin(t))
	pg.Stop(pgtest.Immediate)
	degrade(t, w, calmPath)
	w.identified("in-the-outage", http.MethodGet, "/api/v1/rules/SEC-001", "")
	waits := func() bool {
		list, err := x.admin(t).Audit(t.Context(), store.AuditQuery{Key: "rule/SEC-001", Limit: 9})
		return err == nil && len(list) == 1 && list[0].RequestID == "in-the-outage" && list[0].Seq == 0
	}
	pgtest.Await(t, "the read in the journal", waits)
	pg.Start()
	pgtest.Await(t, "the read in the primary's audit", func() bool {
		list, err := x.admin(t).Audit(t.Context(), store.AuditQuery{Key: "rule/SEC-001", Limit: 9})
		return err == nil && len(list) == 1 && list[0].RequestID == "in-the-outage" && list[0].Seq > 0
	})
}

// TestNobodysReadsAreKeptUnlessAskedFor reads without the setting, and then is refused, which is kept.
func TestNobodysReadsAreKeptUnlessAskedFor(t *testing.T) {
	x := start(t, server.Options{})
	w := auditor(t, x, "reader", knowledge.RoleViewer)
	w.want(http.StatusOK, http.MethodGet, "/api/v1/rules/SEC-001", "")
	w.want(http.StatusForbidden, http.MethodGet, "/api/v1/principals", "")
	x.end(t) // which writes what waits
	l, err := server.OpenLocal(t.Context(), server.Options{DataDir: x.dir, NoSeed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	list, err := l.Audit(t.Context(), store.AuditQuery{Limit: 100})
	if err != nil || len(list) != 1 || list[0].Kind != store.AuditRefused || list[0].Actor != "reader" ||
		list[0].Door != "rest" {
		t.Errorf("the audit is %+v, %v; want the refusal alone", list, err)
	}
}
