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

// Commits are in line behind the log's lock, and each is flushed. So the batches of a replay, for which nobody waits, share
// them: those that wait while others are under way are done in one transaction. A group is all or nothing; a batch that makes
// one fail is sent alone afterwards, as direct writes are.

// Bounds of a group. A batch of more than a fourth of one of them is sent alone.
const (
	groupBatches = 32
	groupOps     = 256
	groupBytes   = 1 << 20
	// groupsAtOnce is how many are under way: the next does its work while one commits.
	groupsAtOnce = 2
	// groupDrops is how many members a group may lose before all of it goes alone.
	groupDrops = 3
)

// The first statement of a group keeps it from waiting long for a row that somebody else has locked, a deadlock included. The last
// gives back what the session has, for the wait in line of the commit.
const (
	hurrySQL   = "SELECT set_config('lock_timeout', '100', true)"
	unhurrySQL = "SELECT set_config('lock_timeout', NULL, true)"
)

// A gathering holds the batches that wait for a group.
type gathering struct {
	mu      sync.Mutex // guards the fields below
	waiting []*member
	carried int // how many groups are under way
}

// A member is a batch of a group.
type member struct {
	*application
	payload
	out chan outcome // has room for it
}

// An outcome is what came of a group for one of its members.
type outcome struct {
	changes []knowledge.Change
	err     error
	again   bool // to be sent alone
	unknown bool // and it may have been done
}

// replayed reports whether a batch comes from a journal, so that no person waits for it.
func (a *application) replayed() bool { return a.batch.Origin != [32]byte{} }

// shares reports whether a batch goes into a group.
func (a *application) shares(p payload) bool {
	return a.replayed() && !a.alone && len(a.batch.Ops) <= groupOps/4 && p.size <= groupBytes/4
}

// share has the batch done in a group. If its caller disconnects meanwhile, it is done, or not, with the others.
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

// join puts a batch in line for a group; false when the store is closed.
func (s *Store) join(m *member) bool {
	s.closing.RLock() // Close waits for what begins before it
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

// leave takes a batch out of the line; false when its group is under way.
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

// next returns those that make up the next group; none when nobody waits. Batches of one id, or of one document, never meet in a
// group: each is judged by what is committed.
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

// carry has a group done, and tells each member what came of it. What the server refuses is certainly not done: who is to blame
// is sent alone, and the others once more.
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
		case !server && ctx.Err() != nil: // nobody waits for it any more: each hears from its own context
		case dead(err):
			s.pool.Reset()
			tell(outcome{again: true, unknown: true})
		case committed && (server && !fatal(pg) || unread): // one may be to blame for all
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

// latest returns until when somebody waits for a group.
func latest(group []*member) (t time.Time) {
	for _, m := range group {
		if d, ok := m.own.Deadline(); ok && d.After(t) {
			t = d
		}
	}
	return t
}

// blamed returns which batch of a group the server blames for an error, by its number; negative where it is none's.
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
