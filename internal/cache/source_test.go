package cache

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A source is a small engine in memory that can be made slow, late and unreachable: it answers what was true when it
// was asked, some time later.
type source struct {
	// pause is called between a read and its answer, and between a commit and its receipt; nil for no pause.
	pause func(what string)
	// asked counts the reads.
	asked atomic.Int64

	mu     sync.Mutex // guards the fields below
	docs   map[knowledge.Kind]map[string]*knowledge.Record
	past   map[knowledge.Key]int64 // the last version of what was purged
	log    []knowledge.Change
	begin  knowledge.Seq // the log no longer holds what comes before
	bell   chan struct{}
	away   error // what every call answers, nil for none
	closed bool
}

var _ store.Store = (*source)(nil)

func newSource() *source {
	docs := map[knowledge.Kind]map[string]*knowledge.Record{}
	for _, k := range knowledge.Kinds() {
		docs[k] = map[string]*knowledge.Record{}
	}
	return &source{docs: docs, past: map[knowledge.Key]int64{}, bell: make(chan struct{})}
}

// enter locks the source, or says why it can't be asked.
func (s *source) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	err := s.away
	if s.closed {
		err = store.ErrClosed
	}
	if err != nil {
		s.mu.Unlock()
	}
	return err
}

// leave unlocks the source and takes its time.
func (s *source) leave(what string) {
	s.mu.Unlock()
	if s.pause != nil {
		s.pause(what)
	}
}

func (s *source) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	s.asked.Add(1)
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	rec := s.docs[key.Kind][key.ID]
	s.leave("get")
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, &store.NotFoundError{Key: key}
	}
	return rec, nil
}

func (s *source) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	s.asked.Add(1)
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	page := &knowledge.Page{Records: []*knowledge.Record{}, Source: knowledge.SourcePrimary}
	for _, rec := range s.docs[q.Kind] {
		if (q.Category == "" || rec.Category == q.Category) && (rec.Active || q.Activity == knowledge.AnyActivity) &&
			(q.Tag == "" || tagged(rec, q.Tag)) {
			page.Records = append(page.Records, rec)
		}
	}
	s.leave("list")
	slices.SortFunc(page.Records, func(a, b *knowledge.Record) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Key.ID, b.Key.ID))
	})
	if q.Limit > 0 && len(page.Records) > q.Limit {
		page.Records = page.Records[:q.Limit]
	}
	return page, nil
}

// tagged reports whether a rule carries a tag.
func tagged(rec *knowledge.Record, tag string) bool {
	doc, err := rec.Document()
	if err != nil {
		panic(err) // a test's own mistake
	}
	r, ok := doc.(*knowledge.Rule)
	return ok && slices.Contains(r.Tags, tag)
}

func (s *source) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	s.asked.Add(1)
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	found := &knowledge.Hits{Hits: []knowledge.Hit{}, Source: knowledge.SourcePrimary}
	for _, kind := range q.Kinds {
		for _, rec := range s.docs[kind] {
			if rec.Active && bytes.Contains(rec.JSON, []byte(q.Text)) {
				found.Hits = append(found.Hits, knowledge.Hit{Record: rec})
			}
		}
	}
	s.leave("search")
	if q.Limit > 0 && len(found.Hits) > q.Limit {
		found.Hits = found.Hits[:q.Limit]
	}
	return found, nil
}

func (s *source) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if err := b.Validate(); err != nil {
		return knowledge.Receipt{}, err
	}
	if err := s.enter(ctx); err != nil {
		return knowledge.Receipt{}, err
	}
	receipt := knowledge.Receipt{Batch: b.ID}
	for i := range b.Ops {
		if got := s.version(b.Ops[i].Key); b.Ops[i].IfVersion > 0 && got != b.Ops[i].IfVersion {
			s.mu.Unlock()
			return knowledge.Receipt{}, &store.ConflictError{
				Key: b.Ops[i].Key, Op: i, Want: b.Ops[i].IfVersion,
				Got: got,
			}
		}
	}
	for i := range b.Ops {
		rec := s.apply(&b, &b.Ops[i], i < len(b.Ops)-1)
		receipt.Records = append(receipt.Records, rec)
	}
	receipt.Seq = s.begin + knowledge.Seq(len(s.log))
	close(s.bell)
	s.bell = make(chan struct{})
	s.leave("apply")
	return receipt, nil
}

func (s *source) version(key knowledge.Key) int64 {
	if rec := s.docs[key.Kind][key.ID]; rec != nil {
		return rec.Version
	}
	return 0
}

func (s *source) apply(b *knowledge.Batch, op *knowledge.Op, more bool) *knowledge.Record {
	before := s.docs[op.Key.Kind][op.Key.ID]
	var doc knowledge.Document
	if before != nil {
		doc, _ = before.Document()
	}
	next, err := op.Next(doc)
	if err != nil {
		panic(err) // a test's own mistake
	}
	c := knowledge.Change{
		Batch: b.ID, Verb: op.Verb, Key: op.Key, Actor: b.Actor, More: more,
		Version: s.past[op.Key] + 1,
	}
	if before != nil {
		c.Version = before.Version + 1
	}
	if next != nil {
		if next, err = knowledge.Clone(next); err != nil {
			panic(err)
		}
		knowledge.StampNext(next, doc, s.past[op.Key], b.Actor, knowledge.Time{})
		if c.Record, err = knowledge.NewRecord(next); err != nil {
			panic(err)
		}
		c.Hash = sha256.Sum256(c.Record.JSON)
		s.docs[op.Key.Kind][op.Key.ID] = c.Record
		delete(s.past, op.Key)
	} else {
		s.past[op.Key] = c.Version
		delete(s.docs[op.Key.Kind], op.Key.ID)
	}
	c.Seq = s.begin + knowledge.Seq(len(s.log)) + 1
	var prev [32]byte
	if len(s.log) > 0 {
		prev = s.log[len(s.log)-1].Chain
	}
	c.Chain = knowledge.NextChain(prev, &c)
	s.log = append(s.log, c)
	return c.Record
}

func (s *source) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	q, err := q.Check()
	if err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if q.Newest {
		if len(s.log) == 0 {
			return nil, nil
		}
		return []knowledge.Change{s.log[len(s.log)-1]}, nil
	}
	if q.After < s.begin {
		return nil, &store.GoneError{Oldest: s.begin + 1}
	}
	at := min(int(q.After-s.begin), len(s.log))
	end := min(at+q.Limit, len(s.log))
	for end > at && end < len(s.log) && s.log[end-1].More {
		end++
	}
	return slices.Clone(s.log[at:end]), nil
}

func (s *source) Wait(ctx context.Context, after knowledge.Seq) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	bell, there := s.bell, s.begin+knowledge.Seq(len(s.log)) > after
	s.mu.Unlock()
	if there {
		return nil
	}
	select {
	case <-bell:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *source) Ping(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.mu.Unlock()
	return nil
}

func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.closed = true
	close(s.bell)
	s.bell = make(chan struct{})
	return nil
}

// setAway makes every call fail, or with nil succeed again.
func (s *source) setAway(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = err
}

// shared is a source that outlives the caches over it.
type shared struct{ store.Store }

// Close implements [store.Store].
func (shared) Close() error { return nil }

// write applies one op and returns what it left.
func write(t testing.TB, s store.Store, op knowledge.Op) *knowledge.Record {
	t.Helper()
	receipt, err := s.Apply(t.Context(), storetest.Batch(op))
	if err != nil {
		t.Fatalf("%s %s: %v", op.Verb, op.Key, err)
	}
	return receipt.Records[0]
}

// put writes a document and returns its record.
func put(t testing.TB, s store.Store, doc knowledge.Document) *knowledge.Record {
	t.Helper()
	return write(t, s, knowledge.Put(doc, knowledge.AnyVersion))
}

// get reads a document that must be there.
func get(t testing.TB, s store.Store, key knowledge.Key) *knowledge.Record {
	t.Helper()
	rec, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get(%s): %v", key, err)
	}
	return rec
}

// list reads a page that must be there.
func list(t testing.TB, s store.Store, q knowledge.Query) *knowledge.Page {
	t.Helper()
	page, err := s.List(t.Context(), q)
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return page
}

// rule returns a rule with an id of the test's choice.
func rule(id string, changes ...func(*knowledge.Rule)) *knowledge.Rule {
	return storetest.Rule(append(changes, func(r *knowledge.Rule) { r.RuleID = id })...)
}

// openTest opens a cache over a store and closes it at the end. It follows the feed only with [run].
func openTest(t testing.TB, next store.Store, o Options) *Store {
	t.Helper()
	if o.Hot == 0 {
		o.Hot = 64 << 20
	}
	s, err := Open(t.Context(), next, o)
	if err != nil {
		t.Fatalf("open the cache: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// run runs a cache until the end of the test or the call of the function that it returns.
func run(t testing.TB, s *Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}
