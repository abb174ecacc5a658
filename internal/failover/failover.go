// Package failover keeps a store answering while its primary is down: reads come from a mirror, and writes go to a
// journal that is replayed exactly once when the primary is back. DESIGN.md in this directory explains the design.
package failover

import (
	"context"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Store answers reads from the mirror. It sends writes to the primary, and to the journal while the primary can't
// take them. It assembles the parts; each part has one job.
type Store struct {
	o        *Options
	life     *life
	board    *board
	counts   *counts
	modes    *modes
	mirror   *mirror
	queue    *queue
	reader   *reader
	writer   *writer
	replayer *replayer
	desk     *desk
	keeper   *keeper
}

var _ store.Store = (*Store)(nil)

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
		s.mirror.applied.Store(int64(pos.Seq))
		if !pos.At.IsZero() {
			s.mirror.asOf.Store(&pos.At.Time)
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
	local := &mirror{o: o, life: life, board: board, modes: modes, counts: counts}
	local.file = watched{o.Mirror, local.failed}
	waits := newWaitlist(o.Journal)
	view := &view{mirror: local, waits: waits, acks: acks}
	ground := &ground{view: view, journal: o.Journal}
	past := &past{o: o, life: life, up: up, mirror: local, acks: acks, journal: o.Journal}
	queue := &queue{
		o: o, board: board, modes: modes, counts: counts, mirror: local, waits: waits, ground: ground, past: past,
		journal:  o.Journal,
		restored: make(chan struct{}),
	}
	reader := &reader{o: o, life: life, counts: counts, up: up, mirror: local, waits: waits, view: view}
	writer := &writer{
		life: life, board: board, modes: modes, up: up, mirror: local, waits: waits, acks: acks, ground: ground,
		past: past, queue: queue,
	}
	return &Store{
		o: o, life: life, board: board, counts: counts, modes: modes, mirror: local, queue: queue, reader: reader,
		writer: writer,
		replayer: &replayer{
			o: o, board: board, modes: modes, counts: counts, up: up, mirror: local, waits: waits, acks: acks,
			queue: queue, journal: o.Journal,
		},
		desk: &desk{o: o, board: board, modes: modes, mirror: local, reader: reader, writer: writer, journal: o.Journal},
		keeper: &keeper{
			o: o, board: board, modes: modes, counts: counts, up: up, mirror: local, waits: waits, acks: acks,
			queue: queue, journal: o.Journal,
			salvage:  &salvage{o: o, counts: counts, up: up, mirror: local, acks: acks, journal: o.Journal},
			comparer: &comparer{o: o, mirror: local, counts: counts},
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
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	return s.mirror.wait(ctx, after)
}

// Apply implements [store.Store]. The receipt says Queued when the batch is in the journal and not yet at the primary.
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	return s.writer.apply(ctx, b)
}

// Seq returns a seq that covers every answer given so far: a caller that asks another instance for at least this seq
// does not go back in time.
func (s *Store) Seq() knowledge.Seq { return s.mirror.seq() }

// Level returns the mode, and the time at which the answers were last known to be current.
func (s *Store) Level() knowledge.Level {
	level := knowledge.Level{Mode: s.modes.mode(), Lacking: s.reader.waits.lacking()}
	now := s.o.wall()
	if asOf := s.mirror.asOf.Load(); asOf != nil {
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
		if s.mirror.damaged() {
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

// Mirrored returns the feed of the changes that the mirror has applied. A read of this store that begins after the feed
// has brought a change sees that change: this is the feed for a cache to follow.
func (s *Store) Mirrored() store.Feed { return mirrored{s.mirror} }

// Status returns the instance's current status.
func (s *Store) Status(ctx context.Context) (Status, error) {
	depth, err := s.o.Journal.Depth(ctx)
	if err != nil {
		return Status{}, err
	}
	st := Status{
		AsOf: s.Level().AsOf,
		Journal: JournalStatus{
			Depth: depth.Entries, Bytes: depth.Bytes, Limit: depth.Limit, Queued: s.counts.queued.Load(),
			Replayed: s.counts.replayed.Load(), Parked: depth.Parked,
		},
		Floor: knowledge.Seq(s.mirror.floor.Load()), Passed: s.counts.passed.Load(), FellBack: s.counts.fellBack.Load(),
	}
	if !depth.Oldest.IsZero() {
		st.Journal.Oldest = max(0, s.o.wall().Sub(depth.Oldest.Time).Seconds())
	}
	s.modes.tell(&st)
	s.mirror.tell(&st.Mirror)
	s.replayer.tell(&st.Journal)
	return st, nil
}
