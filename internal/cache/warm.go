package cache

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/fastcache"
	"github.com/maypok86/otter/v2"

	"tenet/internal/knowledge"
)

const (
	// MinWarm is the least budget of the warm tier. It takes memory in pieces of this size: what is left of a budget is not used.
	MinWarm = 32 << 20
	// maxEntry is the size up to which an entry and its key are kept: of a larger one fastcache would silently keep the older value.
	maxEntry = 64<<10 - 512
	// demotions is how many items may wait for the way down to the warm tier; more are dropped, which costs a load later.
	demotions = 1024
)

// A descent is an item on the way from the hot tier to the warm one.
type descent struct {
	at slot
	it *item
}

// deleted sends what the hot tier has no room for on the way to the warm tier. It must be quick: it runs under otter's lock.
func (s *Store) deleted(e otter.DeletionEvent[slot, *item]) {
	it := e.Value
	switch {
	case !s.valid(it):
		s.stats.outdated.Add(1)
		return
	case e.Cause != otter.CauseOverflow:
		s.stats.replaced.Add(1)
		return
	}
	s.stats.overflowed.Add(1)
	if s.warm == nil || !e.Key.sinks(it) {
		return
	}
	select {
	case s.down <- descent{e.Key, it}:
	default:
		s.stats.dropped.Add(1)
	}
}

// sinks reports whether an item belongs in the warm tier: what can be put together from other items does not, nor what is
// cheap to ask for, and the secrets of principals stay out of files.
func (at slot) sinks(it *item) bool {
	secret, _ := kindIndex(knowledge.KindPrincipal)
	return it.absent == nil && !at.ready && at.kind != secret
}

// demote compresses an item into the warm tier, unless the warm tier has that very load already and will have it for a while,
// the hot tier has something for its slot again, or it is no longer valid.
func (s *Store) demote(d descent) {
	it := d.it
	s.warm.writing.Lock()
	defer s.warm.writing.Unlock()
	if s.closed.Load() {
		return
	}
	if h, ok := s.warm.head(d.at); ok && h.asOf == it.asOf && s.warm.young(h) {
		return
	}
	if e, ok := s.hot.GetEntryQuietly(d.at); ok && s.valid(e.Value) || !s.valid(it) {
		return
	}
	if !s.warm.admission.admit(d.at, s.warm.cache) {
		s.stats.once.Add(1)
		return
	}
	if s.sink(d) {
		s.stats.demoted.Add(1)
	} else {
		s.stats.unfit.Add(1)
	}
}

// sink writes an item to the warm tier, and reports whether it fits. It needs warm.writing.
func (s *Store) sink(d descent) bool {
	if d.it.rec == nil {
		return s.warm.putListing(d.at, d.it)
	}
	switch made, err := s.warm.codec.learn(d.it.rec.JSON); {
	case err != nil:
		s.o.Log.Info("warm cache compresses without a dictionary: its documents have too little in common", "error", err.Error())
	case made:
		s.o.Log.Debug("warm cache has made a dictionary of its documents")
	}
	return s.warm.put(d.it.rec, d.it.asOf)
}

// sinkAll writes what the hot tier holds to the warm tier, what is wanted most first, as long as there is time.
func (s *Store) sinkAll(until time.Time) {
	s.warm.writing.Lock()
	defer s.warm.writing.Unlock()
	for e := range s.hot.Hottest() {
		if time.Now().After(until) {
			return
		}
		if !e.Key.sinks(e.Value) || !s.valid(e.Value) {
			continue
		}
		if h, ok := s.warm.head(e.Key); !ok || h.asOf != e.Value.asOf {
			s.sink(descent{e.Key, e.Value})
		}
	}
}

// valid reports whether an item still holds, but for the bodies of one that has any.
func (s *Store) valid(it *item) bool {
	return s.stamps.valid(it.asOf, it.deps...) && (it.deps != nil || s.stamps.holds(it.asOf, it.dep))
}

// warm holds records, and what is on lists and among hits, compressed and outside the Go heap.
type warm struct {
	cache     *fastcache.Cache
	writing   sync.Mutex // held by those who write entries; guards codec, but for reading, and admission
	codec     *codec
	admission admission
	bytes     uint64        // the budget
	written   atomic.Uint64 // bytes ever written; the tier forgets what was written a budget ago
	// usable is false while nobody knows what has changed since the entries were saved.
	usable atomic.Bool
}

// openWarm opens a tier with what was saved in dir; an empty one when dir is "" or holds nothing that fits.
func openWarm(dir string, bytes int64) (*warm, error) {
	bytes -= bytes % MinWarm
	c, err := openCodec(dir)
	if err != nil {
		return nil, fmt.Errorf("open the warm tier: %w", err)
	}
	w := &warm{codec: c, bytes: uint64(bytes)}
	if dir != "" {
		if w.cache, err = fastcache.LoadFromFileMaxBytes(filepath.Join(dir, warmDir), int(bytes)); err == nil {
			return w, nil
		}
	}
	w.cache = fastcache.New(int(bytes))
	return w, nil
}

// close gives the memory back.
func (w *warm) close() {
	if w == nil {
		return
	}
	w.usable.Store(false)
	w.writing.Lock()
	defer w.writing.Unlock()
	w.cache.Reset()
	w.codec.close()
}

// size returns the bytes and the entries that the tier holds.
func (w *warm) size() (bytes, entries uint64) {
	var st fastcache.Stats
	w.cache.UpdateStats(&st)
	return st.BytesSize, st.EntriesCount
}

// keyRoom is room for the key of a usual entry.
const keyRoom = 160

// warmKey returns the key of an entry. It is the same in every process.
func warmKey(dst []byte, at slot) []byte {
	return append(append(dst, byte(at.ask), at.kind), at.id...)
}

// put keeps a record, and reports whether it fits.
func (w *warm) put(r *knowledge.Record, asOf uint64) bool {
	if len(r.Category) > math.MaxUint8 {
		return false
	}
	return w.set(slotOf(r.Key), w.encode(make([]byte, 0, fixedSize+len(r.Category)+len(r.JSON)/2), r, asOf))
}

// putListing keeps a list or a search, and reports whether it fits.
func (w *warm) putListing(at slot, it *item) bool {
	doc, err := encodeListing(it)
	if err != nil {
		return false
	}
	return w.set(at, w.codec.compress(appendHead(make([]byte, 0, headSize+len(doc)/2), it.asOf), doc))
}

// set keeps an entry, and reports whether it fits. One that does not leaves nothing behind.
func (w *warm) set(at slot, b []byte) bool {
	key := warmKey(make([]byte, 0, keyRoom), at)
	if len(key)+len(b) > maxEntry {
		w.cache.Del(key)
		return false
	}
	binary.LittleEndian.PutUint64(b[8:], w.written.Add(uint64(len(key)+len(b))))
	w.cache.Set(key, b)
	return true
}

// A head begins every entry.
type head struct {
	asOf    uint64 // when it was asked for
	written uint64 // how much had been written to the tier by then
}

const headSize = 16

func appendHead(b []byte, asOf uint64) []byte {
	return append(binary.LittleEndian.AppendUint64(b, asOf), make([]byte, headSize-8)...) // set fills in the rest
}

// head returns the head of the entry of a slot.
func (w *warm) head(at slot) (head, bool) {
	b := w.raw(at)
	if len(b) < headSize {
		return head{}, false
	}
	return head{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}, true
}

// young reports whether an entry is in the newer half of the tier. An older one that is wanted again is written once more, or
// it would be forgotten however often it is asked for.
func (w *warm) young(h head) bool { return w.written.Load()-h.written < w.bytes/2 }

// get returns the record of a document and when it was asked for; nil when there is none, or none that can be read.
func (w *warm) get(key knowledge.Key) (*knowledge.Record, uint64) {
	return w.decode(w.raw(slotOf(key)), key)
}

// getListing returns a list or a search, nil when there is none, or none that can be read.
func (w *warm) getListing(at slot, deps []stripe) *item {
	b := w.raw(at)
	if len(b) < headSize {
		return nil
	}
	doc, ok := w.codec.decompress(b[headSize:])
	if !ok {
		return nil
	}
	it, ok := decodeListing(doc, at, binary.LittleEndian.Uint64(b), deps)
	if !ok {
		return nil
	}
	return it
}

func (w *warm) raw(at slot) []byte {
	if !w.usable.Load() {
		return nil
	}
	b, _ := w.cache.HasGet(nil, warmKey(make([]byte, 0, keyRoom), at))
	return b
}

// fixedSize is the length of the fixed part of a record's entry: head, version, rank, updated, whether it is active, length of
// the category.
const fixedSize = headSize + 8*3 + 2

// encode appends a record as the tier holds it.
func (w *warm) encode(b []byte, r *knowledge.Record, asOf uint64) []byte {
	b = appendHead(b, asOf)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Version))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Rank))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Updated.UnixMicro()))
	active := byte(0)
	if r.Active {
		active = 1
	}
	b = append(b, active, byte(len(r.Category)))
	b = append(b, r.Category...)
	return w.codec.compress(b, r.JSON)
}

// decode reads what encode wrote; nil for anything else: a file that was damaged while nobody looked is as good as none.
func (w *warm) decode(b []byte, key knowledge.Key) (*knowledge.Record, uint64) {
	if len(b) < fixedSize {
		return nil, 0
	}
	n := fixedSize + int(b[fixedSize-1])
	if len(b) < n {
		return nil, 0
	}
	doc, ok := w.codec.decompress(b[n:])
	if !ok {
		return nil, 0
	}
	number := func(i int) int64 { return int64(binary.LittleEndian.Uint64(b[headSize+8*i:])) }
	return &knowledge.Record{
		Key: key, Version: number(0), Rank: number(1), Updated: knowledge.At(time.UnixMicro(number(2))),
		Active: b[fixedSize-2] == 1, Category: string(b[fixedSize:n]), JSON: doc, Source: knowledge.SourceWarm,
	}, binary.LittleEndian.Uint64(b)
}
