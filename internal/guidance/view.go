package guidance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// views caches variants of the index: the documents as of a label, and the documents of packs. A variant shares
// everything else with the index.
type views struct {
	mu     sync.Mutex // guards the fields below
	labels map[string]*overlay
	packs  map[string]*packed
}

// maxViews is the largest number of labels, and of lists of packs, in the cache.
const maxViews = 16

// An overlay holds the documents that differ between a label and now, nil for one that does not hold at the label. A
// label's documents never change, so an overlay only grows with the log.
type overlay struct {
	gate chan struct{} // guards the fields below: the first query reads for all others, which wait until they have to go
	upto knowledge.Seq
	docs map[knowledge.Key]*doc
	// The categories of documents that were written after the label, as they are now: who may not read a document
	// there does not get it by the label either.
	category map[knowledge.Key]string
}

// A packed is a segment of the documents of packs, with the enforcement that the packs give them.
type packed struct {
	base *segment // that it was made from
	seg  *segment
	from []int32 // for each ordinal of seg, the ordinal in base
}

// A past reads what an index is made of.
type past struct {
	store.Reader
	store.Feed
}

// A stand says which documents a query is about, and as of when.
type stand struct {
	label      *knowledge.Label       // nil for now
	packs      *knowledge.Composition // nil for everything
	repository *knowledge.Repository  // nil for none
}

// stand reads the label, the packs and the repository that a query names, with the caller's rights. A missing one is
// [store.ErrNotFound].
func (q *Query) stand(ctx context.Context, s store.Past) (stand, error) {
	var at stand
	packs, label := q.Packs, q.Label
	if q.Repository != "" {
		key := knowledge.Key{Kind: knowledge.KindRepository, ID: q.Repository}
		if !key.Sound() {
			return at, &store.NotFoundError{Key: key}
		}
		rec, err := s.Get(ctx, key)
		if err != nil {
			return at, err
		}
		d, err := rec.Document()
		if err != nil {
			return at, err
		}
		if at.repository, _ = d.(*knowledge.Repository); at.repository == nil || !rec.Active {
			return at, &store.NotFoundError{Key: key}
		}
		if len(packs) == 0 {
			packs = at.repository.Packs
		}
		if label == "" {
			label = at.repository.Label
		}
	}
	if label != "" {
		var err error
		if at.label, err = store.LabelOf(ctx, s, label); err != nil {
			return at, err
		}
	}
	if len(packs) == 0 {
		return at, nil
	}
	get := s.Get
	if at.label != nil {
		get = func(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
			return store.AtLabel(ctx, s, at.label, key)
		}
	}
	var err error
	at.packs, err = knowledge.Compose(packs, func(id string) (*knowledge.Pack, error) {
		return store.PackOf(ctx, get, id)
	})
	if gone, ok := errors.AsType[*knowledge.MissingPackError](err); ok {
		return at, &store.NotFoundError{Key: knowledge.Key{Kind: knowledge.KindPack, ID: gone.ID}}
	}
	if ring, ok := errors.AsType[*knowledge.CycleError](err); ok { // caused by two writes at the same time
		return at, knowledge.Invalid("/packs", "%s: take one of them out", ring)
	}
	return at, err
}

// view returns the variant of the snapshot that a query is about, without the documents of some categories.
func (x *Index) view(ctx context.Context, s *snapshot, at *stand, without []string) (*snapshot, error) {
	now := s
	if at.label != nil {
		o, err := x.atLabel(ctx, s, at.label)
		if err != nil {
			return nil, err
		}
		s = o.over(s, without)
		<-o.gate
	}
	s = s.without(without, now)
	if at.packs != nil {
		s = x.inPacks(s, at.packs)
	}
	return s, nil
}

// remembered returns the value of a key, or makes it. A map that is full is emptied first.
func remembered[T any](m *map[string]*T, key string) *T {
	if *m == nil || len(*m) >= maxViews && (*m)[key] == nil {
		*m = map[string]*T{}
	}
	if (*m)[key] == nil {
		(*m)[key] = new(T)
	}
	return (*m)[key]
}

// atLabel returns the overlay of a label, with its gate held. What a label shows is kept for all callers, so it is read
// with nobody's rights.
func (x *Index) atLabel(ctx context.Context, s *snapshot, l *knowledge.Label) (*overlay, error) {
	x.views.mu.Lock()
	o := remembered(&x.views.labels, fmt.Sprintf("%d %v", l.Seq, l.Holds))
	if o.gate == nil {
		o.gate = make(chan struct{}, 1)
	}
	x.views.mu.Unlock()
	select {
	case o.gate <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := x.follow(ctx, o, s, l); err != nil {
		<-o.gate
		return nil, err
	}
	return o, nil
}

// follow brings an overlay up to a snapshot. It reads the log from the label's position on, or from where the last call
// stopped, and the old version of each document that was changed since.
func (x *Index) follow(ctx context.Context, o *overlay, s *snapshot, l *knowledge.Label) error {
	reader := past{x.o.Store, x.o.Feed}
	if o.docs == nil {
		o.upto, o.docs, o.category = min(l.Seq, s.seq), map[knowledge.Key]*doc{}, map[knowledge.Key]string{}
	}
	for text := range l.Holds {
		if key, err := knowledge.ParseKey(text); err == nil {
			if err := x.stood(ctx, reader, o, l, key); err != nil {
				return err
			}
		}
	}
	for end := max(s.seq, l.Seq); o.upto < end; {
		changes, err := reader.Changes(ctx, knowledge.ChangeQuery{After: o.upto})
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			break
		}
		for i := range changes {
			if err := x.wrote(ctx, reader, o, l, &changes[i]); err != nil {
				return err
			}
		}
		o.upto = changes[len(changes)-1].Seq
	}
	// Batches that wait in the journal are in no log yet.
	for _, d := range s.recent.docs {
		if d.pending != (knowledge.BatchID{}) {
			if err := x.stood(ctx, reader, o, l, d.key); err != nil {
				return err
			}
		}
	}
	for _, key := range s.gone() {
		if err := x.stood(ctx, reader, o, l, key); err != nil {
			return err
		}
	}
	return nil
}

// wrote takes a change after the label into its overlay.
func (x *Index) wrote(ctx context.Context, reader store.Past, o *overlay, l *knowledge.Label, c *knowledge.Change) error {
	if !slices.Contains(Kinds(), c.Key.Kind) {
		return nil
	}
	if c.Record != nil {
		o.category[c.Key] = c.Record.Category
	}
	if c.Verb == knowledge.VerbPurge {
		delete(o.docs, c.Key) // the label shows it no longer
	} else if _, known := o.docs[c.Key]; !known && store.Came(l, c) {
		o.docs[c.Key] = nil
	}
	return x.stood(ctx, reader, o, l, c.Key)
}

// over returns the snapshot with the overlay's documents instead of its own, but for those that are in some categories
// now. The caller holds the gate of the overlay.
func (o *overlay) over(s *snapshot, without []string) *snapshot {
	out := &snapshot{seq: s.seq, base: s.base, hidden: newBitset(len(s.base.docs))}
	copy(out.hidden, s.hidden)
	var docs []*doc
	for _, d := range s.recent.docs {
		if _, other := o.docs[d.key]; !other {
			docs = append(docs, d)
		}
	}
	for key, d := range o.docs {
		if n, ok := s.base.ordinal[key]; ok {
			out.hidden.set(n)
		}
		if d != nil && !slices.Contains(without, o.category[key]) {
			docs = append(docs, d)
		}
	}
	out.recent = newSegment(docs)
	return out
}

// gone returns the documents of the base segment that no longer hold.
func (s *snapshot) gone() []knowledge.Key {
	if s.hidden == nil {
		return nil
	}
	var keys []knowledge.Key
	end := int32(len(s.base.docs)) //nolint:gosec // documents in memory
	for n := s.hidden.next(0, end); n >= 0; n = s.hidden.next(n+1, end) {
		if key := s.base.docs[n].key; !s.recent.holds(key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (s *segment) holds(key knowledge.Key) bool {
	_, ok := s.ordinal[key]
	return ok
}

// stood adds a document as of the label to the overlay.
func (x *Index) stood(ctx context.Context, reader store.Past, o *overlay, l *knowledge.Label, key knowledge.Key) error {
	if _, known := o.docs[key]; known || !slices.Contains(Kinds(), key.Kind) {
		return nil
	}
	rec, err := store.AtLabel(ctx, reader, l, key)
	if errors.Is(err, store.ErrNotFound) {
		o.docs[key] = nil
		return nil
	}
	if err != nil {
		return err
	}
	d, t, err := docOf(rec)
	if err != nil {
		return err
	}
	if d != nil {
		x.texts.Set(textKey{d.key, d.sum}, t)
	}
	o.docs[key] = d
	return nil
}

// inPacks returns the part of a snapshot that is in the packs. The part of the base segment is cached, so that a write
// costs only as much as what it wrote.
func (x *Index) inPacks(s *snapshot, c *knowledge.Composition) *snapshot {
	var names strings.Builder
	for _, p := range c.Packs {
		fmt.Fprintf(&names, "%s@%d@%s ", p.PackID, p.Version, p.UpdatedAt.Format(knowledge.TimeLayout))
	}
	x.views.mu.Lock()
	made := *remembered(&x.views.packs, names.String())
	x.views.mu.Unlock()
	if made.base != s.base {
		made = packed{base: s.base, seg: newSegment(held(s.base.docs, c))}
		made.from = make([]int32, len(made.seg.docs))
		for i, d := range made.seg.docs {
			made.from[i] = s.base.ordinal[d.key]
		}
		x.views.mu.Lock()
		*remembered(&x.views.packs, names.String()) = made
		x.views.mu.Unlock()
	}
	out := &snapshot{seq: s.seq, base: made.seg, recent: newSegment(held(s.recent.docs, c))}
	if s.hidden != nil {
		out.hidden = newBitset(len(made.seg.docs))
		for i, n := range made.from {
			if s.hidden.has(n) {
				out.hidden.set(int32(i))
			}
		}
	}
	return out
}

// without returns a snapshot without the documents of some categories, in which they are now or were at the label.
func (s *snapshot) without(categories []string, now *snapshot) *snapshot {
	if len(categories) == 0 {
		return s
	}
	hidden := func(d *doc) bool {
		return slices.Contains(categories, d.category) || slices.Contains(categories, now.category(d.key))
	}
	out := &snapshot{seq: s.seq, base: s.base, hidden: newBitset(len(s.base.docs))}
	copy(out.hidden, s.hidden)
	for i, d := range s.base.docs {
		if hidden(d) {
			out.hidden.set(int32(i))
		}
	}
	out.recent = newSegment(slices.DeleteFunc(slices.Clone(s.recent.docs), hidden))
	return out
}

// category returns the category of a document that may hold; "" for any other.
func (s *snapshot) category(key knowledge.Key) string {
	for _, seg := range []*segment{s.recent, s.base} {
		if n, ok := seg.ordinal[key]; ok {
			return seg.docs[n].category
		}
	}
	return ""
}

// held returns the documents that are in the packs, with the enforcement that the packs give them.
func held(docs []*doc, c *knowledge.Composition) []*doc {
	var list []*doc
	for _, d := range docs {
		by := c.HoldingOf(d.key, d.category, d.tags)
		if by == nil {
			continue
		}
		e := *d
		e.pack = by.PackID
		e.severity, e.enforcement = c.Raised(d.key, d.severity, d.enforcement)
		if e.mandatory = e.enforcement == "mandatory"; e.severity != d.severity {
			e.tier = slices.Index(knowledge.Severities(), e.severity)
		}
		list = append(list, &e)
	}
	return list
}

// exempt removes the rules from a snapshot that are exempt for all paths of a query, and returns notes about them.
func (s *snapshot) exempt(r *knowledge.Repository, q *Query, now time.Time) (*snapshot, []string) {
	if r == nil {
		return s, nil
	}
	var out *snapshot
	var notes []string
	for i := range r.Exemptions {
		e := &r.Exemptions[i]
		key := knowledge.Key{Kind: knowledge.KindRule, ID: e.Rule}
		if e.Ended(now) || !exempts(e, q.Paths) || !s.base.holds(key) && !s.recent.holds(key) {
			continue
		}
		if out == nil {
			out = &snapshot{seq: s.seq, base: s.base, recent: s.recent, hidden: newBitset(len(s.base.docs))}
			copy(out.hidden, s.hidden)
		}
		if n, ok := out.base.ordinal[key]; ok {
			out.hidden.set(n)
		}
		if out.recent.holds(key) {
			out.recent = newSegment(slices.DeleteFunc(slices.Clone(out.recent.docs),
				func(d *doc) bool { return d.key == key }))
		}
		notes = append(notes, fmt.Sprintf("%s need not hold in %s until %s: %s", key, r.RepositoryID,
			e.Until.Format(time.DateOnly), e.Reason))
	}
	if out == nil {
		return s, nil
	}
	return out, notes
}

// exempts reports whether an exemption applies to every path of a query.
func exempts(e *knowledge.Exemption, paths []string) bool {
	if len(e.Paths) == 0 {
		return true
	}
	var globs []knowledge.Glob
	for _, text := range e.Paths {
		if g, err := knowledge.ParseGlob(text); err == nil {
			globs = append(globs, g)
		}
	}
	return len(paths) > 0 && !slices.ContainsFunc(paths, func(p string) bool { return including(globs, p) < 0 })
}
