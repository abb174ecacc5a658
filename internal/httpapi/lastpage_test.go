package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// four holds four of everything that a door has pages of.
type four struct{ *faulty }

// within returns those that are there on a page.
func within[T any](limit int, of func(i int) T, on func(t *T) bool) []T {
	list := []T{}
	for i := 1; i <= 4; i++ {
		if t := of(i); on(&t) && len(list) < limit {
			list = append(list, t)
		}
	}
	return list
}

func (f four) Archived(_ context.Context, q store.ArchiveQuery) ([]store.Archived, error) {
	return within(q.Limit, func(i int) store.Archived {
		rec, err := knowledge.NewRecord(exampleDocument(knowledge.KindRule))
		if err != nil {
			panic(err)
		}
		return store.Archived{Key: knowledge.Key{Kind: knowledge.KindRule, ID: fmt.Sprint("R-", i)}, Record: rec}
	}, func(a *store.Archived) bool { return a.Key.ID > q.After.ID }), nil
}

func (f four) Entries(_ context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	return within(q.Limit, func(i int) store.AuditEntry { return store.AuditEntry{Seq: int64(5 - i)} },
		func(e *store.AuditEntry) bool { return q.Below == 0 || e.Seq < q.Below }), nil
}

func (f four) Conflicts(_ context.Context, q store.ParkedQuery) ([]store.Parked, error) {
	return within(q.Limit, func(i int) store.Parked {
		return store.Parked{Entry: store.Entry{Seq: int64(5 - i), Batch: knowledge.Batch{
			ID: uuid.New(), Ops: []knowledge.Op{knowledge.Put(exampleDocument(knowledge.KindRule), 1)},
		}}}
	}, func(p *store.Parked) bool { return q.Before == 0 || p.Entry.Seq < q.Before }), nil
}

// fourEffects and fourRepositories are those of [four], whose doors have a method of the same name.
type (
	fourEffects      struct{ someEffects }
	fourRepositories struct{ aFleet }
	fourRuns         struct{ jobs }
	fourConflicts    struct {
		desk
		four
	}
)

func (d fourConflicts) Conflicts(ctx context.Context, q store.ParkedQuery) ([]store.Parked, error) {
	return d.four.Conflicts(ctx, q)
}

func (fourEffects) Page(_ context.Context, q store.EffectQuery) ([]store.Effect, error) {
	return within(q.Limit, func(i int) store.Effect { return store.Effect{Key: fmt.Sprint("rule/R-", i)} },
		func(e *store.Effect) bool { return e.Key > q.After }), nil
}

func (fourRepositories) Page(_ context.Context, q store.FleetQuery) ([]store.Standing, error) {
	return within(q.Limit, func(i int) store.Standing {
		s := store.Standing{CheckIn: store.CheckIn{Repository: fmt.Sprint("acme.r", i)}}
		s.Judge(time.Now())
		return s
	}, func(s *store.Standing) bool { return s.Repository > q.After }), nil
}

func (fourRuns) History(_ context.Context, q store.RunQuery) ([]store.Run, error) {
	return within(q.Limit, func(i int) store.Run {
		r := exampleRun(store.RunDone)
		r.Due = knowledge.At(r.Due.AddDate(0, 0, -i))
		return *r
	}, func(r *store.Run) bool { return q.Before.IsZero() || r.Due.Before(q.Before.Time) }), nil
}

// TestTheLastPageSaysThatItIsTheLast walks lists of four in pages that hold two and four: the last one is exactly full.
func TestTheLastPageSaysThatItIsTheLast(t *testing.T) {
	n := newTenet(t, func(o *Options) {
		f := o.Archive.(jobs).faulty
		o.Archive, o.Audit, o.Jobs = four{f}, four{f}, fourRuns{jobs{f}}
		o.Fleet, o.Effects, o.Desk = fourRepositories{aFleet{f}}, fourEffects{someEffects{f}},
			fourConflicts{desk{f}, four{f}}
	})
	for i := range 3 {
		if r := n.do(patch(rulePath, fmt.Sprintf(`{"title":"Edited %d times"}`, i))); r.status != http.StatusOK {
			t.Fatalf("editing: %d %s", r.status, r.body)
		}
	}
	for _, l := range []struct{ path, items, after string }{
		{archivePath, "documents", "after"},
		{auditPath, "entries", "below"},
		{conflictsPath, "conflicts", "cursor"},
		{effectPath, "documents", "after"},
		{fleetPath, "repositories", "after"},
		{jobsPath + "/" + exampleJob + "/runs", "runs", "before"},
		{rulePath + "/history", "changes", "before"},
	} {
		for limit, want := range map[int]int{1: 4, 2: 2, 3: 2, 4: 1, 5: 1} {
			pages, items, query := 0, 0, ""
			for more := true; more && pages < 9; pages++ {
				r := n.do(ask{
					method: http.MethodGet, path: fmt.Sprintf("%s?limit=%d%s", l.path, limit, query),
					token: knowledge.RoleAdmin,
				})
				var page map[string]json.RawMessage
				if err := json.Unmarshal(r.body, &page); err != nil || r.status != http.StatusOK {
					t.Fatalf("%s: %d %s, %v", l.path, r.status, r.body, err)
				}
				var list []json.RawMessage
				if err := json.Unmarshal(page[l.items], &list); err != nil {
					t.Fatalf("%s: %s: %v", l.path, r.body, err)
				}
				items += len(list)
				query, more = "&"+l.after+"="+strings.Trim(string(page["next"]), `"`), page["next"] != nil
			}
			if pages != want || items != 4 {
				t.Errorf("%s by %d: %d pages of %d in all, want %d of 4", l.path, limit, pages, items, want)
			}
		}
	}
}
