package cache

import (
	"strings"

	"github.com/maypok86/otter/v2"

	"tenet/internal/knowledge"
)

// An ask is a kind of question.
type ask byte

const (
	askRecord ask = iota
	askList
	askSearch
	asks // how many there are
)

// A slot names what an item answers: a document, a list or a search.
type slot struct {
	ask  ask
	kind byte // see kindIndex
	id   string
}

// kinds is how many values kindIndex has.
const kinds = 7

// kindIndex returns a small number for a kind, false for one that does not exist. 0 stands for several kinds at once.
func kindIndex(k knowledge.Kind) (byte, bool) {
	switch k {
	case knowledge.KindRule:
		return 1, true
	case knowledge.KindPractice:
		return 2, true
	case knowledge.KindTemplate:
		return 3, true
	case knowledge.KindCategory:
		return 4, true
	case knowledge.KindViolation:
		return 5, true
	case knowledge.KindPrincipal:
		return 6, true
	}
	return 0, false
}

// kindNames are the kinds in the order of kindIndex.
func kindNames() [kinds]knowledge.Kind {
	return [kinds]knowledge.Kind{
		"", knowledge.KindRule, knowledge.KindPractice, knowledge.KindTemplate, knowledge.KindCategory, knowledge.KindViolation,
		knowledge.KindPrincipal,
	}
}

// An item is an answer in memory. It never changes.
type item struct {
	asOf   uint64           // the time of the stamps before the source was asked
	from   knowledge.Source // where the answer came from
	weight uint32

	// A record, or that there is none.
	dep    stripe // of its key
	rec    *knowledge.Record
	absent error // what the source said instead of a record

	// A page, or hits.
	deps   []stripe // what membership and order depend on
	page   *knowledge.Page
	bodies []stripe // of the keys of the page's records
	bodyAt uint64   // the time at which the bodies were last known to hold
	hits   *knowledge.Hits

	passing bool // it must not be kept: it is about to change in a way that no change of the log tells
}

// What an item costs beside the bytes that it holds: its structs and strings, and the hot tier's own node, table and sketch.
const (
	recordCost = 420
	pageCost   = 700
	entryCost  = 180 // of each record on a page
	hitCost    = 320
)

// largest is the part of the hot budget that one item may take, 1/largest.
const largest = 8

func recordItem(rec *knowledge.Record, asOf uint64, dep stripe) *item {
	return &item{
		asOf: asOf, from: rec.Source, dep: dep, rec: rec.From(knowledge.SourceHot), passing: passing(rec),
		weight: uint32(min(len(rec.Key.ID)+len(rec.Category)+cap(rec.JSON)+recordCost, maxWeight)),
	}
}

func absentItem(key knowledge.Key, asOf uint64, dep stripe, err error) *item {
	return &item{asOf: asOf, dep: dep, absent: err, weight: uint32(min(2*len(key.ID)+recordCost, maxWeight))}
}

// pageItem weighs a page twice: its bodies, which live as long as the page does when the records' own items are evicted,
// and the encoded page that a door makes of them.
func pageItem(page *knowledge.Page, asOf uint64, deps, bodies []stripe, from knowledge.Source) *item {
	it := &item{asOf: asOf, bodyAt: asOf, from: from, deps: deps, bodies: bodies, page: page}
	size := pageCost + len(page.Next)
	for _, r := range page.Records {
		size += 2*len(r.JSON) + entryCost
		it.passing = it.passing || passing(r)
	}
	it.weight = uint32(min(size, maxWeight))
	return it
}

// hitsItem weighs hits as pageItem weighs pages.
func hitsItem(found *knowledge.Hits, asOf uint64, deps []stripe) *item {
	kept := &knowledge.Hits{
		Bounded: found.Bounded, Source: knowledge.SourceHot, Memo: new(knowledge.Memo), Hits: make([]knowledge.Hit, len(found.Hits)),
	}
	it := &item{asOf: asOf, from: found.Source, deps: deps, hits: kept, passing: found.Source == knowledge.SourceSeed}
	size := pageCost
	for i, h := range found.Hits {
		it.passing = it.passing || passing(h.Record)
		h.Record = h.Record.From(knowledge.SourceHot)
		kept.Hits[i] = h
		size += 2*(len(h.Record.JSON)+len(h.Snippet)) + 16*len(h.Marks) + hitCost
	}
	it.weight = uint32(min(size, maxWeight))
	return it
}

// maxWeight keeps a weight within its type.
const maxWeight = 1 << 31

// passing reports whether a record is about to change without a change in the log: what waits in a journal may be parked,
// and the seed data give way to the first database that is seen.
func passing(r *knowledge.Record) bool {
	return r.Pending != (knowledge.BatchID{}) || r.Source == knowledge.SourceSeed
}

// keep puts an item into the hot tier, unless what stands there was asked for later or is a newer version: two loads of one
// document may end in the wrong order, and no reader shall go back.
func (s *Store) keep(at slot, it *item) {
	if it.passing {
		return
	}
	if int64(it.weight) > s.o.Hot/largest {
		s.stats.unfit.Add(1)
		return
	}
	if it.rec != nil {
		at.id = it.rec.Key.ID // the caller's may be a part of something long
	} else {
		at.id = strings.Clone(at.id)
	}
	s.hot.Compute(at, func(old *item, found bool) (*item, otter.ComputeOp) {
		if found && s.outdoes(old, it) {
			return nil, otter.CancelOp
		}
		return it, otter.WriteOp
	})
}

// outdoes reports whether an item in memory is better than one that was just loaded.
func (s *Store) outdoes(old, it *item) bool {
	if it.rec == nil || old.rec == nil {
		return old.asOf > it.asOf
	}
	return old.rec.Version >= it.rec.Version && s.stamps.holds(old.asOf, old.dep)
}

// peek returns the item of a document in the hot tier if it is valid, else nil. Nobody counts it as a use.
func (s *Store) peek(key knowledge.Key, dep stripe) *item {
	kind, ok := kindIndex(key.Kind)
	if !ok || s.hot == nil {
		return nil
	}
	e, ok := s.hot.GetEntryQuietly(slot{askRecord, kind, key.ID})
	if !ok || !s.stamps.holds(e.Value.asOf, dep) {
		return nil
	}
	return e.Value
}

// held returns the valid record of a document in memory, nil when there is none.
func (s *Store) held(key knowledge.Key) *knowledge.Record {
	dep := stripeOf(key)
	if it := s.peek(key, dep); it != nil {
		return it.rec
	}
	if s.warm == nil {
		return nil
	}
	if rec, asOf := s.warm.get(key); rec != nil && s.stamps.holds(asOf, dep) {
		return rec
	}
	return nil
}
