package interchange

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// archiveEndings returns the endings of archives' names.
func archiveEndings() []string {
	return []string{".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar", ".zip"}
}

func isArchive(name string) bool { return archiveStem(name) != path.Base(name) }

// archiveStem returns the name of an archive without its ending.
func archiveStem(name string) string {
	name = path.Base(name)
	for _, end := range archiveEndings() {
		if len(name) > len(end) && strings.EqualFold(name[len(name)-len(end):], end) {
			return name[:len(name)-len(end)]
		}
	}
	return name
}

// errTooMuch stops reading an archive that unpacks to more than the limit.
var errTooMuch = errors.New("the archive unpacks to too much")

// A meter counts unpacked bytes and stops at the limit.
type meter struct {
	r    io.Reader
	left int64
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, errTooMuch
	}
	if int64(len(p)) > m.left {
		p = p[:m.left]
	}
	n, err := m.r.Read(p)
	m.left -= int64(n)
	return n, err
}

// An unpacker collects the files of an archive.
type unpacker struct {
	limits Limits
	files  memFiles
	seen   map[string]bool
	size   int64 // of what was kept; a sparse file is larger than what was read for it
}

// readArchive unpacks an archive into memory: the order of its files is arbitrary, and its size is limited.
func readArchive(name string, r io.Reader, limits Limits) (*memFiles, error) {
	u := &unpacker{limits: limits, files: memFiles{data: map[string][]byte{}}, seen: map[string]bool{}}
	var err error
	if strings.EqualFold(path.Ext(name), ".zip") {
		err = u.zip(r)
	} else {
		err = u.packedTar(r)
	}
	if errors.Is(err, errTooMuch) {
		err = fmt.Errorf("it unpacks to more than %s, or holds more than %d files: unpack it and import parts",
			byteSize(limits.Total), limits.Files)
	}
	if err != nil {
		return nil, fmt.Errorf("read archive %s: %w", name, err)
	}
	u.passOver()
	sortFiles(u.files.list)
	return &u.files, nil
}

// passOver marks the files to skip, by the .gitignore and .gitattributes files of the archive.
func (u *unpacker) passOver() {
	ignore := newIgnorer()
	for _, f := range u.files.list {
		if base := path.Base(f.path); slices.Contains(ignoreFiles(), base) && f.err == nil {
			ignore.add(strings.TrimPrefix(path.Dir(f.path), "."), base, u.files.data[f.path])
			delete(u.files.data, f.path)
		}
	}
	for i := range u.files.list {
		f := &u.files.list[i]
		if f.skip != "" || f.err != nil {
			continue
		}
		if f.skip = u.reason(ignore, f.path); f.skip != "" {
			delete(u.files.data, f.path)
		}
	}
}

// reason says why a file of an archive is skipped.
func (u *unpacker) reason(ignore *ignorer, p string) string {
	for i, c := range p {
		if c != '/' {
			continue
		}
		dir := p[:i]
		if why := skippedFolder(path.Base(dir)); why != "" {
			return why
		}
		if why := builtFolder(dir, func(name string) bool { return u.seen[name] }); why != "" {
			return why
		}
		if why := ignore.reason(dir, true); why != "" {
			return why
		}
	}
	if personal(p) {
		return personalReason
	}
	return ignore.reason(p, false)
}

// packedTar detects the compression by the first bytes: names are unreliable.
func (u *unpacker) packedTar(r io.Reader) error {
	br := bufio.NewReader(r)
	magic, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		gz, err := gzip.NewReader(br)
		if err != nil {
			return err
		}
		return u.tar(gz)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(br, zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return err
		}
		defer z.Close()
		return u.tar(z)
	}
	return u.tar(br)
}

func (u *unpacker) tar(r io.Reader) error {
	tr := tar.NewReader(&meter{r: r, left: u.limits.Total})
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		case tar.TypeReg:
			err = u.add(h.Name, "", h.Size, tr)
		case tar.TypeSymlink, tar.TypeLink:
			err = u.add(h.Name, "a link to "+shortQuote(h.Linkname)+": links in archives are not followed", 0, nil)
		default:
			err = u.add(h.Name, "not a regular file", 0, nil)
		}
		if err != nil {
			return err
		}
	}
}

func (u *unpacker) zip(r io.Reader) error {
	data, err := io.ReadAll(&meter{r: r, left: u.limits.Total})
	if err != nil {
		return err
	}
	zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	left := u.limits.Total
	for _, f := range zr.File {
		mode := f.Mode()
		switch {
		case strings.HasSuffix(f.Name, "/"):
			continue
		case mode&fs.ModeSymlink != 0:
			err = u.add(f.Name, "a link: links in archives are not followed", 0, nil)
		case !mode.IsRegular():
			err = u.add(f.Name, "not a regular file", 0, nil)
		default:
			err = u.zipFile(f, &left)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) zipFile(f *zip.File, left *int64) error {
	if f.Flags&1 != 0 {
		return u.refuse(f.Name, errors.New("encrypted: unpack the archive and import the folder"))
	}
	rc, err := f.Open()
	if err != nil {
		return u.refuse(f.Name, err)
	}
	defer rc.Close() //nolint:errcheck // only read
	m := &meter{r: rc, left: *left}
	size := int64(min(f.UncompressedSize64, 1<<62))
	err = u.add(f.Name, "", size, m)
	*left = m.left
	if err != nil && !errors.Is(err, errTooMuch) {
		return u.refuse(f.Name, err) // a damaged entry, the others may be whole
	}
	return err
}

// add reads one entry. An error stops reading the archive.
func (u *unpacker) add(name, skip string, size int64, r io.Reader) error {
	if len(u.files.list) >= u.limits.Files {
		return errTooMuch
	}
	p, err := entryPath(name)
	switch {
	case err != nil:
		return u.refuse(name, err)
	case u.seen[p]:
		return u.refuse(p, errors.New("the archive holds this path twice"))
	}
	patterns := slices.Contains(ignoreFiles(), path.Base(p)) && size <= maxIgnoreBytes
	if skip == "" && nameFormat(p) == skipName && !patterns {
		skip = skipReason(p)
	}
	if skip == "" && hidden(p) {
		skip = hiddenReason(p)
	}
	if skip != "" {
		u.seen[p] = true
		u.files.list = append(u.files.list, treeFile{path: p, skip: skip})
		return nil
	}
	if size > u.limits.File {
		return u.refuse(p, fmt.Errorf("more than %s: too large for one file", byteSize(u.limits.File)))
	}
	if u.size+size > u.limits.Total {
		return errTooMuch
	}
	data, err := readBounded(r, u.limits.File)
	if err != nil {
		return err
	}
	u.size += int64(len(data))
	u.seen[p] = true
	u.files.list = append(u.files.list, treeFile{path: p})
	u.files.data[p] = data
	return nil
}

func (u *unpacker) refuse(name string, err error) error {
	if len(u.files.list) >= u.limits.Files {
		return errTooMuch
	}
	u.files.list = append(u.files.list, treeFile{path: shortQuote(name), err: err})
	return nil
}

// entryPath returns the path of an entry, or an error if the path leads out of the archive.
func entryPath(name string) (string, error) {
	name = strings.ReplaceAll(name, `\`, "/")
	p := path.Clean(name)
	switch {
	case name == "" || p == ".":
		return "", errors.New("an entry without a name")
	case strings.HasPrefix(name, "/") || p == ".." || strings.HasPrefix(p, "../"):
		return "", errors.New("the path leads out of the archive: the archive may be meant to do harm")
	case len(p) > 1 && p[1] == ':':
		return "", errors.New("the path names a drive: the archive may be meant to do harm")
	case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }):
		return "", errors.New("the path holds control characters or is not UTF-8")
	case len(p) > 1024:
		return "", errors.New("the path is longer than 1,024 bytes")
	}
	return p, nil
}

// shortQuote makes a foreign name fit to show.
func shortQuote(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return s
}
