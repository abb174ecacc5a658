package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Path returns the file for the bundle of a work tree: in the user's cache, since the tree is shared.
func Path(cache, tree string) string {
	sum := sha256.Sum256([]byte(tree))
	return filepath.Join(cache, "tenet", "bundles", hex.EncodeToString(sum[:12])+".json")
}

// Load reads a saved bundle; nil if there is no usable one.
func Load(path string) (*Bundle, error) {
	text, err := os.ReadFile(path) //nolint:gosec // of the user's cache
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, err
	}
	head, rest, _ := bytes.Cut(text, []byte{'\n'})
	b := new(Bundle)
	if json.Unmarshal(head, b) != nil || b.Format != format || b.Sum != checksum(rest) {
		return nil, nil //nolint:nilnil,nilerr // it is fetched again
	}
	for i := range b.Documents {
		e := &b.Documents[i]
		if e.Size < 0 || e.Size > len(rest) {
			return nil, nil //nolint:nilnil // as above
		}
		e.Document, rest = rest[:e.Size:e.Size], rest[e.Size:]
	}
	if len(rest) > 0 {
		return nil, nil //nolint:nilnil // as above
	}
	return b, nil
}

// encode encodes the file: one line with everything except the documents, then the documents. A caller that needs few
// of them need not read the others.
func (b *Bundle) encode() ([]byte, error) {
	whole := *b
	whole.Documents = slices.Clone(b.Documents)
	var texts [][]byte
	for i := range whole.Documents {
		e := &whole.Documents[i]
		e.Size = len(e.Document)
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
	rest := slices.Concat(texts...)
	whole.Sum = checksum(rest)
	head, err := json.Marshal(&whole)
	if err != nil {
		return nil, err
	}
	return slices.Concat(head, []byte{'\n'}, rest), nil
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
