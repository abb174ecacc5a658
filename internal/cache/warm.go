package cache

import (
	"encoding/binary"
	"errors"
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
	// MinWarm is the smallest budget of the warm tier. The tier takes memory in pieces of this size; the rest of a
	// budget is not used.
	MinWarm = 32 << 20
	// maxEntry is the largest entry with its key: of a larger one fastcache would silently keep the old value.
	maxEntry = 64<<10 - 512
	// demotions is how many items may wait to move to the warm tier; more are dropped, which costs a load later.
	demotions = 1024
)

// A descent is an item on the way from the hot tier to the warm one.
type descent struct {
	at slot
	it *item
}

// deleted sends items that the hot tier has no room for to the warm tier. It must be quick: it runs under otter's lock.
func (m *memory) deleted(e otter.DeletionEvent[slot, *item]) {
	it := e.Value
	switch {
	case !m.valid(it):
		m.stats.outdated.Add(1)
		return
	case e.Cause != otter.CauseOverflow:
		m.stats.replaced.Add(1)
		return
	}
	m.stats.overflowed.Add(1)
	if m.warm == nil || !e.Key.sinks(it) {
		return
	}
	select {
	case m.down <- descent{e.Key, it}:
	default:
		m.stats.dropped.Add(1)
	}
}

// sinks reports whether an item belongs in the warm tier. Answers that can be assembled from other items or are cheap
// to load do not, and neither do principals, whose secrets stay out of files.
func (at slot) sinks(it *item) bool {
	secret, _ := kindIndex(knowledge.KindPrincipal)
	return it.absent == nil && !at.ready && at.kind != secret
}

// demote compresses an item into the warm tier. It does nothing if the warm tier has the same load and will keep it for
// a while, if the hot tier has loaded the slot again, or if the item is no longer valid.
func (m *memory) demote(d descent) {
	it := d.it
	m.warm.writing.Lock()
	defer m.warm.writing.Unlock()
	if m.closed.Load() {
		return
	}
	if h, ok := m.warm.head(d.at); ok && h.asOf == it.asOf && m.warm.young(h) {
		return
	}
	if e, ok := m.hot.GetEntryQuietly(d.at); ok && m.valid(e.Value) || !m.valid(it) {
		return
	}
	if !m.warm.admission.admit(d.at, m.warm.cache) {
		m.stats.once.Add(1)
		return
	}
	if m.sink(d) {
		m.stats.demoted.Add(1)
	} else {
		m.stats.unfit.Add(1)
	}
}

// sink writes an item to the warm tier, and reports whether it fits. It needs warm.writing.
func (m *memory) sink(d descent) bool {
	if d.it.rec == nil {
		return m.warm.putListing(d.at, d.it)
	}
	switch made, err := m.warm.codec.learn(d.it.rec.JSON); {
	case err != nil:
		m.o.Log.Info("warm cache compresses without a dictionary: training one failed", "error", err.Error())
	case made:
		m.o.Log.Debug("warm cache has trained a dictionary")
	}
	return m.warm.put(d.it.rec, d.it.asOf)
}

// sinkAll writes the hot tier to the warm tier, the most used entries first, until the time is up.
func (m *memory) sinkAll(until time.Time) {
	m.warm.writing.Lock()
	defer m.warm.writing.Unlock()
	for e := range m.hot.Hottest() {
		if time.Now().After(until) {
			return
		}
		if !e.Key.sinks(e.Value) || !m.valid(e.Value) {
			continue
		}
		if h, ok := m.warm.head(e.Key); !ok || h.asOf != e.Value.asOf {
			m.sink(descent{e.Key, e.Value})
		}
	}
}

// valid reports whether an item is valid, without regard to its bodies.
func (m *memory) valid(it *item) bool {
	return m.stamps.valid(it.asOf, it.deps...) && (it.deps != nil || m.stamps.holds(it.asOf, it.dep))
}

// warm holds records and listings, compressed and outside the Go heap.
type warm struct {
	cache     *fastcache.Cache
	writing   sync.Mutex // held while writing entries; guards admission, and codec except for reads
	codec     *codec
	admission admission
	bytes     uint64        // the budget
	written   atomic.Uint64 // total bytes written; the tier drops an entry after a budget's worth of later writes
	// usable is false until it is known what has changed since the entries were saved.
	usable atomic.Bool
}

// openWarm opens a tier with the entries saved in dir; an empty tier if dir is "" or has none that fit.
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

// close frees the memory.
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

// forget drops every entry, their saved copy in dir, and the codec's dictionary, so that none of them holds a purged
// text. fastcache can't erase a single entry, only make it unfindable.
func (w *warm) forget(dir string) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.cache.Reset()
	err := w.codec.forget()
	if dir == "" {
		return err
	}
	return errors.Join(err, discard(dir))
}

// size returns the bytes and the number of entries in the tier.
func (w *warm) size() (bytes, entries uint64) {
	var st fastcache.Stats
	w.cache.UpdateStats(&st)
	return st.BytesSize, st.EntriesCount
}

// keyRoom is room for a typical key.
const keyRoom = 160

// warmKey returns the key of an entry. It is the same in every process.
func warmKey(dst []byte, at slot) []byte {
	return append(append(dst, byte(at.ask), at.kind), at.id...)
}

// put stores a record, and reports whether it fits.
func (w *warm) put(r *knowledge.Record, asOf uint64) bool {
	if len(r.Category) > math.MaxUint8 {
		return false
	}
	return w.set(slotOf(r.Key), w.encode(make([]byte, 0, fixedSize+len(r.Category)+len(r.JSON)/2), r, asOf))
}

// putListing stores a list or a search, and reports whether it fits.
func (w *warm) putListing(at slot, it *item) bool {
	doc, err := encodeListing(it)
	if err != nil {
		return false
	}
	return w.set(at, w.codec.compress(appendHead(make([]byte, 0, headSize+len(doc)/2), it.asOf), doc))
}

// set stores an entry, and reports whether it fits. If not, an older entry of the slot is removed.
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
	asOf    uint64 // the clock when the entry was loaded
	written uint64 // total bytes written to the tier by then
}

const headSize = 16

func appendHead(b []byte, asOf uint64) []byte {
	return append(binary.LittleEndian.AppendUint64(b, asOf), make([]byte, headSize-8)...) // set fills in the rest
}

// head returns the head of a slot's entry.
func (w *warm) head(at slot) (head, bool) {
	b := w.raw(at)
	if len(b) < headSize {
		return head{}, false
	}
	return head{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}, true
}

// young reports whether an entry is in the newer half of the tier. An older entry that is asked for again is written
// again; otherwise the tier would drop it however often it is used.
func (w *warm) young(h head) bool { return w.written.Load()-h.written < w.bytes/2 }

// get returns the record of a document and its clock; nil if there is none that can be read.
func (w *warm) get(key knowledge.Key) (*knowledge.Record, uint64) {
	return w.decode(w.raw(slotOf(key)), key)
}

// getListing returns a list or a search, nil if there is none that can be read.
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

// fixedSize is the length of the fixed part of a record's entry: head, version, rank, updated, active, length of the
// category.
const fixedSize = headSize + 8*3 + 2

// encode appends the warm tier's form of a record.
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

// decode decodes what encode wrote; nil for anything else, such as an entry of a damaged file.
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
