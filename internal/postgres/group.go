package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Commits queue for the log's lock, and each is flushed. Batches of a replay, which no person waits for, share commits:
// those that queue while others are in progress go into one transaction. A group is all or nothing; a batch that makes
// it fail is sent alone afterwards, like a direct write.

// Bounds of a group. A batch larger than a fourth of one of them is sent alone.
const (
	groupBatches = 32
	groupOps     = 256
	groupBytes   = 1 << 20
	// groupsAtOnce is how many groups are in progress: one executes while the other commits.
	groupsAtOnce = 2
	// groupDrops is how many members a group may lose before the rest is sent one by one.
	groupDrops = 3
)

// The first statement of a group limits how long it waits for a locked row, or in a deadlock. The last restores the
// session's setting, for the wait for the commit.
const (
	hurrySQL   = "SELECT set_config('lock_timeout', '100', true)"
	unhurrySQL = "SELECT set_config('lock_timeout', NULL, true)"
)

// A gathering holds the batches that wait for a group.
type gathering struct {
	mu      sync.Mutex // guards the fields below
	waiting []*member
	carried int // groups in progress
}

// A member is a batch of a group.
type member struct {
	*application
	payload
	out chan outcome // buffered
}

// An outcome is the result of a group for one of its members.
type outcome struct {
	changes []knowledge.Change
	err     error
	again   bool // send it alone
	unknown bool // with again: it may have been committed
}

// replayed reports whether a batch comes from a journal, so that no person waits for it.
func (a *application) replayed() bool { return a.batch.Origin != [32]byte{} }

// shares reports whether a batch may go into a group.
func (a *application) shares(p payload) bool {
	return a.replayed() && !a.alone && len(a.batch.Ops) <= groupOps/4 && p.size <= groupBytes/4
}

// share has the batch applied in a group. If its caller disconnects meanwhile, it stays in the group.
func (a *application) share(p payload) outcome {
	m := &member{a, p, make(chan outcome, 1)}
	if !a.s.join(m) {
		return outcome{err: &notSentError{store.ErrClosed}}
	}
	select {
	case o := <-m.out:
		return o
	case <-a.own.Done():
		if a.s.groups.leave(m) {
			return outcome{err: &notSentError{a.own.Err()}}
		}
		return outcome{err: a.own.Err()}
	}
}

// join queues a batch for a group; false if the store is closed.
func (s *Store) join(m *member) bool {
	s.closing.RLock() // Close waits for goroutines started before it
	defer s.closing.RUnlock()
	if s.closed.Load() {
		return false
	}
	g := &s.groups
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, m)
	if g.carried < groupsAtOnce {
		g.carried++
		s.done.Go(func() {
			for group := g.next(); group != nil; group = g.next() {
				s.carry(group)
			}
		})
	}
	return true
}

// leave removes a batch from the queue; false if its group is in progress.
func (g *gathering) leave(m *member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, m)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// next returns the members of the next group; none if the queue is empty. Two batches with the same id or the same
// document never share a group: each is checked against committed data.
func (g *gathering) next() (group []*member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.carried--
		return nil
	}
	ids, keys := map[knowledge.BatchID]bool{}, map[knowledge.Key]bool{}
	ops, size := 0, 0
	g.waiting = slices.DeleteFunc(g.waiting, func(m *member) bool {
		b := m.batch
		if len(group) == groupBatches || ops+len(b.Ops) > groupOps || size+m.size > groupBytes || ids[b.ID] ||
			slices.ContainsFunc(b.Ops, func(op knowledge.Op) bool { return keys[op.Key] }) {
			return false
		}
		for i := range b.Ops {
			keys[b.Ops[i].Key] = true
		}
		ids[b.ID] = true
		ops, size, group = ops+len(b.Ops), size+m.size, append(group, m)
		return true
	})
	return group
}

// carry applies a group and sends each member its outcome. After a refusal by the server nothing was committed: the
// batch at fault is sent alone, and the others are grouped again.
func (s *Store) carry(group []*member) {
	ctx, cancel := context.WithDeadline(s.life, latest(group))
	defer cancel()
	tell := func(o outcome) {
		for _, m := range group {
			m.out <- o
		}
	}
	for drops := 0; ; drops++ {
		began := time.Now()
		changes, err := s.send(ctx, group, true)
		blamed := blamed(err, len(group))
		s.observe("apply group", applySQL, nil, began, err)
		pg, server := serverError(err)
		_, committed := errors.AsType[*committedError](err)
		_, unread := errors.AsType[*scanError](err)
		switch {
		case err == nil:
			of := map[knowledge.BatchID][]knowledge.Change{}
			for i := range changes {
				of[changes[i].Batch] = append(of[changes[i].Batch], changes[i])
			}
			for _, m := range group {
				m.out <- outcome{changes: of[m.batch.ID]}
			}
		case !server && ctx.Err() != nil: // no caller is left: each returns the error of its own context
		case dead(err):
			s.pool.Reset()
			tell(outcome{again: true, unknown: true})
		case committed && (server && !fatal(pg) || unread): // one member may be at fault for all
			tell(outcome{again: true, unknown: true})
		case !server || fatal(pg) || len(group) == 1:
			tell(outcome{err: err})
		case blamed >= 0 && drops < groupDrops:
			group[blamed].out <- outcome{again: true}
			group = slices.Delete(group, blamed, blamed+1)
			continue
		default:
			tell(outcome{again: true})
		}
		return
	}
}

// latest returns the last deadline among the group's callers.
func latest(group []*member) (t time.Time) {
	for _, m := range group {
		if d, ok := m.own.Deadline(); ok && d.After(t) {
			t = d
		}
	}
	return t
}

// blamed returns the index of the batch that caused an error; negative if no single one did.
func blamed(err error, group int) int {
	pg, ok := serverError(err)
	if !ok {
		return -1
	}
	var one struct{ Batch *int }
	var list []struct{ Batch *int }
	switch {
	case detail(pg, &one) && one.Batch != nil:
	case detail(pg, &list) && len(list) > 0 && list[0].Batch != nil:
		one = list[0]
	default:
		return -1
	}
	if *one.Batch < 0 || *one.Batch >= group {
		return -1
	}
	return *one.Batch
}
