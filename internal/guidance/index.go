package guidance

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Options configure an [Index].
type Options struct {
	Store store.Reader // lists all documents when the index is built
	Feed  store.Feed   // the changes since then
	// AsOf returns the time up to which the feed is current; time.Now when nil.
	AsOf func() knowledge.Time
	Log  *slog.Logger // nothing is logged when nil
	// Waits returns the documents that a batch in the journal writes. It is nil if there is no journal.
	Waits func(ctx context.Context, batch knowledge.BatchID) ([]knowledge.Key, error)
	// Served is called with the documents of each answer to a query. It may be nil.
	Served func(ctx context.Context, q *Query, keys []knowledge.Key)
	// TextBytes is the size of the cache of texts; 32 MiB when 0.
	TextBytes int64
}

// An Index answers queries from memory. Make one with [New], fill it with Load or Run.
type Index struct {
	o     Options
	texts *otter.Cache[textKey, texts]
	snap  atomic.Pointer[snapshot]
	ready chan struct{} // closed when there is a first snapshot
	once  sync.Once

	stale stale
	views views

	loads sync.Mutex // held by a load: one at a time

	mu      sync.Mutex // guards the fields below, and swaps of snap
	base    *segment
	changed map[knowledge.Key]*doc // since base was built; nil for a document that no longer holds
	since   map[knowledge.Key]*doc // what was changed while a load reads the documents; nil while none does
	seq     knowledge.Seq
	level   knowledge.Time // the time up to which the feed was followed
	moved   chan struct{}  // closed when there is more than before
}

// A textKey identifies one text of a document.
type textKey struct {
	key knowledge.Key
	sum uint64
}

// New returns an empty index.
func New(o Options) *Index {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.AsOf == nil {
		o.AsOf = func() knowledge.Time { return knowledge.At(time.Now()) }
	}
	if o.TextBytes == 0 {
		o.TextBytes = 32 << 20
	}
	return &Index{
		o: o, ready: make(chan struct{}), moved: make(chan struct{}), stale: stale{bell: make(chan struct{}, 1)},
		changed: map[knowledge.Key]*doc{},
		texts: otter.Must(&otter.Options[textKey, texts]{
			MaximumWeight: uint64(o.TextBytes), //nolint:gosec // not negative
			Weigher: func(k textKey, t texts) uint32 {
				return uint32(len(t.full) + len(t.brief) + len(t.link) + len(k.key.ID) + 200) //nolint:gosec // a document is no longer than its bound
			},
		}),
	}
}

// Load reads every document and then replaces the index. Until then queries are answered from the old one.
func (x *Index) Load(ctx context.Context) error {
	at, err := store.Newest(ctx, x.o.Feed)
	if err != nil {
		return err
	}
	return x.load(ctx, at.Seq)
}

// load reads every document. seq is a change that the log had reached before. What is changed meanwhile stays changed.
func (x *Index) load(ctx context.Context, seq knowledge.Seq) error {
	x.loads.Lock()
	defer x.loads.Unlock()
	x.mu.Lock()
	x.since = map[knowledge.Key]*doc{}
	before := x.seq
	x.mu.Unlock()
	docs, asOf, began := []*doc(nil), x.o.AsOf(), time.Now()
	err := x.readAll(ctx, func(d *doc) { docs = append(docs, d) })
	x.mu.Lock()
	defer x.mu.Unlock()
	since := x.since
	x.since = nil
	if err != nil {
		return err
	}
	x.base = newSegment(docs)
	for key, d := range since {
		if o, ok := x.base.ordinal[key]; ok && d != nil && x.base.docs[o].version > d.version {
			delete(since, key) // the load has read a later version
		}
	}
	if x.seq != before { // the log was followed meanwhile
		seq = max(seq, x.seq)
	}
	x.changed, x.seq, x.level = since, seq, asOf
	x.publish()
	x.once.Do(func() { close(x.ready) })
	x.o.Log.DebugContext(ctx, "guidance built", "documents", len(docs), "patterns", len(x.base.patterns), "took",
		time.Since(began))
	return nil
}

// readAll calls fn with every document that guidance knows.
func (x *Index) readAll(ctx context.Context, fn func(*doc)) error {
	for _, kind := range Kinds() {
		err := store.All(ctx, x.o.Store, knowledge.Query{
			Kind:  kind,
			Order: knowledge.OrderID,
		}, func(r *knowledge.Record) error {
			d, _, err := docOf(r)
			if err != nil {
				return fmt.Errorf("read %s: %w", r.Key, err)
			}
			if d != nil {
				fn(d)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// publish swaps in a new snapshot of base and changed. The caller holds the lock.
func (x *Index) publish() {
	if len(x.changed) > max(256, len(x.base.docs)/32) {
		x.rebuild()
	}
	s := &snapshot{seq: x.seq, base: x.base}
	var docs []*doc
	if len(x.changed) > 0 {
		s.hidden = newBitset(len(x.base.docs))
	}
	for key, d := range x.changed {
		if o, ok := x.base.ordinal[key]; ok {
			s.hidden.set(o)
		}
		if d != nil {
			docs = append(docs, d)
		}
	}
	s.recent = newSegment(docs)
	x.snap.Store(s)
	x.step()
}

// rebuild merges base and changed into a new base.
func (x *Index) rebuild() {
	docs := make([]*doc, 0, len(x.base.docs)+len(x.changed))
	for _, d := range x.base.docs {
		if _, newer := x.changed[d.key]; !newer {
			docs = append(docs, d)
		}
	}
	for _, d := range x.changed {
		if d != nil {
			docs = append(docs, d)
		}
	}
	x.base, x.changed = newSegment(docs), map[knowledge.Key]*doc{}
}

// known returns the newest index entry of a document, or nil. The caller holds the lock.
func (x *Index) known(key knowledge.Key) *doc {
	if d, ok := x.changed[key]; ok {
		return d
	}
	if o, ok := x.base.ordinal[key]; ok {
		return x.base.docs[o]
	}
	return nil
}

// learn applies changes to the index, in their order.
func (x *Index) learn(ctx context.Context, changes []knowledge.Change) {
	x.mu.Lock()
	defer x.mu.Unlock()
	touched := false
	for i := range changes {
		c := &changes[i]
		if old := x.known(c.Key); old != nil && old.version > c.Version && old.pending == (knowledge.BatchID{}) &&
			!c.Verb.Removes() {
			continue // load has already read a later version
		}
		touched = x.set(ctx, c.Key, c.Record) || touched
	}
	x.seq = max(x.seq, changes[len(changes)-1].Seq) // load may have run in between
	if touched {
		x.publish()
		return
	}
	next := *x.snap.Load()
	next.seq = x.seq
	x.snap.Store(&next)
	x.step()
}

// set updates the index entry of a document, and reports whether that can change an answer. The caller holds the lock.
func (x *Index) set(ctx context.Context, key knowledge.Key, r *knowledge.Record) bool {
	d, _, err := docOf(r)
	if err != nil {
		x.o.Log.ErrorContext(ctx, "a document can't be read: guidance leaves it out", "document", key.String(),
			"error", err)
	}
	if x.since != nil {
		x.since[key] = d
	}
	if old := x.known(key); d == nil && old == nil {
		return false
	}
	x.changed[key] = d
	return true
}
