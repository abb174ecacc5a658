package cache

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"tenet/internal/knowledge"
)

// A listing is the content of a page or of hits, in order, without the bodies. It never changes.
type listing struct {
	keys   []knowledge.Key
	bodies []stripe        // stripes of the keys
	shapes []uint32        // shapes of the records, see shapeOf
	next   string          // of a page
	total  int             // of a page, if it was asked for
	parts  []part          // of hits
	head   *knowledge.Hits // the fields of an answer beside its hits
}

// A part is a hit without its record.
type part struct {
	Score    float64
	Snippet  string
	Marks    [][2]int
	Missing  []string
	Title    string
	Severity string
}

func partOf(h *knowledge.Hit) part {
	return part{
		Score: h.Score, Snippet: h.Snippet, Marks: h.Marks, Missing: h.Missing, Title: h.Title,
		Severity: h.Severity,
	}
}

func (p *part) hit(rec *knowledge.Record) knowledge.Hit {
	return knowledge.Hit{
		Record: rec, Score: p.Score, Snippet: p.Snippet, Marks: p.Marks, Missing: p.Missing, Title: p.Title,
		Severity: p.Severity,
	}
}

// shapeOf sums up the fields of a record that decide its place on a list. A body with another shape has moved, whatever
// the stamps say.
func shapeOf(r *knowledge.Record) uint32 {
	active := ""
	if r.Active {
		active = "active"
	}
	var rank [16]byte
	sum := fnv(r.Category, active, string(strconv.AppendInt(rank[:0], r.Rank, 36)))
	return uint32(sum ^ sum>>32) //nolint:gosec // half of a hash is a hash
}

// A question is a list or a search that is not ready in memory.
type question struct {
	deps []stripe
	load func(ctx context.Context, asOf uint64, deps []stripe) (*item, error)
}

// few is how many of n bodies are loaded one by one; with more missing, the whole query is loaded again.
func few(n int) int { return 1 + n/10 }

// answer returns an answer that is ready to send, and where it was found: assembled from memory, or loaded in one
// flight for all who ask. A nil item means that the list kept changing during assembly: the caller asks the source.
func (s *Store) answer(ctx context.Context, at slot, q *question) (*item, knowledge.Source, error) {
	if it := s.mem.listing(at, q.deps); it != nil {
		whole, found, err := s.assemble(ctx, at, it)
		if err != nil || whole != nil {
			s.mem.stats.count(at, found)
			return whole, found, err
		}
	}
	it, err := s.fly(ctx, at, q.deps, func(ctx context.Context, asOf uint64) (*item, error) {
		s.mem.stats.found(at).miss.Add(1)
		began := time.Now()
		it, err := q.load(ctx, asOf, q.deps)
		s.mem.stats.loaded(began, err)
		return it, err
	})
	if err != nil || it == nil || s.mem.stamps.valid(it.bodyAt, it.list.bodies...) {
		return it, it.source(), err
	}
	// The load may have started before a body changed, and this caller may have come after that.
	whole, _, err := s.assemble(ctx, at, it)
	return whole, it.source(), err
}

// listing returns the known content of a list: from an answer with an outdated body, from the hot tier, or from the
// warm one; nil for none.
func (m *memory) listing(at slot, deps []stripe) *item {
	for _, at.ready = range []bool{true, false} {
		if it, ok := m.hot.GetIfPresent(at); ok && m.stamps.valid(it.asOf, it.deps...) {
			return it
		}
	}
	if m.warm == nil {
		return nil
	}
	it := m.warm.getListing(at, deps)
	if it == nil || !m.stamps.valid(it.asOf, deps...) {
		return nil
	}
	m.stats.promoted.Add(1)
	m.keep(at, it)
	return it
}

// assemble gives a listing its bodies: its own valid ones, records in memory, and a few loaded from the source. It
// returns nil if more are missing, or if something on the list has moved.
func (s *Store) assemble(ctx context.Context, at slot, it *item) (*item, knowledge.Source, error) {
	asOf := s.mem.stamps.now()
	found := knowledge.SourceHot
	records := make([]*knowledge.Record, len(it.list.keys))
	var missing []int
	for i, key := range it.list.keys {
		records[i] = it.body(i)
		if records[i] != nil && s.mem.stamps.holds(it.bodyAt, it.list.bodies[i]) {
			continue
		}
		var tier knowledge.Source
		if records[i], tier = s.mem.inMemory(key, it.list.bodies[i]); records[i] == nil {
			if missing = append(missing, i); len(missing) > few(len(records)) {
				return nil, "", nil
			}
		} else if tier == knowledge.SourceWarm && found == knowledge.SourceHot {
			found = tier
		}
	}
	for _, i := range missing {
		rec, err := s.loadRecord(ctx, it.list.keys[i], slotOf(it.list.keys[i]))
		if err != nil {
			return nil, "", err
		}
		if rec.rec == nil {
			return nil, "", nil
		}
		records[i], found = rec.rec, rec.from
	}
	for i, r := range records {
		if shapeOf(r) != it.list.shapes[i] {
			return nil, "", nil
		}
	}
	if !s.mem.stamps.valid(it.asOf, it.deps...) {
		return nil, "", nil // the list has changed meanwhile
	}
	// Records found here are not older than asOf, and bodies found valid were still valid at asOf: both were checked
	// later.
	whole := readyItem(at, it, records, asOf)
	s.mem.keepReady(at, whole)
	return whole, found, nil
}

// inMemory returns the valid record of a document and its tier; nil if neither tier has one.
func (m *memory) inMemory(key knowledge.Key, dep stripe) (*knowledge.Record, knowledge.Source) {
	at := slotOf(key)
	if it, ok := m.hot.GetIfPresent(at); ok && m.stamps.holds(it.asOf, dep) {
		return it.rec, knowledge.SourceHot
	}
	if it := m.promote(key, at, dep); it != nil {
		return it.rec, knowledge.SourceWarm
	}
	return nil, ""
}

// takeIn makes an item of an answer of the source, and items of its records. It returns nil if readers have meanwhile
// seen a newer version of one of them that does not belong in its place: readers must not see the older version again,
// nor the newer one in the older one's place.
func (m *memory) takeIn(
	at slot, records []*knowledge.Record, list *listing, from knowledge.Source, asOf uint64, deps []stripe,
) *item {
	it := &item{asOf: asOf, from: from, deps: deps, list: list, passing: from == knowledge.SourceSeed}
	n := len(records)
	list.keys, list.bodies, list.shapes = make([]knowledge.Key, n), make([]stripe, n), make([]uint32, n)
	shown, since := make([]*knowledge.Record, n), make([]uint64, n)
	for i, r := range records {
		it.passing = it.passing || passing(r)
		list.keys[i], list.bodies[i] = r.Key, stripeOf(r.Key)
		shown[i], since[i] = m.takeInRecord(r, asOf, list.bodies[i])
		list.shapes[i] = shapeOf(r)
		if shown[i].Version != r.Version && (at.ask == askSearch || !sameShape(r, shown[i])) {
			return nil // a hit describes the text that was found
		}
	}
	it.weight = list.weight(at)
	m.keep(at, it)
	whole := readyItem(at, it, shown, asOf)
	now := m.stamps.now()
	for i := range since {
		if !m.stamps.holds(since[i], list.bodies[i]) {
			return whole
		}
	}
	whole.bodyAt = now
	m.keepReady(at, whole)
	return whole
}

// takeInRecord keeps a record of a page, and returns the version that readers of the page get and the clock at which it
// is valid. That is never an older version than another reader has seen.
func (m *memory) takeInRecord(r *knowledge.Record, asOf uint64, dep stripe) (*knowledge.Record, uint64) {
	if r.Version < m.seen[dep].Load() {
		if newer := m.held(r.Key); newer != nil && newer.Version > r.Version {
			return newer.From(knowledge.SourceHot), 0
		}
	}
	asOf = m.noticed(r, dep, asOf)
	it := recordItem(r, asOf, dep)
	if !m.stamps.holds(asOf, dep) {
		return it.rec, asOf
	}
	at := slotOf(r.Key)
	if e, ok := m.hot.GetEntryQuietly(at); ok && m.stamps.holds(e.Value.asOf, dep) && e.Value.rec != nil &&
		e.Value.rec.Version == r.Version {
		return e.Value.rec, e.Value.asOf // one copy of the bytes is enough
	}
	m.keep(at, it)
	return it.rec, asOf
}

// weight is the approximate memory of a listing.
func (l *listing) weight(at slot) uint32 {
	size := listCost + len(at.id) + len(l.next)
	for _, key := range l.keys {
		size += len(key.ID) + entryCost
	}
	for i := range l.parts {
		size += len(l.parts[i].Snippet) + len(l.parts[i].Title) +
			16*(len(l.parts[i].Marks)+2*len(l.parts[i].Missing)) + partCost
	}
	if l.head != nil {
		size += listCost + 64*(len(l.head.Facets)+len(l.head.Reading.LeftOut))
	}
	return uint32(min(size, maxWeight))
}

// A savedListing is a listing as the warm tier stores it.
type savedListing struct {
	Keys   []knowledge.Key  `json:"k"`
	Shapes []uint32         `json:"s"`
	Next   string           `json:"n,omitempty"`
	Total  int              `json:"t,omitempty"`
	Parts  []part           `json:"p,omitempty"`
	Head   *knowledge.Hits  `json:"h,omitempty"`
	From   knowledge.Source `json:"f"`
}

// encodeListing encodes a listing.
func encodeListing(it *item) ([]byte, error) {
	l := it.list
	return json.Marshal(savedListing{l.keys, l.shapes, l.next, l.total, l.parts, l.head, it.from})
}

// decodeListing decodes what encodeListing wrote; false for anything else.
func decodeListing(b []byte, at slot, asOf uint64, deps []stripe) (*item, bool) {
	var saved savedListing
	if json.Unmarshal(b, &saved) != nil || len(saved.Shapes) != len(saved.Keys) {
		return nil, false
	}
	if at.ask == askSearch && (len(saved.Parts) != len(saved.Keys) || saved.Head == nil) ||
		at.ask == askList && len(saved.Parts) > 0 {
		return nil, false
	}
	l := &listing{
		keys: saved.Keys, shapes: saved.Shapes, next: saved.Next, total: saved.Total, parts: saved.Parts,
		head: saved.Head, bodies: make([]stripe, len(saved.Keys)),
	}
	for i, key := range l.keys {
		if _, ok := kindIndex(key.Kind); !ok {
			return nil, false
		}
		l.bodies[i] = stripeOf(key)
	}
	return &item{asOf: asOf, from: saved.From, deps: deps, list: l, weight: l.weight(at)}, true
}
