package httpapi

import (
	"bytes"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A compressor compresses answers.
type compressor struct {
	zstd *zstd.Encoder
	gzip sync.Pool // of *gzip.Writer
}

func (z *compressor) init() {
	// A window of a megabyte is what every browser takes, and answers are rarely longer.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20),
		zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	z.zstd = e
	z.gzip.New = func() any {
		w, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
		if err != nil {
			panic(err) // the level is a constant
		}
		return w
	}
}

// A coding is a way to compress an answer.
type coding int

const (
	codingGzip coding = iota
	codingZstd
	codingCount = 2
)

// String returns the coding's name.
func (k coding) String() string { return [codingCount]string{"gzip", "zstd"}[k] }

// suffix is what the tag of an answer in the coding ends with.
func (k coding) suffix() string { return [codingCount]string{"-gzip", "-zstd"}[k] }

// tag returns the tag of an answer in the coding: its bytes are others.
func (k coding) tag(plain string) string { return strings.TrimSuffix(plain, `"`) + k.suffix() + `"` }

// pack appends a body in a coding.
func (z *compressor) pack(k coding, body, into []byte) []byte {
	if k == codingZstd {
		return z.zstd.EncodeAll(body, into)
	}
	w := z.gzip.Get().(*gzip.Writer) // the pool holds nothing else
	buf := bytes.NewBuffer(into)
	w.Reset(buf)
	_, _ = w.Write(body) // a buffer takes everything
	_ = w.Close()
	z.gzip.Put(w)
	return buf.Bytes()
}

// preferred returns the coding of an Accept-Encoding header with the greatest quality, zstd where they are alike; false
// for none.
func preferred(values []string) (best coding, ok bool) {
	top := 0.0
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			name, params, weighed := strings.Cut(part, ";")
			var k coding
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, codingZstd.String()):
				k = codingZstd
			case strings.EqualFold(name, codingGzip.String()):
				k = codingGzip
			default:
				continue
			}
			q := 1.0
			if weighed {
				q = quality(params)
			}
			if q > top || q == top && q > 0 && k == codingZstd {
				best, top = k, q
			}
		}
	}
	return best, top > 0
}
