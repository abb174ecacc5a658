package interchange

import (
	"fmt"
	"path"
	"strings"
)

// SourceTag returns the tag of the documents that a source of this name imported.
func SourceTag(name string) string { return "source:" + name }

// prune plans to retire what the source imported before, from where it was read now, and no longer holds.
func (p *Plan) prune(s *Source, keep map[string]bool) error {
	for _, rec := range p.before.list {
		if _, read := p.seen[rec.Key]; read || !rec.Active {
			continue
		}
		d, err := rec.Document()
		if err != nil {
			return fmt.Errorf("read %s: %w", rec.Key, err)
		}
		o, ok := originOf(d)
		if !ok || o.source != s.name || kept(keep, o.path) || !s.covers(o.path) {
			continue
		}
		st := Step{Source: s.name, Path: o.path, Key: rec.Key, Version: rec.Version}
		asImported, err := digest(d)
		if err != nil {
			return err
		}
		if asImported != o.digest {
			st.Notes = append(st.Notes, "it was edited in tenet since it was imported")
		}
		o.pruned = true
		o.put(d)
		d.SetActive(false)
		if err := st.write(Pruned, d); err != nil {
			return err
		}
		p.seen[rec.Key] = len(p.steps)
		p.steps = append(p.steps, st)
	}
	return nil
}

// kept reports whether a path, or a folder above it, could not be looked into.
func kept(keep map[string]bool, p string) bool {
	for ; p != "." && p != "/"; p = path.Dir(p) {
		if keep[p] {
			return true
		}
	}
	return false
}

// covers reports whether a path lies in what of the source was read.
func (s *Source) covers(p string) bool {
	if s.root == "" || strings.HasSuffix(s.root, "/") {
		return strings.HasPrefix(p, s.root)
	}
	return p == s.root
}
