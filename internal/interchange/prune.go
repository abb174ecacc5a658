package interchange

import (
	"path"
	"strings"
)

// SourceTag returns the tag of the documents that a source of this name imported.
func SourceTag(name string) string { return "source:" + name }

// prune plans to retire what the source imported before, from where it was read now, and no longer holds.
func (p *Plan) prune(s *Source, keep map[string]bool) error {
	gone, err := p.gone(s, keep)
	if err != nil {
		return err
	}
	for _, one := range gone {
		rec, d, o := one.rec, one.doc, one.origin
		if !rec.Active {
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
