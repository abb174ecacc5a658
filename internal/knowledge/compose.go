package knowledge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Composition is the content of a list of packs and of the packs that they extend.
type Composition struct {
	Packs []*Pack // each once, extended packs before those that extend them
	raise map[Key]Raise
	via   map[string][]string // for each pack the path to it from a requested one
}

// A CycleError says that packs extend each other in a cycle.
type CycleError struct{ Path []string }

// Error names the packs of the cycle.
func (e *CycleError) Error() string {
	return "packs extend each other in a ring: " + strings.Join(e.Path, " → ")
}

// A MissingPackError says that a named pack is missing or not active.
type MissingPackError struct {
	ID  string
	Via []string // the packs that lead to it, the requested one first; none if it was requested itself
}

// Error names the pack, and the packs that lead to it.
func (e *MissingPackError) Error() string {
	if len(e.Via) == 0 {
		return fmt.Sprintf("no pack %q is in use", e.ID)
	}
	return fmt.Sprintf("no pack %q is in use, which %s extends", e.ID, strings.Join(e.Via, " → "))
}

// maxPacks is the largest number of packs in a composition.
const maxPacks = 1000

// Compose resolves packs. The function find returns an active pack, or nil and no error if there is none. Compose
// returns a [*CycleError], a [*MissingPackError], find's error, or one for too many packs.
func Compose(ids []string, find func(id string) (*Pack, error)) (*Composition, error) {
	c := &Composition{raise: map[Key]Raise{}, via: map[string][]string{}}
	for _, id := range ids {
		if err := c.take(id, nil, find); err != nil {
			return nil, err
		}
	}
	for _, p := range c.Packs {
		for _, r := range p.Raise {
			key, err := ParseKey(r.ID)
			if err != nil {
				continue // validation refuses these
			}
			c.raise[key] = stricter(c.raise[key], r)
		}
	}
	return c, nil
}

// take adds a pack and those that it extends. path is the list of packs that led to it.
func (c *Composition) take(id string, path []string, find func(id string) (*Pack, error)) error {
	if i := slices.Index(path, id); i >= 0 {
		return &CycleError{Path: append(slices.Clone(path[i:]), id)}
	}
	if _, done := c.via[id]; done {
		return nil
	}
	p, err := find(id)
	switch {
	case err != nil:
		return err
	case p == nil || !p.IsActive:
		return &MissingPackError{ID: id, Via: path}
	case len(c.via) >= maxPacks:
		return errors.New("more than " + fmt.Sprint(maxPacks) + " packs extend each other: merge some")
	}
	path = append(slices.Clone(path), id)
	for _, base := range p.Extends {
		if err := c.take(base, path, find); err != nil {
			return err
		}
	}
	c.via[id] = path
	c.Packs = append(c.Packs, p)
	return nil
}

// stricter returns the stricter value of each field of two raises.
func stricter(a, b Raise) Raise {
	a.ID = b.ID
	if a.Severity == "" || b.Severity != "" && slices.Index(Severities(), b.Severity) < slices.Index(Severities(),
		a.Severity) {
		a.Severity = b.Severity
	}
	if a.Enforcement == "" || b.Enforcement != "" && slices.Index(Enforcements(), b.Enforcement) < slices.Index(
		Enforcements(), a.Enforcement) {
		a.Enforcement = b.Enforcement
	}
	return a
}

// Holding returns the pack that contains a document, the most basic one if several do; nil for none.
func (c *Composition) Holding(d Document) *Pack {
	var tags []string
	if common := CommonOf(d); common != nil {
		tags = common.Tags
	}
	return c.HoldingOf(d.Key(), d.CategoryID(), tags)
}

// HoldingOf is Holding for a caller that knows only the fields by which packs select.
func (c *Composition) HoldingOf(key Key, category string, tags []string) *Pack {
	for _, p := range c.Packs {
		if p.Select.holds(key, category, tags) {
			return p
		}
	}
	return nil
}

// Via returns the chain of packs that leads to one, beginning with a requested one.
func (c *Composition) Via(id string) []string { return c.via[id] }

// Raised returns the severity and enforcement of a document in these packs: its own, or stricter ones.
func (c *Composition) Raised(key Key, severity, enforcement string) (string, string) {
	r, ok := c.raise[key]
	if !ok {
		return severity, enforcement
	}
	r = stricter(Raise{ID: r.ID, Severity: severity, Enforcement: enforcement}, r)
	return r.Severity, r.Enforcement
}

// Strictness returns a document's own severity and enforcement. Only rules have a severity; both are empty for a
// document that can't be enforced.
func Strictness(d Document) (severity, enforcement string) {
	switch d := d.(type) {
	case *Rule:
		return d.Severity, d.Enforcement
	case *Practice:
		if d.IsRequired {
			return "", "mandatory"
		}
		return "", "recommended"
	case *Template:
		return "", "optional"
	}
	return "", ""
}

// holds reports whether a selection chooses a document.
func (s *Selection) holds(key Key, category string, tags []string) bool {
	if !slices.Contains(SelectKinds(), string(key.Kind)) {
		return false
	}
	name := key.String()
	if slices.Contains(s.IDs, name) {
		return true
	}
	if len(s.Kinds)+len(s.Categories)+len(s.Tags) == 0 || slices.Contains(s.Except, name) {
		return false
	}
	return (len(s.Kinds) == 0 || slices.Contains(s.Kinds, string(key.Kind))) &&
		(len(s.Categories) == 0 || slices.Contains(s.Categories, category)) &&
		(len(s.Tags) == 0 || slices.ContainsFunc(s.Tags, func(t string) bool { return slices.Contains(tags, t) }))
}

// Loosens returns a fault for each place where a pack drops or loosens a document of the packs that it extends, or is
// less strict than the document itself. The function find is as for [Compose]; look returns a document, or nil.
func (p *Pack) Loosens(find func(id string) (*Pack, error), look func(Key) (Document, error)) error {
	own := func(id string) (*Pack, error) {
		if id == p.PackID {
			return p, nil
		}
		return find(id)
	}
	var f faults
	for i, base := range p.Extends {
		_, err := Compose([]string{base}, func(id string) (*Pack, error) {
			if id == p.PackID {
				return nil, &CycleError{Path: []string{id}}
			}
			return own(id)
		})
		ring, inRing := errors.AsType[*CycleError](err)
		gone, missing := errors.AsType[*MissingPackError](err)
		switch {
		case inRing && len(ring.Path) == 1: // the cycle consists of the pack itself
			_, err := Compose([]string{p.PackID}, own)
			f.add(at("/extends", i), "%s", err)
		case inRing:
			f.add(at("/extends", i), "%s", ring)
		case missing && len(gone.Via) == 0:
			f.add(at("/extends", i), "%s: create it first", gone)
		case missing:
			f.add(at("/extends", i), "%s", gone)
		case err != nil:
			return err
		}
	}
	if len(f.list) > 0 {
		return f.err()
	}
	bases, err := Compose(p.Extends, find)
	if err != nil {
		return err
	}
	for i, name := range p.Select.Except {
		d, err := lookUp(name, look)
		if err != nil {
			return err
		}
		if d == nil {
			continue
		}
		if b := bases.Holding(d); b != nil {
			f.add(at("/select/except", i), "%s is in pack %s, which this one extends: a pack adds and tightens, and "+
				"drops nothing", name, b.PackID)
		}
	}
	for i := range p.Raise {
		if err := p.Raise[i].loosens(&f, at("/raise", i), bases, look); err != nil {
			return err
		}
	}
	return f.err()
}

func lookUp(name string, look func(Key) (Document, error)) (Document, error) {
	key, err := ParseKey(name)
	if err != nil {
		return nil, nil //nolint:nilerr // validation reports it
	}
	return look(key)
}

// loosens adds a fault for each raise that is less strict than what holds already.
func (r *Raise) loosens(f *faults, pointer string, bases *Composition, look func(Key) (Document, error)) error {
	d, err := lookUp(r.ID, look)
	if err != nil {
		return err
	}
	severity, enforcement := Strictness(d)
	if key, err := ParseKey(r.ID); err == nil {
		severity, enforcement = bases.Raised(key, severity, enforcement)
	}
	if r.Severity != "" && severity != "" && slices.Index(Severities(), r.Severity) > slices.Index(Severities(),
		severity) {
		f.add(pointer+"/severity", "%s is %s already, and %s would loosen it: a pack adds and tightens", r.ID,
			severity, r.Severity)
	}
	if r.Enforcement != "" && enforcement != "" && slices.Index(Enforcements(), r.Enforcement) > slices.Index(
		Enforcements(), enforcement) {
		f.add(pointer+"/enforcement", "%s is %s already, and %s would loosen it: a pack adds and tightens", r.ID,
			enforcement, r.Enforcement)
	}
	return nil
}
