package interchange

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A tree is a set of files with paths of slashes.
type tree interface {
	files() []treeFile // by path
	read(p string) ([]byte, error)
	// stream opens a file that may be larger than the bound of one file, or says that it can't.
	stream(p string) (io.ReadCloser, bool)
	close() error
}

// A treeFile is a file, or the reason why it can't be read.
type treeFile struct {
	path string
	skip string // why it is passed over
	err  error  // why it is refused
}

// readBounded reads at most limit bytes and refuses more.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("more than %s: too large for one file", byteSize(limit))
	}
	return data, nil
}

func byteSize(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}

// memFiles is a tree in memory.
type memFiles struct {
	list []treeFile
	data map[string][]byte
}

func (m *memFiles) files() []treeFile { return m.list }

func (m *memFiles) read(p string) ([]byte, error) {
	data, ok := m.data[p]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

func (m *memFiles) stream(p string) (io.ReadCloser, bool) {
	data, ok := m.data[p]
	return io.NopCloser(bytes.NewReader(data)), ok
}

func (m *memFiles) close() error { return nil }

// dropLeading removes the folder that all files lie in where it only repeats the archive's name, as "playbook-1.2/" in
// playbook.tar.gz, so that the next release gives the same paths.
func (m *memFiles) dropLeading(source string) {
	top := ""
	for _, f := range m.list {
		dir, rest, found := strings.Cut(f.path, "/")
		switch {
		case f.err != nil:
			continue
		case !found || rest == "" || !repeats(dir, source) || top != "" && dir != top:
			return
		}
		top = dir
	}
	if top == "" {
		return
	}
	data := make(map[string][]byte, len(m.data))
	for i := range m.list {
		f := &m.list[i]
		if f.err != nil {
			continue // shown as it stands in the archive
		}
		old := f.path
		f.path = strings.TrimPrefix(f.path, top+"/")
		if d, ok := m.data[old]; ok {
			data[f.path] = d
		}
	}
	m.data = data
	sortFiles(m.list)
}

func repeats(dir, source string) bool {
	longer := func(a, b string) bool {
		return strings.HasPrefix(a, b) && strings.ContainsAny(a[len(b):len(b)+1], "-_.")
	}
	return dir == source || len(dir) > len(source) && longer(dir, source) || len(source) > len(dir) &&
		longer(source, dir)
}

func sortFiles(list []treeFile) {
	slices.SortStableFunc(list, func(a, b treeFile) int { return cmp.Compare(a.path, b.path) })
}

// diskFiles is a tree of files that lie somewhere on disk.
type diskFiles struct {
	limits     Limits
	list       []treeFile
	paths      map[string]string
	streamable bool
}

func (d *diskFiles) files() []treeFile { return d.list }

func (d *diskFiles) read(p string) ([]byte, error) {
	name, ok := d.paths[p]
	if !ok {
		return nil, fs.ErrNotExist
	}
	f, err := os.Open(name) //nolint:gosec // the caller named the file to read
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return readBounded(f, d.limits.File)
}

func (d *diskFiles) stream(p string) (io.ReadCloser, bool) {
	name, ok := d.paths[p]
	if !ok || !d.streamable {
		return nil, false
	}
	f, err := os.Open(name) //nolint:gosec // the caller named the file to read
	return f, err == nil
}

func (d *diskFiles) close() error { return nil }

// folder is a tree below a folder that nothing leads out of: the root refuses to follow a link to the outside, even one
// that is put there while the import runs.
type folder struct {
	root   *os.Root
	dir    string // the folder with its own links resolved
	prefix string // of the paths
	limits Limits
	list   []treeFile
	ignore *ignorer
}

func openFolder(name, prefix string, limits Limits) (*folder, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open source: %w", err)
	}
	dir, err := filepath.EvalSymlinks(name)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open source: %w", err), root.Close())
	}
	t := &folder{root: root, dir: dir, prefix: prefix, limits: limits, ignore: newIgnorer()}
	t.ignore.aboveFolder(dir)
	if err := fs.WalkDir(root.FS(), ".", t.visit); err != nil {
		return nil, errors.Join(fmt.Errorf("list %s: %w", name, err), root.Close())
	}
	sortFiles(t.list)
	return t, nil
}

func (t *folder) visit(p string, d fs.DirEntry, err error) error {
	at := t.prefix + p
	if len(t.list) >= t.limits.Files {
		return fmt.Errorf("more than %d files: import parts of it, or raise the bound", t.limits.Files)
	}
	switch {
	case err != nil && p == ".":
		return err
	case err != nil:
		t.list = append(t.list, treeFile{path: at, err: err})
	case d.IsDir():
		if why := t.skipDir(p); why != "" {
			t.list = append(t.list, treeFile{path: at + "/", skip: why})
			return fs.SkipDir
		}
		t.readIgnores(p)
	case t.skipFile(p) != "":
		t.list = append(t.list, treeFile{path: at, skip: t.skipFile(p)})
	case d.Type()&fs.ModeSymlink != 0:
		t.list = append(t.list, t.link(p, at))
	case !d.Type().IsRegular():
		t.list = append(t.list, treeFile{path: at, skip: "not a regular file"})
	default:
		t.list = append(t.list, treeFile{path: at})
	}
	return nil
}

// skipDir says why nothing below a folder is read. What the caller named is read.
func (t *folder) skipDir(p string) string {
	if p == "." {
		return ""
	}
	if why := skippedFolder(path.Base(p)); why != "" {
		return why
	}
	if why := builtFolder(p, func(name string) bool { _, err := t.root.Lstat(name); return err == nil }); why != "" {
		return why
	}
	return t.ignore.reason(p, true)
}

func (t *folder) skipFile(p string) string {
	if personal(p) {
		return personalReason
	}
	return t.ignore.reason(p, false)
}

// readIgnores reads what a folder says of what is passed over in it.
func (t *folder) readIgnores(p string) {
	for _, name := range ignoreFiles() {
		info, err := t.root.Lstat(path.Join(p, name))
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		f, err := t.root.Open(path.Join(p, name))
		if err != nil {
			continue
		}
		if data, err := readBounded(f, maxIgnoreBytes); err == nil {
			t.ignore.add(strings.TrimSuffix(path.Join(t.ignore.prefix, p), "."), name, data)
		}
		_ = f.Close() // only read
	}
}

// link decides about a symbolic link. What it points to within the tree is met by itself; a link is only read where it
// gives a text the name under which it is looked for.
func (t *folder) link(p, at string) treeFile {
	target, err := filepath.EvalSymlinks(filepath.Join(t.dir, filepath.FromSlash(p)))
	if err != nil {
		return treeFile{path: at, skip: "a symbolic link that leads nowhere"}
	}
	rel, err := filepath.Rel(t.dir, target)
	if err != nil || !filepath.IsLocal(rel) {
		return treeFile{path: at, skip: "a symbolic link that leads out of the folder: not followed"}
	}
	rel = filepath.ToSlash(rel)
	info, err := t.root.Stat(p)
	switch {
	case err != nil:
		return treeFile{path: at, skip: "a symbolic link that can't be followed within the folder"}
	case !info.Mode().IsRegular():
		return treeFile{path: at, skip: "a symbolic link to the folder " + rel + ", which is read by itself"}
	case nameFormat(rel) != "" && nameFormat(rel) != skipName && !hidden(rel):
		return treeFile{path: at, skip: "a symbolic link to " + rel + ", which is read by itself"}
	}
	return treeFile{path: at}
}

// hidden reports whether a path lies in a folder that is not walked.
func hidden(p string) bool { return hiddenReason(p) != "" }

func hiddenReason(p string) string {
	for dir := range strings.SplitSeq(path.Dir(p), "/") {
		if why := skippedFolder(dir); why != "" {
			return why
		}
	}
	return ""
}

func (t *folder) files() []treeFile { return t.list }

func (t *folder) read(p string) ([]byte, error) {
	rest, ok := strings.CutPrefix(p, t.prefix)
	if !ok {
		return nil, fs.ErrNotExist
	}
	f, err := t.root.Open(rest)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file any more")
	}
	return readBounded(f, t.limits.File)
}

func (t *folder) stream(string) (io.ReadCloser, bool) { return nil, false }

func (t *folder) close() error { return t.root.Close() }
