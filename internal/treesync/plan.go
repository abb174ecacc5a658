package treesync

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"tenet/internal/bundle"
	"tenet/internal/interchange"
	"tenet/internal/worktree"
)

// States of a part.
const (
	Clean     = "clean"
	Missing   = "missing"   // the file or block is missing
	Behind    = "behind"    // it has an older content of ours
	Edited    = "edited"    // it was edited
	Unmanaged = "unmanaged" // the file exists and is not ours
	Broken    = "broken"    // its markers are not exactly one pair
	Stray     = "stray"     // it is ours, and no longer expected
)

// A Step is the state of one file, and its new content.
type Step struct {
	Path   string `json:"path"`
	Target string `json:"target,omitempty"`
	State  string `json:"state"`
	Why    string `json:"why,omitempty"`
	of     string // the key of the one document that the file is of
	before worktree.File
	after  []byte // nil: removed
}

// Options of a plan.
type Options struct {
	Adopt     bool // add our block to existing files without one
	Overwrite bool // overwrite edits in our parts
}

// A Plan has a step for every file that is ours or should be.
type Plan struct {
	Steps   []Step
	LeftOut []Omission
	Skills  []Omission
	Cut     []Omission
	Twice   []Twice
	LockSeq int64 // the seq at the last write, from the lock; 0 for never
	o       Options
	tree    *worktree.Tree
}

// Make plans the changes to a tree.
func Make(tree *worktree.Tree, b *bundle.Bundle, targets []string, o Options) (*Plan, error) {
	docs, err := b.All()
	if err != nil {
		return nil, err
	}
	x, err := Expect(docs, targets, b.Confidential, func(path string) int { return othersIn(tree, path) })
	if err != nil {
		return nil, err
	}
	p := &Plan{
		LeftOut: x.LeftOut, Skills: x.Skills, Cut: x.Cut, Twice: twice(tree, x, docs), o: o, tree: tree,
	}
	blocks := map[string]bool{}
	for i := range x.Parts {
		part := &x.Parts[i]
		if part.Mode == modeBlock && blocks[part.Path] {
			continue // two assistants that read the same file
		}
		blocks[part.Path] = true
		s, err := p.look(part)
		if err != nil {
			return nil, err
		}
		p.Steps = append(p.Steps, s)
	}
	old, err := readLock(tree)
	if err != nil {
		return nil, err
	}
	if old != nil {
		p.LockSeq = old.Seq
	}
	p.strays(x, old)
	if err := p.lock(x, b, old); err != nil {
		return nil, err
	}
	slices.SortFunc(p.Steps, func(a, b Step) int { return strings.Compare(a.Path, b.Path) })
	return p, nil
}

// othersIn returns how many bytes of a shared file are not ours. A file that can't be read is refused elsewhere.
func othersIn(tree *worktree.Tree, path string) int {
	f, err := tree.Read(path)
	if err != nil {
		return 0
	}
	around, err := split(string(f.Text))
	if err != nil {
		return 0
	}
	return len(around.before) + len(around.after)
}

// look returns the step for a part.
func (p *Plan) look(part *Part) (Step, error) {
	s := Step{Path: part.Path, Target: part.Target, State: Clean, of: part.document()}
	f, err := p.tree.Read(part.Path)
	if err != nil {
		if link, ok := errors.AsType[*worktree.LinkError](err); ok {
			s.State, s.Why = Unmanaged, link.Error()
			return s, nil
		}
		return s, err
	}
	s.before = f
	if part.Mode == modeOwn {
		s.after = inStyle(part.text, f.Text)
		s.State, s.Why = ownState(f, s.after)
		return s, nil
	}
	around, err := split(string(f.Text))
	switch {
	case err != nil:
		s.State, s.Why = Broken, err.Error()
		return s, nil //nolint:nilerr // the step has the reason
	case !f.Exists:
		s.State = Missing
	case !around.there && !p.o.Adopt:
		s.State, s.Why = Unmanaged, "it has no block of ours: --adopt puts one behind what is there"
	case !around.there:
		s.State = Missing
	case around.digest != interchange.OwnDigest(unix(around.block)):
		s.State, s.Why = Edited, "our block was changed by hand"
	}
	s.after = []byte(around.with(part.text, bytes.Contains(f.Text, []byte("\r\n"))))
	if s.State == Clean && !bytes.Equal(s.after, f.Text) {
		s.State = Behind
	}
	return s, nil
}

// ownState returns the state of a file that is entirely ours.
func ownState(f worktree.File, want []byte) (state, why string) {
	switch {
	case !f.Exists:
		return Missing, ""
	case bytes.Equal(f.Text, want):
		return Clean, ""
	}
	digest, intact := interchange.OwnFile(unix(f.Text))
	switch {
	case digest == "":
		return Unmanaged, "a file of that name is there, and it is not ours: move it away, or import and remove it"
	case !intact:
		return Edited, "it was changed by hand"
	}
	return Behind, ""
}

// strays finds files and blocks of ours that are no longer expected: by the lock, and where the lock is lost by our
// names in the folders that are written to and by our marks in shared files.
func (p *Plan) strays(x *Expected, old *Lock) {
	wanted := map[string]bool{}
	for i := range x.Parts {
		wanted[x.Parts[i].Path] = true
	}
	var known []Part
	if old != nil {
		known = old.Files
	}
	locked := len(known)
	for _, name := range p.ownFiles() {
		known = append(known, Part{Path: name, Mode: modeOwn})
	}
	for _, target := range Targets() {
		if _, shared := adapterOf(target); shared != nil {
			known = append(known, Part{Path: shared.Paths[0], Mode: modeBlock})
		}
	}
	for i := range known {
		part := &known[i]
		if wanted[part.Path] {
			continue
		}
		wanted[part.Path] = true
		f, err := p.tree.Read(part.Path)
		if err != nil || !f.Exists {
			continue // missing, or not ours
		}
		s := Step{Path: part.Path, Target: part.Target, State: Stray, before: f}
		if part.Mode == modeBlock {
			around, err := split(string(f.Text))
			switch {
			case err != nil && i >= locked:
				continue // a text about such marks
			case err != nil:
				s.State, s.Why = Broken, err.Error()
			case !around.there:
				continue
			case around.digest != interchange.OwnDigest(unix(around.block)):
				s.State, s.Why = Edited, "our block was changed by hand, and is no longer expected"
			}
			if rest := around.without(); rest != "" {
				s.after = []byte(rest)
			}
		} else {
			switch digest, intact := interchange.OwnFile(unix(f.Text)); {
			case digest == "":
				continue // a user's file with a name like ours
			case !intact:
				s.State, s.Why = Edited, "it was changed by hand, and is no longer expected"
			}
		}
		p.Steps = append(p.Steps, s)
	}
}

// ownFiles returns files with our names in the folders of all targets.
func (p *Plan) ownFiles() []string {
	var names []string
	dirs := map[string]bool{}
	for _, target := range Targets() {
		rules, _ := adapterOf(target)
		for _, a := range []*interchange.Adapter{rules, skillsOf(target)} {
			if a != nil {
				dir, _ := a.Folder()
				dirs[dir] = true
			}
		}
	}
	for dir := range dirs {
		// a missing folder has no files
		_ = fs.WalkDir(os.DirFS(p.tree.Dir()), dir, func(name string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() && isOurs(name) {
				names = append(names, name)
			}
			return nil
		})
	}
	slices.Sort(names)
	return names
}

// Drift returns the steps whose file differs from the expected content.
func (p *Plan) Drift() []Step {
	return slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return s.State == Clean })
}

// Refused returns the steps that can't be done now. If there is one, nothing is written.
func (p *Plan) Refused() []Step {
	return slices.DeleteFunc(p.Drift(), func(s Step) bool {
		return s.State != Unmanaged && s.State != Broken && (s.State != Edited || p.o.Overwrite)
	})
}

// A RefusalError says why nothing was written.
type RefusalError struct{ Steps []Step }

// Error implements error.
func (r *RefusalError) Error() string { return "nothing was written:" + r.Lines() }

// Lines names the files, each on a line of its own with what to do about it.
func (r *RefusalError) Lines() string {
	var b strings.Builder
	for _, s := range r.Steps {
		b.WriteString("\n  " + s.Path + ": " + s.Why)
		if s.State == Edited {
			how := "bring the change into tenet"
			if s.of != "" {
				how += " with `tenet edit " + s.of + "`"
			}
			b.WriteString("; " + how + ", or give it up with --overwrite")
		}
	}
	return b.String()
}

// Apply writes what differs, the lock last: the next run completes one that was killed. If a step is refused, nothing
// is written.
func (p *Plan) Apply() error {
	if no := p.Refused(); len(no) > 0 {
		return &RefusalError{no}
	}
	if err := p.sweep(); err != nil {
		return err
	}
	var last *Step
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Path == LockFile {
			last = s
			continue
		}
		if err := p.do(s); err != nil {
			return err
		}
	}
	if last == nil {
		return nil
	}
	return p.do(last)
}

// sweep removes what killed runs have left beside the files.
func (p *Plan) sweep() error {
	names := make([]string, len(p.Steps))
	for i := range p.Steps {
		names[i] = p.Steps[i].Path
	}
	return p.tree.Sweep(names...)
}

// do makes one step. A file that somebody has changed since the plan was made is left alone.
func (p *Plan) do(s *Step) error {
	if s.State == Clean {
		return nil
	}
	now, err := p.tree.Read(s.Path)
	if err != nil {
		return err
	}
	switch {
	case now.Exists != s.before.Exists || !bytes.Equal(now.Text, s.before.Text):
		return fmt.Errorf("%s was changed while sync was at work: run it again", s.Path)
	case s.after == nil:
		return p.tree.Remove(s.Path)
	}
	return p.tree.Write(s.Path, s.after, 0)
}

// Settled reports whether it is known what a step will write: what is not ours, and a block whose marks are broken, are
// left as they are.
func (s *Step) Settled() bool { return s.State != Unmanaged && s.State != Broken }

// Removed is what [Step.Done] says of a file that is gone.
const Removed = "removed"

// Done says what writing a step has done to its file.
func (s *Step) Done() string {
	switch {
	case s.after == nil:
		return Removed
	case s.State == Stray:
		return "block removed"
	case !s.before.Exists:
		return "created"
	case s.State == Missing:
		return "block added"
	case s.State == Edited:
		return "overwritten"
	}
	return "updated"
}

// Texts returns the file of a step before and after.
func (s *Step) Texts() (before, after []byte) { return s.before.Text, s.after }
