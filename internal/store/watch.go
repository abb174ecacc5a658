package store

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"tenet/internal/knowledge"
)

// A Place is a change in a log. Two logs with a place in common have everything before it in common.
type Place struct {
	Seq   knowledge.Seq
	Chain [32]byte
	Known bool // Chain is known: not in an empty log, nor in a mirror that has seen no change since its snapshot
}

// PlaceOf returns the place of a change.
func PlaceOf(c *knowledge.Change) Place { return Place{c.Seq, c.Chain, true} }

// ErrHistory says that a log has another history than the one that was followed: a standby that lacked the last commits
// was promoted, or a backup was restored.
var ErrHistory = errors.New("the log has another history than before")

// A Watch follows a log to keep something level with it, and is the only way to follow one. It starts again in a new
// history, and when the log is trimmed beyond the last change seen.
type Watch struct {
	Name string // of the follower, for the log
	Feed Feed
	// Begin reads the current state and returns the change after which Changed is to be called. why is nil at first and
	// when Again has passed, [ErrHistory] in a new history, and a [*GoneError] if the log is trimmed beyond the last
	// change seen.
	Begin func(ctx context.Context, why error) (Place, error)
	// Changed takes changes in order, and never splits a transaction.
	Changed func(changes []knowledge.Change) error
	// Asking is called before each look at the log, Level after a look without further changes. Both may be nil.
	Asking, Level func()
	// Sure reports whether a log that ends before the last change seen is certainly another one, and not a mirror that
	// lags. A log that stays short for Patience counts as another one. Nil means always sure.
	Sure     func() bool
	Patience time.Duration
	Again    time.Duration // how often Begin is called again in any case; 0: never
	Floor    time.Duration // longest time between two looks, in case a notification is missed; 1 s
	Timeout  time.Duration // for one look; 0 for none
	Retry    time.Duration // wait after a first failure, doubled up to ten times as long; 200 ms
	Log      *slog.Logger  // nil discards

	at      Place
	short   time.Time // since when the log ends before the last change seen; zero if it does not
	failing bool
	looked  bool // the log has been read since Begin
}

// quiet is how long a watch waits after a wake-up without changes, since these may come often.
const quiet = 2 * time.Millisecond

// Run follows the log until ctx ends or the feed is closed, through all other errors. It returns the context's error or
// [ErrClosed].
func (w *Watch) Run(ctx context.Context) error {
	w.defaults()
	var why error
	begun, wait := false, w.Retry
	for ctx.Err() == nil {
		before, err := w.at, error(nil)
		if !begun {
			if w.at, err = w.Begin(ctx, why); err == nil {
				begun, w.short, w.looked = true, time.Time{}, false
			}
		}
		if err == nil {
			err = w.follow(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrClosed):
			return err
		case err == nil: // Again has passed
			begun, why = false, nil
			continue
		case errors.Is(err, ErrHistory), errors.Is(err, ErrGone), isCopyGone(err):
			if begun {
				again := w.looked || why == nil // otherwise it would only fail again
				begun, why = false, err
				w.Log.LogAttrs(ctx, slog.LevelWarn, "follower of the log starts again",
					slog.String("follower", w.Name), slog.String("reason", err.Error()))
				if again {
					continue
				}
			}
		}
		if !w.failing { // logged once for each failure
			w.failing = true
			w.Log.LogAttrs(ctx, slog.LevelWarn,
				"the log can't be followed now: the last known state stays in force until it can",
				slog.String("follower", w.Name), slog.String("error", err.Error()))
		}
		if w.at != before {
			wait = w.Retry
		}
		Pause(ctx, wait)
		wait = min(2*wait, 10*w.Retry)
	}
	return ctx.Err()
}

func (w *Watch) defaults() {
	if w.Log == nil {
		w.Log = slog.New(slog.DiscardHandler)
	}
	if w.Floor == 0 {
		w.Floor = time.Second
	}
	if w.Retry == 0 {
		w.Retry = 200 * time.Millisecond
	}
}

// isCopyGone reports whether a mirror's part of the log begins after the requested change.
func isCopyGone(err error) bool {
	gone, ok := errors.AsType[*GoneError](err)
	return ok && gone.Mirror
}

// follow passes changes on until something fails; it returns nil when Again has passed.
func (w *Watch) follow(ctx context.Context) error {
	var again <-chan time.Time
	if w.Again > 0 {
		t := time.NewTimer(w.Again)
		defer t.Stop()
		again = t.C
	}
	for idle := false; ; {
		changes, more, err := w.look(ctx)
		if err != nil {
			return err
		}
		w.looked = true
		if w.failing {
			w.failing = false
			w.Log.LogAttrs(ctx, slog.LevelInfo, "the log is followed again", slog.String("follower", w.Name),
				slog.Int64("after", int64(w.at.Seq)))
		}
		if len(changes) > 0 {
			if err := w.Changed(changes); err != nil {
				return err
			}
			w.at = PlaceOf(&changes[len(changes)-1])
		}
		if !more && w.Level != nil {
			w.Level()
		}
		select {
		case <-again:
			return nil
		default:
		}
		if len(changes) > 0 {
			idle = false
			continue
		}
		if idle {
			Pause(ctx, quiet)
		}
		idle = true
		if err := w.rest(ctx, again); err != nil {
			return err
		}
	}
}

// look reads the changes after the place. It asks for the change at the place too: if that is missing or another one,
// the log has another history. more says that there may be further changes.
func (w *Watch) look(ctx context.Context) (changes []knowledge.Change, more bool, err error) {
	if w.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.Timeout)
		defer cancel()
	}
	if w.Asking != nil {
		w.Asking()
	}
	after := w.at.Seq
	anchored := w.at.Known && after > 0
	if anchored {
		changes, err = w.Feed.Changes(ctx, knowledge.ChangeQuery{After: after - 1})
		// the log begins right after the place: there is nothing to compare
		anchored = !errors.Is(err, ErrGone) && !isCopyGone(err)
	}
	if !anchored {
		changes, err = w.Feed.Changes(ctx, knowledge.ChangeQuery{After: after})
	}
	if err != nil {
		return nil, false, err
	}
	more = len(changes) >= knowledge.DefaultChanges
	switch {
	case !anchored:
	case len(changes) == 0:
		return nil, false, w.shorter()
	case changes[0].Seq != after || changes[0].Chain != w.at.Chain:
		return nil, false, ErrHistory
	default:
		changes = changes[1:]
	}
	w.short = time.Time{}
	return changes, more, nil
}

// shorter handles a log that ends before the place.
func (w *Watch) shorter() error {
	switch {
	case w.Sure == nil:
		return ErrHistory
	case !w.Sure():
		w.short = time.Time{}
	case w.short.IsZero():
		w.short = time.Now()
	case time.Since(w.short) >= w.Patience:
		return ErrHistory
	}
	return nil
}

// rest waits for changes, for at most Floor.
func (w *Watch) rest(ctx context.Context, again <-chan time.Time) error {
	short, cancel := context.WithTimeout(ctx, w.Floor)
	defer cancel()
	if again != nil && w.Floor > w.Again {
		short, cancel = context.WithTimeout(ctx, w.Again)
		defer cancel()
	}
	err := w.Feed.Wait(short, w.at.Seq)
	if err != nil && short.Err() != nil {
		return ctx.Err() // the floor was reached, or ctx ended
	}
	return err
}

// Pause waits for a time, or until its context ends.
func Pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Newest returns the place of the newest change. Its chain value is not known in an empty log, nor in a mirror that has
// seen no change since its snapshot: that returns the place of the snapshot.
func Newest(ctx context.Context, feed Feed) (Place, error) {
	changes, err := feed.Changes(ctx, knowledge.ChangeQuery{Newest: true, Limit: 1})
	if gone, ok := errors.AsType[*GoneError](err); ok {
		return Place{Seq: gone.Oldest - 1}, nil
	}
	if err != nil {
		return Place{}, err
	}
	if len(changes) > 0 {
		return PlaceOf(&changes[0]), nil
	}
	_, err = feed.Changes(ctx, knowledge.ChangeQuery{Limit: 1})
	if gone, ok := errors.AsType[*GoneError](err); ok {
		return Place{Seq: gone.Oldest - 1}, nil
	}
	return Place{}, err
}
