package interchange

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// ReadOptions says how to read. The zero value detects everything.
type ReadOptions struct {
	Format   Format // detected by name and content when empty
	Source   string // the name under which prune finds the documents again; made of the path when empty
	Category string // of every document; from the front matter, the folder, or "imported" when empty
	// Columns says which column of a table holds a field (see [ColumnFields]), where its name does not tell.
	Columns map[string]string
	Limits  Limits
}

// Limits bounds what is read, so that no archive unpacks to more than the machine has. Zero values are the defaults.
type Limits struct {
	Files int   // entries of an archive or a folder; 100,000
	File  int64 // bytes of one file; 16 MB. Our own export, read from a path of its own, is not bounded
	Total int64 // bytes of an unpacked archive; 512 MB
}

func (l Limits) orDefaults() Limits {
	if l.Files <= 0 {
		l.Files = 100_000
	}
	if l.File <= 0 {
		l.File = 16 << 20
	}
	if l.Total <= 0 {
		l.Total = 512 << 20
	}
	return l
}

// A Source is a file, a folder or an archive that is being imported.
type Source struct {
	name string
	root string // what of the source is being read: a folder ending in a slash, a file, or "" for all
	o    ReadOptions
	tree tree
	// single is true when the caller named this one file: then it is read, or refused, but never passed over.
	single bool
}

// Open opens a file, a folder, or an archive (.tar, .tar.gz, .tgz, .tar.zst, .zip).
func Open(name string, o ReadOptions) (*Source, error) {
	o.Limits = o.Limits.orDefaults()
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("open source: %w", err)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("open source: %w", err)
	}
	abs = filepath.ToSlash(abs)
	switch {
	case info.IsDir():
		source, root := namedAnchor(abs)
		t, err := openFolder(name, root, o.Limits)
		if err != nil {
			return nil, err
		}
		return newSource(source, root, t, o)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("open source: %s is neither a file nor a folder: read it through standard input, as "+
			"in `tenet import - < %s`", name, name)
	case isArchive(name):
		f, err := os.Open(name) //nolint:gosec // the caller names the file to read
		if err != nil {
			return nil, fmt.Errorf("open source: %w", err)
		}
		defer f.Close() //nolint:errcheck // only read
		return Read(path.Base(abs), f, o)
	}
	source, root := namedAnchor(path.Dir(abs))
	return openSingle(name, source, root+path.Base(abs), o)
}

// openSingle opens one file. Its examples stand beside it, so the tree knows of them too.
func openSingle(name, source, at string, o ReadOptions) (*Source, error) {
	t := &diskFiles{limits: o.Limits, paths: map[string]string{at: name}, streamable: true}
	t.list = append(t.list, treeFile{path: at})
	if beside, ok := examplesBeside(name); ok {
		if info, err := os.Lstat(beside); err == nil && info.Mode().IsRegular() {
			p := path.Join(path.Dir(at), filepath.Base(beside))
			t.paths[p] = beside
			t.list = append(t.list, treeFile{path: p})
		}
	}
	s, err := newSource(source, at, t, o)
	if err == nil {
		s.single = true
	}
	return s, err
}

// Read reads a file or an archive from a stream; its name says which. A name that says nothing, such as "-", leaves it
// to the first bytes.
func Read(name string, r io.Reader, o ReadOptions) (*Source, error) {
	o.Limits = o.Limits.orDefaults()
	name = path.Base(filepath.ToSlash(name))
	if path.Ext(name) == "" && nameFormat(name) == skipName {
		br := bufio.NewReaderSize(r, 4<<10)
		head, err := br.Peek(4 << 10)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if name == "-" {
			name = "stdin"
		}
		name, r = name+endingOf(head), br
	}
	if isArchive(name) {
		t, err := readArchive(name, r, o.Limits)
		if err != nil {
			return nil, err
		}
		source := archiveStem(name)
		t.dropLeading(source)
		return newSource(source, "", t, o)
	}
	limit := o.Limits.File
	if nameFormat(name) == FormatJSONL {
		limit = o.Limits.Total // an export is one large file
	}
	data, err := readBounded(r, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	t := &memFiles{list: []treeFile{{path: name}}, data: map[string][]byte{name: data}}
	s, err := newSource(stem(name), name, t, o)
	if err == nil {
		s.single = true
	}
	return s, err
}

// endingOf returns the ending that a file with these first bytes would have, or "".
func endingOf(head []byte) string {
	text := bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff")))
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return ".zip"
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return ".tar.gz"
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return ".tar.zst"
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return ".tar"
	case looksLikeExport(text):
		return ".jsonl"
	case bytes.HasPrefix(text, []byte("[")):
		return ".json"
	case bytes.HasPrefix(text, []byte("{")):
		if first, rest, more := bytes.Cut(text, []byte("\n")); json.Valid(first) && more && len(rest) > 0 {
			return ".jsonl"
		}
		return ".json"
	case bytes.HasPrefix(text, []byte("---\n")), bytes.HasPrefix(text, []byte("---\r\n")),
		bytes.HasPrefix(text, []byte("# ")):
		return ".md"
	}
	return ""
}

func newSource(name, root string, t tree, o ReadOptions) (*Source, error) {
	if o.Source != "" {
		name = o.Source
	}
	name, _ = shorten(name)
	if o.Category != "" {
		o.Category = makeID(o.Category)
	}
	if len(SourceTag(name)) > 255 || strings.TrimSpace(name) == "" {
		return nil, errors.Join(errors.New("the source needs a name of 1 to 248 characters: give one"), t.close())
	}
	return &Source{name: name, root: root, o: o, tree: t}, nil
}

// anchor returns the name of a folder's source, and the folder's place in it: names such as "rules" or ".cursor" say
// nothing about whose they are, so the first folder above with a name of its own counts.
func anchor(abs string) (source, root string) {
	dir := abs
	for {
		base := path.Base(dir)
		if base == "/" || base == "." {
			return orElse(path.Base(abs), "root"), ""
		}
		if !isContainer(base) {
			return base, root
		}
		root = base + "/" + root
		dir = path.Dir(dir)
	}
}

// namedAnchor is anchor, with the name of the repository where the folder is the top of a work tree that was cloned.
func namedAnchor(abs string) (source, root string) {
	source, root = anchor(abs)
	top := strings.TrimSuffix(strings.TrimSuffix(abs+"/", root), "/")
	if name := remoteName(filepath.FromSlash(top)); name != "" {
		source = name
	}
	return source, root
}

// isContainer reports whether a folder's name only says what kind of files it holds.
func isContainer(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains([]string{
		"rules", "docs", "doc", "documentation", "instructions", "skills", "prompts", "commands", "agents",
		"guidelines",
		"practices", "templates", "categories", "violations", "src", "data", "content", "files", "imported",
		"issue_template", "issue_templates", "pull_request_template", "merge_request_templates", "discussion_template",
		"command",
		"workflows", "steering", "chatmodes", "agent", "droids", "microagents",
	}, strings.ToLower(name))
}

func orElse(s, other string) string {
	if s == "" || s == "/" || s == "." {
		return other
	}
	return s
}

// Name returns the name of the source.
func (s *Source) Name() string { return s.name }

// Len returns the number of files, for a progress bar.
func (s *Source) Len() int { return len(s.tree.files()) }

// Close closes the files.
func (s *Source) Close() error { return s.tree.close() }

// Items returns the result of each file, in the order of their paths.
func (s *Source) Items() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		r := newReader(s)
		for _, f := range s.tree.files() {
			if !yield(r.item(f)) {
				return
			}
		}
	}
}
