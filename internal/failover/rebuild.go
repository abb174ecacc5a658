package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// keptShare is the part of the mirror's documents that a primary must still have for the mirror to be made anew without a
// person's word.
const keptShare = 0.8

// errShrunk says that a snapshot holds suspiciously little.
var errShrunk = errors.New("more than a fifth of the documents are gone")

// A reason says why a mirror is made anew, and with it what of the old one matters.
type reason int

const (
	fresh  reason = iota // there is none, or it is damaged: nothing of it counts
	behind               // it is of the primary's history, as far as can be told, and can't follow it
	parted               // its history is another than the primary's
)

// rebuild makes the mirror anew from a snapshot of the primary. What the old mirror has and the primary has not is kept for a
// person before the new one takes its place. A snapshot that lacks more than a fifth of the documents is refused, unless a
// person has accepted the primary.
func (s *Store) rebuild(ctx context.Context, p Primary, why string, because reason) error {
	began := time.Now()
	s.counts.resyncs.Add(1)
	s.makeMirror(why)
	defer s.makeMirror("")
	s.o.Log.WarnContext(ctx, "mirror is being built", "why", why)
	accepted := s.accept.Load()
	tee := &salvager{lost: map[knowledge.Key]fingerprint{}}
	if because != fresh && s.hasMirror() {
		if err := s.remember(ctx, tee); err != nil {
			return err
		}
	}
	var failed error // of the primary, or the guard
	err := s.mirror.Rebuild(ctx, func(sink store.Sink) error {
		tee.next = sink
		if err := p.Snapshot(ctx, s.o.Versions, tee); err != nil {
			if _, here := errors.AsType[*localError](err); !here {
				failed = err
			}
			return err
		}
		if !accepted && float64(tee.n) < keptShare*float64(tee.had) {
			failed = errShrunk
			return failed
		}
		failed = s.salvage(ctx, p, tee, why, because)
		return failed
	})
	if errors.Is(failed, errShrunk) {
		s.move(knowledge.ModeDiverged, fmt.Sprintf("%s, and of %d documents it has only %d; the mirror goes on serving what it holds until "+
			"the primary is accepted: see tenet doctor mirror", why, tee.had, tee.n))
		return errDiverged
	}
	if failed != nil {
		return failed
	}
	if err != nil {
		return local(fmt.Errorf("build the mirror: %w", err))
	}
	s.accept.Store(false)
	s.recent.rebuilt(tee.at.At.Time, began)
	s.chain = tee.at.Chain
	s.applied.Store(int64(tee.at.Seq))
	s.asOf.Store(&began)
	if err := s.overlayAll(ctx); err != nil {
		return err
	}
	s.suspect.Store(false)
	s.mirrorWell()
	s.o.Log.InfoContext(ctx, "mirror is complete", "documents", tee.n, "seq", int64(tee.at.Seq), "took", time.Since(began).Round(time.Millisecond).String())
	s.tellSettled(nil)
	s.bell.ring()
	return nil
}

// overlayPage is how many waiting batches are laid over a mirror at once.
const overlayPage = 500

// overlayAll lays what waits over a new mirror, where it was not carried over from the old one, and makes it the one that answers:
// who reads it sees what waits. A long journal is laid over a first mirror page by page, and what comes to be journalled meanwhile
// gets its turn between them. Over one that answers already that would come to lie below what waits longer: there it waits.
func (s *Store) overlayAll(ctx context.Context) error {
	s.mu.Lock()
	first := !s.ready
	s.laying = first
	s.mu.Unlock()
	s.jmu.Lock()
	defer s.jmu.Unlock()
	for after := int64(0); ; {
		entries, err := s.journal.Oldest(ctx, after, overlayPage)
		if err != nil {
			return local(err)
		}
		if len(entries) == 0 {
			s.mu.Lock()
			s.ready, s.laying = true, false
			s.mu.Unlock()
			return nil
		}
		if err := s.mirror.Overlay(ctx, entries...); err != nil {
			return local(fmt.Errorf("lay what waits over the mirror: %w", err))
		}
		after = entries[len(entries)-1].Seq
		if first {
			s.jmu.Unlock()
			s.jmu.Lock()
		}
	}
}

// makeMirror notes that the mirror is being made, and why; "" when it no longer is. One that is made anew is not level meanwhile, and
// so the mode is not normal.
func (s *Store) makeMirror(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.building = why
	if why != "" && s.ready && s.mode == knowledge.ModeNormal {
		s.moveLocked(knowledge.ModeRecovering, "the mirror is being made anew: "+why)
	}
}

// mirrorFailed notes that the mirror did not do what it was asked. A failure that asks for a person is none of those that pass: the
// keeper then looks whether it is damaged.
func (s *Store) mirrorFailed(ctx context.Context, err error) {
	if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
		return
	}
	s.counts.mirrorErrors.Add(1)
	s.mu.Lock()
	s.trouble = err.Error()
	s.mu.Unlock()
	if u, ok := errors.AsType[*store.UnavailableError](err); ok && u.Halt && !s.suspect.Swap(true) {
		s.o.Log.ErrorContext(ctx, "mirror does not answer as it should: it is looked over, and made anew where it is damaged", "error", err.Error())
		s.ring()
	}
}

// mirrorWell notes that the mirror has done what it was asked.
func (s *Store) mirrorWell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.suspect.Load() {
		s.trouble = ""
	}
}
