package interchange

import (
	"fmt"

	"tenet/internal/knowledge"
)

// A spot is the place in its source from which a document was imported.
type spot struct {
	kind        knowledge.Kind
	path, entry string
}

// imported has the documents that a source imported before.
type imported struct {
	list   []*knowledge.Record
	byKey  map[knowledge.Key]*knowledge.Record
	bySpot map[spot]knowledge.Key
}

// loadImported lists what a source imported before: a few pages, where asking for each document would be a call for
// each.
func (p *Plan) loadImported(s *Source) (*imported, error) {
	b := &imported{byKey: map[knowledge.Key]*knowledge.Record{}, bySpot: map[spot]knowledge.Key{}}
	if p.o.Imported == nil {
		return b, nil
	}
	for rec, err := range p.o.Imported(SourceTag(s.name)) {
		if err != nil {
			return nil, fmt.Errorf("list what %s imported: %w", s.name, err)
		}
		b.list = append(b.list, rec)
		b.byKey[rec.Key] = rec
		d, err := rec.Document()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", rec.Key, err)
		}
		o, ok := originOf(d)
		if !ok || o.source != s.name {
			continue
		}
		at := spot{rec.Key.Kind, o.path, orElse(o.entry, entryBefore(d))}
		if was, twice := b.bySpot[at]; !twice || b.byKey[was] != nil && !b.byKey[was].Active && rec.Active {
			b.bySpot[at] = rec.Key
		}
	}
	return b, nil
}

// entryBefore returns what names a document among those of its file, where the import that made it did not note it.
func entryBefore(d knowledge.Document) string {
	extra := extraOf(d)
	if extra == nil {
		return ""
	}
	if custom, ok := (*extra)["custom"].(map[string]any); ok {
		if id := textOf(custom["id"]); id != "" {
			return id
		}
	}
	return textOf((*extra)["id"])
}

// known gives an entry the id under which its source imported it before, so that no id depends on how many others stand
// in the file, or on how an earlier tenet made ids.
func (p *Plan) known(e *Entry) error {
	if e.Doc == nil || e.Own {
		return nil
	}
	o, ok := originOf(e.Doc)
	if !ok || o.entry == "" || p.before == nil || p.before.byKey[e.Key] != nil {
		return nil
	}
	key, ok := p.before.bySpot[spot{e.Key.Kind, o.path, o.entry}]
	if !ok {
		return nil
	}
	if _, taken := p.seen[key]; taken {
		return nil
	}
	doc, err := renamed(e.Doc, key.ID)
	if err != nil {
		return err
	}
	e.Doc, e.Key = doc, key
	return nil
}

// supersedes says which document of another kind was made of the same file before.
func (p *Plan) supersedes(e Entry) []string {
	o, ok := originOf(e.Doc)
	if !ok || e.Own || p.before == nil {
		return nil
	}
	for _, kind := range knowledge.Kinds() {
		key, ok := p.before.bySpot[spot{kind, o.path, o.entry}]
		if ok && kind != e.Key.Kind && p.before.byKey[key].Active {
			return []string{fmt.Sprintf("%s was made of the same file before: --prune retires it", key)}
		}
	}
	return nil
}

// renamed returns a document with another id, signed anew.
func renamed(d knowledge.Document, id string) (knowledge.Document, error) {
	d, err := knowledge.Clone(d)
	if err != nil {
		return nil, err
	}
	switch d := d.(type) {
	case *knowledge.Rule:
		d.RuleID = id
	case *knowledge.Practice:
		d.PracticeID = id
	case *knowledge.Template:
		d.TemplateID = id
	default: // no format brings others
		return d, nil
	}
	return d, sign(d)
}
