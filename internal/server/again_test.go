package server_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/access"
	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
	"tenet/internal/store/storetest"
)

// TestAWriteThatWaitedIsDecidedWithTheRightsOfNow takes writes of three maintainers through an outage, in which one is
// made a contributor and one is disabled.
func TestAWriteThatWaitedIsDecidedWithTheRightsOfNow(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, pgtest.Options{})
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: pg.URL("postgres"), Outage: outage()}
	x := start(t, o)
	as := map[string]*web{}
	for _, id := range []string{"ann", "bob", "cleo"} {
		p, token, err := access.NewPrincipal(id, knowledge.RoleMaintainer)
		if err != nil {
			t.Fatal(err)
		}
		p.Normalize()
		rule := storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Category = "of-"+id, "security" })
		write(t, x.admin(t), "admin", knowledge.Put(p, knowledge.NoVersion), knowledge.Put(rule, knowledge.NoVersion))
		as[id] = &web{t, x.Facts().URL, token}
	}
	level(t, x.admin(t))

	pg.Stop(pgtest.Immediate)
	degrade(t, x.browse(t), "/api/v1/rules/of-ann")
	queue := func(id, method, path, body string) string {
		t.Helper()
		return as[id].want(http.StatusAccepted, method, path, body).header.Get("Tenet-Batch")
	}
	edit := map[string]string{}
	for id := range as {
		edit[id] = queue(id, http.MethodPatch, "/api/v1/rules/of-"+id, `{"title":"Changed in the outage"}`)
	}
	draft := queue("ann", http.MethodPut, "/api/v1/rules/draft",
		`{"category":"security","title":"A draft","description":"d","status":"DRAFT"}`)
	x.end(t)

	pg.Start()
	past(t, o.DatabaseURL, patch("principal/ann", `{"role":"contributor"}`), knowledge.Op{
		Verb: knowledge.VerbRetire, Key: key("principal/bob"), IfVersion: knowledge.AnyVersion,
	})
	x = start(t, o)
	w := x.browse(t)
	for batch, want := range map[string]string{
		edit["ann"]:  knowledge.BatchParked,
		edit["bob"]:  knowledge.BatchParked,
		edit["cleo"]: knowledge.BatchApplied,
		draft:        knowledge.BatchApplied, // which a contributor may make
	} {
		state(t, w, batch, want)
	}
	level(t, x.admin(t)) // before that nothing is decided
	list, _, err := x.admin(t).Conflicts(t.Context(), client.ConflictQuery{})
	if err != nil || len(list) != 2 {
		t.Fatalf("conflicts: %+v, %v", list, err)
	}
	for i := range list {
		c := &list[i]
		want := map[string]string{
			"ann": "ann, who asked for it, has the role contributor by now: ",
			"bob": "bob, who asked for it, was disabled",
		}[c.Actor]
		if want == "" || !strings.Contains(c.Why, want) || c.Key() != key("rule/of-"+c.Actor) {
			t.Errorf("the conflict of %s about %s says %q, want %q", c.Actor, c.Key(), c.Why, want)
		}
		if s := w.want(http.StatusOK, http.MethodGet, "/api/v1/rules/of-"+c.Actor, ""); strings.Contains(s.body,
			"Changed in the outage") {
			t.Errorf("what %s may not write any more is there: %s", c.Actor, s.body)
		}
		r, err := x.admin(t).Resolve(t.Context(), c.ID, "ours", c.Seen, nil)
		if err != nil || r.State != knowledge.BatchApplied {
			t.Errorf("an admin decides for the write of %s: %+v, %v", c.Actor, r, err)
		}
	}
	for id := range as {
		if s := w.want(http.StatusOK, http.MethodGet, "/api/v1/rules/of-"+id, ""); !strings.Contains(s.body,
			"Changed in the outage") {
			t.Errorf("in the end the rule of %s is %s", id, s.body)
		}
	}
}
