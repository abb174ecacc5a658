package interchange

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"

	"github.com/klauspost/compress/zstd"

	"tenet/internal/knowledge"
)

// exportVersion is the version of the export format.
const exportVersion = 1

// maxLine bounds a line of JSON lines: a document and what stands around it.
const maxLine = 2*knowledge.MaxDocument + 64<<10

// A Header is the first line of an export.
type Header struct {
	Tenet      int            `json:"tenet"` // version of the form: 1
	ExportedAt knowledge.Time `json:"exported_at"`
	History    bool           `json:"history"` // every change, or only the documents as they are
}

// A trailer is the last line of an export. Without it the export counts as truncated.
type trailer struct {
	End   bool  `json:"end"`
	Lines int64 `json:"lines"`          // between the first and the last
	Gaps  bool  `json:"gaps,omitempty"` // changes that the exporter may not see are left out between them
	// Sum is the beginning of the SHA-256 of all lines before it, in an export with history. It is short, so that
	// older programs know the line for the last one.
	Sum string `json:"sum,omitempty"`
	// Confidential are the confidential categories of what the export holds.
	Confidential []string `json:"confidential,omitempty"`
}

// maxTrailer is the length at most of a trailer, by which older programs know the line for the last one.
const maxTrailer = 256

// sumDigits is the length of a trailer's sum.
const sumDigits = 12

// A documentLine is a line of an export without history.
type documentLine struct {
	Kind     knowledge.Kind  `json:"kind"`
	Document json.RawMessage `json:"document"`
}

// A Writer writes an export as JSON lines.
type Writer struct {
	w     *bufio.Writer
	lines int64
	h     Header
	last  knowledge.Seq
	gaps  bool
	sum   hash.Hash // of the lines
}

// NewWriter writes the first line; it sets the version of the form.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Tenet = exportVersion
	e := &Writer{w: bufio.NewWriterSize(w, 64<<10), h: h, sum: sha256.New()}
	return e, e.line(h)
}

// Change writes a change of the log. Changes come in the order of the log, and only in an export with history.
func (w *Writer) Change(c *knowledge.Change) error {
	if !w.h.History {
		return errors.New("export: a change in an export without history")
	}
	text, err := c.MarshalJSON()
	if err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	w.lines++
	w.gaps, w.last = w.gaps || w.last != 0 && c.Seq != w.last+1, c.Seq
	return w.line(rawChange{text, sumOf(text)})
}

// Document writes a document as it is, in an export without history. Kinds come in the order of [knowledge.Kinds], so
// that no document stands before one that it names.
func (w *Writer) Document(r *knowledge.Record) error {
	if w.h.History {
		return errors.New("export: a document in an export with history")
	}
	w.lines++
	return w.line(documentLine{r.Key.Kind, r.JSON})
}

func (w *Writer) line(v any) error {
	enc := json.NewEncoder(io.MultiWriter(w.w, w.sum))
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	return nil
}

// Close writes the last line, without which an export counts as cut off, and flushes. The line names the confidential
// categories of what the export holds; where they are too many for it, how many. It does not close what is below.
func (w *Writer) Close(confidential []string) error {
	end := trailer{End: true, Lines: w.lines, Gaps: w.gaps, Confidential: confidential}
	if w.h.History {
		end.Sum = shortSum(w.sum)
	}
	if text, err := json.Marshal(end); err == nil && len(text) > maxTrailer {
		end.Confidential = []string{knowledge.Count(int64(len(confidential)), "category", "categories")}
	}
	if err := w.line(end); err != nil {
		return err
	}
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	return nil
}

func shortSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil))[:sumDigits] }

// An Export is an export with history, opened for reading. It can be read more than once.
type Export struct {
	Header Header
	open   func() (io.ReadCloser, error)
	seen   proof // what the last pass has found
}

// Changes returns the changes in their order, each with the line that it stands in. After an error there is nothing
// more.
func (e *Export) Changes() iter.Seq2[ChangeAt, error] {
	return func(yield func(ChangeAt, error) bool) {
		rc, err := e.open()
		if err != nil {
			yield(ChangeAt{}, err)
			return
		}
		defer rc.Close() //nolint:errcheck // only read
		var p proof
		for l, err := range exportLines(rc, p.end) {
			at := ChangeAt{Line: l.n}
			if err == nil {
				at.Change, err = decodeChange(l, &p)
			}
			if !yield(at, err) || err != nil {
				return
			}
		}
		e.seen = p
	}
}

// A ChangeAt is a change and the line of the export that it stands in.
type ChangeAt struct {
	Line   int64
	Change *knowledge.Change
}

func decodeChange(l line, p *proof) (*knowledge.Change, error) {
	var raw rawChange
	var c struct {
		Change *knowledge.Change `json:"change"`
	}
	if err := errors.Join(json.Unmarshal(l.data, &c), json.Unmarshal(l.data, &raw)); err != nil {
		return nil, fmt.Errorf("line %d: %w", l.n, jsonFault(err))
	}
	switch {
	case c.Change == nil:
		return nil, fmt.Errorf("line %d: no change: an export with history holds nothing else", l.n)
	case c.Change.Version < 1:
		return nil, fmt.Errorf("line %d: version %d: versions begin at 1", l.n, c.Change.Version)
	case c.Change.Record != nil && c.Change.Record.Key != c.Change.Key:
		return nil, fmt.Errorf("line %d: the change is of %s, its document is %s", l.n, c.Change.Key,
			c.Change.Record.Key)
	}
	probe := knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: c.Change.Actor, At: c.Change.At,
		Ops: []knowledge.Op{{Verb: knowledge.VerbRetire, Key: c.Change.Key}},
	}
	if err := probe.Validate(); err != nil {
		return nil, fmt.Errorf("line %d: %w", l.n, err)
	}
	return c.Change, p.check(&l, &raw, c.Change)
}

// A line is a line of text that is not empty.
type line struct {
	n    int64
	data []byte
}

// lines returns the lines of JSON lines, within the bound of one line. Data is valid until the next line.
func lines(r io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		br := bufio.NewReaderSize(r, 64<<10)
		var buf []byte
		for n := int64(1); ; n++ {
			buf = buf[:0]
			var err error
			for {
				var part []byte
				part, err = br.ReadSlice('\n')
				buf = append(buf, part...)
				if !errors.Is(err, bufio.ErrBufferFull) || len(buf) > maxLine {
					break
				}
			}
			if len(buf) > maxLine {
				yield(line{n: n}, fmt.Errorf("line %d: longer than %s", n, byteSize(maxLine)))
				return
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(line{n: n}, fmt.Errorf("line %d: %w", n, readError(err)))
				return
			}
			data := buf
			if n == 1 {
				data = bytes.TrimPrefix(data, []byte("\ufeff"))
			}
			if data = bytes.TrimSpace(data); len(data) > 0 && !yield(line{n: n, data: data}, nil) {
				return
			}
			if err != nil {
				return
			}
		}
	}
}

// exportLines returns the lines between the first and the last of our own export, and an error when the last is
// missing, or what check, which may be nil, says of it.
func exportLines(r io.Reader, check func(*trailer) error) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		var count, last int64
		var end *trailer
		head := false
		sum := sha256.New()
		for l, err := range lines(r) {
			if err != nil {
				yield(l, err)
				return
			}
			if end != nil {
				yield(l, fmt.Errorf("line %d: text behind the last line of the export", l.n))
				return
			}
			if last = l.n; head {
				if end = asTrailer(l.data); end != nil {
					continue
				}
			}
			sum.Write(l.data)
			sum.Write([]byte{'\n'})
			if !head {
				head = true
				continue
			}
			count++
			if !yield(l, nil) {
				return
			}
		}
		switch {
		case end == nil:
			yield(line{n: last}, fmt.Errorf("line %d: the export ends without its last line: it was cut off", last))
		case end.Lines != count:
			yield(line{n: last}, fmt.Errorf("line %d: %d lines where the export had %d: some were lost or put in",
				last, count, end.Lines))
		case check != nil:
			err := check(end)
			if err == nil && end.Sum != "" && end.Sum != shortSum(sum) {
				err = fmt.Errorf("line %d: the lines before it have the sum %s, and the export had %s: something was "+
					"changed, lost or put in", last, shortSum(sum), end.Sum)
			}
			if err != nil {
				yield(line{n: last}, err)
			}
		}
	}
}

func asTrailer(data []byte) *trailer {
	if len(data) > maxTrailer || !bytes.HasPrefix(data, []byte(`{"end"`)) {
		return nil
	}
	var t trailer
	if json.Unmarshal(data, &t) != nil || !t.End {
		return nil
	}
	return &t
}

// openLines opens a file of JSON lines, unpacked where its first bytes say that it is packed.
func (r *reader) openLines(p string) (io.ReadCloser, error) {
	rc, ok := r.s.tree.stream(p)
	if !ok {
		data, err := r.s.tree.read(p)
		if err != nil {
			return nil, readError(err)
		}
		rc = io.NopCloser(bytes.NewReader(data))
	}
	return unpackLines(rc, r.s.o.Limits)
}

// A stacked reader closes what lies below it.
type stacked struct {
	io.Reader
	close func() error
}

func (s stacked) Close() error { return s.close() }

func unpackLines(rc io.ReadCloser, limits Limits) (io.ReadCloser, error) {
	br := bufio.NewReader(rc)
	magic, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(readError(err), rc.Close())
	}
	// What is packed may be a bomb: the bound of a whole archive holds, many times over for exports that are large.
	bound := func(r io.Reader) io.Reader { return &meter{r: r, left: 128 * limits.Total} }
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		gz, err := gzip.NewReader(br)
		if err != nil {
			return nil, errors.Join(readError(err), rc.Close())
		}
		return stacked{bound(gz), rc.Close}, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(br, zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, errors.Join(readError(err), rc.Close())
		}
		return stacked{bound(z), func() error { z.Close(); return rc.Close() }}, nil
	}
	if bytes.HasPrefix(magic, []byte{0xff, 0xfe}) || bytes.HasPrefix(magic, []byte{0xfe, 0xff}) ||
		unmarkedUTF16(bytes.Repeat(magic, 2)) != nil {
		return nil, errors.Join(errors.New("the file is UTF-16, as some shells of Windows write: save it as UTF-8"),
			rc.Close())
	}
	return stacked{br, rc.Close}, nil
}

// readJSONL reads JSON lines: our own export, or a document on each line.
func (r *reader) readJSONL(it *Item) {
	rc, err := r.openLines(it.Path)
	if err != nil {
		it.Err = err
		return
	}
	defer rc.Close() //nolint:errcheck // only read
	br := bufio.NewReaderSize(rc, 4<<10)
	head, err := br.Peek(4 << 10)
	if err != nil && !errors.Is(err, io.EOF) {
		it.Err = readError(err)
		return
	}
	head = bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff")))
	if len(head) == 0 {
		it.Err = nothing("it is empty")
		return
	}
	if !looksLikeExport(head) {
		it.Entries, it.Err = bareLines(br)
		if _, none := errors.AsType[*nothingError](it.Err); none {
			if rules, ok := r.ruleLines(it.Path); ok {
				it.Entries, it.Err = rules, nil
			}
		}
		return
	}
	h, err := readHeader(head)
	if err != nil {
		it.Err = err
		return
	}
	if h.History {
		p := it.Path
		it.History = &Export{Header: h, open: func() (io.ReadCloser, error) { return r.openLines(p) }}
		return
	}
	it.Entries, it.Err = documentLines(br)
}

// HoldsHistory reports whether a file is an export of ours with history. What can't be read is none.
func HoldsHistory(name string) bool {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return false // opening a pipe that nobody writes to would wait for ever
	}
	f, err := os.Open(name) //nolint:gosec // the user names the file
	if err != nil {
		return false
	}
	rc, err := unpackLines(f, Limits{}.orDefaults())
	if err != nil {
		return false
	}
	defer rc.Close() //nolint:errcheck // only read
	head := make([]byte, 4<<10)
	n, err := io.ReadFull(rc, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	head = bytes.TrimSpace(bytes.TrimPrefix(head[:n], []byte("\ufeff")))
	if !looksLikeExport(head) {
		return false
	}
	h, err := readHeader(head)
	return err == nil && h.History
}

// SumOf returns the SHA-256 of a file in hex, of its text where it is packed: what an export has shown when it was
// written.
func SumOf(name string) (string, error) {
	f, err := os.Open(name) //nolint:gosec // the user names the file
	if err != nil {
		return "", err
	}
	rc, err := unpackLines(f, Limits{}.orDefaults())
	if err != nil {
		return "", err
	}
	defer rc.Close() //nolint:errcheck // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, rc); err != nil {
		return "", readError(err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func readHeader(head []byte) (Header, error) {
	first, _, _ := bytes.Cut(head, []byte("\n"))
	var h Header
	if err := json.Unmarshal(first, &h); err != nil {
		return h, fmt.Errorf("line 1: %w", jsonFault(err))
	}
	if h.Tenet != exportVersion {
		return h, fmt.Errorf("line 1: an export of form %d; this program reads form %d: use the one that wrote it, "+
			"or a newer one",
			h.Tenet, exportVersion)
	}
	return h, nil
}

// documentLines reads the documents of our own export without history.
func documentLines(r io.Reader) ([]Entry, error) {
	var entries []Entry
	for l, err := range exportLines(r, nil) {
		if err != nil {
			return nil, err
		}
		place := fmt.Sprintf("line %d", l.n)
		e, err := bareDocument(bytes.Clone(l.data), place)
		if err != nil {
			e.Err = err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// bareLines reads JSON lines that somebody else wrote, a document on each.
func bareLines(r io.Reader) ([]Entry, error) {
	var entries []Entry
	for l, err := range lines(r) {
		if err != nil {
			return nil, err
		}
		place := fmt.Sprintf("line %d", l.n)
		if !json.Valid(l.data) {
			entries = append(entries, Entry{Place: place, Err: errors.New("not JSON")})
			continue
		}
		e, err := bareDocument(bytes.Clone(l.data), place)
		if _, none := errors.AsType[*nothingError](err); none && len(entries) == 0 {
			return nil, err
		}
		if err != nil {
			e.Err = err
		}
		entries = append(entries, e)
	}
	return entries, nil
}
