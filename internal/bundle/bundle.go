// Package bundle is what one work tree takes from a tenet: the documents that its packs hold and its exemptions, in one piece that is
// kept beside it. With it hooks, checks and syncs go on while the tenet is away, and say how old they are.
package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Want says what a work tree takes.
type Want struct {
	Repository string   `json:"repository,omitempty"` // its id; "" for one that the tenet does not know
	Packs      []string `json:"packs,omitempty"`      // besides the repository's own; everything where neither names any
	Label      string   `json:"label,omitempty"`
}

// format is the form of the file. One of another form is fetched again.
const format = 2

// A Bundle is what was taken.
type Bundle struct {
	Format    int               `json:"format"`
	Server    string            `json:"server"`
	Want      Want              `json:"want"`
	Seq       knowledge.Seq     `json:"seq"`     // up to which the log was followed
	Fetched   time.Time         `json:"fetched"` // when it was last known to be current
	Targets   []string          `json:"targets,omitempty"`
	Exempt    []json.RawMessage `json:"exempt,omitempty"`
	Packs     []json.RawMessage `json:"packs,omitempty"` // that hold the documents; none where everything is taken
	Documents []Entry           `json:"documents"`       // in the order of their keys
	Sum       uint32            `json:"sum"`             // of the documents' bytes in its file
}

// An Entry is one document.
type Entry struct {
	Kind     knowledge.Kind  `json:"kind"`
	Document json.RawMessage `json:"-"`     // its file holds it behind everything else
	Size     int             `json:"size"`  // of the document, in its file
	About    *About          `json:"about"` // as its file says; nil for any file
}

// kinds are those of a bundle.
func kinds() []knowledge.Kind {
	return []knowledge.Kind{knowledge.KindPractice, knowledge.KindRule, knowledge.KindTemplate}
}

// Fetch takes a bundle from a store. Where nothing has happened since the old one was taken, that is it, with the new moment; nil
// for none.
func Fetch(ctx context.Context, s store.Past, server string, want Want, old *Bundle) (*Bundle, error) {
	now := time.Now().UTC()
	at, err := store.Newest(ctx, s)
	if err != nil {
		return nil, err
	}
	if old != nil && old.Format == format && old.Seq == at.Seq && old.Server == server && same(old.Want, want) {
		fresh := *old
		fresh.Fetched = now
		return &fresh, nil
	}
	b := &Bundle{Format: format, Server: server, Want: want, Seq: at.Seq, Fetched: now, Documents: []Entry{}}
	packs, label, err := b.subscribe(ctx, s)
	if err != nil {
		return nil, err
	}
	v, err := stand(ctx, s, label)
	if err != nil {
		return nil, err
	}
	chosen, err := v.compose(ctx, packs)
	if err != nil {
		return nil, err
	}
	if err := b.keepPacks(chosen); err != nil {
		return nil, err
	}
	if err := v.each(ctx, func(r *knowledge.Record) error { return b.take(r, chosen) }); err != nil {
		return nil, err
	}
	slices.SortStableFunc(b.Documents, func(x, y Entry) int { return strings.Compare(string(x.Kind), string(y.Kind)) })
	return b, nil
}

func (b *Bundle) keepPacks(chosen *knowledge.Composition) error {
	if chosen == nil {
		return nil
	}
	for _, p := range chosen.Packs {
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		b.Packs = append(b.Packs, text)
	}
	return nil
}

func same(a, b Want) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// subscribe reads what the tenet knows of the repository, and returns the packs that it takes and the label at which it takes them.
func (b *Bundle) subscribe(ctx context.Context, s store.Past) (packs []string, label string, err error) {
	packs, label = b.Want.Packs, b.Want.Label
	if b.Want.Repository == "" {
		return packs, label, nil
	}
	r, err := repository(ctx, s, b.Want.Repository)
	if err != nil {
		return nil, "", err
	}
	for i := range r.Exemptions {
		text, err := json.Marshal(&r.Exemptions[i])
		if err != nil {
			return nil, "", err
		}
		b.Exempt = append(b.Exempt, text)
	}
	b.Targets = r.Targets
	if label == "" {
		label = r.Label
	}
	return append(append([]string{}, r.Packs...), packs...), label, nil
}

// repository reads a repository. One that is retired takes nothing any more.
func repository(ctx context.Context, s store.Reader, id string) (*knowledge.Repository, error) {
	key := knowledge.Key{Kind: knowledge.KindRepository, ID: id}
	if !key.Sound() {
		return nil, &store.NotFoundError{Key: key}
	}
	rec, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	d, err := rec.Document()
	if err != nil {
		return nil, err
	}
	r, ok := d.(*knowledge.Repository)
	if !ok || !rec.Active {
		return nil, &store.NotFoundError{Key: key}
	}
	return r, nil
}

func (b *Bundle) take(r *knowledge.Record, chosen *knowledge.Composition) error {
	if !r.Active {
		return nil
	}
	if chosen == nil {
		b.Documents = append(b.Documents, Entry{Kind: r.Key.Kind, Document: json.RawMessage(r.JSON)})
		return nil
	}
	d, err := r.Document()
	if err != nil {
		return err
	}
	if chosen.Holding(d) == nil {
		return nil
	}
	text := json.RawMessage(r.JSON)
	if rule, ok := d.(*knowledge.Rule); ok { // a pack may make it stricter than it says itself
		severity, enforcement := chosen.Raised(r.Key, rule.Severity, rule.Enforcement)
		if severity != rule.Severity || enforcement != rule.Enforcement {
			raised := *rule
			raised.Severity, raised.Enforcement = severity, enforcement
			if text, err = json.Marshal(&raised); err != nil {
				return err
			}
		}
	}
	b.Documents = append(b.Documents, Entry{Kind: r.Key.Kind, Document: text})
	return nil
}

// All decodes the documents.
func (b *Bundle) All() ([]knowledge.Document, error) {
	docs := make([]knowledge.Document, 0, len(b.Documents))
	for _, e := range b.Documents {
		d, err := decode(e)
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	return docs, nil
}

func decode(e Entry) (knowledge.Document, error) {
	desc := knowledge.Describe(e.Kind)
	if desc == nil {
		return nil, fmt.Errorf("the bundle holds a %q, which this program does not know", e.Kind)
	}
	d := desc.New()
	if err := json.Unmarshal(e.Document, d); err != nil {
		return nil, fmt.Errorf("the bundle can't be read: %w", err)
	}
	return d, nil
}

// Rules decodes the rules only.
func (b *Bundle) Rules() ([]*knowledge.Rule, error) {
	var rules []*knowledge.Rule
	for _, e := range b.Documents {
		if e.Kind != knowledge.KindRule {
			continue
		}
		d, err := decode(e)
		if err != nil {
			return nil, err
		}
		if r, ok := d.(*knowledge.Rule); ok {
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// Exemptions decodes the repository's exemptions.
func (b *Bundle) Exemptions() ([]knowledge.Exemption, error) {
	list := make([]knowledge.Exemption, len(b.Exempt))
	for i := range b.Exempt {
		if err := json.Unmarshal(b.Exempt[i], &list[i]); err != nil {
			return nil, fmt.Errorf("the bundle can't be read: %w", err)
		}
	}
	return list, nil
}
