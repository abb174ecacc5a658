package knowledge

import (
	"fmt"
	"slices"
	"strings"
)

// A Pack is a named selection of documents that repositories subscribe to. A pack that extends others contains all of
// their documents: it may add and tighten, never drop or loosen.
type Pack struct {
	PackID      string    `json:"pack_id" doc:"The pack's id, a slug" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._-]+$" example:"backend"`
	Name        string    `json:"name" doc:"The name to show" maxLength:"255"`
	Description string    `json:"description" doc:"Whom the pack is for"`
	Select      Selection `json:"select" doc:"Which documents the pack holds of its own"`
	Extends     []string  `json:"extends" doc:"The ids of packs whose documents it holds too" maxItems:"500"`
	Raise       []Raise   `json:"raise" doc:"Documents that hold more strictly in this pack" maxItems:"500"`
	IsActive    bool      `json:"is_active" doc:"False once the pack is retired" default:"true"`
	Stamp
}

// A Selection chooses the documents that ids names. If at least one of kinds, categories and tags has an entry, it also
// chooses every document that matches all three; an empty list matches everything.
type Selection struct {
	Kinds      []string `json:"kinds" doc:"Kinds: rule, practice, template" maxItems:"3" example:"[\"rule\"]"`
	Categories []string `json:"categories" doc:"Ids of categories" maxItems:"500" example:"[\"security\"]"`
	Tags       []string `json:"tags" doc:"Tags, of which a document carries one" maxItems:"500"`
	IDs        []string `json:"ids" doc:"Documents by kind and id, chosen whatever the other lists say; a rule needs its id only" maxItems:"500" example:"[\"rule/SEC-001\"]"`
	Except     []string `json:"except" doc:"Documents, by kind and id, that the other lists must not choose" maxItems:"500"`
}

// A Raise makes a document stricter than it is itself.
type Raise struct {
	ID          string `json:"id" doc:"The document, by kind and id; a rule needs its id only" example:"rule/SEC-001"`
	Severity    string `json:"severity,omitempty" doc:"At least this severity" enum:"CRITICAL,ERROR,WARNING,INFO"`
	Enforcement string `json:"enforcement,omitempty" doc:"At least this strictness" enum:"mandatory,recommended,optional"`
}

// Key implements [Document].
func (p *Pack) Key() Key { return Key{KindPack, p.PackID} }

// CategoryID implements [Document]; a pack has none.
func (p *Pack) CategoryID() string { return "" }

// Active implements [Document].
func (p *Pack) Active() bool { return p.IsActive }

// SetActive implements [Document].
func (p *Pack) SetActive(active bool) { p.IsActive = active }

// Rank implements [Document]: it is constant, so that house order is by id.
func (p *Pack) Rank() int64 { return Rank(3, 0) }

// Text implements [Document]; packs are not searched.
func (p *Pack) Text() Text { return Text{Title: p.Name} }

// SelectKinds returns the kinds that a pack can contain.
func SelectKinds() []string {
	return []string{string(KindRule), string(KindPractice), string(KindTemplate)}
}

// Normalize implements [Document].
func (p *Pack) Normalize() {
	p.Name = orDefault(p.Name, p.PackID)
	s := &p.Select
	s.Kinds, s.Categories, s.Tags = orEmpty(s.Kinds), orEmpty(s.Categories), orEmpty(s.Tags)
	s.IDs, s.Except = wholeKeys(s.IDs), wholeKeys(s.Except)
	p.Extends, p.Raise = orEmpty(p.Extends), orEmpty(p.Raise)
	for i := range p.Raise {
		p.Raise[i].ID = wholeKey(p.Raise[i].ID)
	}
}

// wholeKey returns the key that a text names: a rule needs its id only.
func wholeKey(text string) string {
	if text == "" || strings.Contains(text, "/") {
		return text
	}
	return string(KindRule) + "/" + text
}

func wholeKeys(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = wholeKey(s)
	}
	return out
}

// Validate implements [Document].
func (p *Pack) Validate() error {
	var f faults
	f.id("/pack_id", p.PackID)
	f.line("/name", p.Name)
	f.text("/description", p.Description)
	f.distinct("/select/kinds", p.Select.Kinds, func(at, s string) { f.oneOf(at, s, SelectKinds()) })
	f.distinct("/select/categories", p.Select.Categories, f.ref)
	f.distinct("/select/tags", p.Select.Tags, f.line)
	f.distinct("/select/ids", p.Select.IDs, f.chosen)
	f.distinct("/select/except", p.Select.Except, f.chosen)
	for i, s := range p.Select.Except {
		if slices.Contains(p.Select.IDs, s) {
			f.add(at("/select/except", i), "%q stands in ids too: leave it out of one of them", clipped(s))
		}
	}
	f.distinct("/extends", p.Extends, func(at, s string) {
		f.ref(at, s)
		if s == p.PackID && s != "" {
			f.add(at, "a pack can't extend itself")
		}
	})
	f.count("/raise", len(p.Raise))
	seen := map[string]bool{}
	for i := range p.Raise {
		f.raise(at("/raise", i), &p.Raise[i], seen)
	}
	return f.document(p)
}

// distinct checks each entry of a list, and that none is repeated.
func (f *faults) distinct(pointer string, list []string, check func(pointer, s string)) {
	f.count(pointer, len(list))
	seen := make(map[string]bool, len(list))
	for i, s := range list {
		if seen[s] {
			f.add(at(pointer, i), "%q stands there twice", clipped(s))
		}
		seen[s] = true
		f.bytes += len(s)
		check(at(pointer, i), s)
	}
}

// chosen checks the key of a document that a pack can contain.
func (f *faults) chosen(pointer, s string) {
	key, err := ParseKey(s)
	switch {
	case err != nil:
		f.add(pointer, "%s", err)
	case !slices.Contains(SelectKinds(), string(key.Kind)):
		f.add(pointer, "a %s: a pack holds %s", key.Kind, strings.Join(SelectKinds(), ", "))
	}
}

func (f *faults) raise(p string, r *Raise, seen map[string]bool) {
	f.chosen(p+"/id", r.ID)
	if seen[r.ID] {
		f.add(p+"/id", "%q stands there twice", clipped(r.ID))
	}
	seen[r.ID] = true
	switch {
	case r.Severity == "" && r.Enforcement == "":
		f.add(p, "raises nothing: give a severity or an enforcement")
	case r.Severity != "" && !strings.HasPrefix(r.ID, string(KindRule)+"/"):
		f.add(p+"/severity", "only rules have a severity")
	case r.Severity != "":
		f.oneOf(p+"/severity", r.Severity, Severities())
	}
	if r.Enforcement != "" {
		f.oneOf(p+"/enforcement", r.Enforcement, Enforcements())
	}
}

func (*Pack) document() {}

// KindPack is the kind of [*Pack].
const KindPack Kind = "pack"

func describePack() *Description {
	return &Description{
		Kind: KindPack, Plural: "packs", About: "Named selections of documents, to which repositories subscribe",
		New:         func() Document { return &Pack{IsActive: true} },
		ActiveField: "is_active", TitleField: "name", TextField: "description",
		Needed: []string{"pack_id"},
		Columns: []Column{
			column("ID", func(p *Pack) string { return p.PackID }),
			column("EXTENDS", func(p *Pack) string { return strings.Join(p.Extends, " ") }),
			column("SELECTS", func(p *Pack) string { return p.Select.String() }),
			column("NAME", func(p *Pack) string { return p.Name }),
		},
		Example: func() Document {
			return &Pack{
				PackID: "backend", Name: "Backend services", Description: "What holds in every service.",
				IsActive: true,
				Select:   Selection{Kinds: []string{"rule"}, Categories: []string{"security"}},
				Raise:    []Raise{{ID: "rule/SEC-001", Severity: SeverityCritical, Enforcement: "mandatory"}},
			}
		},
		Patches: []Sample{
			{"extend", "It holds another pack's documents too", map[string]any{"extends": []any{"base"}}},
			{"select", "It holds other documents", map[string]any{"select": map[string]any{"tags": []any{"sql"}}}},
		},
		Changed: [3]string{"name", "Parameterized queries", "Use parameterized queries"},
	}
}

// String says in words what is selected.
func (s *Selection) String() string {
	var parts []string
	add := func(what string, list []string) {
		if len(list) > 0 {
			parts = append(parts, what+strings.Join(list, ","))
		}
	}
	add("", s.Kinds)
	add("in ", s.Categories)
	add("tagged ", s.Tags)
	if n := len(s.IDs); n > 0 {
		parts = append(parts, fmt.Sprintf("%d named", n))
	}
	if n := len(s.Except); n > 0 {
		parts = append(parts, fmt.Sprintf("without %d", n))
	}
	return strings.Join(parts, " ")
}
