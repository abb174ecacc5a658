package cache

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"tenet/internal/knowledge"
)

// A listing is what is on a page or among hits, in order, without the bodies. It never changes.
type listing struct {
	keys    []knowledge.Key
	bodies  []stripe // of the keys
	shapes  []uint32 // of the records, see shapeOf
	next    string   // of a page
	parts   []part   // of hits
	bounded bool     // of hits
}

// A part is what a hit is beside its record.
type part struct {
	Score   float64
	Snippet string
	Marks   [][2]int
}

// shapeOf sums up what a record shows of its place on a list. A body with another one has moved, whatever the stamps say so
// far.
func shapeOf(r *knowledge.Record) uint32 {
	active := ""
	if r.Active {
		active = "active"
	}
	var rank [16]byte
	sum := fnv(r.Category, active, string(strconv.AppendInt(rank[:0], r.Rank, 36)))
	return uint32(sum ^ sum>>32) //nolint:gosec // half of a hash is a hash
}

// A question is a list or a search that is not ready.
type question struct {
	deps []stripe
	load func(ctx context.Context, asOf uint64, deps []stripe) (*item, error)
}

// few is how many bodies of n may be asked for one by one before it is better to ask the whole question.
func few(n int) int { return 1 + n/10 }

// answer returns an answer that is ready to send, and where it was found: put together from memory, or brought in by one
// flight for all who ask. A nil item means that everything moves while it is being put together: the caller asks the source.
func (s *Store) answer(ctx context.Context, at slot, q *question) (*item, knowledge.Source, error) {
	if it := s.listing(at, q.deps); it != nil {
		whole, found, err := s.assemble(ctx, at, it)
		if err != nil || whole != nil {
			s.stats.count(at, found)
			return whole, found, err
		}
	}
	it, err := s.fly(ctx, at, q.deps, func(ctx context.Context, asOf uint64) (*item, error) {
		s.stats.found(at).miss.Add(1)
		began := time.Now()
		it, err := q.load(ctx, asOf, q.deps)
		s.stats.loaded(began, err)
		return it, err
	})
	if err != nil || it == nil || s.stamps.valid(it.bodyAt, it.list.bodies...) {
		return it, it.source(), err
	}
	// The load may have been under way when a body changed, and this caller may have come after that.
	whole, _, err := s.assemble(ctx, at, it)
	return whole, it.source(), err
}

// listing returns what is known to be on a list: from an answer of which a body has changed, from hot, from warm; nil for
// nothing.
func (s *Store) listing(at slot, deps []stripe) *item {
	for _, at.ready = range []bool{true, false} {
		if it, ok := s.hot.GetIfPresent(at); ok && s.stamps.valid(it.asOf, it.deps...) {
			return it
		}
	}
	if s.warm == nil {
		return nil
	}
	it := s.warm.getListing(at, deps)
	if it == nil || !s.stamps.valid(it.asOf, deps...) {
		return nil
	}
	s.stats.promoted.Add(1)
	s.keep(at, it)
	return it
}

// assemble gives a listing its bodies: those that it has and that hold, those of the records in memory, and a few from the
// source. It returns nil when more are missing, or when something on the list has moved.
func (s *Store) assemble(ctx context.Context, at slot, it *item) (*item, knowledge.Source, error) {
	asOf := s.stamps.now()
	found := knowledge.SourceHot
	records := make([]*knowledge.Record, len(it.list.keys))
	var missing []int
	for i, key := range it.list.keys {
		records[i] = it.body(i)
		if records[i] != nil && s.stamps.holds(it.bodyAt, it.list.bodies[i]) {
			continue
		}
		var tier knowledge.Source
		if records[i], tier = s.inMemory(key, it.list.bodies[i]); records[i] == nil {
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
	if !s.stamps.valid(it.asOf, it.deps...) {
		return nil, "", nil // what is on the list has changed meanwhile
	}
	// What was looked up here is not older than asOf, and what was found valid still was at asOf: both were looked at later.
	whole := readyItem(at, it, records, asOf)
	s.keepReady(at, whole)
	return whole, found, nil
}

// inMemory returns the valid record of a document in one of the tiers, and which; nil when there is none.
func (s *Store) inMemory(key knowledge.Key, dep stripe) (*knowledge.Record, knowledge.Source) {
	at := slotOf(key)
	if it, ok := s.hot.GetIfPresent(at); ok && s.stamps.holds(it.asOf, dep) {
		return it.rec, knowledge.SourceHot
	}
	if it := s.promote(key, at, dep); it != nil {
		return it.rec, knowledge.SourceWarm
	}
	return nil, ""
}

// takeIn makes an answer of what the source has said, and items of the records in it. It returns nil when readers were shown a
// newer version of one of them meanwhile, which does not belong there: they may not be shown the older one, nor a newer one in
// an older one's place.
func (s *Store) takeIn(at slot, records []*knowledge.Record, list *listing, from knowledge.Source, asOf uint64, deps []stripe) *item {
	it := &item{asOf: asOf, from: from, deps: deps, list: list, passing: from == knowledge.SourceSeed}
	n := len(records)
	list.keys, list.bodies, list.shapes = make([]knowledge.Key, n), make([]stripe, n), make([]uint32, n)
	shown, since := make([]*knowledge.Record, n), make([]uint64, n)
	for i, r := range records {
		it.passing = it.passing || passing(r)
		list.keys[i], list.bodies[i] = r.Key, stripeOf(r.Key)
		shown[i], since[i] = s.takeInRecord(r, asOf, list.bodies[i])
		list.shapes[i] = shapeOf(r)
		if shown[i].Version != r.Version && (at.ask == askSearch || !sameShape(r, shown[i])) {
			return nil // a hit says what was found in its text
		}
	}
	it.weight = list.weight(at)
	s.keep(at, it)
	whole := readyItem(at, it, shown, asOf)
	now := s.stamps.now()
	for i := range since {
		if !s.stamps.holds(since[i], list.bodies[i]) {
			return whole
		}
	}
	whole.bodyAt = now
	s.keepReady(at, whole)
	return whole
}

// takeInRecord keeps a record of a page, and returns what a reader of the page shall see and as of when that holds. It is never
// an older version than another reader was shown.
func (s *Store) takeInRecord(r *knowledge.Record, asOf uint64, dep stripe) (*knowledge.Record, uint64) {
	if r.Version < s.seen[dep].Load() {
		if newer := s.held(r.Key); newer != nil && newer.Version > r.Version {
			return newer.From(knowledge.SourceHot), 0
		}
	}
	asOf = s.noticed(r, dep, asOf)
	it := recordItem(r, asOf, dep)
	if !s.stamps.holds(asOf, dep) {
		return it.rec, asOf
	}
	at := slotOf(r.Key)
	if e, ok := s.hot.GetEntryQuietly(at); ok && s.stamps.holds(e.Value.asOf, dep) && e.Value.rec != nil && e.Value.rec.Version == r.Version {
		return e.Value.rec, e.Value.asOf // one copy of the bytes is enough
	}
	s.keep(at, it)
	return it.rec, asOf
}

// weight is about what a listing takes.
func (l *listing) weight(at slot) uint32 {
	size := listCost + len(at.id) + len(l.next)
	for _, key := range l.keys {
		size += len(key.ID) + entryCost
	}
	for i := range l.parts {
		size += len(l.parts[i].Snippet) + 16*len(l.parts[i].Marks) + partCost
	}
	return uint32(min(size, maxWeight))
}

// A savedListing is a listing as the warm tier holds it.
type savedListing struct {
	Keys    []knowledge.Key  `json:"k"`
	Shapes  []uint32         `json:"s"`
	Next    string           `json:"n,omitempty"`
	Parts   []part           `json:"p,omitempty"`
	Bounded bool             `json:"b,omitempty"`
	From    knowledge.Source `json:"f"`
}

// encodeListing returns a listing as bytes.
func encodeListing(it *item) ([]byte, error) {
	l := it.list
	return json.Marshal(savedListing{l.keys, l.shapes, l.next, l.parts, l.bounded, it.from})
}

// decodeListing reads what encodeListing wrote; false for anything else.
func decodeListing(b []byte, at slot, asOf uint64, deps []stripe) (*item, bool) {
	var saved savedListing
	if json.Unmarshal(b, &saved) != nil || len(saved.Shapes) != len(saved.Keys) {
		return nil, false
	}
	if at.ask == askSearch && len(saved.Parts) != len(saved.Keys) || at.ask == askList && len(saved.Parts) > 0 {
		return nil, false
	}
	l := &listing{keys: saved.Keys, shapes: saved.Shapes, next: saved.Next, parts: saved.Parts, bounded: saved.Bounded, bodies: make([]stripe, len(saved.Keys))}
	for i, key := range l.keys {
		if _, ok := kindIndex(key.Kind); !ok {
			return nil, false
		}
		l.bodies[i] = stripeOf(key)
	}
	return &item{asOf: asOf, from: saved.From, deps: deps, list: l, weight: l.weight(at)}, true
}
