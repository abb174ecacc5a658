// Package failover keeps a store answering while its primary is down: reads come from a mirror, and writes go to a
// journal that is replayed exactly once when the primary is back. DESIGN.md in this directory explains the design.
package failover

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Primary is the authoritative store, with the calls that a mirror needs beyond the contract.
type Primary interface {
	store.Store
	// Position returns the current end of the primary's history.
	Position(ctx context.Context) (knowledge.Position, error)
	// Newest returns the seq of the newest change, 0 if there is none, by one cheap query.
	Newest(ctx context.Context) (knowledge.Seq, error)
	// Snapshot writes the state at one position to sink: the documents ordered by kind and id, and the last versions of
	// each document's history.
	Snapshot(ctx context.Context, versions int, sink store.Sink) error
}

// A Mirror is a local copy of the primary. Besides the changes of the feed it takes what this instance knows earlier:
// acknowledged writes, and writes that wait in the journal.
type Mirror interface {
	store.Reader
	Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error)
	// Position returns the mirror's position in the log; [store.ErrNotFound] until it is complete for the first time.
	Position(ctx context.Context) (knowledge.Position, error)
	// SetIdentity notes the cluster and the timeline of the primary whose history the mirror follows.
	SetIdentity(ctx context.Context, system string, timeline int64) error
	// Replicate applies changes of the feed and moves the position, in one transaction. A document with an overlay
	// keeps the overlay until Settle, unless the change belongs to the overlay's own batch.
	Replicate(ctx context.Context, changes []knowledge.Change) error
	// Foresee writes documents that the primary has acknowledged and the feed has not yet brought. Older versions are
	// ignored.
	Foresee(ctx context.Context, left []store.Left) error
	// Overlay lays the documents of waiting batches over the mirror, each batch over the earlier ones; the documents
	// below are kept. A batch that is already laid, or that the feed has brought, changes nothing.
	Overlay(ctx context.Context, waiting ...store.Entry) error
	// Settle removes the overlays of a batch. The documents that it left at the primary take their place; if applied is
	// nil, the documents below show again.
	Settle(ctx context.Context, id knowledge.BatchID, keys []knowledge.Key, applied []store.Left) error
	// Rebuild makes a new mirror from what fill writes to the sink, and swaps it in when it is complete. Overlays are
	// carried over.
	Rebuild(ctx context.Context, fill func(store.Sink) error) error
	// Compare calls fn for every document of the mirror, without overlays, ordered by kind and id.
	Compare(ctx context.Context, fn func(*knowledge.Record) error) error
	// Documents returns at most n documents of the mirror after a key, without overlays, ordered by kind and id.
	Documents(ctx context.Context, after knowledge.Key, n int) ([]*knowledge.Record, error)
	// Check looks for damage.
	Check(ctx context.Context) error
	// Present returns an error when the file is no longer in its place: the open file would be missing after a restart.
	Present() error
	// Overlaid returns the batches that are laid over the mirror, each with the documents it covers.
	Overlaid(ctx context.Context) (map[knowledge.BatchID][]knowledge.Key, error)
}

// A Journal keeps batches on disk until the primary has taken them. Acknowledged entries survive a crash.
type Journal interface {
	// Append makes an entry durable. A batch that is already there changes nothing. A full journal is an
	// [*store.UnavailableError] with NotDone.
	Append(ctx context.Context, e store.Entry) error
	// Find returns a batch that was ever in the journal, with its state; [store.ErrNotFound] otherwise.
	Find(ctx context.Context, id knowledge.BatchID) (store.Entry, store.Outcome, error)
	// Oldest returns at most n waiting entries after a seq, the oldest first; fewer where they are large. An empty
	// result means that none wait.
	Oldest(ctx context.Context, after int64, n int) ([]store.Entry, error)
	// Applied notes the versions that a batch has at the primary, and ends its waiting.
	Applied(ctx context.Context, id knowledge.BatchID, seq knowledge.Seq, versions map[knowledge.Key]int64) error
	// Park sets a batch aside for a person. It also takes a batch that was never in the journal.
	Park(ctx context.Context, p store.Parked) error
	// Parked returns parked batches that match the query, the newest first.
	Parked(ctx context.Context, q store.ParkedQuery) ([]store.Parked, error)
	// Resolve notes a person's decision.
	Resolve(ctx context.Context, p store.Parked) error
	// Forget removes batches that were applied, or resolved, before a time, and returns how many.
	Forget(ctx context.Context, before knowledge.Time) (int64, error)
	Depth(ctx context.Context) (store.JournalDepth, error)
}

// An Event is a change of this instance's mode or breaker, or a batch put in the journal.
type Event struct {
	At   knowledge.Time `json:"at"`
	Mode knowledge.Mode `json:"mode"`
	From knowledge.Mode `json:"from,omitempty"` // for a change of mode
	Why  string         `json:"why,omitempty"`  // in words
	// Breaker is the breaker's new state, when it has changed: closed, half-open or open.
	Breaker string             `json:"breaker,omitempty"`
	Queued  *knowledge.BatchID `json:"queued,omitempty"` // for a batch put in the journal
}

// A Store answers reads from the mirror. It sends writes to the primary, and to the journal while the primary can't
// take them. It assembles the parts; each part has one job.
type Store struct {
	o        *Options
	life     *life
	board    *board
	counts   *counts
	modes    *modes
	copy     *localCopy
	queue    *queue
	reader   *reader
	writer   *writer
	replayer *replayer
	desk     *desk
	keeper   *keeper
}

var _ store.Store = (*Store)(nil)

// counts are totals since the start.
type counts struct {
	fellBack, passed, queued, replayed, parked, mirrorErrors, resyncs, transitions, breakerMoves atomic.Int64
}

// A life is the lifetime of one process: its start, its end, and the calls still running.
type life struct {
	began  time.Time
	closed atomic.Bool
	work   sync.WaitGroup // calls to the primary that outlive their callers
}

func (l *life) checkOpen() error {
	if l.closed.Load() {
		return store.ErrClosed
	}
	return nil
}

// Open returns a store with the parts that options names, in the mode that the mirror and the journal allow before the
// primary has answered. It starts nothing: [Store.Run] does. If much waits in the journal, Run first lays it over the
// mirror; reads are answered meanwhile.
func Open(ctx context.Context, options Options) (*Store, error) {
	o := withDefaults(options)
	s := assemble(&o)
	pos, err := o.Mirror.Position(ctx)
	switch {
	case err == nil:
		s.modes.begin()
		s.copy.applied.Store(int64(pos.Seq))
		if !pos.At.IsZero() {
			s.copy.asOf.Store(&pos.At.Time)
		}
	case !isNotFound(err):
		return nil, fmt.Errorf("read the mirror's position: %w", err)
	}
	depth, err := o.Journal.Depth(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	if depth.Entries <= overlayPage && depth.Bytes <= soonBytes {
		if err := s.queue.restore(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// assemble builds the parts of a store, each from the parts before it.
func assemble(o *Options) *Store {
	life, board, counts, acks := &life{began: time.Now()}, newBoard(o), &counts{}, newAcks()
	modes := newModes(o, board, counts)
	up := newUpstream(o, life, modes)
	copied := &localCopy{o: o, life: life, board: board, modes: modes, counts: counts}
	copied.mirror = watched{o.Mirror, copied.failed}
	waits := newWaitlist(o.Journal)
	ground := &ground{copy: copied, waits: waits, journal: o.Journal}
	past := &past{o: o, life: life, up: up, copy: copied, acks: acks, journal: o.Journal}
	queue := &queue{
		o: o, board: board, modes: modes, counts: counts, copy: copied, waits: waits, ground: ground, past: past,
		journal:  o.Journal,
		restored: make(chan struct{}),
	}
	reader := &reader{o: o, life: life, counts: counts, up: up, copy: copied, waits: waits}
	writer := &writer{
		life: life, board: board, modes: modes, up: up, copy: copied, waits: waits, acks: acks, ground: ground,
		past: past, queue: queue,
	}
	return &Store{
		o: o, life: life, board: board, counts: counts, modes: modes, copy: copied, queue: queue, reader: reader,
		writer: writer,
		replayer: &replayer{
			o: o, board: board, modes: modes, counts: counts, up: up, copy: copied, waits: waits, acks: acks,
			queue: queue, journal: o.Journal,
		},
		desk: &desk{o: o, board: board, modes: modes, copy: copied, reader: reader, writer: writer, journal: o.Journal},
		keeper: &keeper{
			o: o, board: board, modes: modes, counts: counts, up: up, copy: copied, waits: waits, acks: acks,
			queue: queue, journal: o.Journal,
			salvage:  &salvage{o: o, counts: counts, up: up, copy: copied, acks: acks, journal: o.Journal},
			comparer: &comparer{o: o, copy: copied, counts: counts},
		},
	}
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	return s.reader.get(ctx, key)
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	return s.reader.list(ctx, q)
}

// Search implements [store.Store].
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	return s.reader.search(ctx, q)
}

// Changes implements [store.Store]: it answers from the mirror's part of the log if that has all that is asked for, and
// otherwise from the primary. While the primary can't be asked, only a caller that takes a part gets one.
func (s *Store) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	return s.reader.changes(ctx, q)
}

// Wait implements [store.Store]: it returns when the mirror has followed the primary beyond a seq.
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error { return s.copy.wait(ctx, after) }

// Apply implements [store.Store]. The receipt says Queued when the batch is in the journal and not yet at the primary.
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	return s.writer.apply(ctx, b)
}

// Seq returns a seq that covers every answer given so far: a caller that asks another instance for at least this seq
// does not go back in time.
func (s *Store) Seq() knowledge.Seq { return s.copy.seq() }

// Level returns the mode, and the time at which the answers were last known to be current.
func (s *Store) Level() knowledge.Level {
	level := knowledge.Level{Mode: s.modes.mode()}
	now := s.o.Wall()
	if asOf := s.copy.asOf.Load(); asOf != nil {
		// The wall clock may have been set since, but the elapsed time still holds. The position's time comes from the
		// primary's clock: never report a time in the future.
		level.AsOf = knowledge.At(now.Add(-max(0, time.Since(*asOf))))
	}
	if level.Mode == knowledge.ModeNormal {
		level.AsOf, level.Local = knowledge.At(now), level.AsOf
	}
	return level
}

// Ready returns nil when reads can be answered, by the primary or the mirror.
func (s *Store) Ready() error {
	switch s.modes.mode() {
	case knowledge.ModeCold:
		return &store.UnavailableError{
			Reason:     "neither the primary nor a mirror of it can answer: " + s.modes.reason(),
			RetryAfter: 5 * time.Second,
		}
	case knowledge.ModeDegraded, knowledge.ModeDiverged:
		if s.copy.damaged() {
			return &store.UnavailableError{
				Reason: "the primary can't be reached, and the mirror on this instance is damaged; it is " +
					"rebuilt as soon as the primary answers",
				RetryAfter: 5 * time.Second,
			}
		}
	case knowledge.ModeNormal, knowledge.ModeRecovering:
	}
	return nil
}

// Ping implements [store.Store]: a store that can answer from its mirror is healthy.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.life.checkOpen(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Ready()
}

// Run connects to the primary, keeps the mirror level with it, replays the journal and moves between the modes, until
// ctx ends. It returns the context's error.
func (s *Store) Run(ctx context.Context) error {
	s.queue.restoreFirst(ctx)
	replayer := make(chan struct{})
	go func() {
		defer close(replayer)
		s.replayer.run(ctx)
	}()
	defer func() { <-replayer }()
	s.keeper.run(ctx)
	return ctx.Err()
}

// AcceptPrimary lets the keeper rebuild the mirror from a primary with another history, which only a person may decide.
// Writes that the mirror has and the primary lacks are kept as conflicts.
func (s *Store) AcceptPrimary() {
	s.keeper.accept.Store(true)
	s.board.post(lookWanted)
}

// CheckMirror asks the keeper to compare the mirror with the primary at its next look.
func (s *Store) CheckMirror() {
	s.keeper.check.Store(true)
	s.board.post(lookWanted)
}

// Conflicts returns parked batches, waiting or resolved as the query asks, the newest first. Waiting ones come with the
// current state of their documents.
func (s *Store) Conflicts(ctx context.Context, q store.ParkedQuery) ([]store.Parked, error) {
	return s.desk.conflicts(ctx, q)
}

// Resolve carries out decisions about parked batches, in the order in which the batches were journalled, since a later
// batch may build on an earlier one. It returns the decisions that were carried out; after an error, those before it.
// It needs the primary.
func (s *Store) Resolve(ctx context.Context, by string, decisions ...store.Decision) ([]store.Decided, error) {
	return s.desk.resolve(ctx, by, decisions)
}

// Journalled reports whether a batch was ever in the journal, whatever its state now.
func (s *Store) Journalled(ctx context.Context, id knowledge.BatchID) (bool, error) {
	return s.desk.journalled(ctx, id)
}

// Batch returns the state of a batch, from the journal or the log.
func (s *Store) Batch(ctx context.Context, id knowledge.BatchID) (knowledge.BatchStatus, error) {
	return s.desk.batch(ctx, id)
}

// Close implements [store.Store]. It waits for calls still running on the primary and the local files; their owner
// closes those afterwards.
func (s *Store) Close() error {
	if s.life.closed.Swap(true) {
		return store.ErrClosed
	}
	s.board.post(mirrorFollowed) // wakes those who wait for changes
	s.life.work.Wait()
	return nil
}
