package cache

import (
	"github.com/klauspost/compress/zstd"

	"tenet/internal/knowledge"
)

// A codec compresses documents for the warm tier.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func openCodec(dir string) (*codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(knowledge.MaxDocument*2))
	if err != nil {
		return nil, err
	}
	return &codec{enc: enc, dec: dec}, nil
}

// compress appends a document compressed.
func (c *codec) compress(dst, doc []byte) []byte { return c.enc.EncodeAll(doc, dst) }

// save writes what the codec needs to read what it has written.
func (c *codec) save(dir string) error { return nil }

// decompress returns the document; false when it is damaged.
func (c *codec) decompress(b []byte) ([]byte, bool) {
	doc, err := c.dec.DecodeAll(b, nil)
	return doc, err == nil
}

func (c *codec) close() {
	_ = c.enc.Close()
	c.dec.Close()
}
