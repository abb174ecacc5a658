package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tenet/internal/treesync"
)

// syncNotes are what a sync says of documents that assistants do not get as they stand, a line for each.
type syncNotes []string

func notesOf(s *syncSettings, p *treesync.Plan, strict map[string]bool) syncNotes {
	var n syncNotes
	n.leftOut(s, p, strict)
	n.skills(s, p, strict)
	n.cut(s, p)
	n.twice(p)
	return n
}

func (n *syncNotes) add(format string, args ...any) { *n = append(*n, fmt.Sprintf(format, args...)) }

// leftOut says what assistants do not get: what is mandatory one by one, and of many others how many.
func (n *syncNotes) leftOut(s *syncSettings, p *treesync.Plan, strict map[string]bool) {
	name := func(o treesync.Omission) { n.add("%s is left out for %s: %s", o.Document, o.Target, o.Why) }
	var others []treesync.Omission
	named := 0
	for _, o := range p.LeftOut {
		switch {
		case s.Verbose:
			name(o)
		case strict[o.Document] && named < strictShown:
			named++
			name(o)
		default:
			others = append(others, o)
		}
	}
	if len(others) <= otherShown {
		for _, o := range others {
			name(o)
		}
		return
	}
	counts := map[string]int{}
	for _, o := range others {
		counts[o.Target]++
	}
	var of []string
	for _, target := range slices.Sorted(maps.Keys(counts)) {
		of = append(of, fmt.Sprintf("%d for %s", counts[target], target))
	}
	n.add("left out, since an assistant's form can't say when it holds: %s; --verbose names each, and why",
		strings.Join(of, ", "))
}

// skills says which mandatory documents are a skill, which the model takes up or passes over; with --verbose the
// others too.
func (n *syncNotes) skills(s *syncSettings, p *treesync.Plan, strict map[string]bool) {
	named, more := 0, 0
	for _, o := range p.Skills {
		switch {
		case !strict[o.Document]:
			if s.Verbose {
				n.add("%s is a skill for %s: %s", o.Document, o.Target, o.Why)
			}
		case s.Verbose || named < strictShown:
			named++
			n.add("%s is mandatory, but %s gets it as a skill, which its model may pass over: %s", o.Document, o.Target,
				o.Why)
		default:
			more++
		}
	}
	if more > 0 {
		n.add("%s only as a skill; --verbose names each",
			plural(int64(more), "more mandatory document", "more mandatory documents"))
	}
}

// cut says of which documents reviews read the beginning alone.
func (n *syncNotes) cut(s *syncSettings, p *treesync.Plan) {
	if len(p.Cut) > otherShown && !s.Verbose {
		n.add("%s longer than code reviews read; --verbose names each",
			plural(len(p.Cut), "document is", "documents are"))
		return
	}
	for _, o := range p.Cut {
		n.add("%s is cut short for %s: %s", o.Document, o.Target, o.Why)
	}
}

// twice says which documents an assistant reads from us and from the file that they were imported from.
func (n *syncNotes) twice(p *treesync.Plan) {
	for _, t := range p.Twice {
		still := "which is still here"
		if t.Differs {
			still += ", with another text by now"
		}
		if t.By != "" {
			n.add("%s reads %s twice: %s brings in %s, from which it was imported, with @; write the name without @ there, "+
				"or take the document out of what this repository gets", t.Target, t.Document, cell(t.By), cell(t.Path))
			continue
		}
		n.add("%s reads %s twice: it was imported from %s, %s; take it out of there, and edit it in tenet", t.Target,
			t.Document, cell(t.Path), still)
	}
}
