package live

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// errBusy says that a subscriber waited too long for a read of the log.
var errBusy = errors.New("the readers of the log are busy")

// Limits of reads for subscribers behind the ring.
const (
	pageChanges = 128      // of one page; more if a transaction would be split
	keptPages   = 16       // pages kept for later readers
	keptBytes   = 16 << 20 // of all kept pages
)

// pages reads the log for subscribers behind the ring. Pages begin at multiples of their size, whatever the
// subscribers' positions, so of many that reconnect after an outage the first reads a page and the others share it,
// encoded once.
type pages struct {
	feed    store.Feed
	tells   func(context.Context, *knowledge.Change) ([]string, error)
	timeout time.Duration
	queries chan *pageQuery // answered by Readers goroutines, which bounds the concurrent reads

	mu      sync.Mutex // guards the fields below
	kept    []*page    // the most recently used last
	flights map[knowledge.Seq]*flight
	epoch   int // number of calls of forget
}

// A pageQuery asks for the changes after a position.
type pageQuery struct {
	after  knowledge.Seq
	answer chan pageAnswer // holds one answer, so that the reader never waits for the subscriber
}

type pageAnswer struct {
	events []*event // those after the position; empty at the end of the log
	err    error
}

func newPageQuery(after knowledge.Seq) *pageQuery { return &pageQuery{after, make(chan pageAnswer, 1)} }

// A page is a part of the log.
type page struct {
	start  knowledge.Seq // its changes come after this seq
	events []*event
	bytes  int
}

// A flight is a read under way that several subscribers wait for.
type flight struct {
	done chan struct{}
	page *page
	err  error
}

func newPages(o Options, timeout time.Duration) *pages {
	return &pages{
		feed: o.Feed, tells: o.Tells, timeout: timeout, queries: make(chan *pageQuery),
		flights: map[knowledge.Seq]*flight{},
	}
}

// serve answers queries until ctx ends.
func (p *pages) serve(ctx context.Context) {
	for {
		select {
		case q := <-p.queries:
			events, err := p.read(ctx, q.after)
			q.answer <- pageAnswer{events, err}
		case <-ctx.Done():
			return
		}
	}
}

// forget drops the kept pages: some may hold documents that were purged.
func (p *pages) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept, p.epoch = nil, p.epoch+1
	clear(p.flights)
}

// read returns changes after a position, at least one if there is any.
func (p *pages) read(ctx context.Context, after knowledge.Seq) ([]*event, error) {
	pg, err := p.share(ctx, after-after%pageChanges)
	if gone, ok := errors.AsType[*store.GoneError](err); ok && gone.Oldest <= after+1 {
		pg, err = p.load(ctx, after) // the log begins within the page
	}
	if err != nil {
		return nil, err
	}
	for i, e := range pg.events {
		if e.seq > after {
			return pg.events[i:], nil
		}
	}
	return nil, nil
}

// share returns a page from memory, or from a read under way, or reads it.
func (p *pages) share(ctx context.Context, start knowledge.Seq) (*page, error) {
	p.mu.Lock()
	if pg := p.find(start); pg != nil {
		p.mu.Unlock()
		return pg, nil
	}
	if f := p.flights[start]; f != nil {
		p.mu.Unlock()
		select {
		case <-f.done:
			return f.page, f.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f := &flight{done: make(chan struct{})}
	p.flights[start] = f
	epoch := p.epoch
	p.mu.Unlock()

	f.page, f.err = p.load(ctx, start)
	close(f.done)

	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch == p.epoch {
		delete(p.flights, start)
		p.keep(f.page)
	}
	return f.page, f.err
}

// find returns a kept page, and marks it as recently used. It needs the lock.
func (p *pages) find(start knowledge.Seq) *page {
	for i, pg := range p.kept {
		if pg.start == start {
			p.kept = append(append(p.kept[:i:i], p.kept[i+1:]...), pg)
			return pg
		}
	}
	return nil
}

// keep keeps a complete page, and drops the least recently used ones. It needs the lock.
func (p *pages) keep(pg *page) {
	if pg == nil || len(pg.events) < pageChanges {
		return
	}
	p.kept = append(p.kept, pg)
	bytes := 0
	for i, kept := range slices.Backward(p.kept) {
		bytes += kept.bytes
		if bytes > keptBytes || len(p.kept)-i > keptPages {
			p.kept = append([]*page(nil), p.kept[i+1:]...)
			return
		}
	}
}

// load reads a page from the log.
func (p *pages) load(ctx context.Context, start knowledge.Seq) (*page, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	changes, err := p.feed.Changes(ctx, knowledge.ChangeQuery{After: start, Limit: pageChanges})
	if err != nil {
		return nil, err
	}
	pg := &page{start: start, events: make([]*event, len(changes))}
	for i := range changes {
		if pg.events[i], err = changeEvent(&changes[i], time.Time{}); err != nil {
			return nil, err
		}
		if pg.events[i].tells, err = p.tells(ctx, &changes[i]); err != nil {
			return nil, err
		}
		pg.bytes += len(pg.events[i].full.frame)
	}
	return pg, nil
}
