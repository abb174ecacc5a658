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

// errBusy says that a subscriber waited too long for its turn to read the log.
var errBusy = errors.New("the readers of the log are busy")

// Bounds of what is read from the log for subscribers behind the ring.
const (
	pageChanges = 128      // of one page; more where a transaction would be cut
	keptPages   = 16       // pages kept for the next who asks
	keptBytes   = 16 << 20 // of all kept pages
)

// pages reads the log for subscribers who are behind the ring. A page begins at a multiple of its size, wherever a subscriber
// stands: of many who come back after an outage, the first pays for the page and the others share it, encoded once.
type pages struct {
	feed    store.Feed
	timeout time.Duration
	queries chan *pageQuery // read by a few goroutines: so many reads are under way at most, the others wait

	mu      sync.Mutex // guards what follows
	kept    []*page    // the last one used comes last
	flights map[knowledge.Seq]*flight
	epoch   int // counts how often everything was forgotten
}

// A pageQuery asks for the changes after a position.
type pageQuery struct {
	after  knowledge.Seq
	answer chan pageAnswer // holds one answer, so that nobody waits for who asked
}

type pageAnswer struct {
	events []*event // from the one after the position; empty when the log has none
	err    error
}

func newPageQuery(after knowledge.Seq) *pageQuery { return &pageQuery{after, make(chan pageAnswer, 1)} }

// A page is a part of the log.
type page struct {
	start  knowledge.Seq // its changes come after this one
	events []*event
	bytes  int
}

// A flight is a read under way that several wait for.
type flight struct {
	done chan struct{}
	page *page
	err  error
}

func newPages(feed store.Feed, timeout time.Duration) *pages {
	return &pages{feed: feed, timeout: timeout, queries: make(chan *pageQuery), flights: map[knowledge.Seq]*flight{}}
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

// forget drops what is kept: some of it may not be told any more.
func (p *pages) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept, p.epoch = nil, p.epoch+1
	clear(p.flights)
}

// read returns some of the changes after a position, at least one if there is any.
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

// share returns a page from memory, or from the read of it that is under way, or reads it.
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

// find returns a page that is kept, and makes it the last used one. It needs the lock.
func (p *pages) find(start knowledge.Seq) *page {
	for i, pg := range p.kept {
		if pg.start == start {
			p.kept = append(append(p.kept[:i:i], p.kept[i+1:]...), pg)
			return pg
		}
	}
	return nil
}

// keep keeps a page to which nothing will be added, and drops those used longest ago. It needs the lock.
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
		pg.bytes += len(pg.events[i].full.frame)
	}
	return pg, nil
}
