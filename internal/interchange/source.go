package interchange

import (
	"errors"
	"io"
	"iter"
)

// ReadOptions says how to read. The zero value detects everything.
type ReadOptions struct {
	Format   Format // detected by name and content when empty
	Source   string // the name under which prune finds the documents again; made of the path when empty
	Category string // of every document; from the front matter, the folder, or "imported" when empty
	Limits   Limits
}

// Limits bounds what is read, so that no archive unpacks to more than the machine has. Zero values are the defaults.
type Limits struct {
	Files int   // entries of an archive or a folder; 100,000
	File  int64 // bytes of one file; 16 MB. Our own export, read from a path of its own, is not bounded
	Total int64 // bytes of an unpacked archive; 512 MB
}

// A Source is a file, a folder or an archive that is being imported.
type Source struct{}

// Open opens a file, a folder, or an archive (.tar, .tar.gz, .tgz, .tar.zst, .zip).
func Open(path string, o ReadOptions) (*Source, error) { return nil, errors.New("not built yet") }

// Read reads a file or an archive from a stream; its name says which.
func Read(name string, r io.Reader, o ReadOptions) (*Source, error) {
	return nil, errors.New("not built yet")
}

// Name returns the name of the source.
func (s *Source) Name() string { return "" }

// Len returns the number of files, for a progress bar.
func (s *Source) Len() int { return 0 }

// Items returns what came of each file, in the order of their paths.
func (s *Source) Items() iter.Seq[Item] { return func(func(Item) bool) {} }

// Close lets go of the files.
func (s *Source) Close() error { return nil }
