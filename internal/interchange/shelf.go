package interchange

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"tenet/internal/knowledge"
)

// Bounds of what is listed to compare many documents at once.
const (
	shelfDocuments = 20_000
	shelfBytes     = 128 << 20
	// askedOne is the number of documents that are read one by one before everything is listed: a few calls cost less
	// than a list.
	askedOne = 20
)

// A shelf is a list of all documents of the store, read once: comparing many documents then costs a few pages, not a
// call for each.
type shelf struct {
	byKey  map[knowledge.Key]*knowledge.Record
	byText map[string]knowledge.Key // of active documents
}

// fill lists the store; nil when it holds more than a shelf does.
func (p *Plan) fill() (*shelf, error) {
	if p.o.All == nil {
		return nil, nil // there is none
	}
	s := &shelf{byKey: map[knowledge.Key]*knowledge.Record{}, byText: map[string]knowledge.Key{}}
	size := 0
	for rec, err := range p.o.All() {
		if err != nil {
			return nil, fmt.Errorf("list what is there: %w", err)
		}
		size += len(rec.JSON)
		if len(s.byKey) >= shelfDocuments || size > shelfBytes {
			return nil, nil // there is none
		}
		s.byKey[rec.Key] = rec
		if !rec.Active {
			continue
		}
		d, err := rec.Document()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", rec.Key, err)
		}
		if h, err := textHash(d); err == nil && h != "" {
			s.byText[h] = rec.Key
		}
	}
	return s, nil
}

// shelved returns the shelf, filled at its first use; nil for a store that is too large for one.
func (p *Plan) shelved() (*shelf, error) {
	if !p.filled {
		p.filled = true
		var err error
		if p.shelf, err = p.fill(); err != nil {
			return nil, err
		}
	}
	return p.shelf, nil
}

// current returns a document as it is now: from what was listed, or by asking.
func (p *Plan) current(k knowledge.Key) (*knowledge.Record, error) {
	if p.before != nil {
		if rec := p.before.byKey[k]; rec != nil {
			return rec, nil
		}
	}
	if p.asked++; p.asked > askedOne || p.filled {
		s, err := p.shelved()
		if err != nil {
			return nil, err
		}
		if s != nil && listed(k.Kind) {
			return s.byKey[k], nil
		}
	}
	return p.o.Current(k)
}

// Listed returns the kinds that [PlanOptions.All] lists: categories, and what belongs to them.
func Listed() []knowledge.Kind {
	return slices.DeleteFunc(knowledge.Kinds(), func(k knowledge.Kind) bool { return !listed(k) })
}

func listed(k knowledge.Kind) bool {
	return k == knowledge.KindCategory || knowledge.Describe(k).Parent == knowledge.KindCategory
}

// here returns the active document that has the same text and holds for the same, from whatever source; false for none,
// and where the caller named the source, which then is one of its own.
func (p *Plan) here(e *Entry) (knowledge.Key, bool, error) {
	if e.Own || !p.o.Recognize {
		return knowledge.Key{}, false, nil
	}
	s, err := p.shelved()
	if err != nil || s == nil {
		return knowledge.Key{}, false, err
	}
	h, err := textHash(e.Doc)
	if err != nil || h == "" {
		return knowledge.Key{}, false, err
	}
	key, ok := s.byText[h]
	if _, read := p.seen[key]; ok && read {
		return knowledge.Key{}, false, nil
	}
	return key, ok, nil
}

// textHash returns the hash of what a document says and of what it holds for: without id, category, tags, stamps and
// where it came from. "" for kinds that have no text of their own.
func textHash(d knowledge.Document) (string, error) {
	if !listed(d.Key().Kind) || d.Key().Kind == knowledge.KindCategory {
		return "", nil
	}
	bare, err := knowledge.Clone(d)
	if err != nil {
		return "", err
	}
	*bare.Stamps() = knowledge.Stamp{}
	b, err := knowledge.Canonical(bare)
	if err != nil {
		return "", err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return "", err
	}
	for _, name := range []string{
		d.Key().Kind.IDField(), "category", "tags", "extra", "status", "active",
		"is_active",
	} {
		delete(m, name)
	}
	if b, err = json.Marshal(compact(m)); err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(d.Key().Kind), b...))
	return hex.EncodeToString(sum[:]), nil
}
