package server_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenet/internal/access"
	"tenet/internal/client"
	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/server"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A web is a caller with a token who looks at statuses and headers.
type web struct {
	t     *testing.T
	url   string
	token string
}

// browse returns a caller with the admin's token.
func (x *tenet) browse(t *testing.T) *web {
	t.Helper()
	w := &web{t: t, url: x.Facts().URL}
	// Where all is slow the start was without the primary. The file comes before its token opens, and may be replaced.
	await(t, "there is an admin's token that opens", func() bool {
		text, err := os.ReadFile(filepath.Join(x.dir, server.TokenFile))
		w.token = strings.TrimSpace(string(text))
		return err == nil &&
			w.do(http.MethodGet, "/api/v1/categories?limit=1", "").status != http.StatusUnauthorized
	})
	return w
}

// A said is an answer.
type said struct {
	status int
	header http.Header
	body   string
}

func (w *web) do(method, path, body string) *said {
	w.t.Helper()
	return w.ask(method, path, body)
}

// ask does a request with headers, each its name and its value.
func (w *web) ask(method, path, body string, header ...string) *said {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return &said{resp.StatusCode, resp.Header, string(text)}
}

// want does a request and checks the status of its answer.
func (w *web) want(status int, method, path, body string) *said {
	w.t.Helper()
	s := w.do(method, path, body)
	if s.status != status {
		w.t.Fatalf("%s %s: %d, want %d\n%s", method, path, s.status, status, s.body)
	}
	return s
}

// outage are the settings of a tenet that notices and forgets an outage quickly.
func outage() failover.Options { return failover.Options{Recovery: 500 * time.Millisecond} }

// level waits until a tenet is in normal mode and its mirror has followed as far as the log goes.
func level(t *testing.T, c *client.Store) {
	t.Helper()
	pgtest.Await(t, "a mirror that is level", func() bool {
		var details struct {
			Outage struct {
				Mode   knowledge.Mode `json:"mode"`
				Mirror struct {
					Ready bool          `json:"ready"`
					Seq   knowledge.Seq `json:"seq"`
				} `json:"mirror"`
			} `json:"outage"`
		}
		s, err := c.Status(t.Context())
		if err != nil || json.Unmarshal(s.Details, &details) != nil {
			return false
		}
		newest, err := c.Changes(t.Context(), knowledge.ChangeQuery{Newest: true, Limit: 1})
		return err == nil && len(newest) == 1 && details.Outage.Mode == knowledge.ModeNormal &&
			details.Outage.Mirror.Ready &&
			details.Outage.Mirror.Seq == newest[0].Seq
	})
}

// degrade reads until the answers come from the mirror. Every read is answered meanwhile.
func degrade(t *testing.T, w *web, path string) {
	t.Helper()
	pgtest.Await(t, "the mode degraded", func() bool {
		return w.want(http.StatusOK, http.MethodGet, path, "").header.Get("Tenet-Mode") == string(
			knowledge.ModeDegraded)
	})
}

// past writes into the database past every tenet.
func past(t *testing.T, url string, ops ...knowledge.Op) {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	write(t, s, "somebody-else", ops...)
}

const (
	disputedPath = "/api/v1/categories/disputed"
	calmPath     = "/api/v1/categories/calm"
)

func named(name string) string { return `{"name":"` + name + `"}` }

// state waits until a batch stands somewhere.
func state(t *testing.T, w *web, batch, want string) {
	t.Helper()
	pgtest.Await(t, "batch "+want, func() bool {
		return strings.Contains(w.want(http.StatusOK, http.MethodGet, "/api/v1/batches/"+batch, "").body, `"state":"`+
			want+`"`)
	})
}

// TestAnOutageIsBorne takes a tenet through an outage of its PostgreSQL, a restart within it, and the conflict that a
// write past the tenet leaves behind.
func TestAnOutageIsBorne(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, pgtest.Options{})
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: pg.URL("postgres"), Outage: outage()}
	x := start(t, o)
	w := x.browse(t)
	for _, path := range []string{disputedPath, calmPath} {
		w.want(http.StatusCreated, http.MethodPut, path, named("Before"))
		w.want(http.StatusOK, http.MethodPut, path, named("Base"))
	}
	const greeting = "/api/v1/templates/greeting"
	w.want(http.StatusCreated, http.MethodPut, greeting,
		`{"name":"Greeting","category":"security","template_content":"Hello"}`)
	w.want(http.StatusOK, http.MethodPost, greeting+"/render", `{}`)
	learner, token, err := access.NewPrincipal("learner", knowledge.RoleContributor)
	if err != nil {
		t.Fatal(err)
	}
	learner.Normalize()
	draft := storetest.Rule(func(r *knowledge.Rule) { r.Category, r.Status = "security", knowledge.StatusDraft })
	write(t, x.admin(t), "admin", knowledge.Put(learner, knowledge.NoVersion))
	write(t, x.client(t, token), "learner", knowledge.Put(draft, knowledge.NoVersion))
	level(t, x.admin(t))

	pg.Stop(pgtest.Immediate)
	degrade(t, w, disputedPath)
	w.want(http.StatusOK, http.MethodPost, greeting+"/render", `{}`)
	queued := map[string]string{}
	for _, path := range []string{disputedPath, calmPath} {
		s := w.want(http.StatusAccepted, http.MethodPut, path, named("Ours"))
		queued[path] = s.header.Get("Tenet-Batch")
		if s.header.Get("Tenet-Mode") != "degraded" || queued[path] == "" {
			t.Errorf("a queued write says %v", s.header)
		}
	}
	state(t, w, queued[disputedPath], knowledge.BatchQueued)
	// A contributor's batch, which is judged by what stands now, is answered in the same way when it is sent again.
	edit := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "learner", Ops: []knowledge.Op{knowledge.Put(draft, 1)}}
	for range 2 {
		if r, err := x.client(t, token).Apply(t.Context(), edit); err != nil || !r.Queued || r.Records[0].Version != 2 {
			t.Errorf("a contributor's batch in the outage: %+v, %v; want it queued as version 2", r, err)
		}
	}
	x.end(t)

	x = start(t, o) // PostgreSQL is still away
	w = x.browse(t)
	state(t, w, queued[disputedPath], knowledge.BatchQueued)
	if s := w.want(http.StatusOK, http.MethodGet, disputedPath, ""); !strings.Contains(s.body, `"Ours"`) ||
		s.header.Get("Tenet-Source") != "mirror" {
		t.Errorf("after a restart in the outage: %v %s", s.header, s.body)
	}
	w.want(http.StatusNotFound, http.MethodPost, "/api/v1/conflicts/"+queued[calmPath]+"/resolve",
		`{"resolution":"ours"}`)
	x.end(t)

	pg.Start()
	past(t, o.DatabaseURL, patch("category/disputed", named("Theirs")))
	x = start(t, o)
	w = x.browse(t)
	state(t, w, queued[calmPath], knowledge.BatchApplied)
	state(t, w, queued[disputedPath], knowledge.BatchParked)
	level(t, x.admin(t))
	if s := w.want(http.StatusOK, http.MethodGet, disputedPath, ""); !strings.Contains(s.body, `"Theirs"`) {
		t.Errorf("while the conflict waits: %s", s.body)
	}
	w.want(http.StatusOK, http.MethodPost, greeting+"/render", `{}`)
	x.end(t)
	x = start(t, o) // what waited in the journal's file was written with the last use
	w = x.browse(t)
	if s := w.want(http.StatusOK, http.MethodGet, greeting+"/usage", ""); !strings.Contains(s.body, `"usage_count":3`) {
		t.Errorf("after uses before, in and after the outage: %s", s.body)
	}
	resolveOurs(t, x, w, queued[disputedPath])
}

// resolveOurs decides the one conflict there is, and looks at what comes of it.
func resolveOurs(t *testing.T, x *tenet, w *web, batch string) {
	t.Helper()
	admin := x.admin(t)
	list, _, err := admin.Conflicts(t.Context(), client.ConflictQuery{})
	if err != nil || len(list) != 1 || list[0].ID.String() != batch {
		t.Fatalf("the conflicts: %+v, %v", list, err)
	}
	c := list[0]
	for side, name := range map[string]json.RawMessage{"Base": c.Base, "Theirs": c.Theirs, "Ours": c.Ours} {
		if !strings.Contains(string(name), `"name":"`+side+`"`) {
			t.Errorf("%s is %s", side, name)
		}
	}
	if c.Key() != key("category/disputed") || c.Found != 3 || c.Actor != "admin" {
		t.Errorf("the conflict: %+v", c)
	}
	r, err := admin.Resolve(t.Context(), c.ID, "ours", c.Seen, nil)
	if err != nil || r.State != knowledge.BatchApplied || r.Conflict.Resolution != "ours" ||
		r.Conflict.ResolvedBy != "admin" || r.Conflict.ResolvedAs == nil {
		t.Fatalf("the decision: %+v, %v", r, err)
	}
	if s := w.want(http.StatusOK, http.MethodGet, disputedPath, ""); !strings.Contains(s.body, `"Ours"`) ||
		!strings.Contains(s.body, `"version":4`) {
		t.Errorf("after the decision: %s", s.body)
	}
	state(t, w, batch, knowledge.BatchResolved)
	if list, _, err := admin.Conflicts(t.Context(), client.ConflictQuery{}); err != nil || len(list) != 0 {
		t.Errorf("conflicts after the decision: %+v, %v", list, err)
	}
	if list, _, err := admin.Conflicts(t.Context(), client.ConflictQuery{Resolved: true}); err != nil ||
		len(list) != 1 {
		t.Errorf("decided conflicts: %+v, %v", list, err)
	}
	w.want(http.StatusUnprocessableEntity, http.MethodPost, "/api/v1/conflicts/"+batch+"/resolve",
		`{"resolution":"theirs"}`)
}

func TestADirectoryOfAPostgreSQLIsNotServedWithoutIt(t *testing.T) {
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: pgtest.URL(t), Outage: outage()}
	start(t, o).end(t)
	o.DatabaseURL, o.Listen = "", "127.0.0.1:0"
	if _, err := server.Open(t.Context(), o); !errors.Is(err, store.ErrUnavailable) ||
		!strings.Contains(err.Error(), "--database-url") {
		t.Errorf("served without its PostgreSQL: %v; want it refused, and what to give", err)
	}
}

func TestAMirrorIsComparedWhenAsked(t *testing.T) {
	x := start(t, server.Options{DatabaseURL: pgtest.URL(t), Outage: outage()})
	admin := x.admin(t)
	level(t, admin)
	if err := admin.CheckMirror(t.Context()); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "a comparison that finds no difference", func() bool {
		s, err := admin.Status(t.Context())
		return err == nil && strings.Contains(string(s.Details), `"equal":true`)
	})
	if err := admin.AcceptPrimary(t.Context()); err != nil {
		t.Errorf("accepting the primary there is: %v", err)
	}
}

// TestATokenThatIsNotKnownYetIsNotRefused starts an instance without its PostgreSQL, which comes back with a lock on
// the principals: the new admin's token is in the file before anybody can know it.
func TestATokenThatIsNotKnownYetIsNotRefused(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"max_prepared_transactions": "1"}})
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "first"), DatabaseURL: pg.URL("postgres"), Outage: outage()}
	first := start(t, o)
	level(t, first.admin(t))
	first.end(t)
	lock := pgtest.Connect(t, pg.URL("postgres"))
	for _, sql := range []string{
		"BEGIN", "LOCK TABLE principals IN SHARE ROW EXCLUSIVE MODE", "PREPARE TRANSACTION 'the lock'", // outlives a stop
	} {
		if _, err := lock.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	pg.Stop(pgtest.Fast)
	o.DataDir = filepath.Join(t.TempDir(), "second")
	w := &web{t, start(t, o).Facts().URL, "no such token"}
	if s := w.want(http.StatusServiceUnavailable, http.MethodGet, "/api/v1/rules", ""); s.header.Get("Retry-After") == "" {
		t.Errorf("where nobody is known it is not said when to ask again: %v", s.header)
	}
	pg.Start()
	early := 0
	await(t, "the admin's token opens", func() bool {
		text, err := os.ReadFile(filepath.Join(o.DataDir, server.TokenFile))
		if w.token = strings.TrimSpace(string(text)); err != nil || w.token == "" {
			return false
		}
		s := w.do(http.MethodGet, "/api/v1/rules?limit=1", "")
		switch {
		case s.status == http.StatusOK:
			return true
		case s.status != http.StatusServiceUnavailable || s.header.Get("Retry-After") == "":
			t.Fatalf("a token that is not known yet: %d %v %s, want 503 with Retry-After", s.status, s.header, s.body)
		}
		if early++; early == 1 {
			pg.Exec("ROLLBACK PREPARED 'the lock'")
		}
		return false
	})
	if early == 0 {
		t.Error("the token was known as soon as it was in the file: this proves nothing")
	}
	w.token = "no such token"
	w.want(http.StatusUnauthorized, http.MethodGet, "/api/v1/rules?limit=1", "")
}

// TestAColdStartAnswersFromTheStarterSet starts a tenet that has never seen its PostgreSQL, which is away.
func TestAColdStartAnswersFromTheStarterSet(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Options{})
	pg.Stop(pgtest.Fast)
	dir := filepath.Join(t.TempDir(), "data")
	_, token, err := access.NewPrincipal("admin", knowledge.RoleAdmin)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, server.TokenFile), []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x := start(t, server.Options{DataDir: dir, DatabaseURL: pg.URL("postgres"), Outage: outage()})
	w := x.browse(t)
	s := w.want(http.StatusOK, http.MethodGet, "/api/v1/rules?limit=1", "")
	if s.header.Get("Tenet-Source") != "seed" || s.header.Get("Tenet-Mode") != "cold" {
		t.Errorf("a list from the starter set says %v", s.header)
	}
	w.want(http.StatusServiceUnavailable, http.MethodGet, "/api/v1/rules/NO-SUCH-RULE", "")
	if s := w.want(http.StatusServiceUnavailable, http.MethodPut, calmPath, named("Too early")); s.header.Get(
		"Retry-After") == "" {
		t.Errorf("a write without primary and mirror does not say when to ask again: %v", s.header)
	}
	// Whose rights can't be looked up is not told that it has none.
	for _, path := range []string{"/api/v1/mirror/check", "/api/v1/mirror/accept", "/api/v1/conflicts/" +
		knowledge.NewBatchID().String() + "/resolve"} {
		if s := w.want(http.StatusServiceUnavailable, http.MethodPost, path, `{"resolution":"theirs"}`); s.header.Get(
			"Retry-After") == "" {
			t.Errorf("%s does not say when to ask again: %v", path, s.header)
		}
	}

	pg.Start()
	pgtest.Await(t, "a tenet that has joined", func() bool {
		w = x.browse(t) // joining makes an admin, whose token takes the old one's place
		s := w.do(http.MethodGet, "/api/v1/rules?limit=1", "")
		return s.status == http.StatusOK && s.header.Get("Tenet-Mode") == "normal" &&
			s.header.Get("Tenet-Source") != "seed"
	})
	w.want(http.StatusCreated, http.MethodPut, calmPath, named("After"))
}
