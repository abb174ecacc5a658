// Package labels answers lists and searches of documents as of a label. It keeps a copy of the documents for each
// label in use, so that an answer has the order, ranking, counts and pages of that time.
package labels

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Copy is a separate store with the documents as of one label.
type Copy interface {
	store.Reader
	// Foresee removes the documents that have a nil record.
	Foresee(ctx context.Context, left []store.Left) error
	// Close closes the copy and removes its files.
	Close() error
}

// Options of [Copies].
type Options struct {
	// Source has all documents and the log.
	Source store.Past
	// Feed is the log that Run follows; it may lag behind Source.
	Feed store.Feed
	// Make returns a copy of what fill passes to the sink.
	Make func(ctx context.Context, fill func(store.Sink) error) (Copy, error)
	// Who returns the principal that asks. Nil: all are one.
	Who func(ctx context.Context) string
	// Patience is how long a call waits while its copy is being made; 10 s.
	Patience time.Duration
	Log      *slog.Logger // nil discards
}

// maxCopies is the largest number of copies; beyond it the least recently used one is evicted. Of these, one principal
// has at most its share made: who asks at many labels in turn takes the others' copies from nobody.
const (
	maxCopies = 4
	copyShare = maxCopies / 2
)

// makingTime is the deadline for making one copy.
const makingTime = 15 * time.Minute

// notYet is the Retry-After while a copy is being made.
const notYet = 2 * time.Second

// Copies are the copies of the labels that calls name. Each is made on first use.
type Copies struct {
	o      Options
	making chan struct{}  // one copy is made at a time
	work   sync.WaitGroup // makes and closes copies

	mu     sync.Mutex // guards the fields below and those of each held copy
	era    int        // counts replacements of the log
	uses   int64
	held   map[string]*held
	closed bool
}

var _ store.LabelReader = (*Copies)(nil)

// A held copy serves one position. Its users are the calls that wait for it or read it, and the goroutine that makes
// it.
type held struct {
	name   string
	by     string // who it was made for
	era    int
	ready  chan struct{} // closed once copy or err is set
	copy   Copy
	err    error
	stop   context.CancelFunc // cancels its making
	users  int
	last   int64 // last use, by the count of Copies.uses
	off    bool  // evicted: the last user closes it
	purged []store.Left
}

// New returns Copies without any. Close releases them.
func New(o Options) *Copies {
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Copies{o: o, making: make(chan struct{}, 1), held: map[string]*held{}}
}

// ListAt implements [store.LabelReader].
func (c *Copies) ListAt(ctx context.Context, l *knowledge.Label, q knowledge.Query) (*knowledge.Page, error) {
	if _, _, err := q.Check(); err != nil {
		return nil, err
	}
	if !knowledge.Labelled(q.Kind) {
		return nil, knowledge.BadQuery("label", "%s are not read at a label: they are as they are now", q.Kind.Plural())
	}
	page, err := read(ctx, c, l, func(r store.Reader) (*knowledge.Page, error) { return r.List(ctx, q) })
	if err != nil {
		return nil, err
	}
	page.At = knowledge.LabelAt{Label: l.LabelID, Seq: l.Seq}
	return page, nil
}

// SearchAt implements [store.LabelReader].
func (c *Copies) SearchAt(ctx context.Context, l *knowledge.Label, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if _, _, err := q.Check(); err != nil {
		return nil, err
	}
	hits, err := read(ctx, c, l, func(r store.Reader) (*knowledge.Hits, error) { return r.Search(ctx, q) })
	if err != nil {
		return nil, err
	}
	hits.At = knowledge.LabelAt{Label: l.LabelID, Seq: l.Seq}
	return hits, nil
}

// read calls fn with the copy of a label.
func read[T any](ctx context.Context, c *Copies, l *knowledge.Label, fn func(store.Reader) (T, error)) (T, error) {
	wait := time.NewTimer(c.o.Patience)
	defer wait.Stop()
	for {
		v, err := once(ctx, c, l, wait.C, fn)
		if !errors.Is(err, errReplaced) {
			return v, err
		}
	}
}

// once calls fn with the copy of a label, unless late fires first.
func once[T any](ctx context.Context, c *Copies, l *knowledge.Label, late <-chan time.Time,
	fn func(store.Reader) (T, error),
) (T, error) {
	var none T
	h, err := c.take(ctx, l)
	if err != nil {
		return none, err
	}
	defer c.leave(h)
	select {
	case <-h.ready:
	case <-ctx.Done():
		return none, ctx.Err()
	case <-late:
		return none, &store.UnavailableError{
			Reason: "the documents as of change " + fmt.Sprint(l.Seq) +
				" are being put together for lists and searches; " +
				"single documents can be read at the label meanwhile",
			RetryAfter: notYet, NotDone: true,
		}
	}
	if h.err != nil {
		return none, h.err
	}
	return fn(h.copy)
}

// errReplaced means that the log was replaced while a copy was made from it. The copy is then made again.
var errReplaced = errors.New("the log was replaced while the documents at the label were read")

// take returns the copy of a label, and makes a missing one. The caller must call leave when done.
func (c *Copies) take(ctx context.Context, l *knowledge.Label) (*held, error) {
	name := fmt.Sprintf("%d %v", l.Seq, l.Holds)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, store.ErrClosed
	}
	h := c.held[name]
	if h == nil {
		by := ""
		if c.o.Who != nil {
			by = c.o.Who(ctx)
		}
		if err := c.makeRoom(by); err != nil {
			return nil, err
		}
		h = &held{name: name, by: by, era: c.era, ready: make(chan struct{}), users: 1}
		c.held[name] = h
		own, stop := context.WithTimeout(context.WithoutCancel(ctx), makingTime) // others may wait for it
		h.stop = stop
		at := *l
		c.work.Go(func() {
			defer stop()
			c.make(own, h, &at)
		})
	}
	h.users++
	c.uses++
	h.last = c.uses
	return h, nil
}

// makeRoom evicts a copy where a principal has its share, or there are as many as may be: of its own the least recently
// used one, else of all. Where all are in use, it is one of who has most. The caller holds c.mu.
func (c *Copies) makeRoom(by string) error {
	count := map[string]int{}
	for _, h := range c.held {
		count[h.by]++
	}
	oldest := func(fits func(*held) bool) *held {
		var found *held
		for _, h := range c.held {
			if fits(h) && (found == nil || h.last < found.last) {
				found = h
			}
		}
		return found
	}
	if count[by] >= copyShare {
		own := oldest(func(h *held) bool { return h.by == by && h.users == 0 })
		if own == nil {
			return &store.UnavailableError{
				Reason: fmt.Sprintf("lists and searches are kept for this token at %d positions of labels, and both are "+
					"in use or being put together: ask again when they are ready", copyShare),
				TooMany: true, RetryAfter: notYet, NotDone: true,
			}
		}
		c.drop(own)
	}
	if len(c.held) < maxCopies {
		return nil
	}
	idle := oldest(func(h *held) bool { return h.users == 0 })
	if idle == nil {
		idle = oldest(func(h *held) bool { return count[h.by] > count[by]+1 })
	}
	if idle == nil {
		return &store.UnavailableError{
			Reason: fmt.Sprintf("lists and searches are kept for %d positions of labels, and all of them are in "+
				"use now", maxCopies), RetryAfter: notYet, NotDone: true,
		}
	}
	c.drop(idle)
	return nil
}

// drop evicts a copy. The caller holds c.mu.
func (c *Copies) drop(h *held) {
	if h.off {
		return
	}
	h.off = true
	delete(c.held, h.name)
	h.stop()
	c.closeUnused(h)
}

// leave ends one use of a copy.
func (c *Copies) leave(h *held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.users--
	c.closeUnused(h)
}

// closeUnused closes an evicted copy without users. The caller holds c.mu.
func (c *Copies) closeUnused(h *held) {
	if !h.off || h.users > 0 || h.copy == nil {
		return
	}
	gone := h.copy
	h.copy = nil
	c.work.Go(func() {
		if err := gone.Close(); err != nil {
			c.o.Log.Warn("copy of a label was not removed", "error", err.Error())
		}
	})
}

// Close cancels work in progress and removes all copies.
func (c *Copies) Close() error {
	c.mu.Lock()
	c.closed = true
	for _, h := range c.held {
		c.drop(h)
	}
	c.mu.Unlock()
	c.work.Wait()
	return nil
}
