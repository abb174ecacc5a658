package access

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// oneDesk keeps parked batches, and notes the decisions that it was asked to carry out.
type oneDesk struct {
	parked  []store.Parked
	decided []store.Decision
}

func (d *oneDesk) Conflicts(_ context.Context, q store.ParkedQuery) ([]store.Parked, error) {
	var list []store.Parked
	for i := range d.parked {
		if (q.Before == 0 || d.parked[i].Entry.Seq < q.Before) && (q.Limit == 0 || len(list) < q.Limit) {
			list = append(list, d.parked[i])
		}
	}
	return list, nil
}

func (d *oneDesk) Resolve(_ context.Context, _ string, decisions ...store.Decision) ([]store.Decided, error) {
	d.decided = append(d.decided, decisions...)
	return make([]store.Decided, len(decisions)), nil
}

// TestADeskIsTheSameBehindEveryDoor decides conflicts as a door does that knows nothing of another: what a caller may
// not see is not listed and not found, and of decisions all are carried out or none.
func TestADeskIsTheSameBehindEveryDoor(t *testing.T) {
	parked := func(seq int64, d knowledge.Document) store.Parked {
		b := knowledge.Batch{ID: uuid.New(), Actor: "ann", Ops: []knowledge.Op{knowledge.Put(d, 0)}}
		return store.Parked{Entry: store.Entry{Seq: seq, Batch: b}}
	}
	desk := &oneDesk{parked: []store.Parked{
		parked(9, storetest.Rule()),
		parked(8, &knowledge.Principal{PrincipalID: "bob", Name: "Bob", Role: knowledge.RoleViewer}),
		parked(7, storetest.Practice()),
	}}
	about := func(list []store.Parked) (kinds []knowledge.Kind) {
		for i := range list {
			kinds = append(kinds, list[i].Key().Kind)
		}
		return kinds
	}
	ctx, policy := t.Context(), &Policy{}
	viewer := &Caller{ID: "vera", Role: knowledge.RoleViewer}
	maintainer := &Caller{ID: "mia", Role: knowledge.RoleMaintainer}
	admin := &Caller{ID: "ada", Role: knowledge.RoleAdmin}

	list, next, err := Classification(nil).ListConflicts(ctx, nil, desk, maintainer, store.ParkedQuery{Limit: 50})
	want := []knowledge.Kind{knowledge.KindRule, knowledge.KindPractice}
	if diff := cmp.Diff(want, about(list)); diff != "" || next != 0 || err != nil {
		t.Errorf("a maintainer's list ends with %d, %v; want no further page. Kinds (-want +got):\n%s", next, err, diff)
	}
	if list, next, err = Classification(nil).ListConflicts(ctx, nil, desk, maintainer, store.ParkedQuery{Limit: 2}); len(list) != 1 ||
		next != 8 ||
		err != nil {
		t.Errorf("a page of 2 shows %v, then %d, %v; want one, and the next page below what is hidden", about(list),
			next,
			err)
	}
	if list, next, err = Classification(nil).ListConflicts(ctx, nil, desk, maintainer, store.ParkedQuery{Limit: 3}); len(list) != 2 ||
		next != 0 ||
		err != nil {
		t.Errorf("a page of 3, which is the last, shows %v, then %d, %v; want no further page", about(list), next, err)
	}
	secret := desk.parked[1].Entry.Batch.ID
	if _, err := Classification(nil).FindConflict(ctx, nil, desk, maintainer, secret); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a maintainer finds a conflict about a principal: %v, want %v", err, store.ErrNotFound)
	}
	if p, err := Classification(nil).FindConflict(ctx, nil, desk, admin, secret); err != nil || p.Entry.Seq != 8 {
		t.Errorf("an admin does not find a conflict about a principal: %v", err)
	}

	all := []*store.Parked{&desk.parked[0], &desk.parked[1]}
	ours := []store.Decision{{ID: all[0].Entry.Batch.ID, How: store.ResolveOurs}, {ID: secret, How: store.ResolveOurs}}
	for _, c := range []*Caller{viewer, maintainer} {
		_, err := policy.ResolveConflicts(ctx, nil, desk, c, all, ours)
		if _, forbidden := errors.AsType[*store.ForbiddenError](err); !forbidden || len(desk.decided) != 0 {
			t.Errorf("a %s decides a conflict about a principal: %v, with %d carried out", c.Role, err,
				len(desk.decided))
		}
	}
	if done, err := policy.ResolveConflicts(ctx, nil, desk, admin, all, ours); err != nil || len(done) != 2 {
		t.Errorf("an admin has decided %d, %v; want both", len(done), err)
	}

	if list, next, err := Classification(nil).ListConflicts(ctx, nil, nil, admin, store.ParkedQuery{}); list != nil || next != 0 || err != nil {
		t.Errorf("without a desk the list is %v, %d, %v; want none", list, next, err)
	}
	if _, err := Classification(nil).FindConflict(ctx, nil, nil, admin, secret); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("without a desk a conflict is %v, want %v", err, store.ErrNotFound)
	}
}
