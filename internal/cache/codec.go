package cache

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/klauspost/compress/dict"
	"github.com/klauspost/compress/zstd"

	"tenet/internal/knowledge"
)

const (
	// dictSize is the size of a dictionary. Larger ones gained nothing.
	dictSize = 32 << 10
	// trainOn is how many bytes of documents a dictionary is trained on: one in sampleOneIn documents, none larger than
	// sampleSize. Training takes about a second, once in the life of a warm tier.
	trainOn     = 1 << 20
	sampleSize  = 16 << 10
	sampleOneIn = 4
)

// A codec compresses documents for the warm tier. Documents are short and alike, so after some of them it trains a
// dictionary. One goroutine at a time compresses, many decompress.
type codec struct {
	enc *zstd.Encoder
	dec atomic.Pointer[zstd.Decoder] // reads entries with and without the dictionary

	dict    []byte // nil until it is trained
	trained bool   // the dictionary is trained, or training has failed for good
	looked  int
	samples [][]byte
	sampled int // bytes
}

// openCodec returns a codec with the dictionary saved in a directory; without one if dir is "" or has none.
func openCodec(dir string) (*codec, error) {
	c := &codec{}
	if dir != "" {
		if b, err := os.ReadFile(filepath.Join(dir, dictFile)); err == nil && c.use(b) == nil {
			c.trained = true
			return c, nil
		}
	}
	return c, c.use(nil)
}

// use makes the codec compress with a dictionary, nil for none.
func (c *codec) use(dictionary []byte) error {
	eo := []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1)}
	do := []zstd.DOption{zstd.WithDecoderMaxMemory(knowledge.MaxDocument * 2)}
	if dictionary != nil {
		eo, do = append(eo, zstd.WithEncoderDict(dictionary)), append(do, zstd.WithDecoderDicts(dictionary))
	}
	enc, err := zstd.NewWriter(nil, eo...)
	if err != nil {
		return fmt.Errorf("open the compressor: %w", err)
	}
	dec, err := zstd.NewReader(nil, do...)
	if err != nil {
		return errors.Join(fmt.Errorf("open the decompressor: %w", err), enc.Close())
	}
	if c.enc != nil {
		_ = c.enc.Close()
	}
	c.enc, c.dict = enc, dictionary
	c.dec.Store(dec) // the old decoder stays with those who still read with it
	return nil
}

// compress appends a document compressed.
func (c *codec) compress(dst, doc []byte) []byte { return c.enc.EncodeAll(doc, dst) }

// decompress returns the document; false if it is damaged.
func (c *codec) decompress(b []byte) ([]byte, bool) {
	doc, err := c.dec.Load().DecodeAll(b, nil)
	return doc, err == nil
}

// learn collects samples from documents about to be compressed, and trains the dictionary when it has enough. It
// reports whether it has trained one.
func (c *codec) learn(doc []byte) (bool, error) {
	if c.trained {
		return false, nil
	}
	if c.looked++; c.looked%sampleOneIn != 0 || len(doc) > sampleSize {
		return false, nil
	}
	c.samples = append(c.samples, doc)
	if c.sampled += len(doc); c.sampled < trainOn {
		return false, nil
	}
	d, err := train(c.samples)
	c.trained, c.samples = true, nil
	if err == nil {
		err = c.use(d)
	}
	return err == nil, err
}

// forget makes the codec compress without a dictionary until it has trained another.
func (c *codec) forget() error {
	c.trained, c.samples, c.sampled, c.looked = false, nil, 0, 0
	if c.dict == nil {
		return nil
	}
	return c.use(nil)
}

// train trains a dictionary. The library may panic on unusual samples, which must not end the process.
func train(samples [][]byte) (dictionary []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("train a dictionary: %v", p)
		}
	}()
	sum := crc32.NewIEEE()
	for _, s := range samples {
		_, _ = sum.Write(s)
	}
	return dict.BuildZstdDict(samples, dict.Options{
		MaxDictSize: dictSize, HashBytes: 6, ZstdLevel: zstd.SpeedFastest, ZstdDictID: sum.Sum32()&0x3fffffff | 1<<30,
	})
}

// save writes the dictionary to dir.
func (c *codec) save(dir string) error {
	if c.dict == nil {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, dictFile), c.dict, 0o600)
}

func (c *codec) close() {
	_ = c.enc.Close()
	c.dec.Load().Close()
}
