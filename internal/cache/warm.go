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
	// MinWarm is the least budget of the warm tier: it takes memory in pieces of this size.
	MinWarm = 32 << 20
	// maxEntry is the size up to which an entry is kept: of a larger one fastcache would silently keep the older value.
	maxEntry = 64<<10 - 512
	// demotions is how many records may wait for the way down to the warm tier; more are dropped, which costs a load later.
	demotions = 1024
)

// deleted sends what the hot tier has no room for on the way to the warm tier. It must be quick: it runs under otter's lock.
func (s *Store) deleted(e otter.DeletionEvent[slot, *item]) {
	it := e.Value
	valid := s.stamps.valid(it.asOf, it.deps...) && (it.deps != nil || s.stamps.holds(it.asOf, it.dep))
	switch {
	case !valid:
		s.stats.outdated.Add(1)
		return
	case e.Cause != otter.CauseOverflow:
		s.stats.replaced.Add(1)
		return
	}
	s.stats.overflowed.Add(1)
	if s.warm == nil || it.rec == nil || it.rec.Key.Kind == knowledge.KindPrincipal {
		return // secrets of principals stay out of files
	}
	select {
	case s.down <- it:
	default:
		s.stats.dropped.Add(1)
	}
}

// demote compresses an item into the warm tier, unless the warm tier has that very load already or the hot tier has it again.
func (s *Store) demote(it *item) {
	key := it.rec.Key
	if asOf, _, ok := s.warm.head(key); ok && asOf == it.asOf {
		return
	}
	if !s.stamps.holds(it.asOf, it.dep) || s.peek(key, it.dep) != nil {
		return
	}
	switch made, err := s.warm.codec.learn(it.rec.JSON); {
	case err != nil:
		s.o.Log.Info("warm cache compresses without a dictionary: its documents have too little in common", "error", err.Error())
	case made:
		s.o.Log.Debug("warm cache has made a dictionary of its documents")
	}
	if s.warm.put(it.rec, it.asOf) {
		s.stats.demoted.Add(1)
	} else {
		s.stats.unfit.Add(1)
	}
}

// warm holds records compressed and outside the Go heap.
type warm struct {
	cache *fastcache.Cache
	codec *codec
	// usable is false while nobody knows what has changed since the entries were saved.
	usable atomic.Bool
}

// openWarm opens a tier with what was saved in dir; an empty one when dir is "" or holds nothing that fits.
func openWarm(dir string, bytes int64) (*warm, error) {
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

// keyRoom is room for the key of an entry.
const keyRoom = 160

func warmKey(dst []byte, k knowledge.Key) []byte {
	dst = append(dst, k.Kind...)
	dst = append(dst, '/')
	return append(dst, k.ID...)
}

// put keeps a record, and reports whether it fits.
func (w *warm) put(r *knowledge.Record, asOf uint64) bool {
	b := w.encode(make([]byte, 0, headSize+len(r.Category)+len(r.JSON)/2), r, asOf)
	key := warmKey(make([]byte, 0, keyRoom), r.Key)
	if len(b) > maxEntry || len(r.Category) > math.MaxUint8 || len(key) > keyRoom {
		w.cache.Del(key)
		return false
	}
	w.cache.Set(key, b)
	return true
}

// head returns of the record kept under key when it was asked for, and its version.
func (w *warm) head(key knowledge.Key) (asOf uint64, version int64, ok bool) {
	b := w.raw(key)
	if len(b) < headSize {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint64(b), int64(binary.LittleEndian.Uint64(b[8:])), true
}

// get returns the record kept under key and when it was asked for; nil when there is none, or none that can be read.
func (w *warm) get(key knowledge.Key) (*knowledge.Record, uint64) {
	return w.decode(w.raw(key), key)
}

func (w *warm) raw(key knowledge.Key) []byte {
	if !w.usable.Load() {
		return nil
	}
	b, _ := w.cache.HasGet(nil, warmKey(make([]byte, 0, keyRoom), key))
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
