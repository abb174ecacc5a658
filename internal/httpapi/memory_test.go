package httpapi

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// memory is a store in maps: as much of the contract as the door's tests need, and nothing on disk.
type memory struct {
	mu      sync.Mutex // guards what follows
	docs    map[knowledge.Key]*knowledge.Record
	last    map[knowledge.Key]int64
	log     []knowledge.Change
	done    map[knowledge.BatchID]ledger
	rings   chan struct{} // closed and made anew with every change
	closed  bool
	queuing bool // writes are answered as those of an outage
}

type ledger struct {
	sum     [32]byte
	receipt knowledge.Receipt
}

func newMemory() *memory {
	return &memory{
		docs: map[knowledge.Key]*knowledge.Record{}, last: map[knowledge.Key]int64{}, done: map[knowledge.BatchID]ledger{},
		rings: make(chan struct{}),
	}
}

func (m *memory) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.closed {
		return store.ErrClosed
	}
	return nil
}

func (m *memory) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	if r := m.docs[key]; r != nil {
		return r, nil
	}
	return nil, &store.NotFoundError{Key: key}
}

func (m *memory) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	q, cursor, err := q.Check()
	if err != nil {
		return nil, err
	}
	type row struct {
		r     *knowledge.Record
		title string
	}
	var rows []row
	for k, r := range m.docs {
		d, err := r.Document()
		if err != nil {
			return nil, err
		}
		if k.Kind == q.Kind && passes(&q, r, d) {
			rows = append(rows, row{r, d.Text().Title})
		}
	}
	order := func(a, b row) int {
		switch q.Order {
		case knowledge.OrderUpdated:
			return -cmp.Or(a.r.Updated.Compare(b.r.Updated.Time), strings.Compare(a.r.Key.ID, b.r.Key.ID))
		case knowledge.OrderTitle:
			return cmp.Or(strings.Compare(a.title, b.title), strings.Compare(a.r.Key.ID, b.r.Key.ID))
		case knowledge.OrderHouse, knowledge.OrderID:
		}
		if q.Order == knowledge.OrderHouse && a.r.Rank != b.r.Rank {
			return cmp.Compare(a.r.Rank, b.r.Rank)
		}
		return strings.Compare(a.r.Key.ID, b.r.Key.ID)
	}
	slices.SortFunc(rows, order)
	page := &knowledge.Page{Records: []*knowledge.Record{}, Source: knowledge.SourcePrimary}
	for _, rw := range rows {
		if cursor != nil {
			at := row{&knowledge.Record{Key: knowledge.Key{Kind: q.Kind, ID: cursor.ID}, Rank: cursor.Rank, Updated: cursor.Updated}, cursor.Title}
			if order(rw, at) <= 0 {
				continue
			}
		}
		if len(page.Records) == q.Limit {
			last := page.Records[q.Limit-1]
			d, _ := last.Document()
			page.Next = q.NextCursor(last, d.Text().Title)
			break
		}
		page.Records = append(page.Records, rw.r)
	}
	return page, nil
}

func passes(q *knowledge.Query, r *knowledge.Record, d knowledge.Document) bool {
	if q.Activity == knowledge.ActiveOnly && !r.Active || q.Activity == knowledge.RetiredOnly && r.Active ||
		r.Updated.Before(q.UpdatedSince.Time) || q.Category != "" && q.Category != r.Category {
		return false
	}
	same := func(want, have string) bool { return want == "" || want == have }
	shared := func(c *knowledge.Common) bool {
		return (q.Tag == "" || slices.Contains(c.Tags, q.Tag)) && (q.Language == "" || slices.Contains(c.Scope.Languages, q.Language))
	}
	switch d := d.(type) {
	case *knowledge.Rule:
		return shared(&d.Common) && same(q.Severity, d.Severity) && same(q.Enforcement, d.Enforcement) && same(q.Status, d.Status)
	case *knowledge.Practice:
		return shared(&d.Common)
	case *knowledge.Template:
		return shared(&d.Common)
	case *knowledge.Violation:
		return same(q.Severity, d.Severity) && same(q.Status, d.Status) && same(q.Rule, d.RuleID) && same(q.Repository, d.Repository)
	case *knowledge.Category, *knowledge.Principal:
	}
	return true
}

func (m *memory) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	q, s, err := q.Check()
	if err != nil {
		return nil, err
	}
	var found []*knowledge.Record
	for k, r := range m.docs {
		d, err := r.Document()
		if err != nil {
			return nil, err
		}
		if rule, ok := d.(*knowledge.Rule); q.Severity != "" && (!ok || rule.Severity != q.Severity) {
			continue
		}
		lq := knowledge.Query{Category: q.Category, Tag: q.Tag, Language: q.Language}
		if r.Active && slices.Contains(q.Kinds, k.Kind) && passes(&lq, r, d) && matches(s, d) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *knowledge.Record) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	hits, err := s.Rank(found, q.Limit)
	return &knowledge.Hits{Hits: hits, Source: knowledge.SourcePrimary}, err
}

func matches(s *knowledge.Search, d knowledge.Document) bool {
	t := d.Text()
	words := knowledge.Words(t.Title + " " + strings.Join(t.Tags, " ") + " " + t.Lead + " " + t.Body)
	for _, g := range s.Groups {
		if slices.ContainsFunc(g, func(t knowledge.Term) bool { return slices.Contains(words, t.Words[0]) }) == g[0].Not {
			return false
		}
	}
	return true
}

func (m *memory) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	none := knowledge.Receipt{}
	if err := m.begin(ctx); err != nil {
		return none, err
	}
	if err := b.Validate(); err != nil {
		return none, err
	}
	sum, err := b.Fingerprint()
	if err != nil {
		return none, err
	}
	if before, ok := m.done[b.ID]; ok {
		if before.sum != sum {
			return none, store.ErrReused
		}
		return before.receipt, nil
	}
	receipt := knowledge.Receipt{Batch: b.ID, Queued: m.queuing}
	now := b.At
	if now.IsZero() {
		now = knowledge.At(time.Now())
	}
	for i := range b.Ops {
		rec, err := m.next(&b, i, now)
		if err != nil {
			return none, err
		}
		receipt.Records = append(receipt.Records, rec)
	}
	for i := range b.Ops {
		m.keep(&b, i, receipt.Records[i], now)
	}
	if !m.queuing {
		receipt.Seq = knowledge.Seq(len(m.log))
	}
	m.done[b.ID] = ledger{sum, receipt}
	close(m.rings)
	m.rings = make(chan struct{})
	return receipt, nil
}

// next returns what an op leaves behind.
func (m *memory) next(b *knowledge.Batch, i int, now knowledge.Time) (*knowledge.Record, error) {
	op := &b.Ops[i]
	var current knowledge.Document
	version := int64(0)
	if r := m.docs[op.Key]; r != nil {
		current, _ = r.Document()
		version = r.Version
	} else if op.Verb != knowledge.VerbPut {
		return nil, &store.NotFoundError{Key: op.Key}
	}
	if op.IfVersion > 0 && op.IfVersion != version || op.IfVersion == knowledge.NoVersion && version != 0 {
		return nil, &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: version}
	}
	next, err := op.Next(current)
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		return nil, invalid.Below("/ops/0/document")
	}
	if next == nil {
		return nil, err
	}
	if c := next.CategoryID(); c != "" && m.docs[knowledge.Key{Kind: knowledge.KindCategory, ID: c}] == nil {
		return nil, knowledge.Invalid("/ops/0/document/category", "there is no category %q", c)
	}
	next, err = knowledge.Clone(next)
	if err != nil {
		return nil, err
	}
	knowledge.StampNext(next, current, m.last[op.Key], b.Actor, now)
	rec, err := knowledge.NewRecord(next)
	if err == nil && m.queuing {
		rec.Pending, rec.Source = b.ID, knowledge.SourceMirror
	}
	return rec, err
}

func (m *memory) keep(b *knowledge.Batch, i int, rec *knowledge.Record, now knowledge.Time) {
	key := b.Ops[i].Key
	before := m.docs[key]
	c := knowledge.Change{
		Seq: knowledge.Seq(len(m.log) + 1), Batch: b.ID, Key: key, Record: rec, Actor: b.Actor, At: now, More: i < len(b.Ops)-1,
		Verb: knowledge.VerbPut, Version: m.last[key] + 1,
	}
	if before != nil && rec != nil {
		x, _ := before.Document()
		y, _ := rec.Document()
		c.Verb = knowledge.ChangeVerb(x, y)
	}
	m.docs[key] = rec
	if rec == nil {
		c.Verb = knowledge.VerbPurge
		delete(m.docs, key)
		for j := range m.log {
			if m.log[j].Key == key {
				m.log[j].Record = nil
			}
		}
	}
	m.last[key] = c.Version
	if !m.queuing {
		m.log = append(m.log, c)
	}
}

func (m *memory) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	q, err := q.Check()
	if err != nil {
		return nil, err
	}
	list := slices.Clone(m.log)
	if q.Newest {
		slices.Reverse(list)
	}
	out := []knowledge.Change{}
	for i := range list {
		c := &list[i]
		if q.Newest && q.After != 0 && c.Seq >= q.After || !q.Newest && c.Seq <= q.After ||
			q.Key != (knowledge.Key{}) && c.Key != q.Key || q.Version != 0 && c.Version != q.Version ||
			q.Batch != (knowledge.BatchID{}) && c.Batch != q.Batch || q.Kind != "" && c.Key.Kind != q.Kind {
			continue
		}
		if len(out) >= q.Limit && (q.Filtered() || !out[len(out)-1].More) {
			break
		}
		out = append(out, *c)
	}
	return out, nil
}

func (m *memory) Wait(ctx context.Context, after knowledge.Seq) error {
	m.mu.Lock()
	err, rings, there := m.begin(ctx), m.rings, knowledge.Seq(len(m.log)) > after
	m.mu.Unlock()
	if err != nil || there {
		return err
	}
	select {
	case <-rings:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) Ping(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.begin(ctx)
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
