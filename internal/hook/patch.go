package hook

import (
	"fmt"
	"slices"
	"strings"
)

// Markers in Codex's patch format.
const (
	patchBegin  = "*** Begin Patch"
	patchEnd    = "*** End Patch"
	patchAdd    = "*** Add File: "
	patchUpdate = "*** Update File: "
	patchDelete = "*** Delete File: "
	patchMove   = "*** Move to: "
	patchEOF    = "*** End of File"
)

// applyPatch parses a patch and computes the resulting content of each of its files.
func (e *Event) applyPatch(text string, file func(string) ([]byte, error)) error {
	_, text, _ = strings.Cut(withoutCR(text), patchBegin)
	text, _, _ = strings.Cut(text, "\n"+patchEnd)
	var p *patching
	done := func() error {
		if p == nil {
			return nil
		}
		edit, err := p.finish()
		e.Edits, p = append(e.Edits, edit), nil
		return err
	}
	for line := range strings.SplitSeq(strings.TrimPrefix(text, "\n"), "\n") {
		for _, mark := range []string{patchAdd, patchUpdate, patchDelete} {
			name, ok := strings.CutPrefix(line, mark)
			if !ok {
				continue
			}
			if err := done(); err != nil {
				return err
			}
			name = strings.TrimSpace(name)
			before, err := file(e.absolute(name))
			if err != nil {
				return err
			}
			p = &patching{edit: Edit{Path: name, Before: before, Deleted: mark == patchDelete}, add: mark == patchAdd}
			if !p.add {
				p.lines = strings.Split(string(before), "\n")
			}
			line = ""
			break
		}
		if p == nil || line == "" && len(p.hunk) == 0 && !p.add {
			continue
		}
		if err := p.take(line); err != nil {
			return err
		}
	}
	return done()
}

// A patching is a file while its part of a patch is read.
type patching struct {
	edit  Edit
	add   bool
	lines []string
	at    int      // where the search for the next hunk begins
	hunk  []string // its lines, with their markers
}

func (p *patching) take(line string) error {
	switch {
	case line == "" && p.add && len(p.lines) == 0, line == patchEOF:
		return nil
	case strings.HasPrefix(line, patchMove):
		p.edit.Was, p.edit.Path = p.edit.Path, strings.TrimSpace(strings.TrimPrefix(line, patchMove))
	case p.add:
		p.lines = append(p.lines, strings.TrimPrefix(line, "+"))
	case strings.HasPrefix(line, "@@"):
		if err := p.apply(); err != nil {
			return err
		}
		if head := strings.TrimSpace(strings.TrimPrefix(line, "@@")); head != "" {
			if i := slices.IndexFunc(p.lines[p.at:], func(l string) bool {
				return strings.TrimSpace(l) == head
			}); i >= 0 {
				p.at += i
			}
		}
	default:
		p.hunk = append(p.hunk, line)
	}
	return nil
}

// apply replaces the hunk's old lines by its new ones.
func (p *patching) apply() error {
	for len(p.hunk) > 0 && p.hunk[len(p.hunk)-1] == "" { // between two hunks
		p.hunk = p.hunk[:len(p.hunk)-1]
	}
	if len(p.hunk) == 0 {
		return nil
	}
	var before, after []string
	for _, l := range p.hunk {
		mark, rest := " ", ""
		if l != "" {
			mark, rest = l[:1], l[1:]
		}
		if mark != "+" {
			before = append(before, rest)
		}
		if mark != "-" {
			after = append(after, rest)
		}
	}
	p.hunk = nil
	for _, like := range []func(a, b string) bool{
		func(a, b string) bool { return a == b },
		func(a, b string) bool { return strings.TrimSpace(a) == strings.TrimSpace(b) },
	} {
		for _, from := range []int{p.at, 0} {
			for i := from; i+len(before) <= len(p.lines); i++ {
				if slices.EqualFunc(p.lines[i:i+len(before)], before, like) {
					p.lines = slices.Concat(p.lines[:i], after, p.lines[i+len(before):])
					p.at = i + len(after)
					return nil
				}
			}
		}
	}
	return fmt.Errorf("%s: %w", p.edit.Path, errNoPlace)
}

func (p *patching) finish() (Edit, error) {
	if p.edit.Deleted {
		return p.edit, nil
	}
	if err := p.apply(); err != nil {
		return p.edit, err
	}
	p.edit.After = []byte(strings.Join(p.lines, "\n"))
	return p.edit, nil
}
