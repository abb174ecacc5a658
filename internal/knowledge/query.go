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
)

// An Order is one of the orders that a list can have. Each has an index in every engine.
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

// An Activity says whether a list holds documents in use, retired ones, or both.
type Activity string

// Activities; the zero value is [ActiveOnly].
const (
	ActiveOnly  Activity = ""
	RetiredOnly Activity = "retired"
	AnyActivity Activity = "any"
)

// A Query asks for documents of one kind, page by page. Empty filters let everything through; a filter that the kind has
// no field for is a fault.
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
}

// A Page is a part of a list.
type Page struct {
	Records []*Record
	Next    string // the cursor of the next page, "" on the last one
	Source  Source
	Memo    *Memo // the encoded page, where the answer stays in memory; nil elsewhere
}

// filters says which filters a kind has, by the name that a caller uses.
func (k Kind) filters() []string {
	switch k {
	case KindRule:
		return []string{"category", "tag", "language", "severity", "enforcement", "status"}
	case KindPractice, KindTemplate:
		return []string{"category", "tag", "language"}
	case KindViolation:
		return []string{"severity", "status", "rule", "repository"}
	case KindCategory, KindPrincipal:
	}
	return nil
}

// Check returns the query with its defaults filled in and the place that its cursor stands for, nil without one. The error
// is an [*InvalidError] that names every faulty parameter.
func (q Query) Check() (Query, *Cursor, error) {
	var f faults
	if New(q.Kind) == nil {
		f.add("/kind", "no kind %q", q.Kind)
	}
	for _, given := range []struct {
		name, value string
		oneOf       []string
	}{
		{"category", q.Category, nil},
		{"tag", q.Tag, nil},
		{"language", q.Language, nil},
		{"severity", q.Severity, Severities()},
		{"enforcement", q.Enforcement, Enforcements()},
		{"status", q.Status, map[Kind][]string{KindRule: RuleStatuses(), KindViolation: ViolationStatuses()}[q.Kind]},
		{"rule", q.Rule, nil},
		{"repository", q.Repository, nil},
	} {
		switch {
		case given.value == "":
		case !slices.Contains(q.Kind.filters(), given.name):
			f.add("/"+given.name, "%s have no such filter", q.Kind.Plural())
		case given.oneOf != nil:
			f.oneOf("/"+given.name, given.value, given.oneOf)
		default:
			f.short("/"+given.name, given.value)
		}
	}
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
		err.(*InvalidError).Query = true //nolint:errorlint,forcetypeassert // faults.err returns nothing else
		return q, nil, err
	}
	return q, c, nil
}

// A Cursor is the place of the last record of a page. Only the fields of the query's order are set.
type Cursor struct {
	Rank    int64  `json:"r,omitempty"`
	Updated Time   `json:"u,omitzero"`
	Title   string `json:"t,omitempty"`
	ID      string `json:"i"`
}

// cursorSum is how many bytes of the check sum a cursor carries.
const cursorSum = 8

// NextCursor returns the opaque text of the place after record, whose title the engine knows. It holds a sum over the
// place and the query, so that a cursor that was changed or belongs to another list is refused.
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
		panic(err) // a Cursor holds nothing that can't be encoded
	}
	return base64.RawURLEncoding.EncodeToString(append(q.sum(b), b...))
}

func (q Query) openCursor() (*Cursor, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
	if strings.ContainsAny(q.Cursor, "\r\n") { // which the decoder passes over
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
	if _, err := uuid.Parse(c.ID); err != nil && q.Kind == KindViolation {
		return nil, false
	}
	return &c, true
}

// sum covers everything of the query that decides membership and order, not the limit: it may change between pages.
func (q Query) sum(place []byte) []byte {
	h := sha256.New()
	h.Write([]byte(strings.Join([]string{
		"tenet cursor 1", string(q.Kind), q.Category, q.Tag, q.Language, q.Severity, q.Enforcement, q.Status, q.Rule,
		q.Repository, string(q.Activity), q.UpdatedSince.Format(TimeLayout), string(q.Order),
	}, "\x00")))
	h.Write([]byte{0})
	h.Write(place)
	return h.Sum(nil)[:cursorSum]
}

// Bounds of a read of the log.
const (
	DefaultChanges = 500
	MaxChanges     = 2000
)

// A ChangeQuery asks for a part of the log, oldest first.
type ChangeQuery struct {
	After Seq // only changes after this one
	Limit int // DefaultChanges when 0; the answer is longer where the limit would cut a transaction, unless filtered
	// Key, Batch and Kind narrow the answer; zero values don't. Version goes with Key.
	Key     Key
	Version int64
	Batch   BatchID
	Kind    Kind
	// Newest turns the order round: the newest change first, and only those before After where it is not 0.
	Newest bool
}

// Filtered reports whether the query asks for less than every change.
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
		err.(*InvalidError).Query = true //nolint:errorlint,forcetypeassert // faults.err returns nothing else
		return q, err
	}
	return q, nil
}
