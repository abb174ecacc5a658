package guidance

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// A doc is the index entry of a document: everything but its text. It never changes.
type doc struct {
	key         knowledge.Key
	version     int64
	pending     knowledge.BatchID
	sum         uint64 // of its JSON, to tell two texts with the same version apart
	title       string
	severity    string // "" for practices and templates
	enforcement string
	mandatory   bool
	tier        int // of the severity: 0 is the most severe
	priority    int64
	scope       knowledge.Scope
	category    string
	tags        []string
	pack        string   // the pack that contains it, if the query names packs
	tokens      [3]int32 // of the forms full, brief and link
}

// Kinds returns the kinds of documents that guidance covers.
func Kinds() []knowledge.Kind {
	return []knowledge.Kind{knowledge.KindRule, knowledge.KindPractice, knowledge.KindTemplate}
}

// sumOf returns a checksum of a record's text.
func sumOf(r *knowledge.Record) uint64 {
	sum := sha256.Sum256(r.JSON)
	return binary.BigEndian.Uint64(sum[:])
}

// docOf returns the index entry of a record and its texts. It returns nil for a record that can't hold: a retired one,
// a draft, a deprecated one, or one of another kind.
func docOf(r *knowledge.Record) (*doc, texts, error) {
	if r == nil || !r.Active || !slices.Contains(Kinds(), r.Key.Kind) {
		return nil, texts{}, nil
	}
	d, err := r.Document()
	if err != nil {
		return nil, texts{}, err
	}
	e := describe(d)
	if e == nil {
		return nil, texts{}, nil
	}
	e.version, e.pending, e.sum = r.Version, r.Pending, sumOf(r)
	t := textsOf(d)
	e.tokens = [3]int32{Estimate(t.full), Estimate(t.brief), Estimate(t.link)}
	return e, t, nil
}

// describe returns the index entry of a document without its version and sizes, or nil if the document is not active.
func describe(d knowledge.Document) *doc {
	e := &doc{key: d.Key(), title: d.Text().Title, enforcement: "recommended", category: d.CategoryID()}
	if c := knowledge.CommonOf(d); c != nil {
		e.tags = c.Tags
	}
	switch d := d.(type) {
	case *knowledge.Rule:
		if d.Status != knowledge.StatusActive {
			return nil
		}
		e.severity, e.enforcement, e.mandatory, e.priority = d.Severity, d.Enforcement, d.Enforcement == "mandatory",
			d.Priority
		e.tier, e.scope = slices.Index(knowledge.Severities(), d.Severity), d.Scope
	case *knowledge.Practice:
		e.tier, e.scope = slices.Index(knowledge.Severities(), knowledge.SeverityWarning), d.Scope
		if e.mandatory = d.IsRequired; e.mandatory {
			e.enforcement = "mandatory"
		}
	case *knowledge.Template:
		e.enforcement = "optional"
		e.tier, e.scope = len(knowledge.Severities())-1, d.Scope
	default:
		return nil
	}
	return e
}

// byRank compares documents by the part of the order of answers that does not depend on the query.
func byRank(a, b *doc) int {
	if c := byWeight(a, b); c != 0 {
		return c
	}
	return byKey(a, b)
}

func byWeight(a, b *doc) int {
	switch {
	case a.mandatory != b.mandatory:
		return first(a.mandatory)
	case a.tier != b.tier:
		return first(a.tier < b.tier)
	case a.priority != b.priority:
		return first(a.priority > b.priority)
	}
	return 0
}

func byKey(a, b *doc) int {
	if c := strings.Compare(a.key.ID, b.key.ID); c != 0 {
		return c
	}
	return strings.Compare(string(a.key.Kind), string(b.key.Kind))
}

// first returns -1 if a comes first, else 1.
func first(is bool) int {
	if is {
		return -1
	}
	return 1
}
