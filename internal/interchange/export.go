package interchange

import (
	"errors"
	"io"

	"tenet/internal/knowledge"
)

// A Header is the first line of an export.
type Header struct {
	Tenet      int            `json:"tenet"` // version of the format: 1
	ExportedAt knowledge.Time `json:"exported_at"`
	History    bool           `json:"history"` // every change, or only the documents as they are
}

// An Export is our own export, opened for reading.
type Export struct{ Header Header }

// A Writer writes an export as JSON lines.
type Writer struct{}

// NewWriter writes the first line.
func NewWriter(w io.Writer, h Header) (*Writer, error) { return nil, errors.New("not built yet") }

// Change writes a change of the log. Changes come in the order of the log.
func (w *Writer) Change(c *knowledge.Change) error { return nil }

// Document writes a document as it is.
func (w *Writer) Document(r *knowledge.Record) error { return nil }

// Close writes the last line, without which an export counts as cut off, and flushes. It does not close what is below.
func (w *Writer) Close() error { return nil }

// A File is one file of a Markdown export.
type File struct {
	Path string // with slashes, as in rules/SEC-001.md
	Data []byte
}

// Markdown returns a document as a Markdown file: front matter with every field but the stamps, and its main text.
// The same document gives the same bytes, and reading them gives the same document.
func Markdown(d knowledge.Document) (File, error) { return File{}, errors.New("not built yet") }
