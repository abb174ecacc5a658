package treesync

import (
	"bytes"
	"encoding/json"
	"fmt"

	"tenet/internal/bundle"
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

// lock adds the step of the lock file. Its seq changes only together with other content, and so does the server's
// address, which is another one in CI or behind a proxy.
func (p *Plan) lock(x *Expected, b *bundle.Bundle, old *Lock) error {
	l := Lock{
		Format: 1, Server: b.Server, Repository: b.Want.Repository, Label: b.Want.Label, Seq: int64(b.Seq),
		Adapters: x.Adapters,
		Files:    append([]Part{}, x.Parts...), LeftOut: append([]Omission{}, x.LeftOut...),
	}
	if old != nil {
		probe := l
		probe.Seq, probe.Server = old.Seq, old.Server
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
