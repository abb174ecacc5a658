package cache

import (
	"errors"
	"strings"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"tenet/internal/knowledge"
	"tenet/internal/store"
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
	ask   ask
	ready bool // a list or a search with its bodies
	kind  byte // see kindIndex
	id    string
}

// slotOf returns the slot of a document of a known kind.
func slotOf(key knowledge.Key) slot {
	kind, _ := kindIndex(key.Kind)
	return slot{ask: askRecord, kind: kind, id: key.ID}
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

// An item is an answer in memory. It never changes, but for when it was checked.
type item struct {
	asOf   uint64           // the time of the stamps before the source was asked
	from   knowledge.Source // where the answer came from
	weight uint32

	// A record, or that there is none.
	dep    stripe // of its key
	rec    *knowledge.Record
	absent error // that there is none, as this cache says it

	// A list or a search, and where it is ready, with its bodies.
	deps   []stripe // what membership and order depend on
	list   *listing
	page   *knowledge.Page
	hits   *knowledge.Hits
	bodyAt uint64 // the time at which the bodies were last known to hold
	// checked is the clock at which all of it was last found valid.
	checked atomic.Uint64

	passing bool // it must not be kept: it is about to change in a way that no change of the log tells
}

// What an item costs beside the bytes that it holds: its structs and strings, and the hot tier's own node, table and sketch.
const (
	recordCost = 420
	listCost   = 700
	entryCost  = 48 // of each key on a list
	partCost   = 64 // of what else there is to a hit
	bodyCost   = 180
)

// The part of the hot budget that one item may take: 1/largest, and 1/largestReady for an answer that could be put together
// again from its records.
const (
	largest      = 8
	largestReady = 256
)

func recordItem(rec *knowledge.Record, asOf uint64, dep stripe) *item {
	return &item{
		asOf: asOf, from: rec.Source, dep: dep, rec: rec.From(knowledge.SourceHot), passing: passing(rec),
		weight: uint32(min(len(rec.Key.ID)+len(rec.Category)+cap(rec.JSON)+recordCost, maxWeight)),
	}
}

func absentItem(key knowledge.Key, asOf uint64, dep stripe, err error) *item {
	key.ID = strings.Clone(key.ID) // the caller's may be a part of something long
	it := &item{asOf: asOf, dep: dep, weight: uint32(min(2*len(key.ID)+recordCost, maxWeight))}
	it.absent = &store.NotFoundError{Key: key, Source: knowledge.SourceHot}
	if said, ok := errors.AsType[*store.NotFoundError](err); ok {
		it.from = said.Source
	}
	return it
}

// readyItem returns a listing with its bodies. It weighs them two and a half times: they live as long as it does when the
// records' own items are evicted, and a door makes encoded bytes of them, and compressed ones.
func readyItem(at slot, it *item, records []*knowledge.Record, bodyAt uint64) *item {
	whole := &item{asOf: it.asOf, from: it.from, deps: it.deps, list: it.list, bodyAt: bodyAt, passing: it.passing}
	size := int(it.list.weight(at))
	for _, r := range records {
		size += len(r.JSON)*5/2 + bodyCost
		whole.passing = whole.passing || passing(r)
	}
	whole.weight = uint32(max(0, min(size, maxWeight)))
	if at.ask == askList {
		whole.page = &knowledge.Page{Next: it.list.next, Source: knowledge.SourceHot, Memo: new(knowledge.Memo), Records: records}
		return whole
	}
	whole.hits = &knowledge.Hits{
		Bounded: it.list.bounded, Source: knowledge.SourceHot, Memo: new(knowledge.Memo), Hits: make([]knowledge.Hit, len(records)),
	}
	for i, p := range it.list.parts {
		whole.hits.Hits[i] = knowledge.Hit{Record: records[i], Score: p.Score, Snippet: p.Snippet, Marks: p.Marks}
	}
	return whole
}

// body returns the record at a place of a list; nil when it has no bodies.
func (it *item) body(i int) *knowledge.Record {
	switch {
	case it.page != nil:
		return it.page.Records[i]
	case it.hits != nil:
		return it.hits.Hits[i].Record
	}
	return nil
}

// source returns where the answer came from.
func (it *item) source() knowledge.Source {
	if it == nil {
		return ""
	}
	return it.from
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

// keepReady keeps an answer that is ready to send, if it is not too much of the tier: it pays when it is asked for more often
// than all the records together that have to make room for it.
func (s *Store) keepReady(at slot, it *item) {
	if int64(it.weight) <= s.o.Hot/largestReady {
		at.ready = true
		s.keep(at, it)
	}
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
	if s.hot == nil {
		return nil
	}
	e, ok := s.hot.GetEntryQuietly(slotOf(key))
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
