// Package storetest holds the laws of the contract of package store as tests, to be run against every implementation.
package storetest

import (
	"context"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Options say what is tested and what a special store can't do. Zero values test everything.
type Options struct {
	// Open returns a fresh store, which is closed when the test ends. It is called several times in one test. It holds
	// nothing but what every store of its sort begins with: at most a few principals, and their changes.
	Open func(t testing.TB) store.Store
	// Queued is set for a store whose receipts are queued: laws about the log are left out, since it holds nothing yet.
	Queued bool
	// OwnActor is set for a store that names the actor and the time of every batch itself.
	OwnActor bool
	// Stamps is set for a store that says itself who reported a violation, and when.
	Stamps bool
	// NoLog is set for a store whose log begins where it was opened, or can't be read with filters: laws about history
	// are left out.
	NoLog bool
	// Confines is set for a store that says itself what is hidden from its caller.
	Confines bool
	// Engine is set for an engine as such: what takes many documents is tried with as many as it takes.
	Engine bool
	// Stall makes what is behind a store stop answering until release is called. The law about Ping uses it.
	Stall func(t testing.TB, s store.Store) (release func())
	// Skip names laws to leave out, each with the reason.
	Skip map[string]string
	// Every is n to check one of n laws, for a store that differs from one that is held to all of them in how it is
	// connected; 0 for all.
	Every int
}

// Run checks every law against the stores that open returns: fresh, empty, closed when the test ends.
func Run(t *testing.T, open func(t testing.TB) store.Store) {
	t.Helper()
	RunWith(t, Options{Open: open})
}

// RunEngine is [Run] for an engine as such. What takes many documents is tried there with as many as it takes; a
// decorator or another pool on the same engine is tried with few.
func RunEngine(t *testing.T, open func(t testing.TB) store.Store) {
	t.Helper()
	RunWith(t, Options{Open: open, Engine: true})
}

// RunWith is [Run] for a store that can't do everything.
func RunWith(t *testing.T, o Options) {
	t.Helper()
	names := map[string]bool{}
	for i, l := range laws() {
		names[l.name] = true
		if o.Every > 0 && i%o.Every > 0 {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			if why := o.skip(&l); why != "" {
				t.Skip(why)
			}
			l.check(newSuite(t, o))
		})
	}
	for name := range o.Skip {
		if !names[name] {
			t.Errorf("Options.Skip names a law that does not exist: %q", name)
		}
	}
}

func (o *Options) skip(l *law) string {
	switch {
	case o.Skip[l.name] != "":
		return o.Skip[l.name]
	case l.log && o.Queued:
		return "queued batches are not in the log yet"
	case l.log && o.NoLog:
		return "the store has no log of its own"
	case l.actor && o.OwnActor:
		return "the store names the actor itself"
	case l.hides && o.Confines:
		return "the store says itself what is hidden"
	case l.engine && !o.Engine:
		return "a door says who enters a batch"
	}
	return ""
}

// A law is one promise of the contract.
type law struct {
	name  string // a sentence
	check func(*suite)
	log   bool // needs the log of changes
	actor bool // needs the batch's own actor and time
	hides bool // needs a question that leaves out categories
	// engine is set where a door says something of its own in place of what the batch says.
	engine bool
}

// laws returns every law.
func laws() []law {
	var all []law
	for _, part := range [][]law{
		readLaws(), batchLaws(), conditionLaws(), patchLaws(), retireLaws(), listLaws(), searchLaws(), changeLaws(),
		historyLaws(), hiddenLaws(),
		concurrencyLaws(), lifeLaws(), extremeLaws(),
	} {
		all = append(all, part...)
	}
	return all
}

// patience bounds one law: a store that hangs fails it and does not hang the suite.
const patience = 2 * time.Minute

// A suite is the surroundings of one law: a test and a fresh store that holds the category "general".
type suite struct {
	testing.TB
	ctx context.Context // the context of the one test that the suite lives for
	s   store.Store
	o   Options
	// fresh is how many changes the log of a fresh store has.
	fresh int
}

func newSuite(t testing.TB, o Options) *suite {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &suite{TB: t, ctx: ctx, s: o.Open(t), o: o}
	if !o.NoLog && !o.Queued {
		s.fresh = len(s.log())
	}
	s.apply(knowledge.Put(Category(func(c *knowledge.Category) { c.ID = GeneralCategory }), knowledge.NoVersion))
	return s
}

// apply applies a new batch of ops that must succeed.
func (s *suite) apply(ops ...knowledge.Op) knowledge.Receipt {
	s.Helper()
	return s.applyBatch(Batch(ops...))
}

func (s *suite) applyBatch(b knowledge.Batch) knowledge.Receipt {
	s.Helper()
	r, err := s.s.Apply(s.ctx, b)
	if err != nil {
		s.Fatalf("Apply(%s) of %d ops: %v", b.ID, len(b.Ops), err)
	}
	s.checkReceipt(b, r)
	return r
}

// checkReceipt checks what holds for every receipt.
func (s *suite) checkReceipt(b knowledge.Batch, r knowledge.Receipt) {
	s.Helper()
	if r.Batch != b.ID {
		s.Errorf("receipt names batch %s, want %s", r.Batch, b.ID)
	}
	if len(r.Records) != len(b.Ops) {
		s.Fatalf("receipt has %d records for %d ops", len(r.Records), len(b.Ops))
	}
	if r.Queued != (r.Seq == 0) {
		s.Errorf("receipt: queued is %v and seq is %d: seq is 0 while a batch is queued, and only then", r.Queued,
			r.Seq)
	}
	if r.Queued && !s.o.Queued {
		s.Errorf("receipt of %s is queued", b.ID)
	}
	for i, op := range b.Ops {
		rec := r.Records[i]
		if op.Verb.Removes() {
			if rec != nil {
				s.Errorf("receipt: op %d is a %s and left a record of %s behind", i, op.Verb, rec.Key)
			}
			continue
		}
		if rec == nil {
			s.Fatalf("receipt: op %d (%s %s) has no record", i, op.Verb, op.Key)
		}
		if rec.Key != op.Key {
			s.Errorf("receipt: op %d is about %s and its record about %s", i, op.Key, rec.Key)
		}
		s.checkRecord(rec)
	}
}

// put writes documents one batch each, whatever is there, and returns the last record.
func (s *suite) put(docs ...knowledge.Document) *knowledge.Record {
	s.Helper()
	var last *knowledge.Record
	for _, d := range docs {
		last = s.apply(knowledge.Put(d, knowledge.AnyVersion)).Records[0]
	}
	return last
}

// putAll writes documents in large batches, in order.
func (s *suite) putAll(docs ...knowledge.Document) {
	s.Helper()
	for len(docs) > 0 {
		n := min(len(docs), 1000)
		ops := make([]knowledge.Op, n)
		for i, d := range docs[:n] {
			ops[i] = knowledge.Put(d, knowledge.AnyVersion)
		}
		s.apply(ops...)
		docs = docs[n:]
	}
}

// get reads a document that must be there.
func (s *suite) get(k knowledge.Key) *knowledge.Record {
	s.Helper()
	rec, err := s.s.Get(s.ctx, k)
	if err != nil {
		s.Fatalf("Get(%s): %v", k, err)
	}
	if rec == nil {
		s.Fatalf("Get(%s) is nil without an error", k)
	}
	if rec.Key != k {
		s.Fatalf("Get(%s) is the record of %s", k, rec.Key)
	}
	s.checkRecord(rec)
	return rec
}

// refused applies a batch that must fail, and returns the error.
func (s *suite) refused(b knowledge.Batch) error {
	s.Helper()
	r, err := s.s.Apply(s.ctx, b)
	if err == nil {
		s.Fatalf("Apply of %d ops succeeded (seq %d), want an error", len(b.Ops), r.Seq)
	}
	s.checkError(err)
	return err
}
