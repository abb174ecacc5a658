package cache

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
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
	secret, _ := kindIndex(knowledge.KindPrincipal)
	if s.warm == nil || it.absent != nil || e.Key.ready || e.Key.kind == secret {
		return // secrets of principals stay out of files
	}
	select {
	case s.down <- descent{e.Key, it}:
	default:
		s.stats.dropped.Add(1)
	}
}

// demote compresses an item into the warm tier, unless the warm tier has that very load already, the hot tier has something
// for its slot again, or it is no longer valid.
func (s *Store) demote(d descent) {
	it := d.it
	if asOf, _, ok := s.warm.head(d.at); ok && asOf == it.asOf {
		return
	}
	if e, ok := s.hot.GetEntryQuietly(d.at); ok && s.valid(e.Value) || !s.valid(it) {
		return
	}
	if !s.warm.admission.admit(d.at, s.warm.cache) {
		s.stats.once.Add(1)
		return
	}
	fits := false
	if it.rec != nil {
		switch made, err := s.warm.codec.learn(it.rec.JSON); {
		case err != nil:
			s.o.Log.Info("warm cache compresses without a dictionary: its documents have too little in common", "error", err.Error())
		case made:
			s.o.Log.Debug("warm cache has made a dictionary of its documents")
		}
		fits = s.warm.put(it.rec, it.asOf)
	} else {
		fits = s.warm.putListing(d.at, it)
	}
	if fits {
		s.stats.demoted.Add(1)
	} else {
		s.stats.unfit.Add(1)
	}
}

// valid reports whether an item still holds, but for the bodies of one that has any.
func (s *Store) valid(it *item) bool {
	return s.stamps.valid(it.asOf, it.deps...) && (it.deps != nil || s.stamps.holds(it.asOf, it.dep))
}

// warm holds records, and what is on lists and among hits, compressed and outside the Go heap.
type warm struct {
	cache     *fastcache.Cache
	codec     *codec
	admission admission
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
	w := &warm{codec: c}
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
	return w.set(slotOf(r.Key), w.encode(make([]byte, 0, headSize+len(r.Category)+len(r.JSON)/2), r, asOf))
}

// putListing keeps a list or a search, and reports whether it fits.
func (w *warm) putListing(at slot, it *item) bool {
	doc, err := encodeListing(it)
	if err != nil {
		return false
	}
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+len(doc)/2), it.asOf)
	return w.set(at, w.codec.compress(b, doc))
}

// set keeps an entry, and reports whether it fits. One that does not leaves nothing behind.
func (w *warm) set(at slot, b []byte) bool {
	key := warmKey(make([]byte, 0, keyRoom), at)
	if len(key)+len(b) > maxEntry {
		w.cache.Del(key)
		return false
	}
	w.cache.Set(key, b)
	return true
}

// head returns of the entry of a slot when it was asked for, and the version of a record.
func (w *warm) head(at slot) (asOf uint64, version int64, ok bool) {
	b := w.raw(at)
	switch {
	case len(b) < 8, at.ask == askRecord && len(b) < headSize:
		return 0, 0, false
	case at.ask == askRecord:
		version = int64(binary.LittleEndian.Uint64(b[8:]))
	}
	return binary.LittleEndian.Uint64(b), version, true
}

// get returns the record of a document and when it was asked for; nil when there is none, or none that can be read.
func (w *warm) get(key knowledge.Key) (*knowledge.Record, uint64) {
	return w.decode(w.raw(slotOf(key)), key)
}

// getListing returns a list or a search, nil when there is none, or none that can be read.
func (w *warm) getListing(at slot, deps []stripe) *item {
	b := w.raw(at)
	if len(b) < 8 {
		return nil
	}
	doc, ok := w.codec.decompress(b[8:])
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

// headSize is the length of the fixed part of an entry: as-of, version, rank, updated, whether it is active, length of the
// category.
const headSize = 8*4 + 2

// encode appends a record as the tier holds it.
func (w *warm) encode(b []byte, r *knowledge.Record, asOf uint64) []byte {
	b = binary.LittleEndian.AppendUint64(b, asOf)
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
	if len(b) < headSize {
		return nil, 0
	}
	n := headSize + int(b[headSize-1])
	if len(b) < n {
		return nil, 0
	}
	doc, ok := w.codec.decompress(b[n:])
	if !ok {
		return nil, 0
	}
	return &knowledge.Record{
		Key: key, Version: int64(binary.LittleEndian.Uint64(b[8:])), Rank: int64(binary.LittleEndian.Uint64(b[16:])),
		Updated: knowledge.At(time.UnixMicro(int64(binary.LittleEndian.Uint64(b[24:])))),
		Active:  b[headSize-2] == 1, Category: string(b[headSize:n]), JSON: doc, Source: knowledge.SourceWarm,
	}, binary.LittleEndian.Uint64(b)
}
