package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"tenet/internal/api"
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

func (j jobs) History(_ context.Context, q store.RunQuery) ([]store.Run, error) {
	runs := []store.Run{}
	for day := range 3 {
		r := exampleRun(store.RunDone)
		r.Due = knowledge.At(r.Due.AddDate(0, 0, -day))
		if len(runs) < q.Limit && (q.Before.IsZero() || r.Due.Before(q.Before.Time)) {
			runs = append(runs, *r)
		}
	}
	return runs, j.known(q.Job)
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
	for query, want := range map[string]int{
		"?limit=0": 400, "?limit=201": 400, "?limit=x": 400, "?limit=200": 200,
		"?before=x": 400,
	} {
		if r := n.do(ask{
			method: http.MethodGet, path: jobsPath + "/" + exampleJob + "/runs" + query,
			token: knowledge.RoleAdmin,
		}); r.status != want {
			t.Errorf("runs with %s: %d, want %d: %s", query, r.status, want, r.body)
		}
	}
}

func TestRunsOfAJobAreReadPageByPage(t *testing.T) {
	n := newTenet(t, nil)
	path, query, got := jobsPath+"/"+exampleJob+"/runs", "?limit=2", [][]api.RunView{}
	for query != "" {
		r := n.do(ask{method: http.MethodGet, path: path + query, token: knowledge.RoleAdmin})
		var page api.RunList
		if err := json.Unmarshal(r.body, &page); err != nil || r.status != http.StatusOK {
			t.Fatalf("%s: %d %s, %v", query, r.status, r.body, err)
		}
		got, query = append(got, page.Runs), ""
		if page.Next != nil {
			query = "?limit=2&before=" + page.Next.Format(knowledge.TimeLayout)
		}
	}
	if len(got) != 2 || len(got[0]) != 2 || len(got[1]) != 1 || !got[1][0].DueAt.Before(got[0][1].DueAt.Time) {
		t.Errorf("the pages are %+v; want two runs, and the oldest", got)
	}
}

// TestEveryListSaysHowToGoOn looks for a list that ends at a limit and has no way to what is behind it.
func TestEveryListSaysHowToGoOn(t *testing.T) {
	n := newTenet(t, nil)
	type schema struct {
		Ref        string                     `json:"$ref"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name string }
			Responses  map[string]struct {
				Content map[string]struct{ Schema schema }
			}
		}
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(n.do(get("/openapi.json")).body, &doc); err != nil {
		t.Fatal(err)
	}
	lists := 0
	for path, methods := range doc.Paths {
		op := methods["get"]
		limited := false
		for _, p := range op.Parameters {
			limited = limited || p.Name == "limit"
		}
		if !limited {
			continue
		}
		lists++
		answer := op.Responses["200"].Content["application/json"].Schema
		if name, ok := strings.CutPrefix(answer.Ref, "#/components/schemas/"); ok {
			answer = doc.Components.Schemas[name]
		}
		if answer.Properties["next"] == nil && path != "/api/v1/changes" { // whose own numbers say where it goes on
			t.Errorf("GET %s has a limit, and its answer no next", path)
		}
	}
	if lists < 20 {
		t.Errorf("only %d lists were found", lists)
	}
}
