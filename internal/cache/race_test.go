package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/awaittest"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A state is what a version of a document looks like to those who list.
type state struct {
	there, active bool
	category      string
}

// A tracked document knows every version that was ever begun, and which one was last acknowledged.
type tracked struct {
	key   knowledge.Key
	write sync.Mutex // held by the one who writes it

	mu     sync.Mutex // guards the fields below
	states []state    // by version; the first: before it was there
	seqs   []knowledge.Seq
	acked  int64
}

// bounds returns the oldest version that a read which begins now may show: the last acknowledged one, or, for a reader
// who follows the log, the last one up to a seq.
func (d *tracked) oldest(followed knowledge.Seq) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if followed < 0 {
		return d.acked
	}
	v := d.acked
	for v > 0 && d.seqs[v] > followed {
		v--
	}
	return v
}

// some reports whether one of the versions from the oldest to the newest is as wanted.
func (d *tracked) some(oldest int64, want func(version int64, st state) bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for v := oldest; v < int64(len(d.states)); v++ {
		if want(v, d.states[v]) {
			return true
		}
	}
	return false
}

// A history is what a checker knows of the documents that are written and read at once.
type history struct {
	docs   []*tracked
	byKey  map[knowledge.Key]*tracked
	writes atomic.Int64
	reads  atomic.Int64

	mu     sync.Mutex // guards faults
	faults []string
}

func newHistory(n int) *history {
	h := &history{byKey: map[knowledge.Key]*tracked{}}
	for i := range n {
		d := &tracked{
			key:    knowledge.Key{Kind: knowledge.KindRule, ID: fmt.Sprintf("rule-%d", i)},
			states: []state{{}}, seqs: []knowledge.Seq{0},
		}
		h.docs, h.byKey[d.key] = append(h.docs, d), d
	}
	return h
}

func (h *history) fault(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.faults) < 20 {
		h.faults = append(h.faults, fmt.Sprintf(format, args...))
	}
}

// some returns a document, some more often than others.
func (h *history) some(r *rand.Rand) *tracked {
	return h.docs[min(r.IntN(len(h.docs)), r.IntN(len(h.docs)))]
}

// change writes a document once: mostly its text, sometimes what moves it.
func (h *history) change(ctx context.Context, s store.Store, r *rand.Rand) error {
	d := h.some(r)
	d.write.Lock()
	defer d.write.Unlock()
	d.mu.Lock()
	before := d.states[len(d.states)-1]
	d.mu.Unlock()
	next, op := before, knowledge.Op{Key: d.key}
	switch n := r.IntN(40); {
	case !before.there || n < 2:
		next = state{there: true, active: true, category: fmt.Sprintf("category-%d", r.IntN(3))}
		op = knowledge.Put(rule(d.key.ID, func(doc *knowledge.Rule) { doc.Category = next.category }),
			knowledge.AnyVersion)
	case n < 3:
		op.Verb, next.active = knowledge.VerbRetire, false
	case n < 6:
		op.Verb, next.active = knowledge.VerbRestore, true
	case n < 7:
		op.Verb, next = knowledge.VerbPurge, state{}
	default:
		op.Verb, op.Patch = knowledge.VerbPatch, fmt.Appendf(nil, `{"description":"text %d"}`, r.Int64())
	}
	d.mu.Lock()
	d.states, d.seqs = append(d.states, next), append(d.seqs, 0)
	version := int64(len(d.states) - 1)
	d.mu.Unlock()
	receipt, err := s.Apply(ctx, storetest.Batch(op))
	if err != nil {
		return err
	}
	if rec := receipt.Records[0]; rec != nil && rec.Version != version {
		return fmt.Errorf("%s: version %d was written, want %d", d.key, rec.Version, version)
	}
	d.mu.Lock()
	d.acked, d.seqs[version] = version, receipt.Seq
	d.mu.Unlock()
	h.writes.Add(1)
	return nil
}

// A reader checks what it reads, and that it never goes back in time. What it was shown by one kind of answer holds for
// every other kind.
type reader struct {
	h    *history
	s    store.Store
	rnd  *rand.Rand
	seen map[knowledge.Key]int64
	// followed is how far the feed was followed on this side; nil when the reader is where the writers are.
	followed func() knowledge.Seq
	steps    bool // whether going back in time is looked for
}

// begin returns how old each document may be at most for a read that begins now.
func (r *reader) begin(docs ...*tracked) map[knowledge.Key]int64 {
	followed := knowledge.Seq(-1)
	if r.followed != nil {
		followed = r.followed()
	}
	oldest := make(map[knowledge.Key]int64, len(docs))
	for _, d := range docs {
		oldest[d.key] = d.oldest(followed)
	}
	return oldest
}

func (r *reader) shown(how string, d *tracked, rec *knowledge.Record, oldest int64, fits func(state) bool) {
	if !d.some(oldest, func(v int64, st state) bool { return v == rec.Version && fits(st) }) {
		r.h.fault("%s: %s at version %d, active %v in %q, is older than the acknowledged %d or never was so",
			how, d.key, rec.Version, rec.Active, rec.Category, oldest)
	}
	if r.steps && rec.Version < r.seen[d.key] {
		r.h.fault("%s: %s at version %d after version %d was shown to the same reader", how, d.key, rec.Version,
			r.seen[d.key])
	}
	r.seen[d.key] = max(r.seen[d.key], rec.Version)
}

func (r *reader) absent(how string, d *tracked, oldest int64, fits func(state) bool) {
	if !d.some(oldest, func(_ int64, st state) bool { return fits(st) }) {
		r.h.fault("%s: %s is missing, against everything that was true since version %d", how, d.key, oldest)
	}
}

// read reads something and checks it.
func (r *reader) read(ctx context.Context) error {
	r.h.reads.Add(1)
	switch n := r.rnd.IntN(100); {
	case n < 55:
		return r.get(ctx, "get")
	case n < 57:
		return r.get(store.WithFresh(ctx), "fresh get")
	case n < 85: // pushes what is checked out of the hot tier
		_, err := r.s.Get(ctx, knowledge.Key{
			Kind: knowledge.KindPractice,
			ID:   fmt.Sprintf("ballast-%d", r.rnd.IntN(ballast)),
		})
		return err
	case n < 97:
		return r.list(ctx)
	default:
		return r.search(ctx)
	}
}

func (r *reader) get(ctx context.Context, how string) error {
	d := r.h.some(r.rnd)
	oldest := r.begin(d)[d.key]
	rec, err := r.s.Get(ctx, d.key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		r.absent(how, d, oldest, func(st state) bool { return !st.there })
	case err != nil:
		return err
	default:
		r.shown(how, d, rec, oldest, func(st state) bool {
			return st.there && st.active == rec.Active && st.category == rec.Category
		})
	}
	return nil
}

func (r *reader) list(ctx context.Context) error {
	q := knowledge.Query{Kind: knowledge.KindRule, Limit: knowledge.MaxLimit}
	if n := r.rnd.IntN(4); n < 3 {
		q.Category = fmt.Sprintf("category-%d", n)
	}
	if r.rnd.IntN(2) == 0 {
		q.Activity = knowledge.AnyActivity
	}
	listed := func(st state) bool {
		return st.there && (st.active || q.Activity == knowledge.AnyActivity) && (q.Category == "" ||
			st.category == q.Category)
	}
	oldest := r.begin(r.h.docs...)
	page, err := r.s.List(ctx, q)
	if err != nil {
		return err
	}
	on := map[knowledge.Key]bool{}
	for _, rec := range page.Records {
		on[rec.Key] = true
		r.shown("list", r.h.byKey[rec.Key], rec, oldest[rec.Key], listed)
	}
	for _, d := range r.h.docs {
		if !on[d.key] {
			r.absent("list", d, oldest[d.key], func(st state) bool { return !listed(st) })
		}
	}
	return nil
}

func (r *reader) search(ctx context.Context) error {
	found := func(st state) bool { return st.there && st.active }
	oldest := r.begin(r.h.docs...)
	hits, err := r.s.Search(ctx, knowledge.SearchQuery{
		Text:  "descriptors",
		Kinds: []knowledge.Kind{knowledge.KindRule},
	})
	if err != nil {
		return err
	}
	on := map[knowledge.Key]bool{}
	for _, hit := range hits.Hits {
		on[hit.Record.Key] = true
		r.shown("search", r.h.byKey[hit.Record.Key], hit.Record, oldest[hit.Record.Key], found)
	}
	for _, d := range r.h.docs {
		if !on[d.key] {
			r.absent("search", d, oldest[d.key], func(st state) bool { return !found(st) })
		}
	}
	return nil
}

// hammering says how hard and how long the stores are used.
type hammering struct {
	writers, readers int
	rounds           int           // of each reader and writer, when length is 0
	length           time.Duration // how long
	steps            bool
}

// soak returns how long a soak lasts, or skips the test.
func soak(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TENET_SOAK")
	if text == "" {
		t.Skip("TENET_SOAK is not set: it says how long to soak, as in 10m")
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("TENET_SOAK: %v", err)
	}
	return d
}

// hammer writes to and reads from stores at once: a write for every few reads. Those who read where they don't write
// know how far the feed was followed.
func (h *history) hammer(t *testing.T, o hammering, writes []store.Store, reads []reader) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	if o.length > 0 {
		ctx, cancel = context.WithTimeout(t.Context(), o.length)
		o.rounds = 1 << 40
	}
	defer cancel()
	turns := make(chan struct{}, o.writers)
	var readers, writers sync.WaitGroup
	for i := range o.readers {
		readers.Go(func() {
			one := reads[i%len(reads)]
			one.h, one.rnd, one.seen, one.steps = h, rand.New(rand.NewPCG(uint64(i), 1)), map[knowledge.Key]int64{},
				o.steps
			for n := 0; n < o.rounds && ctx.Err() == nil && len(h.found()) == 0; n++ {
				if err := one.read(ctx); err != nil && ctx.Err() == nil {
					h.fault("read: %v", err)
				}
				if n%readsPerWrite == 0 {
					select {
					case turns <- struct{}{}:
					case <-ctx.Done():
					}
				}
			}
		})
	}
	for i := range o.writers {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 2))
			for range turns {
				if err := h.change(ctx, writes[r.IntN(len(writes))], r); err != nil && ctx.Err() == nil {
					h.fault("write: %v", err)
				}
			}
		})
	}
	readers.Wait()
	close(turns)
	writers.Wait()
	t.Logf("%d writes, %d reads", h.writes.Load(), h.reads.Load())
}

func (h *history) found() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.faults
}

func (h *history) mustBeSound(t *testing.T) {
	t.Helper()
	for _, fault := range h.found() {
		t.Error(fault)
	}
}

// dawdle takes some time, sometimes much.
func dawdle(string) {
	n := rand.IntN(4)
	if rand.IntN(16) == 0 {
		n = 50
	}
	for range n {
		runtime.Gosched()
	}
}

// raceOptions let everything happen: there is room for pages that are ready to send, and the ballast is too large for
// the hot tier.
func raceOptions() Options { return Options{Hot: 8 << 20, Warm: MinWarm} }

const (
	raceDocs      = 24
	ballast       = 800
	readsPerWrite = 20
)

// raceSource returns a slow source that holds the ballast.
func raceSource(t *testing.T) *source {
	src := newSource()
	for i := range ballast {
		id := fmt.Sprint("ballast-", i)
		text := strings.Repeat(id+" is heavy. ", 1000)
		src.docs[knowledge.KindPractice][id] = &knowledge.Record{
			Key: knowledge.Key{Kind: knowledge.KindPractice, ID: id}, Version: 1, Active: true, JSON: []byte(text),
			Source: knowledge.SourcePrimary,
		}
	}
	src.pause = dawdle
	return src
}

func raceOnOne(t *testing.T, o hammering) {
	src := raceSource(t)
	s := openTest(t, src, raceOptions())
	run(t, s)
	h := newHistory(raceDocs)
	h.hammer(t, o, []store.Store{s}, []reader{{s: s}})
	h.mustBeSound(t)
	st := s.Stats()
	t.Logf("records %+v, lists %+v, searches %+v; demoted %d, promoted %d, evicted %d", st.Records.SinceStart,
		st.Lists.SinceStart,
		st.Searches.SinceStart, st.Demoted, st.Promoted, st.EvictedRoom)
	if st.Demoted == 0 || st.Promoted == 0 || st.Records.SinceStart.Hot == 0 || st.Lists.SinceStart.Hot == 0 {
		t.Error("the test did not reach every way through the cache")
	}
}

func TestNoReadIsOlderThanAnAcknowledgedWrite(t *testing.T) {
	raceOnOne(t, hammering{writers: 3, readers: 8, rounds: 3000, steps: true})
}

func TestSoakNoReadIsOlderThanAnAcknowledgedWrite(t *testing.T) {
	raceOnOne(t, hammering{writers: 4, readers: 8, length: soak(t), steps: true})
}

// raceOnTwo lets two instances write to one source and read what both have written, each as far as it has followed the
// feed.
func raceOnTwo(t *testing.T, o hammering) {
	src := raceSource(t)
	var stores []store.Store
	var reads []reader
	for range 2 {
		s := openTest(t, shared{src}, raceOptions())
		run(t, s)
		stores = append(stores, s)
		reads = append(reads, reader{s: s, followed: s.Followed})
	}
	h := newHistory(raceDocs)
	h.hammer(t, o, stores, reads)
	h.mustBeSound(t)
	end := src.begin + knowledge.Seq(len(src.log))
	for i, s := range stores {
		s := s.(*Store)
		await(t, "the feed is followed to its end", func() bool { return s.Followed() >= end })
		one := reader{h: h, s: s, rnd: rand.New(rand.NewPCG(uint64(i), 1)), seen: map[knowledge.Key]int64{}}
		for range 1000 { // now both must show the same
			if err := one.read(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.mustBeSound(t)
}

func TestNoReadElsewhereIsOlderThanTheFeed(t *testing.T) {
	raceOnTwo(t, hammering{writers: 3, readers: 8, rounds: 2000, steps: true})
}

func TestSoakNoReadElsewhereIsOlderThanTheFeed(t *testing.T) {
	raceOnTwo(t, hammering{writers: 4, readers: 8, length: soak(t), steps: true})
}

// await waits until something is so.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	if !awaittest.Until(30*time.Second, so) {
		t.Fatalf("waited in vain until %s", what)
	}
}

// A broken cache is one that its author took for a sound one.
type broken struct {
	store.Store
	bug    string
	stamps *stamps

	mu    sync.Mutex // guards the fields below
	items map[string]*item
}

func (b *broken) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	at := key.String()
	dep := stripeOf(key)
	b.mu.Lock()
	it := b.items[at]
	b.mu.Unlock()
	if it != nil && b.stamps.holds(it.asOf, dep) {
		return it.rec, it.absent
	}
	asOf := b.stamps.now()
	rec, err := b.Store.Get(ctx, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if b.bug == "stamps after the load" {
		asOf = b.stamps.now()
	}
	b.mu.Lock()
	b.items[at] = &item{asOf: asOf, rec: rec, absent: err}
	b.mu.Unlock()
	return rec, err
}

func (b *broken) Apply(ctx context.Context, batch knowledge.Batch) (knowledge.Receipt, error) {
	dep := stripeOf(batch.Ops[0].Key)
	if b.bug == "stamps before the commit" {
		b.stamps.change(dep)
	}
	receipt, err := b.Store.Apply(ctx, batch)
	switch b.bug {
	case "stamps before the commit", "never stamps":
	case "deletes and does not stamp":
		b.mu.Lock()
		delete(b.items, batch.Ops[0].Key.String())
		b.mu.Unlock()
	default:
		b.stamps.change(dep)
	}
	return receipt, err
}

func TestTheCheckerFindsBrokenCaches(t *testing.T) {
	for _, bug := range []string{
		"", "stamps after the load", "stamps before the commit", "deletes and does not stamp",
		"never stamps",
	} {
		t.Run("bug="+strings.ReplaceAll(bug, " ", "_"), func(t *testing.T) {
			src := raceSource(t)
			s := &broken{Store: src, bug: bug, stamps: new(stamps), items: map[string]*item{}}
			h := newHistory(raceDocs)
			rounds := 1500
			if bug != "" {
				rounds = 50_000 // it ends with the first fault
			}
			h.hammer(t, hammering{writers: 3, readers: 8, rounds: rounds}, []store.Store{s}, []reader{{s: s}})
			if found := len(h.found()) > 0; found != (bug != "") {
				t.Errorf("faults: %q", h.found())
			}
		})
	}
}
