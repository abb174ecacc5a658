package knowledge

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCursorsComeBackForTheirOwnListOnly(t *testing.T) {
	at := At(time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC))
	rec := &Record{Key: Key{KindRule, "SEC-001"}, Rank: 1 << 33, Updated: at}
	since := At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	title := strings.Repeat("😀<", MaxTitle/2)
	for order, want := range map[Order]Cursor{
		OrderHouse:   {Rank: 1 << 33, ID: "SEC-001"},
		OrderUpdated: {Updated: at, ID: "SEC-001"},
		OrderTitle:   {Title: title, ID: "SEC-001"},
		OrderID:      {ID: "SEC-001"},
	} {
		q := Query{
			Kind: KindRule, Category: "c", Tag: "t", Language: "go", Severity: SeverityInfo,
			Enforcement: "optional", Status: StatusDraft, Order: order,
		}
		if order == OrderUpdated {
			q.UpdatedSince = since
		}
		q, _, err := q.Check()
		if err != nil {
			t.Fatal(err)
		}
		q.Cursor = q.NextCursor(rec, title)
		_, got, err := q.Check()
		if err != nil || got == nil || !cmp.Equal(*got, want) {
			t.Errorf("%s: cursor %+v (%v), want %+v", order, got, err, want)
		}
		limit := q
		limit.Limit = 7
		if _, _, err := limit.Check(); err != nil {
			t.Errorf("%s: the cursor with another limit: %v", order, err)
		}
		for what, change := range map[string]func(*Query){
			"category": func(q *Query) { q.Category = "d" }, "tag": func(q *Query) { q.Tag = "" },
			"language":    func(q *Query) { q.Language = "c" },
			"severity":    func(q *Query) { q.Severity = "" },
			"enforcement": func(q *Query) { q.Enforcement = "mandatory" }, "status": func(q *Query) { q.Status = "" },
			"activity":   func(q *Query) { q.Activity = AnyActivity },
			"one letter": func(q *Query) { q.Cursor = flip(q.Cursor, len(q.Cursor)-3) },
			"the sum":    func(q *Query) { q.Cursor = flip(q.Cursor, 0) },
			"less":       func(q *Query) { q.Cursor = q.Cursor[:len(q.Cursor)-4] },
			"padding":    func(q *Query) { q.Cursor += "=" }, "space": func(q *Query) { q.Cursor += "\n" },
		} {
			other := q
			change(&other)
			if _, _, err := other.Check(); err == nil {
				t.Errorf("%s: the cursor holds with another %s", order, what)
			}
		}
	}
}

func flip(s string, i int) string {
	b := []byte(s)
	b[i] ^= 1
	return string(b)
}

// forge returns a cursor as a caller could make one who has read the source.
func forge(q Query, place string) string {
	return base64.RawURLEncoding.EncodeToString(append(q.sum([]byte(place)), place...))
}

func TestForgedCursorsDoNoHarm(t *testing.T) {
	for _, kind := range []Kind{KindRule, KindViolation} {
		q, _, err := Query{Kind: kind, Order: OrderTitle}.Check()
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range []string{
			`{"i":"a\u0000b"}`, `{"i":""}`, `{"i":"a","t":"\u0000"}`, `{"i":"a","t":"\u202e"}`,
			`{"i":"a","u":"10000-01-01T00:00:00Z"}`, `{"i":"a","r":1e99}`,
			`[]`, `null`, ``, `{"i":["a"]}`, "{\"i\":\"a\",\"t\":\"\xff\"}", `{"i":"not-a-uuid"}`,
		} {
			q.Cursor = forge(q, place)
			_, c, err := q.Check()
			if err == nil && (kind == KindViolation || place != `{"i":"not-a-uuid"}` && !strings.Contains(place,
				`\xff`) && TextFault(c.Title) != "") {
				t.Errorf("%s: the forged place %q is taken: %+v", kind, place, c)
			}
		}
	}
}

func TestQueriesGetDefaultsAndBounds(t *testing.T) {
	q, c, err := Query{Kind: KindRule}.Check()
	if err != nil || c != nil || q.Order != OrderHouse || q.Limit != DefaultLimit {
		t.Errorf("defaults: %+v, %v, %v", q, c, err)
	}
	q, _, err = Query{Kind: KindRule, UpdatedSince: At(time.Now())}.Check()
	if err != nil || q.Order != OrderUpdated {
		t.Errorf("since a time: %+v, %v", q, err)
	}
	for _, kind := range Kinds() {
		for _, f := range []struct {
			name string
			q    Query
		}{
			{"category", Query{Category: "x"}},
			{"tag", Query{Tag: "x"}},
			{"language", Query{Language: "x"}},
			{"severity", Query{Severity: SeverityInfo}},
			{"enforcement", Query{Enforcement: "optional"}},
			{"rule", Query{Rule: "x"}},
			{"repository", Query{Repository: "x"}},
		} {
			f.q.Kind = kind
			_, _, err := f.q.Check()
			has := Describe(kind).Filter(f.name) != nil
			if has != (err == nil) {
				t.Errorf("%s by %s: %v", kind, f.name, err)
			}
		}
	}
	_, _, err = Query{Kind: "nonsense", Severity: "x", Limit: 500, Order: "up", Activity: "maybe", Cursor: "x"}.Check()
	wantFaults(t, "everything wrong", err, "/kind", "/severity", "/limit", "/sort", "/active", "/cursor")
	_, _, err = Query{Kind: KindRule, UpdatedSince: At(time.Now()), Order: OrderID}.Check()
	wantFaults(t, "since, by id", err, "/sort")
	for status, kind := range map[string]Kind{StatusDraft: KindRule, ViolationOpen: KindViolation} {
		if _, _, err := (Query{Kind: kind, Status: status}).Check(); err != nil {
			t.Errorf("%s %s: %v", status, kind, err)
		}
		other := map[Kind]Kind{KindRule: KindViolation, KindViolation: KindRule}[kind]
		_, _, err := Query{Kind: other, Status: status}.Check()
		wantFaults(t, status+" "+string(other), err, "/status")
	}
}

func TestChangeQueriesGetDefaultsAndBounds(t *testing.T) {
	q, err := ChangeQuery{}.Check()
	if err != nil || q.Limit != DefaultChanges || q.Filtered() {
		t.Errorf("defaults: %+v, %v", q, err)
	}
	for _, f := range []ChangeQuery{
		{Key: Key{KindRule, "x"}},
		{Batch: NewBatchID()},
		{Kind: KindRule},
		{Newest: true},
		{Version: 1, Key: Key{KindRule, "x"}},
	} {
		if !f.Filtered() {
			t.Errorf("%+v is not filtered", f)
		}
	}
	_, err = ChangeQuery{After: -1, Limit: 9999, Key: Key{"x", "a b"}, Kind: "y", Version: -1}.Check()
	wantFaults(t, "everything wrong", err, "/after", "/limit", "/kind", "/id", "/kind", "/version")
}

func TestHouseOrderPutsWhatMattersMostFirst(t *testing.T) {
	yes, no := 0.9, 0.1
	at := func(year int) Time { return At(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)) }
	inOrder := []Document{
		&Rule{Severity: SeverityCritical, Priority: MaxPriority},
		&Rule{Severity: SeverityCritical, Priority: -MaxPriority},
		&Rule{Severity: SeverityError, Priority: MaxPriority},
		&Practice{IsRequired: true, EffectivenessScore: &yes},
		&Practice{IsRequired: true, EffectivenessScore: &no},
		&Rule{Severity: SeverityError},
		&Rule{Severity: SeverityError, Priority: -1},
		&Rule{Severity: SeverityWarning, Priority: 1},
		&Template{},
		&Rule{Severity: SeverityWarning, Priority: -MaxPriority},
		&Rule{Severity: SeverityInfo, Priority: MaxPriority},
		&Category{},
	}
	for i := 1; i < len(inOrder); i++ {
		if a, b := inOrder[i-1].Rank(), inOrder[i].Rank(); a > b || a < 0 {
			t.Errorf("%d: %T at %d comes before %T at %d", i, inOrder[i-1], a, inOrder[i], b)
		}
	}
	var last int64 = 1 << 62
	for _, year := range []int{1000, 1971, 2026, 2027, 2038, 2500, 2515, 9999} {
		rank := (&Violation{ReportedAt: at(year)}).Rank()
		if rank > last || rank < 0 || year < 2515 && rank == last {
			t.Errorf("a violation of %d has the rank %d, one before it %d", year, rank, last)
		}
		last = rank
	}
	if unknown := (&Rule{Severity: "?"}).Rank(); unknown != (&Rule{Severity: SeverityInfo}).Rank() {
		t.Errorf("an unknown severity has the rank %d", unknown)
	}
}

func TestKindsAreNamedOneWay(t *testing.T) {
	for _, k := range Kinds() {
		for _, name := range []string{string(k), k.Plural()} {
			if got, err := ParseKind(name); got != k || err != nil {
				t.Errorf("ParseKind(%q) = %q, %v", name, got, err)
			}
		}
		d := New(k)
		if d == nil || d.Key().Kind != k {
			t.Fatalf("New(%q) = %v", k, d)
		}
		if !strings.HasPrefix(canonical(t, d), `{"`+k.IDField()+`":`) {
			t.Errorf("the id of a %s does not come first: %s", k, canonical(t, d))
		}
	}
	if _, err := ParseKind("Rule"); err == nil || New("") != nil {
		t.Error("what is no kind is one")
	}
	if got := fmt.Sprint(KindCategory.Plural(), Key{KindRule, "a"}); got != "categories rule/a" &&
		got != "categoriesrule/a" {
		t.Error(got)
	}
}

func TestTheSumOfACursorIsNotCheap(t *testing.T) {
	// The sum covers a mark of the format: cursors of another format are refused and not misread.
	q := Query{Kind: KindRule, Order: OrderID}
	sum := sha256.Sum256([]byte("x"))
	q.Cursor = base64.RawURLEncoding.EncodeToString(append(sum[:cursorSum], "x"...))
	if _, _, err := q.Check(); err == nil {
		t.Error("a sum over the place alone is taken")
	}
}
