package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// base returns a request that a route answers well.
func base(rt *route) ask {
	a := ask{method: rt.method, path: strings.Replace(rt.path, "{id}", rt.sample, 1)}
	a.path = strings.Replace(a.path, "{version}", "1", 1)
	if rt.path == "/api/v1/search" {
		a.path += "?q=sql"
	}
	if rt.path == guidancePath && rt.method == http.MethodGet {
		a.path += "?path=cmd/pay/main.go"
	}
	if rt.body != nil {
		a.body = encoded(rt.body.samples[0].value)
	}
	return a
}

func encoded(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (a ask) with(header, value string) ask {
	h := map[string]string{header: value}
	for k, v := range a.header {
		if k != header {
			h[k] = v
		}
	}
	a.header = h
	return a
}

func (a ask) plus(query string) ask {
	if strings.Contains(a.path, "?") {
		a.path += "&" + query
	} else {
		a.path += "?" + query
	}
	return a
}

// provoke makes a route answer with a status, and returns what came.
func (n *tenet) provoke(rt *route, status int) *reply {
	n.t.Helper()
	a := base(rt)
	fail := n.store.fail
	if rt.storeless || rt.raw {
		fail = n.auth.fail
	}
	broken := func(err error) *reply {
		fail(err)
		defer fail(nil)
		return n.do(a)
	}
	switch status {
	case http.StatusOK, http.StatusCreated:
		return n.succeed(rt, status)
	case http.StatusAccepted:
		if rt.id == "apply-proposal" {
			a.path = strings.Replace(rt.path, "{id}", n.approved(), 1)
		}
		n.store.queue(true)
		defer n.store.queue(false)
		return n.do(a)
	case http.StatusNoContent:
		return n.do(ask{method: a.method, path: n.free(rt.kind)}.plus("purge=true"))
	case http.StatusNotModified:
		return n.do(a.with("If-None-Match", "*"))
	case http.StatusBadRequest:
		return n.do(a.plus("nonsense=1"))
	case http.StatusUnauthorized:
		a.token = "-"
		return n.do(a)
	case http.StatusForbidden:
		if strings.HasPrefix(rt.path, mirrorPath) || strings.HasPrefix(rt.path, jobsPath) || rt.path == auditPath ||
			rt.path == erasuresPath {
			a.token = knowledge.RoleMaintainer
			return n.do(a)
		}
		return broken(&store.ForbiddenError{Reason: "the test says so"})
	case http.StatusNotFound:
		if strings.HasPrefix(rt.path, mirrorPath) {
			return newTenet(n.t, func(o *Options) { o.Mirror = nil }).do(a)
		}
		if rt.id == "get-guidance" || rt.id == "search" || strings.HasPrefix(rt.id, "list-") &&
			knowledge.Labelled(rt.kind) {
			a = a.plus("label=there-is-none")
		} else if rt.path == guidancePath {
			a.body = `{"label":"there-is-none"}`
		} else if rt.path == checkPath {
			a.body = `{"repository":"there-is-none","files":[{"path":"a","content":""}]}`
		} else if rt.path == erasuresPath {
			a.body = `{"principal":"there-is-none"}`
		} else if rt.id == "resolve-conflicts" {
			a.body = strings.Replace(a.body, exampleBatchID, "018f4a3e-7c10-7a5e-9f0b-ffffffffffff", 1)
		} else if rt.path != batchesPath {
			a.path = strings.Replace(a.path, rt.sample, "018f4a3e-7c10-7a5e-9f0b-ffffffffffff", 1)
		} else {
			a.body = `{"ops":[{"verb":"retire","kind":"rule","id":"there-is-none"}]}`
		}
		return n.do(a)
	case http.StatusNotAcceptable:
		return n.do(a.with("Accept", "image/png, text/csv;q=0.5"))
	case http.StatusConflict:
		switch {
		case rt.path == batchesPath:
			a.body = `{"ops":[{"verb":"retire","kind":"rule","id":"SEC-001","if_version":77}]}`
		case strings.HasPrefix(rt.id, "create-"):
			a.body = encoded(sentFields(exampleDocument(rt.kind)))
		default: // somebody wrote between the look and the write of a contributor
			return broken(&store.ConflictError{Key: knowledge.Key{Kind: rt.kind, ID: rt.sample}, Want: 1, Got: 2})
		}
		return n.do(a)
	case http.StatusTooManyRequests:
		mine := &n.h.shares.get("the-admin").inside
		mine.Add(int64(n.h.o.Limits.MaxEach))
		defer mine.Add(-int64(n.h.o.Limits.MaxEach))
		return n.do(a)
	case http.StatusRequestTimeout:
		return n.dripping(a)
	case http.StatusGone:
		return broken(&store.GoneError{Oldest: 9})
	case http.StatusPreconditionFailed:
		if rt.method == http.MethodPost && !strings.HasSuffix(rt.path, "/restore") {
			a.body = encoded(sentFields(exampleDocument(rt.kind)))
			return n.do(a.with("If-None-Match", "*"))
		}
		return n.do(a.with("If-Match", `"77"`))
	case http.StatusRequestEntityTooLarge:
		a.body = strings.Repeat(" ", 1<<20)
		return n.do(a)
	case http.StatusRequestURITooLong:
		return n.do(a.plus("q=" + strings.Repeat("x", 9<<10)))
	case http.StatusUnsupportedMediaType:
		return n.do(a.with("Content-Type", "text/plain"))
	case http.StatusUnprocessableEntity:
		return n.unprocessable(rt, a)
	case http.StatusInternalServerError:
		return broken(errors.New("boom"))
	case http.StatusServiceUnavailable:
		return broken(&store.UnavailableError{Reason: "the test says so", RetryAfter: 7 * time.Second, NotDone: true})
	case http.StatusGatewayTimeout:
		return broken(fmt.Errorf("waited long: %w", context.DeadlineExceeded))
	}
	n.t.Fatalf("%s: the test can't make a %d", rt.name, status)
	return nil
}

// succeed asks a route so that it answers with 200 or 201.
func (n *tenet) succeed(rt *route, status int) *reply {
	n.t.Helper()
	a := base(rt)
	switch {
	case rt.method == http.MethodPut && status == http.StatusCreated:
		d := anotherExample(rt.kind, 8)
		a.path = strings.Replace(rt.path, "{id}", d.Key().ID, 1)
		a.body = encoded(sentFields(d))
	case rt.id == "apply-proposal":
		a.path = strings.Replace(rt.path, "{id}", n.approved(), 1)
	case rt.path == batchesPath+"/{id}":
		r := n.do(ask{method: http.MethodPost, path: "/api/v1/categories", body: `{"category_id":"for-its-batch"}`})
		a.path = batchesPath + "/" + r.header.Get("Tenet-Batch")
	}
	return n.do(a)
}

// dripping asks a door that waits for no body, with a body that never comes.
func (n *tenet) dripping(a ask) *reply {
	o := n.h.o
	o.Limits.BodyWindow = time.Nanosecond
	server := httptest.NewServer(New(o))
	defer server.Close()
	slow, end := io.Pipe()
	defer end.Close()
	url := n.url
	n.url, a.drip = server.URL, slow
	defer func() { n.url = url }()
	return n.do(a)
}

// approved makes a proposal that somebody else has approved of, and returns its id.
func (n *tenet) approved() string {
	n.t.Helper()
	id := knowledge.NewBatchID().String()
	body := `{"proposal_id":"` + id + `","title":"A category","ops":[{"verb":"put","kind":"category",` +
		`"document":{"category_id":"` + id + `"}}]}`
	if r := n.do(post("/api/v1/proposals", body)); r.status != http.StatusCreated {
		n.t.Fatalf("propose: %d %s", r.status, r.body)
	}
	if r := n.do(as(knowledge.RoleMaintainer, post("/api/v1/proposals/"+id+"/reviews",
		`{"verdict":"approve"}`))); r.status != http.StatusOK {
		n.t.Fatalf("approve: %d %s", r.status, r.body)
	}
	return id
}

// free creates a document that nothing refers to, and returns its path.
func (n *tenet) free(k knowledge.Kind) string {
	n.t.Helper()
	d := anotherExample(k, 9)
	if r := n.do(ask{
		method: http.MethodPost, path: "/api/v1/" + k.Plural(),
		body: encoded(sentFields(d)),
	}); r.status != http.StatusCreated {
		n.t.Fatalf("create %s: %d %s", d.Key(), r.status, r.body)
	}
	return "/api/v1/" + k.Plural() + "/" + d.Key().ID
}

func (n *tenet) unprocessable(rt *route, a ask) *reply {
	n.t.Helper()
	switch {
	case rt.body == nil: // there is nothing to be wrong with but the key
		key := knowledge.NewBatchID().String()
		n.do(ask{method: http.MethodPost, path: "/api/v1/categories", body: `{"category_id":"` + key +
			`"}`}.with("Idempotency-Key", key))
		a = a.with("Idempotency-Key", key)
	case rt.path == batchesPath:
		a.body = `{"ops":[]}`
	case strings.HasSuffix(rt.path, "/render"):
		a.body = `{"values":{"impact":"much"}}`
	default:
		a.body = `{"titel":"what"}`
	}
	return n.do(a)
}

// TestEveryDocumentedStatusIsGiven asks every operation so that it answers with each status that the OpenAPI document
// names, and checks that the answers look as it says.
func TestEveryDocumentedStatusIsGiven(t *testing.T) {
	n := newTenet(t, narrow)
	doc := n.h.describe()
	for _, rt := range n.h.routes {
		statuses := rt.statuses()
		for _, a := range rt.answers {
			statuses = append(statuses, a.status)
		}
		op := doc.Paths[rt.path]
		for _, status := range statuses {
			t.Run(fmt.Sprintf("%s_%d", rt.id, status), func(t *testing.T) {
				n.t = t
				before := n.tail()
				r := n.provoke(rt, status)
				if r.status != status {
					t.Fatalf("got %d %s", r.status, r.body)
				}
				if op == nil {
					t.Fatalf("%s is not in the OpenAPI document", rt.path)
				}
				checkReply(t, r)
				if status >= 400 && status != http.StatusUnprocessableEntity {
					if changes := n.changesSince(before); len(changes) > 0 {
						t.Errorf("answered %d, and did %v", status, changes)
					}
				}
			})
			n = n.renewed(t, narrow)
		}
	}
}

// narrow makes a tenet that refuses bodies which are quickly sent.
func narrow(o *Options) {
	o.Uses = newCounter()
	o.Limits.MaxBody, o.Limits.MaxBatchBody = 512<<10, 512<<10
}

// renewed returns a fresh tenet when something was written.
func (n *tenet) renewed(t *testing.T, change func(*Options)) *tenet {
	n.t = t
	if n.tail() == n.seeded {
		return n
	}
	n.close()
	return newTenet(t, change)
}

// checkReply checks what every answer has in common.
func checkReply(t *testing.T, r *reply) {
	t.Helper()
	for name := range commonHeaders() {
		if name == "X-Request-Id" && r.status < 400 {
			continue // see call.head
		}
		if r.header.Get(name) == "" {
			t.Errorf("no header %s", name)
		}
	}
	if r.status < 400 {
		return
	}
	if got := r.header.Get("Content-Type"); got != mediaProblem {
		t.Errorf("Content-Type %q, want %s", got, mediaProblem)
	}
	p := decode[api.Problem](t, r)
	if p.Status != r.status || p.Type != "urn:tenet:problem:"+p.Code || p.Title == "" || p.Detail == "" ||
		p.RequestID != r.header.Get("X-Request-Id") {
		t.Errorf("incomplete problem: %s", r.body)
	}
	if r.status == http.StatusServiceUnavailable && (r.header.Get("Retry-After") == "" || p.RetryAfter == nil) {
		t.Errorf("503 without a time to come back at")
	}
	if r.status == http.StatusUnauthorized && r.header.Get("WWW-Authenticate") == "" {
		t.Errorf("401 without WWW-Authenticate")
	}
}

// A counter counts uses in memory.
type counter struct{ n map[string]int64 }

func newCounter() *counter { return &counter{map[string]int64{}} }

func (c *counter) Use(template string) { c.n[template]++ }

func (c *counter) Uses(_ context.Context, ids []string) (map[string]int64, error) {
	out := map[string]int64{}
	for _, id := range ids {
		out[id] = c.n[id]
	}
	return out, nil
}
