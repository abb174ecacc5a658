package server_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
	"tenet/internal/store"
)

// TestEveryInstanceFollowsPrincipalsIntoANewHistory puts an older backup in PostgreSQL's place under two tenets. A
// token of the lost history opens nothing, one that is revoked at the other instance neither, and one made there opens
// at once.
func TestEveryInstanceFollowsPrincipalsIntoANewHistory(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, pgtest.Options{})
	a := start(t, server.Options{DatabaseURL: pg.URL("postgres"), Outage: outage()})
	b := start(t, server.Options{DatabaseURL: pg.URL("postgres"), Outage: outage()})
	adminA, adminB := a.admin(t), b.admin(t)
	level(t, adminA)
	level(t, adminB)
	made := func(s store.Store, id string) string {
		t.Helper()
		p, token, err := access.NewPrincipal(id, knowledge.RoleViewer)
		if err != nil {
			t.Fatal(err)
		}
		p.Normalize()
		write(t, s, "admin", knowledge.Put(p, knowledge.NoVersion))
		return token
	}
	opens := func(x *tenet, token string) bool { _, err := x.client(t, token).Me(t.Context()); return err == nil }
	old := made(adminA, "old")
	pg.Backup()
	lost := made(adminA, "lost")
	for range 5 {
		c := &knowledge.Category{ID: "lost-" + knowledge.NewBatchID().String(), Name: "Lost"}
		c.Normalize()
		write(t, adminA, "admin", knowledge.Put(c, knowledge.NoVersion))
	}
	await(t, "both know the token that will be lost", func() bool { return opens(a, lost) && opens(b, lost) })
	pg.Stop(pgtest.Immediate)
	pg.Restore()
	pg.Start()
	await(t, "neither takes the token that was lost", func() bool { return !opens(a, lost) && !opens(b, lost) })
	level(t, adminB)
	young := made(adminB, "young")
	await(t, "a token of the new history opens at both", func() bool { return opens(a, young) && opens(b, young) })
	write(t, adminB, "admin", knowledge.Op{Verb: knowledge.VerbRetire, Key: key("principal/old")})
	await(t, "a token that was revoked in the new history opens nothing",
		func() bool { return !opens(a, old) && !opens(b, old) })
}

// TestUsesOfAnOutageAreCountedWithoutAnotherRender renders in an outage and never again.
func TestUsesOfAnOutageAreCountedWithoutAnotherRender(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, pgtest.Options{})
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: pg.URL("postgres"), Outage: outage()}
	x := start(t, o)
	admin := x.admin(t)
	level(t, admin)
	tpl := &knowledge.Template{
		TemplateID: "hello", Category: "security", Name: "Hello", TemplateContent: "Hello",
		IsActive: true,
	}
	tpl.Normalize()
	write(t, admin, "admin", knowledge.Put(tpl, knowledge.NoVersion))
	w := x.browse(t)
	pg.Stop(pgtest.Immediate)
	degrade(t, w, "/api/v1/rules?limit=1")
	if _, err := admin.Render(t.Context(), "hello", nil); err != nil {
		t.Fatal(err)
	}
	x.end(t) // what was counted is written to the journal's file
	pg.Start()
	w = start(t, o).browse(t)
	await(t, "the count is at PostgreSQL", func() bool {
		return strings.Contains(w.want(http.StatusOK, http.MethodGet, "/api/v1/templates/hello/usage", "").body,
			`{"usage_count":1}`)
	})
}
