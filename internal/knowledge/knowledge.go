// Package knowledge defines the domain types: the kinds of documents, the keys that name them, the batches that change
// them and the changes that result, with their validation.
package knowledge

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Key names one document. Keys compare byte by byte.
type Key struct {
	Kind Kind   `json:"kind"`
	ID   string `json:"id"`
}

// String returns the key as "kind/id".
func (k Key) String() string { return string(k.Kind) + "/" + k.ID }

// Sound reports whether the kind of the key exists and its id is valid.
func (k Key) Sound() bool { return Describe(k.Kind) != nil && idFault(k.ID) == "" }

// ParseKey returns the key that s, "kind/id", names.
func ParseKey(s string) (Key, error) {
	kind, id, ok := strings.Cut(s, "/")
	if !ok {
		return Key{}, fmt.Errorf("key %q: want kind/id, as in rule/SEC-001", s)
	}
	k, err := ParseKind(kind)
	if err != nil {
		return Key{}, fmt.Errorf("key %q: %w", s, err)
	}
	if why := idFault(id); why != "" {
		return Key{}, fmt.Errorf("key %q: %s", s, why)
	}
	return Key{Kind: k, ID: id}, nil
}

// MaxID is the length of the longest id, in bytes.
const MaxID = 128

// idFault says what is wrong with an id, or returns "".
func idFault(id string) string {
	if id == "" || len(id) > MaxID {
		return fmt.Sprintf("an id has 1 to %d characters of A-Z, a-z, 0-9, '.', '_', '-'; this one has %d", MaxID,
			len(id))
	}
	if id == "." || id == ".." {
		return "an id can't be a dot or two: they mean something else in a path"
	}
	for i := range len(id) {
		c := id[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' {
			continue
		}
		r, n := utf8.DecodeRuneInString(id[i:])
		if r == utf8.RuneError && n == 1 {
			return fmt.Sprintf("an id holds only A-Z, a-z, 0-9, '.', '_', '-'; byte %d is 0x%02x", i+1, c)
		}
		return fmt.Sprintf("an id holds only A-Z, a-z, 0-9, '.', '_', '-'; byte %d is %q", i+1, r)
	}
	return ""
}

// A Document is one of [*Rule], [*Practice], [*Template], [*Category], [*Violation], [*Principal], [*Pack],
// [*Repository], [*Label], [*Proposal]. The interface is sealed: a type switch over it can be checked for completeness.
type Document interface {
	// Key returns the document's kind and id.
	Key() Key
	// CategoryID returns the id of the category the document belongs to, or "" for kinds that have none.
	CategoryID() string
	// Active reports whether the document is active; retiring clears it, restoring sets it.
	Active() bool
	// SetActive sets what Active reports.
	SetActive(active bool)
	// Stamps returns the fields that the store keeps, for it to fill in.
	Stamps() *Stamp
	// Rank is the document's place in house order, smallest first; it is never negative. See [Rank].
	Rank() int64
	// Text returns the text for full-text search.
	Text() Text
	// Normalize fills in defaults, so that what is stored does not depend on what a writer left out.
	Normalize()
	// Validate returns nil or an [*InvalidError] with every fault. It expects a normalized document.
	Validate() error

	document()
}

// A Stamp holds the fields of a document that the store sets. Values from writers are ignored.
type Stamp struct {
	CreatedBy string `json:"created_by" doc:"Who wrote the first version" readOnly:"true"`
	CreatedAt Time   `json:"created_at" doc:"When the first version was written" readOnly:"true"`
	UpdatedBy string `json:"updated_by" doc:"Who wrote this version" readOnly:"true"`
	UpdatedAt Time   `json:"updated_at" doc:"When this version was written" readOnly:"true"`
	Version   int64  `json:"version" doc:"1 for the first version, one more for each change" readOnly:"true"`
}

// Stamps returns s itself; it makes every kind that embeds a Stamp satisfy [Document].
func (s *Stamp) Stamps() *Stamp { return s }

// Text is the searchable text of a document, the parts that weigh most first.
type Text struct {
	Title string   // weight A: the title and nothing else
	Tags  []string // weight B: id, category and tags
	Lead  string   // weight C: description
	Body  string   // weight D: everything else
}

// Rank tiers: house order puts tier 0 first, and within a tier the greater weight first.
const (
	tierBits   = 32
	rankOffset = 1 << 31
)

// Rank returns the place in house order of a document of a tier (0 to 3) and a weight (its absolute value under 2^31):
// by tier, then by weight, greatest first. Both engines compute the same number, PostgreSQL as a generated column.
func Rank(tier int, weight int64) int64 {
	return int64(tier)<<tierBits + rankOffset - weight
}
