package server_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
)

// TestAWriteOfBeforeAStartHearsThatItsOutcomeIsOpen sends a write in an outage, under a key that was made before the
// tenet started, that conflicts with what is there: it may be the write's own first attempt. A key that was made since
// is new, and its write is refused. When the primary is back, it decides.
func TestAWriteOfBeforeAStartHearsThatItsOutcomeIsOpen(t *testing.T) {
	t.Parallel()
	before := knowledge.NewBatchID().String()
	pg := pgtest.Start(t, pgtest.Options{})
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: pg.URL("postgres"), Outage: outage()}
	x := start(t, o)
	w := x.browse(t)
	w.want(http.StatusCreated, http.MethodPut, calmPath, named("There"))
	level(t, x.admin(t))
	create := func(key string) *said {
		return w.ask(http.MethodPut, calmPath, named("Again"), "If-None-Match", "*", "Idempotency-Key", key)
	}
	pg.Stop(pgtest.Immediate)
	degrade(t, w, calmPath)
	if s := create(before); s.status != http.StatusServiceUnavailable || s.header.Get("Retry-After") == "" ||
		!strings.Contains(s.body, "it is not known here whether") {
		t.Errorf("a key of before the start: %d %s", s.status, s.body)
	}
	if s := create(knowledge.NewBatchID().String()); s.status != http.StatusPreconditionFailed {
		t.Errorf("a new key: %d %s", s.status, s.body)
	}
	pg.Start()
	level(t, x.admin(t))
	if s := create(before); s.status != http.StatusPreconditionFailed {
		t.Errorf("the first key, when the primary is back: %d %s", s.status, s.body)
	}
	x.end(t)
}
