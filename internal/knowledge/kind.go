package knowledge

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// A Kind says what a document is. Its value is the singular word used in keys, JSON and the change log.
type Kind string

// A Description is everything that other packages know about a kind: they iterate over descriptions and never name
// kinds, so that a new kind is described in one file. Fields have their JSON name, which is also the name of their
// column in each engine.
type Description struct {
	Kind   Kind
	Plural string          // the name of its table and of its REST collection
	About  string          // one line for readers of the API
	New    func() Document // an empty document, with the defaults that a missing JSON field leaves in place

	// Parent is the kind of the document that each document names in ParentField; "" for none.
	Parent      Kind
	ParentField string
	// ActiveField is the flag of active documents or, with Negated, of those that are not active.
	ActiveField string
	Negated     bool
	// TitleField is the field by which lists by title are sorted. With LongTitle only its first MaxTitle characters
	// count; the local engine keeps these in a column named headline.
	TitleField string
	LongTitle  bool
	// the field whose value determines the tier of the rank: its index among the filter's values; "" for none
	TierField  string
	TextField  string // the field that Markdown has below the front matter
	Filters    []Filter
	Searched   bool // full-text search covers the kind
	UUID       bool // ids are UUIDs; the store creates one for a document without
	Hidden     bool // only callers that may manage principals see documents of the kind
	Stays      bool // documents of the kind are never archived
	NoMarkdown bool // an export to Markdown omits the kind

	Needed   []string // required fields; all others have a default
	Nullable []string // fields that may be null
	Columns  []Column // of a table in the terminal
	Off      string   // the word for an inactive document; "" for "retired"

	// Examples for the API's documentation: a whole document, patches for it, and a field with two values that it may
	// have in turn. A test sends them.
	Example func() Document
	Patches []Sample
	Changed [3]string
}

// A Filter narrows lists of a kind by the value of one field.
type Filter struct {
	Name    string   // the parameter's name
	Field   string   // the document's field; "" if the values are facets
	Values  []string // all allowed values; nil for any text
	Doc     string   // for the API's documentation
	Example string
	// Indexed are the orders for which the local engine has an index that begins with the field. If a query has several
	// filters, the first with an index is used.
	Indexed []Order
}

// A Column is a column of a table of documents in the terminal. The last one is cut if the terminal is narrow.
type Column struct {
	Head string
	Max  int // characters; 0 for any number
	Cell func(Document) string
}

// A Sample is an example of a patch.
type Sample struct {
	Name, Summary string
	Patch         map[string]any
}

// described lists every kind in the order of documentation. Reading the log of an older program depends on the order: a
// new kind goes to the end.
//
//nolint:gochecknoglobals // made once, never written
var described = sync.OnceValue(func() []*Description {
	list := []*Description{
		describeRule(), describePractice(), describeTemplate(), describeCategory(), describeViolation(),
		describePrincipal(),
		describePack(), describeRepository(), describeLabel(), describeProposal(),
	}
	for _, d := range list {
		d.Off = orDefault(d.Off, "retired")
	}
	return list
})

//nolint:gochecknoglobals // made once, never written
var byKind = sync.OnceValue(func() map[Kind]*Description {
	m := map[Kind]*Description{}
	for _, d := range described() {
		m[d.Kind] = d
	}
	return m
})

// Described returns the description of every kind, in the order of documentation. Callers must not change them.
func Described() []*Description { return described() }

// Describe returns the description of a kind, nil for a kind that does not exist.
func Describe(kind Kind) *Description { return byKind()[kind] }

// kindsWhere returns the kinds that satisfy a condition, in the order of [Described].
func kindsWhere(holds func(*Description) bool) []Kind {
	var kinds []Kind
	for _, d := range described() {
		if holds(d) {
			kinds = append(kinds, d.Kind)
		}
	}
	return kinds
}

// Kinds returns every kind, parents before the kinds that refer to them, so that a restore in this order never writes a
// reference to a missing document.
func Kinds() []Kind {
	kinds := kindsWhere(func(d *Description) bool { return d.Parent == "" })
	for len(kinds) < len(described()) {
		kinds = append(kinds, kindsWhere(func(d *Description) bool {
			return !slices.Contains(kinds, d.Kind) && slices.Contains(kinds, d.Parent)
		})...)
	}
	return kinds
}

// SearchKinds returns the kinds that full-text search covers.
func SearchKinds() []Kind { return kindsWhere(func(d *Description) bool { return d.Searched }) }

// ParseKind returns the kind that s names, in the singular ("rule") or the plural ("rules").
func ParseKind(s string) (Kind, error) {
	for _, d := range described() {
		if s == string(d.Kind) || s == d.Plural {
			return d.Kind, nil
		}
	}
	var names []string
	for _, d := range described() {
		names = append(names, string(d.Kind), d.Plural)
	}
	if near := Nearest(s, slices.Values(names)); near != "" {
		return "", fmt.Errorf("no kind %q: did you mean %q? There are %s", s, near, KindList(Kinds()))
	}
	return "", fmt.Errorf("no kind %q: want one of %s", s, KindList(Kinds()))
}

// KindList returns kinds as a text for people: category, principal, rule.
func KindList(kinds []Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Plural returns the name of the kind's table and of its REST collection.
func (k Kind) Plural() string {
	if d := Describe(k); d != nil {
		return d.Plural
	}
	return string(k) + "s"
}

// IDField returns the name of the kind's id, the same in its table and in its JSON.
func (k Kind) IDField() string { return string(k) + "_id" }

// New returns an empty document of a kind, with the defaults that a missing JSON field leaves in place; nil for a kind
// that does not exist.
func New(kind Kind) Document {
	if d := Describe(kind); d != nil {
		return d.New()
	}
	return nil
}

// Filter returns the filter of a kind by its name; nil for none.
func (d *Description) Filter(name string) *Filter {
	for i := range d.Filters {
		if d.Filters[i].Name == name {
			return &d.Filters[i]
		}
	}
	return nil
}

// HasCategory reports whether documents of the kind have a category.
func (d *Description) HasCategory() bool { return d.Parent == KindCategory }

// ParentOf returns the document that another one refers to, and the field of the reference; false if it refers to none.
func ParentOf(d Document) (key Key, field string, ok bool) {
	desc := Describe(d.Key().Kind)
	if desc.Parent == "" {
		return Key{}, "", false
	}
	id := TextField(d, desc.ParentField)
	return Key{desc.Parent, id}, desc.ParentField, id != ""
}

// Children returns the kinds that refer to documents of a kind.
func Children(kind Kind) []*Description {
	var list []*Description
	for _, d := range described() {
		if d.Parent == kind {
			list = append(list, d)
		}
	}
	return list
}

// TextField returns the text of a document's field, which is given by its JSON name.
func TextField(d Document, name string) string {
	v := reflect.ValueOf(d).Elem()
	index, ok := jsonFields(v.Type())[name]
	if !ok {
		return ""
	}
	return v.FieldByIndex(index).String()
}

// SetID gives a document an id.
func SetID(d Document, id string) {
	v := reflect.ValueOf(d).Elem()
	v.FieldByIndex(jsonFields(v.Type())[d.Key().Kind.IDField()]).SetString(id)
}

// CommonOf returns the fields that rules, practices and templates share, nil for a document of another kind.
func CommonOf(d Document) *Common {
	if c, ok := d.(interface{ commonFields() *Common }); ok {
		return c.commonFields()
	}
	return nil
}

// SameFilters reports whether two documents of one kind pass the same list filters.
func SameFilters(a, b Document) bool {
	desc := Describe(a.Key().Kind)
	for i := range desc.Filters {
		if name := desc.Filters[i].Field; name != "" && TextField(a, name) != TextField(b, name) {
			return false
		}
	}
	x, y := CommonOf(a), CommonOf(b)
	return x == nil || slices.Equal(x.Tags, y.Tags) && slices.Equal(x.Scope.Languages, y.Scope.Languages)
}

// commonFilters returns the filters of the kinds with the fields of [Common].
func commonFilters() []Filter {
	return []Filter{
		{Name: "category", Field: "category", Doc: "The id of their category", Example: "security", Indexed: Orders()},
		{Name: "tag", Doc: "A tag that they carry", Example: "sql"},
		{Name: "language", Doc: "A language of their scope", Example: "go"},
	}
}

// column makes a column of documents of one Go type.
func column[D Document](head string, cell func(D) string) Column {
	return Column{Head: head, Cell: func(d Document) string { return cell(d.(D)) }} // of its kind's documents
}

// firstRunes returns the first n characters of s.
func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// day formats a time as a date; never is the text for the zero time.
func day(t Time, never string) string {
	if t.IsZero() {
		return never
	}
	return t.UTC().Format("2006-01-02")
}

// hour is day with hour and minute, in UTC: a token that expires today does so at some time of the day.
func hour(t Time, never string) string {
	if t.IsZero() {
		return never
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}
