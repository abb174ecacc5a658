package live

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A memoryLog is a log of changes that can fail, forget and become another one.
type memoryLog struct {
	t testing.TB

	mu     sync.Mutex // guards what follows
	list   []knowledge.Change
	oldest knowledge.Seq
	mirror bool // it is a copy that begins later than the log
	fail   error
	reads  int
	bell   chan struct{}
	salt   string // makes documents, and with them histories, different
}

var _ store.Feed = (*memoryLog)(nil)

func newLog(t testing.TB) *memoryLog {
	return &memoryLog{t: t, oldest: 1, bell: make(chan struct{})}
}

// add appends the changes of one transaction.
func (l *memoryLog) add(changes ...knowledge.Change) knowledge.Seq {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := knowledge.NewBatchID()
	for i, c := range changes {
		c.Seq, c.More = knowledge.Seq(len(l.list)+1), i < len(changes)-1
		if c.Batch == (knowledge.BatchID{}) {
			c.Batch = batch
		}
		c.Actor, c.At = "tester", knowledge.At(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))
		if c.Version == 0 {
			c.Version = 1
		}
		c.Hash = sha256.Sum256([]byte(l.salt))
		if c.Record != nil {
			c.Hash = sha256.Sum256(append([]byte(l.salt), c.Record.JSON...))
		}
		var prev [32]byte
		if len(l.list) > 0 {
			prev = l.list[len(l.list)-1].Chain
		}
		c.Chain = knowledge.NextChain(prev, &c)
		l.list = append(l.list, c)
	}
	l.ring()
	return knowledge.Seq(len(l.list))
}

// ring needs the lock.
func (l *memoryLog) ring() {
	close(l.bell)
	l.bell = make(chan struct{})
}

// rules appends n changes of rules, each a transaction of its own.
func (l *memoryLog) rules(n int) knowledge.Seq {
	l.t.Helper()
	last := knowledge.Seq(0)
	for range n {
		last = l.add(put(l.t, rule(fmt.Sprintf("R-%d", l.end()+1))))
	}
	return last
}

func (l *memoryLog) end() knowledge.Seq {
	l.mu.Lock()
	defer l.mu.Unlock()
	return knowledge.Seq(len(l.list))
}

// count returns how often the log was read.
func (l *memoryLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

// forget makes the log begin at oldest.
func (l *memoryLog) forget(oldest knowledge.Seq) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.oldest = oldest
}

// leanOn makes the log be a mirror's part of it, from oldest on; 0 ends that.
func (l *memoryLog) leanOn(oldest knowledge.Seq) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.oldest, l.mirror = max(1, oldest), oldest > 0
}

// failWith makes every read fail, until it is called with nil.
func (l *memoryLog) failWith(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
	l.ring()
}

// replace makes the log another history that parts from this one after a change.
func (l *memoryLog) replace(after knowledge.Seq, n int) {
	l.mu.Lock()
	l.list, l.salt = l.list[:after:after], l.salt+"another"
	l.mu.Unlock()
	l.rules(n)
}

func (l *memoryLog) all() []knowledge.Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clip(l.list)
}

func (l *memoryLog) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	q, err := q.Check()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if l.fail != nil {
		return nil, l.fail
	}
	if q.Newest {
		end := len(l.list)
		if q.After > 0 {
			end = min(end, int(q.After)-1)
		}
		if end == 0 {
			return nil, nil
		}
		return l.list[end-1 : end : end], nil
	}
	if q.After < l.oldest-1 {
		return nil, &store.GoneError{Oldest: l.oldest, Mirror: l.mirror}
	}
	var out []knowledge.Change
	for i := int(q.After); i < len(l.list); i++ {
		if len(out) >= q.Limit && !out[len(out)-1].More {
			break
		}
		out = append(out, l.list[i])
	}
	return out, nil
}

func (l *memoryLog) Wait(ctx context.Context, after knowledge.Seq) error {
	l.mu.Lock()
	bell, there, err := l.bell, len(l.list) > int(after), l.fail
	l.mu.Unlock()
	if there || err != nil {
		return err
	}
	select {
	case <-bell:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func rule(id string, changes ...func(*knowledge.Rule)) *knowledge.Rule {
	return storetest.Rule(append([]func(*knowledge.Rule){func(r *knowledge.Rule) { r.RuleID = id }}, changes...)...)
}

func in(category string) func(*knowledge.Rule) {
	return func(r *knowledge.Rule) { r.Category = category }
}

// put returns the change that leaves a document behind.
func put(t testing.TB, d knowledge.Document) knowledge.Change {
	t.Helper()
	r, err := knowledge.NewRecord(d)
	if err != nil {
		t.Fatal(err)
	}
	return knowledge.Change{Verb: knowledge.VerbPut, Key: d.Key(), Record: r}
}

// purge returns the change that a purge is.
func purge(kind knowledge.Kind, id string) knowledge.Change {
	return knowledge.Change{Verb: knowledge.VerbPurge, Key: knowledge.Key{Kind: kind, ID: id}}
}
