package cache

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// An ask is a kind of query.
type ask byte

const (
	askRecord ask = iota
	askList
	askSearch
	asks // number of asks
)

// A slot identifies a query: for a document, a list or a search.
type slot struct {
	ask   ask
	ready bool // a list or a search together with its bodies
	kind  byte // see kindIndex
	id    string
}

// slotOf returns the slot of a document of a known kind.
func slotOf(key knowledge.Key) slot {
	kind, _ := kindIndex(key.Kind)
	return slot{ask: askRecord, kind: kind, id: key.ID}
}

// kinds bounds the values of kindIndex.
const kinds = 32

// kindIndex returns a small number for a kind, false if there is no such kind. 0 stands for several kinds at once.
func kindIndex(k knowledge.Kind) (byte, bool) {
	i, ok := kindNumbers()[k]
	return i, ok
}

//nolint:gochecknoglobals // made once, never written
var kindNumbers = sync.OnceValue(func() map[knowledge.Kind]byte {
	m := map[knowledge.Kind]byte{}
	for i, d := range knowledge.Described() {
		m[d.Kind] = byte(i + 1)
	}
	return m
})

// kindNames returns the kinds in the order of kindIndex.
func kindNames() []knowledge.Kind {
	names := []knowledge.Kind{""}
	for _, d := range knowledge.Described() {
		names = append(names, d.Kind)
	}
	return names
}

// An item is an answer in memory. Only checked ever changes.
type item struct {
	asOf   uint64           // the clock of the stamps before the source was asked
	from   knowledge.Source // the source of the answer
	weight uint32

	// For a record, or for "not found".
	dep    stripe // of the record's key
	rec    *knowledge.Record
	absent error // the "not found" error that this cache returns

	// For a list or a search; with page or hits set if it is ready to send.
	deps   []stripe // stripes that membership and order depend on
	list   *listing
	page   *knowledge.Page
	hits   *knowledge.Hits
	bodyAt uint64 // the clock at which the bodies were last known to be valid
	// checked is the clock at which the whole item was last found valid.
	checked atomic.Uint64

	passing bool // it must not be kept: it will change without a change in the log
}

// Memory of an item beside its bytes: its structs and strings, and the hot tier's own node, table and sketch.
const (
	recordCost = 420
	listCost   = 700
	entryCost  = 48 // for each key on a list
	partCost   = 64 // for the rest of each hit
	bodyCost   = 180
)

// The largest share of the hot budget that one item may take: 1/largest, and 1/largestReady for a ready answer, which
// could be assembled again from its records.
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
	key.ID = strings.Clone(key.ID) // the caller's string may be part of a long one
	it := &item{asOf: asOf, dep: dep, weight: uint32(min(2*len(key.ID)+recordCost, maxWeight))}
	it.absent = &store.NotFoundError{Key: key, Source: knowledge.SourceHot}
	if said, ok := errors.AsType[*store.NotFoundError](err); ok {
		it.from = said.Source
	}
	return it
}

// readyItem returns a listing with its bodies. The bodies weigh two and a half times their size: they stay in memory
// when the records' own items are evicted, and the HTTP API keeps an encoded and a compressed form of them.
func readyItem(at slot, it *item, records []*knowledge.Record, bodyAt uint64) *item {
	whole := &item{asOf: it.asOf, from: it.from, deps: it.deps, list: it.list, bodyAt: bodyAt, passing: it.passing}
	size := int(it.list.weight(at))
	for _, r := range records {
		size += len(r.JSON)*5/2 + bodyCost
		whole.passing = whole.passing || passing(r)
	}
	whole.weight = uint32(max(0, min(size, maxWeight)))
	if at.ask == askList {
		whole.page = &knowledge.Page{
			Next: it.list.next, Total: it.list.total, Source: knowledge.SourceHot,
			Memo: new(knowledge.Memo), Records: records,
		}
		return whole
	}
	head := it.list.head.Head()
	whole.hits = &head
	whole.hits.Source, whole.hits.Memo, whole.hits.Hits = knowledge.SourceHot, new(knowledge.Memo),
		make([]knowledge.Hit, len(records))
	for i := range it.list.parts {
		whole.hits.Hits[i] = it.list.parts[i].hit(records[i])
	}
	return whole
}

// body returns the record at an index of a list; nil if the item has no bodies.
func (it *item) body(i int) *knowledge.Record {
	switch {
	case it.page != nil:
		return it.page.Records[i]
	case it.hits != nil:
		return it.hits.Hits[i].Record
	}
	return nil
}

// source returns the source of the answer.
func (it *item) source() knowledge.Source {
	if it == nil {
		return ""
	}
	return it.from
}

// maxWeight keeps a weight within its type.
const maxWeight = 1 << 31

// passing reports whether a record will change without a change in the log: a batch that waits in a journal may be
// parked, and seed documents give way to the first database.
func passing(r *knowledge.Record) bool {
	return r.Pending != (knowledge.BatchID{}) || r.Source == knowledge.SourceSeed
}
