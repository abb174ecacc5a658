package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tenet/internal/api"
	"tenet/internal/knowledge"
)

// answerRecord answers with a document, unless the caller has it.
func (c *call) answerRecord(rec *knowledge.Record) error {
	c.source = rec.Source
	if tag := api.ETag(rec); !c.unchanged(tag, len(rec.JSON)) {
		c.set("Etag", tag)
		c.send(http.StatusOK, mediaJSON, rec.JSON)
	}
	return nil
}

// sendReady writes a ready answer, or that the caller has it already.
func (c *call) sendReady(a *ready) {
	if c.unchanged(a.tag, len(a.body)) {
		return
	}
	if !c.admits(len(a.body)) {
		return
	}
	body, tag, length := a.body, a.tag, a.length
	if c.packable(len(a.body)) {
		if k, ok := preferred(c.r.Header["Accept-Encoding"]); ok {
			p := a.in(&c.h.compressor, k)
			body, tag, length = p.body, p.tag, p.length
			c.set("Content-Encoding", k.String())
		}
	}
	c.set("Etag", tag)
	if a.link != "" {
		c.set("Link", a.link)
	}
	c.whole(http.StatusOK, mediaJSON, body, length)
}

// unchanged answers 304 to a caller that has the tagged content already, and 412 to one that asks for other content. It
// reports whether it did.
func (c *call) unchanged(tag string, size int) bool {
	if err := checkIfMatch(c, tag); err != nil {
		c.fail(err)
		return true
	}
	same, ok := matchKnownTag(c, tag)
	if !ok {
		return false
	}
	c.packable(size)
	c.set("Etag", same)
	c.set("Cache-Control", privately)
	c.nothing(http.StatusNotModified)
	return true
}

// privately lets a caller keep an answer, and ask each time whether it still holds.
const privately = "private, no-cache"

// send writes a whole answer, compressed when the caller accepts that and it is long enough.
func (c *call) send(status int, media string, body []byte) {
	if !c.admits(len(body)) {
		return
	}
	if c.packable(len(body)) {
		if packed, done := c.compress(body); packed != nil {
			defer done()
			body = packed
		}
	}
	c.whole(status, media, body, strconv.Itoa(len(body)))
}

// packable reports whether a body is long enough to be compressed, and adds the Vary header if so.
func (c *call) packable(size int) bool {
	from := c.h.o.Limits.CompressFrom
	if from <= 0 || size < from {
		return false
	}
	if c.route != nil && c.route.also() != "" {
		vary(c, "Accept, Accept-Encoding")
	} else {
		vary(c, "Accept-Encoding")
	}
	return true
}

// whole writes an answer whose bytes are ready.
func (c *call) whole(status int, media string, body []byte, length string) {
	c.set("Content-Type", media)
	if c.w.Header()["Cache-Control"] == nil {
		c.set("Cache-Control", privately)
	}
	c.set("Content-Length", length)
	c.WriteHeader(status)
	if c.r.Method == http.MethodHead {
		return
	}
	if c.sending > 0 {
		yieldSlot(c) // a peer that reads slowly holds no slot
	}
	if len(body) > shortAnswer {
		_ = c.writeAtOnce(body)
		return
	}
	_, _ = c.Write(body) // a caller that went away has nothing to be told
}

// compress returns the body in the coding that the caller likes best, with the headers that say so, and what gives its
// buffer back; nothing for a caller that accepts none.
func (c *call) compress(body []byte) (packed []byte, done func()) {
	k, ok := preferred(c.r.Header["Accept-Encoding"])
	if !ok {
		return nil, nil
	}
	buf, done := c.buffer()
	*buf = c.h.compressor.pack(k, body, *buf)
	c.set("Content-Encoding", k.String())
	if tags := c.w.Header()["Etag"]; len(tags) == 1 && strings.HasSuffix(tags[0], `"`) {
		c.set("Etag", k.tag(tags[0]))
	}
	return *buf, done
}

// json answers with a small value.
func (c *call) json(status int, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.send(status, mediaJSON, b.Bytes())
	return nil
}

// record answers with a document.
func (c *call) record(status int, r *knowledge.Record) {
	c.source = r.Source
	c.set("Etag", api.ETag(r))
	c.send(status, mediaJSON, r.JSON)
}

// nothing answers without a body.
func (c *call) nothing(status int) {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		c.set("Content-Length", "0")
	}
	c.WriteHeader(status)
}

// vary names the headers of the request that the answer depends on.
func vary(c *call, names string) {
	if len(c.h.o.Origins) > 0 {
		names += ", Origin"
	}
	c.set("Vary", names)
}

// matchKnownTag reports whether the caller already has the content of current, a quoted tag, and returns the tag to
// answer with.
func matchKnownTag(c *call, current string) (string, bool) {
	values := c.r.Header["If-None-Match"]
	if len(values) == 0 {
		return "", false
	}
	if len(values) == 1 && values[0] == current {
		return current, true
	}
	tags, ok := api.ParseTags(values)
	if !ok {
		return "", false // a caller that can't say what it has gets everything
	}
	return tags.Known(current)
}

// checkIfMatch returns an error unless the current tag is one of those in If-Match.
func checkIfMatch(c *call, current string) error {
	values := c.r.Header["If-Match"]
	if len(values) == 0 {
		return nil
	}
	tags, ok := api.ParseTags(values)
	if !ok {
		return api.BadIfMatch()
	}
	return tags.Name(current)
}

// placed sets the position of an answer with several documents: a follower that starts there misses nothing.
func (c *call) placed(at string) {
	if at != "" {
		c.set("Tenet-Position", at)
	}
}

// position returns the place in the log that an answer which is asked for from now on shows, as a header has it; ""
// where that is not known.
func (h *Handler) position() string {
	if h.o.Position == nil {
		return ""
	}
	at, ok := h.o.Position()
	if !ok {
		return ""
	}
	return h.lastMark.text(at)
}

// withNextPage adds to an answer where the next page is; "" for the last one.
func withNextPage(c *call, a *ready, next string) *ready {
	if next != "" {
		a.link = "<" + nextURL(c.r.URL, next) + `>; rel="next"`
	}
	return a
}

// nextURL returns the path and query of the next page.
func nextURL(u *url.URL, cursor string) string {
	q := u.Query()
	q.Set("cursor", cursor)
	return u.EscapedPath() + "?" + q.Encode()
}

// setBatchHeaders sets the headers about the result of a batch.
func setBatchHeaders(c *call, id knowledge.BatchID, r *knowledge.Receipt) {
	c.source = knowledge.SourcePrimary
	if r.Unchanged { // never of one that is queued
		c.set(unchangedHeader, "true")
	}
	if r.Dry {
		c.set(dryHeader, "true")
		return
	}
	c.set("Tenet-Batch", id.String())
	if r.Queued {
		c.source = knowledge.SourceMirror
		c.queued = true
		c.set("Link", "<"+batchesPath+"/"+id.String()+`>; rel="monitor"`)
		return
	}
	if r.Seq > 0 {
		c.set("Tenet-Seq", decimal(int64(r.Seq)))
	}
}
