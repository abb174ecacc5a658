// Package bundle keeps the documents and exemptions for one work tree, in one file outside of it. With it hooks, checks
// and syncs go on while the server is down, and say how old the documents are.
package bundle

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Want says which documents a work tree takes.
type Want struct {
	Repository string `json:"repository,omitempty"` // its id; "" for one unknown to the server
	// in addition to the repository's own; everything if neither names any
	Packs []string `json:"packs,omitempty"`
	Label string   `json:"label,omitempty"`
	As    string   `json:"as,omitempty"` // who took them: another caller may get others, of confidential categories
}

// format is the version of the file format. A file of another version is fetched again.
const format = 4

// A Bundle is a fetched set of documents.
type Bundle struct {
	Format  int               `json:"format"`
	Server  string            `json:"server"`
	Want    Want              `json:"want"`
	Seq     knowledge.Seq     `json:"seq"`     // the last change of the log that it includes
	Chain   string            `json:"chain"`   // that of the change: after a restore another one may have its number
	Made    time.Time         `json:"made"`    // when the documents were fetched
	Fetched time.Time         `json:"fetched"` // when it was last known to be current
	Targets []string          `json:"targets,omitempty"`
	Exempt  []json.RawMessage `json:"exempt,omitempty"`
	Packs   []json.RawMessage `json:"packs,omitempty"` // the packs of the documents; none if everything is taken
	// the confidential categories of the documents
	Confidential []string `json:"confidential,omitempty"`
	Documents    []Entry  `json:"documents"` // in the order of their keys
}

// An Entry is one document.
type Entry struct {
	Kind     knowledge.Kind  `json:"kind"`
	Document json.RawMessage `json:"-"`     // the file has it after the header
	Size     int             `json:"size"`  // of the document in the file
	Sum      uint32          `json:"sum"`   // checksum of the document in the file
	About    *About          `json:"about"` // from the file; nil for all files
}

// kinds returns the kinds of documents in a bundle.
func kinds() []knowledge.Kind {
	return []knowledge.Kind{knowledge.KindPractice, knowledge.KindRule, knowledge.KindTemplate}
}

// keptFor is how long documents are kept without being fetched again: what the settings of a server hide, such as a
// category that has become confidential, is no change of its log.
const keptFor = time.Hour

// Fetch fetches a bundle from a store. If nothing has changed since the old one (nil for none), it returns that with a
// new time, unless its documents were fetched long ago.
func Fetch(ctx context.Context, s store.Past, server string, want Want, old *Bundle) (*Bundle, error) {
	now := time.Now().UTC()
	at, err := store.Newest(ctx, s)
	if err != nil {
		return nil, err
	}
	chain := hex.EncodeToString(at.Chain[:])
	if old != nil && old.Format == format && old.Seq == at.Seq && old.Chain == chain && old.Server == server &&
		same(old.Want, want) && now.Sub(old.Made).Abs() < keptFor {
		fresh := *old
		fresh.Fetched = now
		return &fresh, nil
	}
	b := &Bundle{
		Format: format, Server: server, Want: want, Seq: at.Seq, Chain: chain, Made: now, Fetched: now,
		Documents: []Entry{},
	}
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
	marked, marks := store.WithMarks(ctx)
	if err := v.each(marked, func(r *knowledge.Record) error { return b.take(r, chosen) }); err != nil {
		return nil, err
	}
	b.Confidential = marks.Categories()
	store.MarksOf(ctx).Add(b.Confidential...)
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

// subscribe reads the repository from the server, and returns its packs and its label.
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

// repository reads a repository. A retired one takes nothing any more.
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
	if rule, ok := d.(*knowledge.Rule); ok { // a pack may make it stricter
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
