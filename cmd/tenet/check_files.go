package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/check"
)

// checkedFiles are the files to be looked at, read one at a time: together they may be larger than the memory.
type checkedFiles struct {
	now    iter.Seq[check.File]
	before iter.Seq[check.File] // as they were, where only what is new counts; nil where everything does
	gone   func(string) bool    // whether a path was deleted, or is none of the tree; nil where that is unknown
	names  []string             // those that were read
	err    error                // why not all were
}

// files returns what is to be looked at.
func (w *workTree) files(ctx context.Context, s *checkSettings, args []string) (*checkedFiles, error) {
	switch {
	case s.Staged:
		base := "HEAD"
		if _, err := w.git(ctx, "rev-parse", "--verify", "--quiet", base); err != nil { // before the first commit
			empty, err := w.git(ctx, "hash-object", "-t", "tree", "--stdin")
			if err != nil {
				return nil, err
			}
			base = strings.TrimSpace(string(empty))
		}
		return w.changed(ctx, base, true)
	case s.Diff != "":
		if strings.HasPrefix(s.Diff, "-") {
			return nil, usageError("--diff %q: want a commit or a branch", s.Diff)
		}
		if _, err := w.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options",
			s.Diff+"^{commit}"); err != nil {
			return nil, usageError("--diff %s: this clone has no such commit or branch (`git branch --all` shows "+
				"what it has): fetch it with its history, as by `git fetch --unshallow` or with fetch-depth: 0 of "+
				"actions/checkout", cell(s.Diff))
		}
		base, err := w.git(ctx, "merge-base", s.Diff, "HEAD")
		if err != nil {
			return nil, usageError("--diff %s: where the two part is not in this clone (%s): fetch it with its "+
				"history, as by `git fetch --unshallow` or with fetch-depth: 0 of actions/checkout", s.Diff, err)
		}
		return w.changed(ctx, strings.TrimSpace(string(base)), false)
	}
	names, asked, err := w.named(ctx, args)
	if err != nil {
		return nil, err
	}
	c := &checkedFiles{}
	if len(args) == 0 {
		c.gone = func(path string) bool { _, there := slices.BinarySearch(names, path); return !there }
	}
	c.now = func(yield func(check.File) bool) {
		for _, name := range names {
			f, ok := w.readFile(name)
			if !ok && slices.Contains(asked, name) { // who names it wants to know
				f, ok = check.File{Path: name, Fault: "it is no plain file"}, true
			}
			if ok && !c.pass(f, yield) {
				return
			}
		}
	}
	return c, nil
}

// pass passes a file on, and notes its name.
func (c *checkedFiles) pass(f check.File, yield func(check.File) bool) bool {
	c.names = append(c.names, f.Path)
	return yield(f)
}

// readFile reads a file of the work tree; false for what is none, such as a link or a submodule. One that can't be read
// says why.
func (w *workTree) readFile(name string) (check.File, bool) {
	whole := filepath.Join(w.Dir(), filepath.FromSlash(name))
	info, err := os.Lstat(whole)
	if err != nil || !info.Mode().IsRegular() {
		return check.File{}, false
	}
	f, err := os.Open(whole) //nolint:gosec // a file of the tree that is checked
	if err != nil {
		return check.File{Path: name, Fault: "it can't be read: " + faultOf(err)}, true
	}
	text, err := io.ReadAll(io.LimitReader(f, check.MaxFile+1)) // more is too large, and not needed to say so
	if err = errors.Join(err, f.Close()); err != nil {
		return check.File{Path: name, Fault: "it can't be read: " + faultOf(err)}, true
	}
	return check.File{Path: name, Content: text}, true
}

// faultOf returns what is wrong with a file, without its name.
func faultOf(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// A gitChange is a file that has changed, as git tells it.
type gitChange struct {
	path, was     string // was is where a file was that has moved
	before, after string // the ids of its contents; "" where it was no plain file or is none
}

// changed returns the files that have changed since base: those of the index where staged, else of the work tree.
func (w *workTree) changed(ctx context.Context, base string, staged bool) (*checkedFiles, error) {
	args := []string{
		"diff", "--raw", "-z", "--no-abbrev", "--find-renames", "--ignore-submodules=all", "--diff-filter=ACDMRT",
	}
	if staged {
		args = append(args, "--cached")
	}
	list, err := w.git(ctx, append(args, base)...)
	if err != nil {
		return nil, err
	}
	changes, gone := gitChanges(split0(list))
	c := &checkedFiles{gone: func(path string) bool { return gone[path] }}
	c.now = func(yield func(check.File) bool) {
		b := &blobs{w: w}
		defer func() { c.err = errors.Join(c.err, b.close()) }()
		for _, one := range changes {
			f, ok := check.File{Path: one.path}, one.after != ""
			switch {
			case !staged:
				f, ok = w.readFile(one.path)
			case ok:
				f.Content, c.err = b.read(ctx, one.after)
			}
			if c.err != nil || ok && !c.pass(f, yield) {
				return
			}
		}
	}
	c.before = func(yield func(check.File) bool) {
		b := &blobs{w: w}
		defer func() { c.err = errors.Join(c.err, b.close()) }()
		for _, one := range changes {
			if one.before == "" {
				continue // it is new
			}
			text, err := b.read(ctx, one.before)
			if c.err = err; err != nil || !yield(check.File{Path: one.path, Was: one.was, Content: text}) {
				return
			}
		}
	}
	return c, nil
}

// gitChanges reads what git diff --raw -z has written: for each change a line with modes, ids and a letter, and then
// one path, or two where the file was renamed or copied. gone holds the paths of deleted files, and the old ones of
// renamed files.
func gitChanges(parts []string) (list []gitChange, gone map[string]bool) {
	gone = map[string]bool{}
	for i := 0; i+1 < len(parts); i++ {
		head := strings.Fields(strings.TrimPrefix(parts[i], ":"))
		if len(head) != 5 {
			return list, gone
		}
		i++
		if head[4] == "D" {
			gone[parts[i]] = true
			continue
		}
		c := gitChange{path: parts[i]}
		if renamed, copied := head[4][0] == 'R', head[4][0] == 'C'; (renamed || copied) && i+1 < len(parts) {
			c.was = parts[i]
			gone[c.was] = gone[c.was] || renamed
			i++
			c.path = parts[i]
		}
		if strings.HasPrefix(head[0], "100") { // a plain file
			c.before = head[2]
		}
		if strings.HasPrefix(head[1], "100") {
			c.after = head[3]
		}
		list = append(list, c)
	}
	return list, gone
}

// blobs reads contents from git: one process for all, which is started when the first is wanted.
type blobs struct {
	w    *workTree
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	said bytes.Buffer
}

// read returns a content by its id; of one that is too large to be checked the beginning.
func (b *blobs) read(ctx context.Context, id string) ([]byte, error) {
	if b.cmd == nil {
		if err := b.start(ctx); err != nil {
			return nil, fmt.Errorf("git cat-file: %w", err)
		}
	}
	if _, err := io.WriteString(b.in, id+"\n"); err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	line, err := b.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	head := strings.Fields(line) // id, type, size
	if len(head) != 3 {
		return nil, fmt.Errorf("git cat-file: %s", cell(strings.TrimSpace(line)))
	}
	size, err := strconv.ParseInt(head[2], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	text := make([]byte, min(size, check.MaxFile+1))
	if _, err := io.ReadFull(b.out, text); err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	_, err = io.CopyN(io.Discard, b.out, size-int64(len(text))+1) // and the line end behind it
	return text, err
}

func (b *blobs) start(ctx context.Context) error {
	b.cmd = b.w.gitCommand(ctx, "cat-file", "--batch")
	b.cmd.Stderr = &b.said
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		return err
	}
	b.out = bufio.NewReader(out)
	return b.cmd.Start()
}

func (b *blobs) close() error {
	if b.cmd == nil || b.cmd.Process == nil {
		return nil
	}
	err := b.in.Close()
	if failed := b.cmd.Wait(); failed != nil && err == nil {
		err = fmt.Errorf("git cat-file: %s", strings.TrimSpace(cell(b.said.String()+" "+failed.Error())))
	}
	return err
}

// named returns the files below paths, and those that the paths themselves name, which git may ignore; all that git
// knows or would add where none are named.
func (w *workTree) named(ctx context.Context, args []string) (names, asked []string, err error) {
	var below []string
	for _, arg := range args {
		rel, ok := w.relative(arg)
		info, err := os.Lstat(arg)
		if err != nil || !ok {
			return nil, nil, usageError("%s: want a file or a folder of the work tree %s", arg, w.Dir())
		}
		below = append(below, rel)
		if !info.IsDir() {
			asked = append(asked, rel)
		}
	}
	if list, err := w.git(ctx, append([]string{"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"},
		below...)...); err == nil {
		names = append(split0(list), asked...)
		slices.Sort(names)
		return slices.Compact(names), asked, nil
	}
	if len(below) == 0 {
		below = []string{"."}
	}
	for _, dir := range below {
		err := fs.WalkDir(os.DirFS(w.Dir()), dir, func(name string, e fs.DirEntry, err error) error {
			if err == nil && (e.Type().IsRegular() || name == dir && !e.IsDir()) {
				names = append(names, name)
			}
			if e != nil && e.IsDir() && e.Name() == ".git" {
				return fs.SkipDir
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	slices.Sort(names)
	return names, asked, nil
}

func split0(list []byte) []string {
	var names []string
	for part := range bytes.SplitSeq(list, []byte{0}) {
		if len(part) > 0 {
			names = append(names, string(part))
		}
	}
	return names
}

func (w *workTree) git(ctx context.Context, args ...string) ([]byte, error) {
	name := args[0]
	cmd := w.gitCommand(ctx, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %s", name, strings.TrimSpace(cell(said.String()+" "+err.Error())))
	}
	return out, nil
}

func (w *workTree) gitCommand(ctx context.Context, args ...string) *exec.Cmd {
	args = append([]string{"-C", w.Dir(), "--literal-pathspecs", "-c", "core.quotepath=off"}, args...)
	return exec.CommandContext(ctx, "git", args...) //nolint:gosec // our own arguments, names behind --
}
