// Package failover keeps a store answering while its primary is away: reads from a live mirror, writes into a journal that is
// replayed exactly once when the primary is back. DESIGN.md beside this file tells why it is built as it is.
package failover

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Primary is the store that holds the truth, and what a mirror needs of it beyond the contract.
type Primary interface {
	store.Store
	// Position returns where the history of the primary stands now.
	Position(ctx context.Context) (knowledge.Position, error)
	// Snapshot hands everything to sink as it stood at one position: the documents in the order of kind and id, and of each the
	// last versions of its history.
	Snapshot(ctx context.Context, versions int, sink store.Sink) error
}

// A Mirror is a local copy of the primary. Besides the changes of the feed it takes what this instance knows earlier: writes
// that were acknowledged, and writes that wait in the journal.
type Mirror interface {
	store.Reader
	Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error)
	// Position returns where the copy stands; [store.ErrNotFound] while it was never complete.
	Position(ctx context.Context) (knowledge.Position, error)
	// Replicate applies changes of the feed and moves the position, all in one transaction. A document that has an overlay
	// keeps it until Settle, unless the change is the overlay's own batch.
	Replicate(ctx context.Context, changes []knowledge.Change) error
	// Foresee writes what the primary has acknowledged and the feed has not yet brought. Older versions are ignored.
	Foresee(ctx context.Context, left []store.Left) error
	// Overlay lays what waiting batches leave behind over the copy, each over those before it; what is below is kept. A batch that
	// lies there changes nothing, nor does one that the feed has brought.
	Overlay(ctx context.Context, waiting ...store.Entry) error
	// Settle ends the overlays of a batch: what it left at the primary takes their place, or nil: what is below them.
	Settle(ctx context.Context, id knowledge.BatchID, keys []knowledge.Key, applied []store.Left) error
	// Rebuild makes a new copy from what fill hands it and swaps it in when it is complete; overlays are carried over.
	Rebuild(ctx context.Context, fill func(store.Sink) error) error
	// Compare calls fn for every document of the copy, overlays left out, in the order of kind and id.
	Compare(ctx context.Context, fn func(*knowledge.Record) error) error
	// Documents returns at most n documents of the copy after a key, overlays left out, in the order of kind and id.
	Documents(ctx context.Context, after knowledge.Key, n int) ([]*knowledge.Record, error)
	// Check looks for damage.
	Check(ctx context.Context) error
	// Present returns an error when the file is no longer where it was: what is open would be gone after a restart.
	Present() error
	// Overlaid returns the batches that lie over the copy, and the documents that they lie over.
	Overlaid(ctx context.Context) (map[knowledge.BatchID][]knowledge.Key, error)
}

// A Journal keeps batches on disk until the primary has taken them. What it has acknowledged survives a kill.
type Journal interface {
	// Append makes an entry durable. The same batch again changes nothing. A full journal is an [*store.UnavailableError]
	// with NotDone.
	Append(ctx context.Context, e store.Entry) error
	// Find returns a batch that was ever taken, with where it stands; [store.ErrNotFound] otherwise.
	Find(ctx context.Context, id knowledge.BatchID) (store.Entry, store.Outcome, error)
	// Oldest returns at most n waiting entries after a seq, the oldest first; fewer where they are large. None means that there are
	// none.
	Oldest(ctx context.Context, after int64, n int) ([]store.Entry, error)
	// Applied notes what a batch left at the primary; it waits no longer.
	Applied(ctx context.Context, id knowledge.BatchID, seq knowledge.Seq, versions map[knowledge.Key]int64) error
	// Park moves a batch from those that wait for the primary to those that wait for a person. One that the journal has never
	// taken is taken by it.
	Park(ctx context.Context, p store.Parked) error
	// Parked returns what waits for a person, and with resolved also what was decided, newest first.
	Parked(ctx context.Context, resolved bool) ([]store.Parked, error)
	// Resolve notes how a person decided.
	Resolve(ctx context.Context, p store.Parked) error
	// Forget removes batches that were applied, or parked and resolved, before a time, and returns how many.
	Forget(ctx context.Context, before knowledge.Time) (int64, error)
	Depth(ctx context.Context) (store.JournalDepth, error)
}

// Options of a [Store]. Zero values stand for the defaults named.
type Options struct {
	// Connect opens the primary. It is asked again until it succeeds.
	Connect func(context.Context) (Primary, error)
	Mirror  Mirror
	Journal Journal
	// Seed answers when there is neither primary nor mirror.
	Seed store.Reader

	HedgeDelay   time.Duration // how long a read waits for the primary before the mirror answers; 50 ms
	ReadTimeout  time.Duration // how long a read at the primary may take; 2 s
	WriteTimeout time.Duration // how long a write at the primary may take; 2 s; more for large batches
	// ConnectTimeout is how long Connect may take, migrations included; 1 min.
	ConnectTimeout time.Duration
	Failures       int           // consecutive infrastructure failures that open the breaker; 3
	Recovery       time.Duration // how long the breaker stays open before a probe; 30 s
	Soon           time.Duration // the same for a primary that refuses at once, or has several hosts; 3 s, at most Recovery
	Hosts          int           // how many hosts the primary may be on; 1
	Slots          int           // reads at the primary at once; more wait, and then go to the mirror; 16
	Versions       int           // history kept in the mirror, versions of each document; 20
	PollFloor      time.Duration // longest time between two looks at the feed; 250 ms
	CheckEvery     time.Duration // between two comparisons of the mirror with the primary; 1 h
	// RefuseWrites refuses writes in an outage instead of journalling them.
	RefuseWrites bool
	// Caller returns who is calling, whose rights are looked at again before a replay; nil for the batch's actor.
	Caller func(ctx context.Context) string
	// Authorize returns a [*store.ForbiddenError] when a caller may no longer do what a batch does, and another error when that
	// can't be told now; nil for always.
	Authorize func(ctx context.Context, caller string, b *knowledge.Batch) error
	// Settled is told which documents may read otherwise than before although no change says so: a pending batch was applied
	// or parked. Nil keys stand for all of them: the mirror was made anew. It must not block.
	Settled func(keys []knowledge.Key)
	// Event is told of every transition and every other thing worth announcing; nil for nobody. It must not block.
	Event func(Event)
	// Wall is the clock on the wall, for what is told and kept; time.Now. How long something took it does not say: it may be set
	// back and forth.
	Wall func() time.Time
	Log  *slog.Logger
}

// An Event is something that happened to the standing of this instance.
type Event struct {
	At   knowledge.Time `json:"at"`
	Mode knowledge.Mode `json:"mode"`
	From knowledge.Mode `json:"from,omitempty"` // for a change of mode
	Why  string         `json:"why,omitempty"`  // in words
	// Breaker is where the breaker before the primary stands, when it has moved: closed, half-open or open.
	Breaker string             `json:"breaker,omitempty"`
	Queued  *knowledge.BatchID `json:"queued,omitempty"` // for a batch put in the journal
}

// A Store answers from the primary while it can, and from the mirror and the journal while it can't.
type Store struct {
	o       Options
	mirror  Mirror
	journal Journal
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	slots   chan struct{}
	began   time.Time
	primary atomic.Pointer[Primary]
	halt    atomic.Pointer[string] // why a person must act before the primary can be read, nil while nobody must
	// haltWrites is the same for writes; refused counts writes in a row that a read-only primary refused, and writesAfter is
	// when it is asked again, nanoseconds since began.
	haltWrites           atomic.Pointer[string]
	refused, writesAfter atomic.Int64
	refusing             atomic.Bool // the primary's last failure came at once
	// asOf is when the mirror was last known level, by a clock that nobody sets where this process has seen it.
	asOf     atomic.Pointer[time.Time]
	wasLevel atomic.Bool  // the mirror was level at some time since this process began
	applied  atomic.Int64 // seq up to which the mirror has followed
	closed   atomic.Bool
	accept   atomic.Bool   // a person has accepted another history
	check    atomic.Bool   // a person has asked for a comparison
	suspect  atomic.Bool   // the mirror has failed in a way that a sound one does not
	kick     chan struct{} // rung when there is something for the keeper to do: capacity 1, a second ring is the same ring
	bell     bell          // rung when the mirror has followed or the journal has grown
	settled  bell          // rung when a waiting batch was applied or parked
	touched  atomic.Int64  // how often the mirror was given something
	recent   recent
	counts   counts
	work     sync.WaitGroup // reads at the primary that outlive their callers

	// jmu is held while a batch is journalled and overlaid, so that each is made on top of the one before, and read while one is
	// settled: its overlay is there by then.
	jmu sync.RWMutex

	mu    sync.Mutex // guards what follows; never held across a call that leaves the process
	mode  knowledge.Mode
	since time.Time
	why   string
	errs  []string // the last errors of the primary, newest last
	// breakerAt is where the breaker stands, and opened when it did, the zero time while it is closed.
	breakerAt gobreaker.State
	opened    time.Time
	pending   map[knowledge.Key]pending
	waiting   map[knowledge.BatchID]bool
	ready     bool   // the mirror was complete once
	laying    bool   // the first mirror is complete, and what waits is being laid over it
	building  string // why the mirror is being made just now, "" while it is not
	trouble   string // what the mirror has last failed with, "" once it is whole again
	// comparison is the last one of mirror and primary; replayBegan and replayedBefore belong to the replay under way.
	comparison     Comparison
	replayBegan    time.Time
	replayedBefore int64

	chain [32]byte // of the last change that the mirror has applied; only the keeper looks at it
}

var _ store.Store = (*Store)(nil)

// Open returns a store over what o names, in the mode that the mirror and the journal allow before the primary was seen. It
// does nothing by itself until [Store.Run] runs.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = withDefaults(o)
	s := &Store{
		o: o, mirror: o.Mirror, journal: o.Journal, slots: make(chan struct{}, o.Slots), kick: make(chan struct{}, 1),
		began: time.Now(), since: time.Now(), mode: knowledge.ModeCold, why: "starting: the primary was not seen yet",
		pending: map[knowledge.Key]pending{}, waiting: map[knowledge.BatchID]bool{},
	}
	s.bell.init()
	s.settled.init()
	s.recent.init()
	s.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: "primary", MaxRequests: 1, Timeout: min(o.Soon, o.Recovery),
		ReadyToTrip:   func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= o.Failures },
		IsSuccessful:  func(err error) bool { return !counts4breaker(err) },
		IsExcluded:    func(err error) bool { return isGone(err) },
		OnStateChange: func(_ string, _, to gobreaker.State) { s.breakerMoved(to) },
	})
	pos, err := s.mirror.Position(ctx)
	switch {
	case err == nil:
		s.ready, s.mode, s.why = true, knowledge.ModeDegraded, "starting: the primary was not seen yet"
		s.applied.Store(int64(pos.Seq))
		if !pos.At.IsZero() {
			s.asOf.Store(&pos.At.Time)
		}
	case !isNotFound(err):
		return nil, fmt.Errorf("read the mirror's position: %w", err)
	}
	if err := s.restorePending(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func withDefaults(o Options) Options {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&o.HedgeDelay, 50 * time.Millisecond},
		{&o.ReadTimeout, 2 * time.Second},
		{&o.WriteTimeout, 2 * time.Second},
		{&o.ConnectTimeout, time.Minute},
		{&o.Recovery, 30 * time.Second},
		{&o.Soon, 3 * time.Second},
		{&o.PollFloor, 250 * time.Millisecond},
		{&o.CheckEvery, time.Hour},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	for _, d := range []struct {
		v   *int
		def int
	}{{&o.Failures, 3}, {&o.Slots, 16}, {&o.Versions, 20}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	o.Soon = min(o.Soon, o.Recovery)
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// restorePending lays the waiting batches over the mirror again, and takes off those that wait no longer: a kill may have come
// between journal and overlay.
func (s *Store) restorePending(ctx context.Context) error {
	after := int64(0)
	for {
		entries, err := s.journal.Oldest(ctx, after, overlayPage)
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		if len(entries) == 0 {
			// A mirror that does not take what lies over it is no reason not to start: what waits is in the journal.
			if err := s.sweep(ctx); err != nil {
				s.mirrorFailed(ctx, err)
			}
			return nil
		}
		if s.ready {
			if err := s.mirror.Overlay(ctx, entries...); err != nil {
				s.mirrorFailed(ctx, err)
			}
		}
		for i := range entries {
			after = entries[i].Seq
			s.notePending(&entries[i])
		}
	}
}

// sweep takes batches off the mirror that the journal no longer holds as waiting.
func (s *Store) sweep(ctx context.Context) error {
	if !s.hasMirror() {
		return nil
	}
	s.jmu.Lock() // what is being journalled just now waits
	defer s.jmu.Unlock()
	overlaid, err := s.mirror.Overlaid(ctx)
	if err != nil {
		return fmt.Errorf("look at what lies over the mirror: %w", err)
	}
	for id, keys := range overlaid {
		_, out, err := s.journal.Find(ctx, id)
		switch {
		case err != nil && !isNotFound(err):
			return fmt.Errorf("look for batch %s in the journal: %w", id, err)
		case err == nil && out.State == knowledge.BatchQueued,
			// What it left is shown until the feed brings it, which takes it off.
			err == nil && out.State == knowledge.BatchApplied && out.Seq > knowledge.Seq(s.applied.Load()):
			continue
		}
		if err := s.mirror.Settle(ctx, id, keys, nil); err != nil {
			return fmt.Errorf("take batch %s off the mirror: %w", id, err)
		}
		s.tellSettled(keys)
	}
	return nil
}

// notePending needs s.mu, or a store that nobody else has yet.
func (s *Store) notePending(e *store.Entry) {
	s.waiting[e.Batch.ID] = true
	for i := range e.Batch.Ops {
		key := e.Batch.Ops[i].Key
		_, seen := e.LeftOf(key)
		s.pending[key] = pending{e.Batch.ID, seen}
	}
}

// pending is the last batch that waits for a document.
type pending struct {
	batch knowledge.BatchID
	seen  bool // what it leaves behind lies over the mirror
}

// Level returns the mode and the time at which the answers were last known to be current.
func (s *Store) Level() knowledge.Level {
	s.mu.Lock()
	mode := s.mode
	s.mu.Unlock()
	level := knowledge.Level{Mode: mode}
	now := s.o.Wall()
	if asOf := s.asOf.Load(); asOf != nil {
		// The clock may have been set since: how long ago it was still holds. And the position's time is the primary's: never claim
		// to know the future.
		level.AsOf = knowledge.At(now.Add(-max(0, time.Since(*asOf))))
	}
	if mode == knowledge.ModeNormal {
		level.AsOf, level.Local = knowledge.At(now), level.AsOf
	}
	return level
}

// Ready returns nil when reads can be answered, by whatever side.
func (s *Store) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode == knowledge.ModeCold {
		return &store.UnavailableError{Reason: "neither the primary nor a mirror of it can answer: " + s.why, RetryAfter: 5 * time.Second}
	}
	return nil
}

// Ping implements [store.Store]: a store that can answer from its mirror is well.
func (s *Store) Ping(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Ready()
}

// Close implements [store.Store]. The primary and the local files stay open until what still runs on them has ended;
// their owner closes them.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return store.ErrClosed
	}
	s.bell.ring() // whoever waits hears of it
	s.work.Wait()
	return nil
}

// now returns the primary to ask, nil when it should not be asked.
func (s *Store) now() Primary {
	p := s.primary.Load()
	if p == nil {
		return nil
	}
	return *p
}

// bell is a doorbell for any number of waiters.
type bell struct {
	mu sync.Mutex // guards ch
	ch chan struct{}
}

func (b *bell) init() { b.ch = make(chan struct{}) }

// wait returns a channel that is closed at the next ring.
func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}
