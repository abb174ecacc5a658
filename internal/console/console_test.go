package console_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/access"
	"tenet/internal/console"
	"tenet/internal/httpapi"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// A reader is a browser without scripts before a tenet.
type reader struct {
	t      *testing.T
	url    string
	client *http.Client
	sick   []string // why the tenet can't answer
}

func newReader(t *testing.T) *reader {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	put := func(d knowledge.Document) knowledge.Op { return knowledge.Put(d, knowledge.NoVersion) }
	rule, err := knowledge.Decode(knowledge.KindRule, []byte(`{"rule_id":"SEC-001","category":"security","title":"Use parameterized queries",
		"description":"Never build a query <b>of text</b>.","tags":["sql"],"priority":7,
		"examples":[{"title":"With <b>names</b>","language":"go","code":"a := 1\nb := 2"}],
		"extra":{"odd":{"deep":[1,"two",{"three":"x\ny"}],"none":null,"no":[]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	ops := []knowledge.Op{put(&knowledge.Category{ID: "security", Name: "Security", IsActive: true}), put(rule)}
	if _, err := s.Apply(t.Context(), knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "tester",
		Ops: ops,
	}); err != nil {
		t.Fatal(err)
	}
	for i, state := range []string{knowledge.ProposalOpen, knowledge.ProposalWithdrawn, knowledge.ProposalOpen} {
		id := fmt.Sprintf("01890a5d-ac96-774b-bcce-b3020990000%d", i)
		one := put(&knowledge.Proposal{
			ProposalID: id, Title: fmt.Sprintf("%s number %d", state, i), State: state, IsActive: true,
			Why: "It was asked about.\nTwice.",
			Ops: []knowledge.ProposedOp{{
				Verb: knowledge.VerbPut, Kind: "rule", ID: "NEW-1", IfVersion: knowledge.NoVersion,
				Document: map[string]any{
					"rule_id": "NEW-1", "category": "security", "title": "New", "description": "One.\n\nTwo.",
				},
			}},
		})
		// Each in a batch of its own: one is made after the other, within the same second.
		if _, err := s.Apply(t.Context(), knowledge.Batch{
			ID: knowledge.NewBatchID(), Actor: "tester", Ops: []knowledge.Op{one},
		}); err != nil {
			t.Fatal(err)
		}
	}
	authenticate := func(token string) (*access.Caller, error) {
		if token != "good" {
			return nil, store.ErrUnauthenticated
		}
		return &access.Caller{ID: "reader", Role: knowledge.RoleViewer}, nil
	}
	r := &reader{t: t}
	chain := access.New(s, nil, nil)
	pages := console.New(console.Options{
		Store: chain, Authenticate: authenticate, Version: "1.2.3",
		Level: func() knowledge.Level { return knowledge.Level{Mode: knowledge.ModeNormal} },
		Ready: func(context.Context) []string { return r.sick },
	})
	h := httpapi.New(httpapi.Options{
		Store: chain, Authenticate: authenticate, Pages: pages,
		Mounts: []httpapi.Mount{{Routes: console.Routes(), Serve: pages.Serve, Token: pages.Token}},
	})
	server := httptest.NewServer(h)
	t.Cleanup(func() { server.Close(); _ = s.Close() })
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.url, r.client = server.URL, server.Client()
	r.client.Jar = jar
	return r
}

// see asks for a page as a browser does, and checks its status and what it holds.
func (r *reader) see(req *http.Request, status int, holds ...string) string {
	r.t.Helper()
	req.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != status || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") ||
		!strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		r.t.Errorf("%s %s: %d %v\n%s", req.Method, req.URL, resp.StatusCode, resp.Header, b)
	}
	for _, part := range holds {
		if !strings.Contains(string(b), part) {
			r.t.Errorf("%s %s lacks %q:\n%s", req.Method, req.URL, part, b)
		}
	}
	if strings.Contains(string(b), "<script") {
		r.t.Errorf("%s has a script", req.URL)
	}
	return string(b)
}

func (r *reader) get(path string) *http.Request {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return req
}

func (r *reader) post(path string, form url.Values, origin string) *http.Request {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", origin)
	return req
}

func TestAStrangerIsToldWhatThisIsAndNoMore(t *testing.T) {
	r := newReader(t)
	home := r.see(r.get("/"), 200, "Tenet", "It answers.", `href="/docs"`, "/sign-in")
	if strings.Contains(home, "1.2.3") || strings.Contains(home, "rules</a>") {
		t.Errorf("a stranger sees more than they should:\n%s", home)
	}
	r.see(r.get("/search?q=queries&kind=rule"), 401, "A valid token is needed",
		`value="/search?q=queries&amp;kind=rule"`)
	r.see(r.get("/read/rule/SEC-001"), 401, "/sign-in")
	r.see(r.get("/api/v1/rules"), 401, "/sign-in", "<p>Give a token that an admin has made: ", " sign in at /.</p>", `name="next" value="/"`)
	r.see(r.get("/nothing/here"), 404, "There is nothing here", `href="/docs"`)
	r.sick = []string{"the disk is full"}
	r.see(r.get("/"), 200, "answer now", "the disk is full")
}

func TestAReaderSignsInSearchesAndReads(t *testing.T) {
	r := newReader(t)
	r.see(r.post("/sign-in", url.Values{"token": {"bad"}}, r.url), 401, "/sign-in")
	r.see(r.post("/sign-in", url.Values{"token": {"good"}}, "https://evil.example.com"), 403, "another site")
	r.see(r.get("/search?q=queries"), 401)
	r.see(r.post("/sign-in", url.Values{"token": {"good"}, "next": {"/search?q=parametrized+query"}}, r.url), 200,
		"Searched for “parameterized”", `href="/read/rule/SEC-001"`, "<mark>")
	r.see(r.get("/"), 200, "1.2.3", `href="/read/rules">1 rule</a>`, "reader")
	r.see(r.get("/read/rules"), 200, "<h1>Rules</h1>", "Use parameterized queries", "1 in all", `name="kind" value="rule"`)
	r.see(r.get("/read/rule/SEC-001"), 200, "<h1>Use parameterized queries</h1>",
		`<div class="prose">Never build a query &lt;b&gt;of text&lt;/b&gt;.</div>`, "<dd>sql</dd>", ">priority</dt><dd>7</dd>",
		"<dt>title</dt><dd>With &lt;b&gt;names&lt;/b&gt;</dd>", "<dt>code</dt><dd><pre>a := 1\nb := 2</pre></dd>",
		"<dt>deep</dt><dd><ol><li>1</li><li>two</li><li><dl><dt>three</dt><dd><pre>x\ny</pre></dd></dl></li></ol></dd>")
	resp, err := r.client.Do(r.get("/read/rule/SEC-001"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || strings.Contains(string(body), "{") && strings.Contains(string(body), "&#34;code&#34;") {
		t.Errorf("a document shows JSON (%v): %s", err, body)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	r.see(r.get("/read/rules"), 200, "rule/SEC-001 · WARNING recommended security")
	r.see(r.get("/read/rule/SEC-001"), 200, "version 1 <span class=\"dim\">put by tester, ")
	r.see(r.get("/read/category/security"), 200, `<a href="/read/rules?category=security">1 rule</a>`)
	r.see(r.get("/read/rules?category=security"), 200, "<h1>Rules of security</h1>", "1 in all")
	r.see(r.get("/read/rules?category=other"), 200, "There are none.")
	r.see(r.get("/read/packs"), 200, "There are none.")
	r.see(r.get("/search?q=+"), 200, "as you would ask")
	r.see(r.get("/search?q=zebra"), 200, "Nothing matches.")
	r.see(r.get("/search?q=title:qeries"), 200, "Nothing matches.", "There is “title:queries”.")
	r.see(r.get("/search?q=queries&kind=zebra"), 400)
	r.see(r.get("/search?q=queries&cursor=AAAA"), 400)
	r.see(r.get("/read/rule/NONE"), 404)
	r.see(r.get("/read/zebras"), 404)
	r.see(r.get("/read/principals"), 403)
	r.see(r.post("/sign-in", url.Values{"token": {"good"}, "next": {"//evil.example.com/"}}, r.url), 200,
		"What there is")
	resp, err = r.client.Do(r.get("/api/v1/rules"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 401 || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the API takes the cookie: %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	r.see(r.post("/sign-out", nil, r.url), 200, "/sign-in")
	r.see(r.get("/search?q=queries"), 401)
}

func TestTheProposalsThatAreCountedAreThoseThatTheLinkShows(t *testing.T) {
	r := newReader(t)
	r.see(r.post("/sign-in", url.Values{"token": {"good"}}, r.url), 200,
		`<a href="/read/proposals?status=open">2 open proposals</a>`)
	open := r.see(r.get("/read/proposals?status=open"), 200, "<h1>Open proposals</h1>", "2 in all", "open number 0",
		`<a href="/read/proposals">All proposals</a>`)
	if strings.Contains(open, "withdrawn number 1") {
		t.Errorf("a withdrawn proposal is among the open ones:\n%s", open)
	}
	all := r.see(r.get("/read/proposals"), 200, "<h1>Proposals</h1>", "3 in all", "withdrawn number 1")
	if strings.Index(all, "number 2") > strings.Index(all, "number 1") ||
		strings.Index(all, "number 1") > strings.Index(all, "number 0") {
		t.Errorf("the newest is not first:\n%s", all)
	}
	r.see(r.get("/read/proposals?status=nonsense"), 400)
	r.see(r.get("/read/categories?status=open"), 400)
	r.see(r.get("/read/proposals?status="), 200, "3 in all")
	r.see(r.get("/read/proposal/01890a5d-ac96-774b-bcce-b30209900000"), 200,
		"<div class=\"prose\">It was asked about.\nTwice.</div>",
		"<dt>description</dt><dd><div class=\"prose\">One.\n\nTwo.</div></dd>")
}
