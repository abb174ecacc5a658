package knowledge

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Bounds of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 200
	// MaxPageBytes bounds the documents of a page, in bytes: the document that reaches it is the page's last one.
	// Documents may be large, and a count alone would let one answer take all memory.
	MaxPageBytes = 8 << 20
)

// An Order is an order of a list. Each has an index in every engine.
type Order string

// Orders. Ties are broken by id, ascending (for [OrderUpdated]: descending, like the times).
const (
	OrderHouse   Order = "house"   // by [Document.Rank]: what matters most first
	OrderUpdated Order = "updated" // the last changed first
	OrderTitle   Order = "title"   // by title, byte by byte
	OrderID      Order = "id"
)

// Orders returns every order, the default first.
func Orders() []Order { return []Order{OrderHouse, OrderUpdated, OrderTitle, OrderID} }

// An Activity says whether a list contains active documents, retired ones, or both.
type Activity string

// Activities; the zero value is [ActiveOnly].
const (
	ActiveOnly  Activity = ""
	RetiredOnly Activity = "retired"
	AnyActivity Activity = "any"
)

// A Query lists documents of one kind, page by page. Empty filters match everything; a filter that the kind does not
// have is a fault.
type Query struct {
	Kind         Kind
	Category     string
	Tag          string
	Language     string // of the scope
	Severity     string // rules, violations
	Enforcement  string // rules
	Status       string // rules, violations
	Rule         string // violations
	Repository   string // violations
	Activity     Activity
	UpdatedSince Time // only documents changed at this time or later; wants OrderUpdated
	Order        Order
	Limit        int
	Cursor       string // Page.Next of the page before
	Total        bool   // also count the documents of all pages
	// Without leaves out the documents of some categories, with commas between, and what tells of them. A store
	// around a store sets it, and no caller.
	Without string
}

// A Page is a part of a list.
type Page struct {
	Records []*Record
	Next    string // the cursor of the next page, "" on the last one
	Total   int    // documents of all pages, if the query asked for it
	Source  Source
	At      LabelAt // the label that the page is as of; zero for now
	Memo    *Memo   // the encoded page, if the cache keeps the answer; else nil
}

// Listed returns the ids between the commas of a text; nil for an empty one.
func Listed(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// Filters returns the names of the filters of all kinds, each a field of [Query].
func Filters() []string {
	return []string{"category", "tag", "language", "severity", "enforcement", "status", "rule", "repository"}
}

// Filter returns the value of a filter; "" if it is not set.
func (q *Query) Filter(name string) string {
	if v := q.filter(name); v != nil {
		return *v
	}
	return ""
}

// SetFilter sets the value of a filter, which must be one of [Filters].
func (q *Query) SetFilter(name, value string) { *q.filter(name) = value }

func (q *Query) filter(name string) *string {
	switch name {
	case "category":
		return &q.Category
	case "tag":
		return &q.Tag
	case "language":
		return &q.Language
	case "severity":
		return &q.Severity
	case "enforcement":
		return &q.Enforcement
	case "status":
		return &q.Status
	case "rule":
		return &q.Rule
	case "repository":
		return &q.Repository
	}
	return nil
}

// checkFilters adds faults for filters that the kind does not have, and for impossible values.
func (q *Query) checkFilters(f *faults, d *Description) {
	for _, name := range Filters() {
		value := q.Filter(name)
		if value == "" {
			continue
		}
		switch filter := d.Filter(name); {
		case filter == nil:
			f.add("/"+name, "%s have no such filter", d.Plural)
		case filter.Values != nil:
			f.oneOf("/"+name, value, filter.Values)
		default:
			f.short("/"+name, value)
		}
	}
}

// Check returns the query with its defaults filled in, and the decoded cursor, nil without one. The error is an
// [*InvalidError] that names every faulty parameter.
func (q Query) Check() (Query, *Cursor, error) {
	var f faults
	d := Describe(q.Kind)
	if d == nil {
		f.add("/kind", "no kind %q", q.Kind)
		d = &Description{Plural: q.Kind.Plural()}
	}
	q.checkFilters(&f, d)
	if q.Order == "" {
		q.Order = OrderHouse
		if !q.UpdatedSince.IsZero() {
			q.Order = OrderUpdated
		}
	}
	if !slices.Contains(Orders(), q.Order) {
		f.add("/sort", "%q: want one of house, updated, title, id", q.Order)
	}
	if !q.UpdatedSince.IsZero() && q.Order != OrderUpdated {
		f.add("/sort", "%q: a list of what was updated since a time is sorted by updated", q.Order)
	}
	if !slices.Contains([]Activity{ActiveOnly, RetiredOnly, AnyActivity}, q.Activity) {
		f.add("/active", "%q: want true, false or any", q.Activity)
	}
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	if q.Limit < 1 || q.Limit > MaxLimit {
		f.add("/limit", "%d: want 1 to %d", q.Limit, MaxLimit)
	}
	var c *Cursor
	if q.Cursor != "" {
		var ok bool
		if c, ok = q.openCursor(); !ok {
			f.add("/cursor", "not a cursor of this list: take next of the page before, with the same filters")
		}
	}
	if err := f.err(); err != nil {
		err.(*InvalidError).Query = true //nolint:errorlint // faults.err returns nothing else
		return q, nil, err
	}
	return q, c, nil
}

// A Cursor is the position of the last record of a page. Only the fields of the query's order are set.
type Cursor struct {
	Rank    int64  `json:"r,omitempty"`
	Updated Time   `json:"u,omitzero"`
	Title   string `json:"t,omitempty"`
	ID      string `json:"i"`
}

// cursorSum is the length of a cursor's checksum, in bytes.
const cursorSum = 8

// NextCursor returns the opaque cursor after a record, whose title the engine passes. It contains a checksum of the
// position and the query, so that a cursor that was edited or belongs to another list is refused.
func (q Query) NextCursor(r *Record, title string) string {
	c := Cursor{ID: r.Key.ID}
	switch q.Order {
	case OrderUpdated:
		c.Updated = r.Updated
	case OrderTitle:
		c.Title = title
	case OrderID:
	case OrderHouse:
		c.Rank = r.Rank
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // a Cursor can always be encoded
	}
	return base64.RawURLEncoding.EncodeToString(append(q.sum(b), b...))
}

func (q Query) openCursor() (*Cursor, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
	if strings.ContainsAny(q.Cursor, "\r\n") { // the decoder ignores these
		return nil, false
	}
	if err != nil || len(b) <= cursorSum || len(b) > 4<<10 {
		return nil, false
	}
	sum, b := b[:cursorSum], b[cursorSum:]
	var c Cursor
	if !slices.Equal(sum, q.sum(b)) || json.Unmarshal(b, &c) != nil || idFault(c.ID) != "" || TextFault(c.Title) != "" {
		return nil, false
	}
	if d := Describe(q.Kind); d != nil && d.UUID {
		if _, err := uuid.Parse(c.ID); err != nil {
			return nil, false
		}
	}
	return &c, true
}

// sum covers all fields of the query that decide membership and order. The limit is left out: it may change between
// pages.
func (q Query) sum(place []byte) []byte {
	h := sha256.New()
	parts := []string{"tenet cursor 1", string(q.Kind)}
	for _, name := range Filters() {
		parts = append(parts, q.Filter(name))
	}
	parts = append(parts, string(q.Activity), q.UpdatedSince.Format(TimeLayout), string(q.Order))
	h.Write([]byte(strings.Join(parts, "\x00")))
	h.Write([]byte{0})
	h.Write(place)
	return h.Sum(nil)[:cursorSum]
}

// Bounds of a read of the log.
const (
	DefaultChanges = 500
	MaxChanges     = 2000
)

// A ChangeQuery reads a part of the log, oldest first.
type ChangeQuery struct {
	After Seq // only changes after this one
	Limit int // DefaultChanges if 0; the answer is longer if the limit would cut a transaction, unless filtered
	// Key, Batch and Kind narrow the answer; zero values don't. Version goes with Key.
	Key     Key
	Version int64
	Batch   BatchID
	Kind    Kind
	// Newest reverses the order: the newest change first, and only those before After if that is not 0.
	Newest bool
	// Bytes, if not 0, ends the answer with the change whose document reaches so many bytes; unfiltered, at the end of
	// its transaction.
	Bytes int
}

// Ends reports whether an answer ends with a change because of its size.
func (q *ChangeQuery) Ends(bytes int, last *Change) bool {
	return q.Bytes > 0 && bytes >= q.Bytes && (q.Filtered() || !last.More)
}

// Full reports whether there may be more changes after the answer: its count or its size has reached the limit.
func (q *ChangeQuery) Full(changes []Change) bool {
	bytes := 0
	for i := range changes {
		bytes += changes[i].Size()
	}
	return len(changes) > 0 && (len(changes) >= q.Limit || q.Ends(bytes, &changes[len(changes)-1]))
}

// Filtered reports whether the query has any filter.
func (q ChangeQuery) Filtered() bool {
	return q.Key != (Key{}) || q.Version != 0 || q.Batch != (BatchID{}) || q.Kind != "" || q.Newest
}

// Check returns the query with its defaults filled in, or an [*InvalidError].
func (q ChangeQuery) Check() (ChangeQuery, error) {
	if q.Limit == 0 {
		q.Limit = DefaultChanges
	}
	var f faults
	if q.After < 0 {
		f.add("/after", "%d: want the seq of a change, or 0 for the start", q.After)
	}
	if q.Limit < 1 || q.Limit > MaxChanges {
		f.add("/limit", "%d: want 1 to %d", q.Limit, MaxChanges)
	}
	if q.Key != (Key{}) {
		if New(q.Key.Kind) == nil {
			f.add("/kind", "no kind %q", q.Key.Kind)
		}
		f.id("/id", q.Key.ID)
	}
	if q.Kind != "" && New(q.Kind) == nil {
		f.add("/kind", "no kind %q", q.Kind)
	}
	if q.Version < 0 {
		f.add("/version", "%d: want a version, from 1", q.Version)
	}
	if err := f.err(); err != nil {
		err.(*InvalidError).Query = true //nolint:errorlint // faults.err returns nothing else
		return q, err
	}
	return q, nil
}
