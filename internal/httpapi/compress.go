package httpapi

import (
	"bytes"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func newZstd() *zstd.Encoder {
	// A window of a megabyte is what every browser takes, and answers are rarely longer.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
}

func newGzip() any {
	w, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}

// compress returns the body in the coding that the caller likes best, with the headers that say so, and what gives its
// buffer back; nothing for a caller that accepts none.
func (c *call) compress(body []byte) (packed []byte, done func()) {
	coding := preferred(c.r.Header["Accept-Encoding"])
	if coding == "" {
		return nil, nil
	}
	buf, done := c.buffer()
	switch coding {
	case "zstd":
		*buf = c.h.zstd.EncodeAll(body, *buf)
	case "gzip":
		w := c.h.gzip.Get().(*gzip.Writer) // the pool holds nothing else
		into := bytes.NewBuffer(*buf)
		w.Reset(into)
		_, _ = w.Write(body) // a buffer takes everything
		_ = w.Close()
		c.h.gzip.Put(w)
		*buf = into.Bytes()
	}
	c.w.Header()["Content-Encoding"] = []string{coding}
	if tags := c.w.Header()["Etag"]; len(tags) == 1 && strings.HasSuffix(tags[0], `"`) {
		c.set("Etag", strings.TrimSuffix(tags[0], `"`)+"-"+coding+`"`)
	}
	return *buf, done
}

// preferred returns zstd, gzip or "": the coding of an Accept-Encoding header with the greatest quality, zstd where they
// are alike.
func preferred(values []string) string {
	if len(values) == 0 {
		return ""
	}
	best, top := "", 0.0
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			name, params, weighed := strings.Cut(part, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if name != "zstd" && name != "gzip" {
				continue
			}
			q := 1.0
			if weighed {
				q = quality(params)
			}
			if q > top || q == top && q > 0 && name == "zstd" {
				best, top = name, q
			}
		}
	}
	return best
}
