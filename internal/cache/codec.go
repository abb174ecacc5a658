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
	// dictSize is how much a dictionary holds of what documents have in common. Larger ones gained nothing.
	dictSize = 32 << 10
	// trainOn is how many bytes of documents a dictionary is made from, of which each gives at most sampleSize, and one in
	// sampleOneIn is looked at. It takes about a second, once in the life of a warm tier.
	trainOn     = 1 << 20
	sampleSize  = 16 << 10
	sampleOneIn = 4
)

// A codec compresses documents for the warm tier, after a while with a dictionary that it has made of them: documents are
// short and alike, so that most of what repeats is in others. It writes from one goroutine at a time and
// is read by many.
type codec struct {
	enc *zstd.Encoder
	dec atomic.Pointer[zstd.Decoder] // reads what was written with the dictionary, and what was without

	dict    []byte // nil until there is one
	trained bool   // there is one, or there will be none
	looked  int
	samples [][]byte
	sampled int // bytes
}

// openCodec returns a codec with the dictionary of a directory; without one when dir is "" or it holds none.
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

// use makes the codec write with a dictionary, nil for none.
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
	c.dec.Store(dec) // the one before is left to those who still read with it
	return nil
}

// compress appends a document compressed.
func (c *codec) compress(dst, doc []byte) []byte { return c.enc.EncodeAll(doc, dst) }

// decompress returns the document; false when it is damaged.
func (c *codec) decompress(b []byte) ([]byte, bool) {
	doc, err := c.dec.Load().DecodeAll(b, nil)
	return doc, err == nil
}

// learn looks at a document that is about to be compressed, and makes the dictionary when it has seen enough of them. It
// reports whether it made one.
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

// train makes a dictionary. That documents which nobody has foreseen could end the process is not worth the memory it saves.
func train(samples [][]byte) (dictionary []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("make a dictionary: %v", p)
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

// save writes the dictionary.
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
