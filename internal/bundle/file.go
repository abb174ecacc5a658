package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"tenet/internal/knowledge"
)

// Path returns the file for the bundle of a work tree: in the user's cache, since the tree is shared.
func Path(cache, tree string) string {
	sum := sha256.Sum256([]byte(tree))
	return filepath.Join(cache, "tenet", "bundles", hex.EncodeToString(sum[:12])+".json")
}

// Load reads a saved bundle; nil if there is no usable one.
func Load(path string) (*Bundle, error) {
	return load(path, func(*Entry) bool { return true })
}

// LoadFor reads the part of a saved bundle that may be about some files: for these it gives the same answers as the
// whole.
func LoadFor(path string, paths []string) (*Bundle, error) {
	var files []file
	for _, path := range paths {
		if clean, err := knowledge.CleanPath(path); err == nil {
			files = append(files, file{clean, knowledge.LanguagesOf(clean)})
		}
	}
	return load(path, func(e *Entry) bool { return e.About == nil || slices.ContainsFunc(files, e.About.fits) })
}

// errDamaged means that a file is no bundle, is of another version, or was not written to its end.
var errDamaged = errors.New("the bundle can't be read")

// load reads a saved bundle with the documents that are wanted, and leaves the others where they are.
func load(path string, wanted func(*Entry) bool) (*Bundle, error) {
	f, err := os.Open(path) //nolint:gosec // of the user's cache
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // there is none
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	b, err := read(f, wanted)
	if errors.Is(err, errDamaged) {
		return nil, nil // it is fetched again
	}
	return b, err
}

func read(f *os.File, wanted func(*Entry) bool) (*Bundle, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, at, err := readHead(f, info.Size())
	if err != nil {
		return nil, err
	}
	var taken []Entry
	for i := range b.Documents {
		e := &b.Documents[i]
		if e.Size < 0 || int64(e.Size) > info.Size()-at {
			return nil, errDamaged
		}
		if wanted(e) {
			if e.Document, err = readPart(f, at, e.Size, e.Sum); err != nil {
				return nil, err
			}
			taken = append(taken, *e)
		}
		at += int64(e.Size)
	}
	if at != info.Size() {
		return nil, errDamaged
	}
	b.Documents = taken
	return b, nil
}

// firstLine is the first line of a bundle's file: the size and the checksum of what stands before the documents.
const firstLine = "%08x %08x\n"

// readHead reads what stands before the documents of a file, and returns where they begin.
func readHead(f *os.File, size int64) (*Bundle, int64, error) {
	line := make([]byte, len(fmt.Sprintf(firstLine, 0, 0)))
	if _, err := f.ReadAt(line, 0); err != nil {
		return nil, 0, orDamaged(err)
	}
	var n, sum uint32
	if _, err := fmt.Sscanf(string(line), firstLine, &n, &sum); err != nil || int64(n) > size {
		return nil, 0, errDamaged
	}
	head, err := readPart(f, int64(len(line)), int(n), sum)
	if err != nil {
		return nil, 0, err
	}
	b := new(Bundle)
	if json.Unmarshal(head, b) != nil || b.Format != format {
		return nil, 0, errDamaged
	}
	return b, int64(len(line) + len(head)), nil
}

func readPart(f *os.File, at int64, size int, sum uint32) ([]byte, error) {
	text := make([]byte, size)
	if _, err := f.ReadAt(text, at); err != nil {
		return nil, orDamaged(err)
	}
	if checksum(text) != sum {
		return nil, errDamaged
	}
	return text, nil
}

// orDamaged returns errDamaged for a file that is too short.
func orDamaged(err error) error {
	if errors.Is(err, io.EOF) {
		return errDamaged
	}
	return err
}

// encode encodes the file: its first line, everything except the documents, then the documents. A caller that needs few
// of them does not read the others.
func (b *Bundle) encode() ([]byte, error) {
	whole := *b
	whole.Documents = slices.Clone(b.Documents)
	texts := [][]byte{nil, nil}
	for i := range whole.Documents {
		e := &whole.Documents[i]
		e.Size, e.Sum = len(e.Document), checksum(e.Document)
		texts = append(texts, e.Document)
		if e.About != nil {
			continue
		}
		d, err := decode(*e)
		if err != nil {
			return nil, err
		}
		e.About = aboutOf(d)
	}
	head, err := json.Marshal(&whole)
	if err != nil {
		return nil, err
	}
	texts[0], texts[1] = fmt.Appendf(nil, firstLine, len(head), checksum(head)), head
	return slices.Concat(texts...), nil
}

// checksum detects a damaged file.
func checksum(text []byte) uint32 { return crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)) }

// Save writes a bundle atomically, readable only by the user: the server shows the documents only to its callers.
func (b *Bundle) Save(path string) error {
	text, err := b.encode()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it is nobody's
		return fmt.Errorf("keep the bundle: %w", err)
	}
	return nil
}
