package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Path returns where the bundle of a work tree is kept: in the user's cache, since the tree is everybody's.
func Path(cache, tree string) string {
	sum := sha256.Sum256([]byte(tree))
	return filepath.Join(cache, "tenet", "bundles", hex.EncodeToString(sum[:12])+".json")
}

// Load reads a kept bundle; nil where there is none that can be used.
func Load(path string) (*Bundle, error) {
	text, err := os.ReadFile(path) //nolint:gosec // of the user's cache
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, err
	}
	b := new(Bundle)
	if json.Unmarshal(text, b) != nil || b.Format != format {
		return nil, nil //nolint:nilnil,nilerr // it is fetched again
	}
	return b, nil
}

// Save keeps a bundle, whole or not at all. What a tenet shows to its callers only, others on this machine don't read.
func (b *Bundle) Save(path string) error {
	text, err := json.Marshal(b)
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
