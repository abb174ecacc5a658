package treesync

import (
	"bytes"
	"encoding/json"
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

// LockFile records what was written, for people and for checks without a server.
const LockFile = "tenet.lock"

// A Lock is the content of LockFile. It has no times: the same input gives the same bytes.
type Lock struct {
	Format     int               `json:"format"`
	Server     string            `json:"server"`
	Repository string            `json:"repository,omitempty"`
	Label      string            `json:"label,omitempty"`
	Seq        int64             `json:"seq"`
	Adapters   map[string]string `json:"adapters"`
	Files      []Part            `json:"files"`
	LeftOut    []Omission        `json:"left_out"`
}

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
	x, err := Expect(docs, targets)
	if err != nil {
		return nil, err
	}
	p := &Plan{LeftOut: x.LeftOut, Twice: twice(tree, x, docs), o: o, tree: tree}
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

// look returns the step for a part.
func (p *Plan) look(part *Part) (Step, error) {
	s := Step{Path: part.Path, Target: part.Target, State: Clean}
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
	case around.digest != digestOf(unix(around.block))[:16]:
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
	digest, intact := ownDigest(string(f.Text))
	switch {
	case digest == "":
		return Unmanaged, "a file of that name is there, and it is not ours: move it away, or import and remove it"
	case !intact:
		return Edited, "it was changed by hand"
	}
	return Behind, ""
}

// ownDigest returns the digest in a file's marker, and whether it matches the file.
func ownDigest(text string) (digest string, intact bool) {
	text = unix([]byte(text))
	before, rest, ok := strings.Cut(text, beginMark)
	if !ok || len(rest) < 16 {
		return "", false
	}
	digest = rest[:16]
	return digest, digestOf(before + beginMark + rest[16:])[:16] == digest
}

// A surrounding is a shared file: the text before our block, in it, and after it.
type surrounding struct {
	before, after string
	block         []byte
	digest        string
	there         bool
}

// split finds our block. Markers that are not exactly one pair are an error: our part is then unknown.
func split(text string) (surrounding, error) {
	begins, ends := strings.Count(text, beginMark), strings.Count(text, endMark)
	if begins == 0 && ends == 0 {
		return surrounding{before: text}, nil
	}
	from, to := strings.Index(text, beginMark), strings.Index(text, endMark)
	if begins != 1 || ends != 1 || to < from {
		return surrounding{}, fmt.Errorf("it has %d lines that begin our block and %d that end it: leave one pair, "+
			"or none", begins, ends)
	}
	head, rest, ok := strings.Cut(text[from+len(beginMark):to], "-->")
	if !ok {
		return surrounding{}, errors.New("the line that begins our block is cut off")
	}
	digest, _, _ := strings.Cut(head, " ")
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "\r"), "\n")
	return surrounding{text[:from], text[to+len(endMark):], []byte(rest), digest, true}, nil
}

// with returns the file with a new block in place of the old one, or at the end.
func (s *surrounding) with(block string, crlf bool) string {
	text := beginMark + digestOf(block)[:16] + markTail + "\n" + block + endMark
	if crlf {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	if s.there {
		return s.before + text + s.after
	}
	nl := "\n"
	if crlf {
		nl = "\r\n"
	}
	before := s.before
	if before != "" && !strings.HasSuffix(before, "\n") {
		before += nl
	}
	if before != "" {
		before += nl
	}
	return before + text + nl
}

// without returns the file without our block, the blank line added before it and the line end after it: people's text
// stays, byte for byte.
func (s *surrounding) without() string {
	nl := "\n"
	if strings.HasPrefix(s.after, "\r\n") {
		nl = "\r\n"
	}
	after := strings.TrimPrefix(s.after, nl)
	if after == "" {
		return strings.TrimSuffix(s.before, nl)
	}
	return s.before + after
}

func unix(text []byte) string { return strings.ReplaceAll(string(text), "\r\n", "\n") }

// inStyle gives a text the line ends of a file.
func inStyle(text string, file []byte) []byte {
	if bytes.Contains(file, []byte("\r\n")) {
		return []byte(strings.ReplaceAll(text, "\n", "\r\n"))
	}
	return []byte(text)
}

// Written returns the documents, with versions, in an assistant's files according to the lock of a tree.
func Written(tree *worktree.Tree, target string) ([]string, error) {
	l, err := readLock(tree)
	if err != nil || l == nil {
		return nil, err
	}
	var list []string
	for i := range l.Files {
		if l.Files[i].Target == target {
			list = append(list, l.Files[i].Documents...)
		}
	}
	return list, nil
}

func readLock(tree *worktree.Tree) (*Lock, error) {
	f, err := tree.Read(LockFile)
	if err != nil || !f.Exists {
		return nil, err
	}
	l := new(Lock)
	if err := json.Unmarshal(f.Text, l); err != nil {
		return nil, fmt.Errorf("%s can't be read: %w: take it away, and sync writes it anew", LockFile, err)
	}
	return l, nil
}

// strays finds files and blocks of ours that are no longer expected: by the lock, and by our names in the folders that
// are written to.
func (p *Plan) strays(x *Expected, old *Lock) {
	wanted := map[string]bool{}
	for i := range x.Parts {
		wanted[x.Parts[i].Path] = true
	}
	var known []Part
	if old != nil {
		known = old.Files
	}
	for _, name := range p.ownFiles() {
		known = append(known, Part{Path: name, Mode: modeOwn})
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
			case err != nil:
				s.State, s.Why = Broken, err.Error()
			case !around.there:
				continue
			case around.digest != digestOf(unix(around.block))[:16]:
				s.State, s.Why = Edited, "our block was changed by hand, and is no longer expected"
			}
			if rest := around.without(); rest != "" {
				s.after = []byte(rest)
			}
		} else {
			switch digest, intact := ownDigest(string(f.Text)); {
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

// lock adds the step of the lock file. Its seq changes only together with other content.
func (p *Plan) lock(x *Expected, b *bundle.Bundle, old *Lock) error {
	l := Lock{
		Format: 1, Server: b.Server, Repository: b.Want.Repository, Label: b.Want.Label, Seq: int64(b.Seq),
		Adapters: x.Adapters,
		Files:    append([]Part{}, x.Parts...), LeftOut: append([]Omission{}, x.LeftOut...),
	}
	if old != nil {
		probe := l
		probe.Seq = old.Seq
		a, errA := json.Marshal(probe)
		o, errO := json.Marshal(old)
		if errA == nil && errO == nil && bytes.Equal(a, o) {
			l = probe
		}
	}
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	f, err := p.tree.Read(LockFile)
	if err != nil {
		return err
	}
	s := Step{Path: LockFile, State: Clean, before: f, after: append(text, '\n')}
	switch {
	case !f.Exists:
		s.State = Missing
	case unix(f.Text) != string(s.after):
		s.State = Behind
	default:
		s.after = f.Text
	}
	p.Steps = append(p.Steps, s)
	return nil
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
			b.WriteString("; bring the change into tenet, or give it up with --overwrite")
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

func (p *Plan) do(s *Step) error {
	switch {
	case s.State == Clean:
		return nil
	case s.after == nil:
		return p.tree.Remove(s.Path)
	}
	return p.tree.Write(s.Path, s.after, 0)
}

// Texts returns the file of a step before and after.
func (s *Step) Texts() (before, after []byte) { return s.before.Text, s.after }

// FromLock checks a tree only by its lock, without a server or a bundle: it finds edited and missing parts, but not
// outdated ones.
func FromLock(tree *worktree.Tree) (*Plan, error) {
	l, err := readLock(tree)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, fmt.Errorf("there is no %s: run tenet sync once", LockFile)
	}
	p := &Plan{LeftOut: l.LeftOut, tree: tree}
	for i := range l.Files {
		part := &l.Files[i]
		f, err := tree.Read(part.Path)
		if err != nil {
			return nil, err
		}
		s := Step{Path: part.Path, Target: part.Target, State: Clean, before: f}
		digest := digestOf(unix(f.Text))
		if part.Mode == modeBlock {
			around, err := split(string(f.Text))
			if err != nil {
				s.State, s.Why = Broken, err.Error()
			}
			digest = digestOf(unix(around.block))
		}
		switch {
		case s.State == Broken:
		case !f.Exists:
			s.State = Missing
		case digest != part.Digest:
			s.State, s.Why = Edited, "it is not what "+LockFile+" says"
		}
		p.Steps = append(p.Steps, s)
	}
	return p, nil
}
