// Package worktree changes only our parts of files in a work tree: never through a symbolic link, atomically, and
// keeping all other bytes, the mode and the line ends.
package worktree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// A Tree is a folder whose files are read and written.
type Tree struct {
	dir        string
	repository bool // it is one of git: a repository below it is somebody else's
}

// At returns the tree of a folder.
func At(dir string) (*Tree, error) {
	whole, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return &Tree{whole, isRepository(whole)}, nil
}

// isRepository reports whether a folder is the root of a work tree of git: a repository, a submodule, or one of several
// work trees.
func isRepository(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, ".git"))
	return err == nil
}

// Root returns the folder of the git work tree that contains a path; false if there is none. A submodule is a separate
// tree.
func Root(dir string) (string, bool) {
	whole, err := filepath.Abs(dir)
	if err != nil {
		return "", false
	}
	for {
		if isRepository(whole) {
			return whole, true
		}
		up := filepath.Dir(whole)
		if up == whole {
			return "", false
		}
		whole = up
	}
}

// Bare reports whether a folder is a git repository without a work tree.
func Bare(dir string) bool {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.IsDir() == (name == "HEAD") {
			return false
		}
	}
	return true
}

// Dir returns the folder.
func (t *Tree) Dir() string { return t.dir }

// A LinkError means that a path leads through a symbolic link or into another repository, or is not a regular file.
type LinkError struct{ Path, What string }

// Error implements error.
func (e *LinkError) Error() string {
	return e.Path + " is " + e.What + ": tenet writes into no such thing; take it away, or leave this target out"
}

// MaxFile is the largest size of a file that is read.
const MaxFile = 4 << 20

// A File is the current state of a file.
type File struct {
	Text   []byte
	Mode   fs.FileMode
	Exists bool
}

// Read returns a file by its path from the folder, with slashes. A missing file is empty.
func (t *Tree) Read(name string) (File, error) {
	whole, err := t.plain(name)
	if err != nil {
		return File{}, err
	}
	info, err := os.Lstat(whole)
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, nil
	}
	if err != nil {
		return File{}, err
	}
	if info.Size() > MaxFile {
		return File{}, fmt.Errorf("%s has %d bytes: at most %d are read", name, info.Size(), MaxFile)
	}
	text, err := os.ReadFile(whole) //nolint:gosec // below the folder, by plain
	return File{text, info.Mode().Perm(), true}, err
}

// plain returns the full path, after checking that no part of it is a symbolic link or another repository and that it
// leads to a file.
func (t *Tree) plain(name string) (string, error) {
	if !fs.ValidPath(name) || name == "." {
		return "", fmt.Errorf("%q: want a path below the folder", name)
	}
	parts := strings.Split(name, "/")
	for n := 1; n <= len(parts); n++ {
		part := path.Join(parts[:n]...)
		whole := filepath.Join(t.dir, filepath.FromSlash(part))
		info, err := os.Lstat(whole)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return filepath.Join(t.dir, filepath.FromSlash(name)), nil
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink != 0:
			return "", &LinkError{part, "a symbolic link"}
		case n < len(parts) && !info.IsDir():
			return "", &LinkError{part, "a file where a folder is needed"}
		case n < len(parts) && t.repository && isRepository(whole):
			return "", &LinkError{part, "another repository"}
		case n == len(parts) && !info.Mode().IsRegular():
			return "", &LinkError{part, "no plain file"}
		}
	}
	return filepath.Join(t.dir, filepath.FromSlash(name)), nil
}

// tempPrefix begins the names of temporary files.
const tempPrefix = ".tenet-tmp-"

// Temporary reports whether a file's name is that of a temporary file, which is nobody's.
func Temporary(name string) bool { return strings.HasPrefix(path.Base(name), tempPrefix) }

// Write replaces a file atomically. Mode 0 keeps the mode of the present file, or means 0644.
func (t *Tree) Write(name string, text []byte, mode fs.FileMode) error {
	whole, err := t.plain(name)
	if err != nil {
		return err
	}
	if mode == 0 {
		mode = 0o644
		if info, err := os.Lstat(whole); err == nil {
			mode = info.Mode().Perm()
		}
	}
	dir := filepath.Dir(whole)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // folders of a work tree are readable by all
		return err
	}
	if err := sweep(dir); err != nil {
		return err
	}
	f, err := temporary(dir)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync())
	renamed := err == nil && os.Rename(f.Name(), whole) == nil // while its lock is held
	err = errors.Join(err, f.Close())
	if err == nil && !renamed {
		err = os.Rename(f.Name(), whole) // some systems rename no open file
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it is nobody's
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// temporary makes a temporary file in a folder, and locks it until it is closed: one without a lock is a dead
// program's.
func temporary(dir string) (*os.File, error) {
	for {
		f, err := os.CreateTemp(dir, tempPrefix+"*")
		if err != nil {
			return nil, err
		}
		taken, err := lock(f)
		if err != nil {
			return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
		if _, err := os.Lstat(f.Name()); taken && err == nil {
			return f, nil
		}
		_ = f.Close() // another program has taken it for a dead one's before the lock
	}
}

// Sweep removes the temporary files of killed programs from the folders of files.
func (t *Tree) Sweep(names ...string) error {
	done := map[string]bool{}
	for _, name := range names {
		dir := filepath.Join(t.dir, filepath.FromSlash(path.Dir(name)))
		if _, err := t.plain(name); err != nil || done[dir] {
			continue // what is not ours to write has none of ours
		}
		done[dir] = true
		if err := sweep(dir); err != nil {
			return err
		}
	}
	return nil
}

func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !Temporary(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		f, err := os.Open(filepath.Join(dir, e.Name())) //nolint:gosec // a name of ours in a folder of the tree
		if err != nil {
			continue // it has just gone
		}
		if dead, err := lock(f); dead && err == nil {
			_ = os.Remove(f.Name()) // the next write tries again
		}
		_ = f.Close() // it was only locked
	}
	return nil
}

// Remove removes a file, and then the parent folders that are empty.
func (t *Tree) Remove(name string) error {
	whole, err := t.plain(name)
	if err != nil {
		return err
	}
	if err := os.Remove(whole); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for dir := filepath.Dir(whole); dir != t.dir && strings.HasPrefix(dir, t.dir); dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil { // not empty
			break
		}
	}
	return nil //nolint:nilerr // a missing file need not be removed
}
