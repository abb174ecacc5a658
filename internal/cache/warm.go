package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/VictoriaMetrics/fastcache"
	"github.com/klauspost/compress/zstd"

	"tenet/internal/knowledge"
)

// maxWarm is the size from which an entry is not kept: fastcache would silently keep the older one.
const maxWarm = 64<<10 - 512

// demotions is how many records may wait for the way down to the warm tier; more are dropped, which costs a load later.
const demotions = 1024

// warm holds records compressed and outside the Go heap.
type warm struct {
	cache *fastcache.Cache
	enc   *zstd.Encoder
	dec   *zstd.Decoder
}

func openWarm(dir string, bytes int64) (*warm, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("open the warm tier: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(knowledge.MaxDocument*2))
	if err != nil {
		return nil, fmt.Errorf("open the warm tier: %w", err)
	}
	w := &warm{enc: enc, dec: dec}
	if dir != "" {
		if c, err := fastcache.LoadFromFileMaxBytes(filepath.Join(dir, "warm"), int(bytes)); err == nil {
			w.cache = c
			return w, nil
		}
	}
	w.cache = fastcache.New(int(bytes))
	return w, nil
}

// size returns the bytes and the entries that the tier holds.
func (w *warm) size() (bytes, entries uint64) {
	var st fastcache.Stats
	w.cache.UpdateStats(&st)
	return st.BytesSize, st.EntriesCount
}

func warmKey(dst []byte, k knowledge.Key) []byte {
	dst = append(dst, k.Kind...)
	dst = append(dst, '/')
	return append(dst, k.ID...)
}

// warmHead is the length of the fixed part of a warm entry: as-of, version, rank, updated, active, length of the category.
const warmHead = 8*4 + 2

// put keeps a record, and reports whether it fits.
func (w *warm) put(r *knowledge.Record, asOf uint64) bool {
	b := make([]byte, 0, warmHead+len(r.Category)+len(r.JSON)/2)
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
	b = w.enc.EncodeAll(r.JSON, b)
	key := warmKey(make([]byte, 0, 160), r.Key)
	if len(b) > maxWarm {
		w.cache.Del(key)
		return false
	}
	w.cache.Set(key, b)
	return true
}

// asOf returns when the record kept under key was asked for.
func (w *warm) asOf(key knowledge.Key) (uint64, bool) {
	b, ok := w.cache.HasGet(nil, warmKey(make([]byte, 0, 160), key))
	if !ok || len(b) < warmHead {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b), true
}

// get returns the record kept under key and when it was asked for; nil when there is none, or none that can be read.
func (w *warm) get(key knowledge.Key) (*knowledge.Record, uint64) {
	b, ok := w.cache.HasGet(nil, warmKey(make([]byte, 0, 160), key))
	if !ok || len(b) < warmHead {
		return nil, 0
	}
	n := warmHead + int(b[warmHead-1])
	if len(b) < n {
		return nil, 0
	}
	doc, err := w.dec.DecodeAll(b[n:], nil)
	if err != nil {
		return nil, 0 // a file that was damaged while nobody looked: as good as nothing
	}
	return &knowledge.Record{
		Key: key, Version: int64(binary.LittleEndian.Uint64(b[8:])), Rank: int64(binary.LittleEndian.Uint64(b[16:])),
		Updated: knowledge.At(time.UnixMicro(int64(binary.LittleEndian.Uint64(b[24:])))),
		Active:  b[32] == 1, Category: string(b[warmHead:n]), JSON: doc, Source: knowledge.SourceWarm,
	}, binary.LittleEndian.Uint64(b)
}

// stampsFile keeps, beside the warm tier, how far the feed was followed and when everything was last changed.
const stampsFile = "stamps"

// stampsMagic begins the file; its number changes with its form.
const stampsMagic = 0x74656e6574000001

// save writes the warm tier and its stamps. The stamps go last: without them the files mean nothing at the next start.
func (s *Store) save(seq knowledge.Seq) error {
	if s.o.Dir == "" || s.warm == nil {
		return nil
	}
	path := filepath.Join(s.o.Dir, stampsFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("save the warm tier: %w", err)
	}
	if err := s.warm.cache.SaveToFileConcurrent(filepath.Join(s.o.Dir, "warm"), 2); err != nil {
		return fmt.Errorf("save the warm tier: %w", err)
	}
	b := make([]byte, 0, 8*(stripeCount+4))
	for _, v := range []uint64{stampsMagic, uint64(seq), s.stamps.now(), s.stamps.floor.Load()} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	for i := range s.stamps.stripes {
		b = binary.LittleEndian.AppendUint64(b, s.stamps.stripes[i].Load())
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("save the warm tier: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("save the warm tier: %w", err)
	}
	return nil
}

// restore reads the stamps that belong to the warm tier on disk, and returns the seq up to which they hold; not ok when there
// are none: then the warm tier begins empty. The file serves one start: a kill later must not find it again beside entries
// whose changes it does not know.
func (s *Store) restore() (seq knowledge.Seq, ok bool) {
	path := filepath.Join(s.o.Dir, stampsFile)
	b, err := os.ReadFile(path)
	if err != nil || len(b) != 8*(stripeCount+4) || binary.LittleEndian.Uint64(b) != stampsMagic {
		return 0, false
	}
	s.stamps.clock.Store(binary.LittleEndian.Uint64(b[16:]) + 1)
	s.stamps.floor.Store(binary.LittleEndian.Uint64(b[24:]))
	for i := range s.stamps.stripes {
		s.stamps.stripes[i].Store(binary.LittleEndian.Uint64(b[32+8*i:]))
	}
	return knowledge.Seq(binary.LittleEndian.Uint64(b[8:])), true
}
