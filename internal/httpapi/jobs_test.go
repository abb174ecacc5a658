package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"tenet/internal/erasure"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/upkeep"
)

// jobs are the example's, and fail as the store does.
type jobs struct{ *faulty }

func (j jobs) known(name string) error {
	if err := j.fault(); err != nil {
		return err
	}
	if name != exampleJob {
		return store.ErrNotFound
	}
	return nil
}

func (j jobs) Jobs(context.Context) ([]upkeep.Standing, error) {
	return []upkeep.Standing{{Name: exampleJob, Doc: "Makes a backup", Last: exampleRun(store.RunDone)}}, j.fault()
}

func (j jobs) Entries(context.Context, store.AuditQuery) ([]store.AuditEntry, error) {
	return exampleAudit().Entries, j.fault()
}

func (j jobs) Archived(context.Context, store.ArchiveQuery) ([]store.Archived, error) {
	rec, err := knowledge.NewRecord(exampleDocument(knowledge.KindRule))
	return []store.Archived{{Key: rec.Key, Version: 4, At: exampleTime(), Record: rec}}, errors.Join(err, j.fault())
}

func (j jobs) Start(_ context.Context, name, by string) (store.Run, error) {
	r := exampleRun(store.RunRunning)
	r.By = by
	return *r, j.known(name)
}

func (j jobs) History(_ context.Context, name string, limit int) ([]store.Run, error) {
	return []store.Run{*exampleRun(store.RunDone)}[:min(limit, 1)], j.known(name)
}

func (j jobs) Pause(_ context.Context, name, _ string, _ bool) error { return j.known(name) }

// erase knows one person.
func (j jobs) erase(_ context.Context, r erasure.Request) (*erasure.Report, error) {
	if r.ID != exampleErased {
		return nil, errors.Join(j.fault(), store.ErrNotFound)
	}
	return &erasure.Report{Pseudonym: "erased-1", Dry: r.Dry, Rows: map[string]int64{"changes": 1}}, j.fault()
}

func TestJobsAreForAdmins(t *testing.T) {
	n := newTenet(t, nil)
	for _, rt := range jobRoutes() {
		path := strings.Replace(rt.path, "{id}", exampleJob, 1)
		for _, role := range knowledge.Roles() {
			r := n.do(ask{method: rt.method, path: path, token: role})
			want := http.StatusForbidden
			if role == knowledge.RoleAdmin {
				want = rt.answers[0].status
			}
			if r.status != want {
				t.Errorf("%s as %s: %d, want %d: %s", rt.name, role, r.status, want, r.body)
			}
		}
	}
	for query, want := range map[string]int{"?limit=0": 400, "?limit=201": 400, "?limit=x": 400, "?limit=200": 200} {
		if r := n.do(ask{
			method: http.MethodGet, path: jobsPath + "/" + exampleJob + "/runs" + query,
			token: knowledge.RoleAdmin,
		}); r.status != want {
			t.Errorf("runs with %s: %d, want %d: %s", query, r.status, want, r.body)
		}
	}
}
