package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Get implements [store.Reader].
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	err := s.checked(func() error {
		if _, err := knowledge.ParseKey(key.String()); err != nil { // a path can't hold it, so it does not exist
			return &store.NotFoundError{Key: key}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	a, err := s.do(ctx, request{method: http.MethodGet, path: path(key)})
	if err != nil {
		return nil, err
	}
	r, err := record(key.Kind, a.body, a.source())
	if err != nil {
		return nil, garbled(s, err)
	}
	r.Pending = api.Pending(a.header.Get("ETag"))
	return r, nil
}

// List implements [store.Reader].
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	return s.ListAt(ctx, &knowledge.Label{}, q)
}

// ListAt implements [store.LabelReader]: of the label only the id counts, and the answer says where it stands.
func (s *Store) ListAt(ctx context.Context, l *knowledge.Label, q knowledge.Query) (*knowledge.Page, error) {
	if err := s.checked(func() error { return checkList(q) }); err != nil {
		return nil, err
	}
	a, err := s.do(ctx, request{
		method: http.MethodGet, path: "/api/v1/" + q.Kind.Plural(),
		query: at(listParameters(&q), l),
	})
	if err != nil {
		return nil, err
	}
	var got struct {
		Items []json.RawMessage `json:"items"`
		Next  string            `json:"next"`
		Total int               `json:"total"`
		knowledge.LabelAt
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return nil, garbled(s, err)
	}
	page := &knowledge.Page{
		Records: make([]*knowledge.Record, len(got.Items)), Next: got.Next, Total: got.Total,
		Source: a.source(), At: got.LabelAt,
	}
	for i, item := range got.Items {
		if page.Records[i], err = record(q.Kind, item, page.Source); err != nil {
			return nil, garbled(s, err)
		}
	}
	return page, nil
}

// maxCursor is longer than any cursor, and fits into a URL.
const maxCursor = 6 << 10

// checkList checks what a URL can't carry. Only the server knows whether the cursor is valid.
func checkList(q knowledge.Query) error {
	if len(q.Cursor) > maxCursor {
		return knowledge.BadQuery("cursor",
			"not a cursor of this list: take next of the page before, with the same filters")
	}
	q.Cursor = ""
	_, _, err := q.Check()
	return err
}

// checked returns the error of check, unless the store is closed.
func (s *Store) checked(check func() error) error {
	if s.isClosed() {
		return store.ErrClosed
	}
	return check()
}

func listParameters(q *knowledge.Query) url.Values {
	v := parameters(
		"category", q.Category, "tag", q.Tag, "language", q.Language, "severity", q.Severity,
		"enforcement", q.Enforcement,
		"status", q.Status, "rule", q.Rule, "repository", q.Repository, "sort", string(q.Order), "cursor", q.Cursor,
	)
	switch q.Activity {
	case knowledge.ActiveOnly:
	case knowledge.RetiredOnly:
		v.Set("active", "false")
	case knowledge.AnyActivity:
		v.Set("active", "any")
	}
	if !q.UpdatedSince.IsZero() {
		v.Set("updated_since", q.UpdatedSince.Format(knowledge.TimeLayout))
	}
	number(v, "limit", int64(q.Limit))
	if q.Total {
		v.Set("total", "true")
	}
	return v
}

// Search implements [store.Reader].
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	return s.SearchAt(ctx, &knowledge.Label{}, q)
}

// at adds the label that a read is as of, unless it has no id.
func at(v url.Values, l *knowledge.Label) url.Values {
	if l.LabelID != "" {
		v.Set("label", l.LabelID)
	}
	return v
}

// SearchAt implements [store.LabelReader]; see [Store.ListAt].
func (s *Store) SearchAt(ctx context.Context, l *knowledge.Label, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if err := s.checked(func() error { _, _, err := q.Check(); return err }); err != nil {
		return nil, err
	}
	v := parameters("q", q.Text, "category", q.Category, "tag", q.Tag, "language", q.Language, "severity", q.Severity)
	for _, k := range q.Kinds {
		v.Add("kind", string(k))
	}
	number(v, "limit", int64(q.Limit))
	for name, given := range map[string]bool{"facets": q.Facets, "literal": q.Literal} {
		if given {
			v.Set(name, "true")
		}
	}
	if q.Cursor != "" {
		v.Set("cursor", q.Cursor)
	}
	v.Set("view", "full")
	a, err := s.do(ctx, request{method: http.MethodGet, path: "/api/v1/search", query: at(v, l)})
	if err != nil {
		return nil, err
	}
	var got struct {
		Hits []struct {
			Kind     knowledge.Kind  `json:"kind"`
			Score    float64         `json:"score"`
			Snippet  string          `json:"snippet"`
			Marks    [][2]int        `json:"marks"`
			Missing  []string        `json:"missing"`
			Title    string          `json:"title"`
			Severity string          `json:"severity"`
			Document json.RawMessage `json:"document"`
		} `json:"hits"`
		Next    string                 `json:"next"`
		Total   int                    `json:"total"`
		Bounded bool                   `json:"bounded"`
		Facets  []knowledge.FacetCount `json:"facets"`
		knowledge.Reading
		knowledge.LabelAt
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return nil, garbled(s, err)
	}
	hits := &knowledge.Hits{
		Hits: make([]knowledge.Hit, len(got.Hits)), Source: a.source(), Next: got.Next, Total: got.Total,
		Bounded: got.Bounded,
		Reading: got.Reading, Facets: got.Facets, At: got.LabelAt,
	}
	for i, h := range got.Hits {
		r, err := record(h.Kind, h.Document, hits.Source)
		if err != nil {
			return nil, garbled(s, err)
		}
		hits.Hits[i] = knowledge.Hit{
			Record: r, Score: h.Score, Snippet: h.Snippet, Marks: h.Marks, Missing: h.Missing, Title: h.Title,
			Severity: h.Severity,
		}
	}
	return hits, nil
}

// Changes implements [store.Feed].
func (s *Store) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if err := s.checked(func() error { _, err := q.Check(); return err }); err != nil {
		return nil, err
	}
	a, err := s.do(ctx, request{method: http.MethodGet, path: "/api/v1/changes", query: changeParameters(&q)})
	if gone, ok := errors.AsType[*store.GoneError](err); ok && gone.Other {
		// by the contract there is nothing after a bare seq beyond the end; see [Store.Watch]
		return []knowledge.Change{}, nil
	}
	if err != nil {
		return nil, err
	}
	var got struct {
		Changes []knowledge.Change `json:"changes"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return nil, garbled(s, err)
	}
	if got.Changes == nil {
		got.Changes = []knowledge.Change{}
	}
	return got.Changes, nil
}

func changeParameters(q *knowledge.ChangeQuery) url.Values {
	v := parameters("kind", string(q.Kind))
	if q.Key != (knowledge.Key{}) {
		v.Set("kind", string(q.Key.Kind))
		v.Set("id", q.Key.ID)
	}
	number(v, "after", int64(q.After))
	number(v, "limit", int64(q.Limit))
	number(v, "version", q.Version)
	if q.Batch != (knowledge.BatchID{}) {
		v.Set("batch", q.Batch.String())
	}
	if q.Newest {
		v.Set("newest", "true")
	}
	return v
}

// Wait implements [store.Feed]. It also returns after some seconds without a change.
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	v := parameters("limit", "1", "wait", strconv.Itoa(waitSeconds))
	number(v, "after", int64(after))
	_, err := s.do(ctx, request{
		method: http.MethodGet, path: "/api/v1/changes", query: v, timeout: waitSeconds*time.Second + s.timeout,
	})
	return err
}

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.do(ctx, request{
		method: http.MethodGet, path: "/readyz", timeout: min(pingTimeout, s.timeout),
		once: true,
	})
	return err
}

func path(key knowledge.Key) string {
	return "/api/v1/" + key.Kind.Plural() + "/" + url.PathEscape(key.ID)
}

// parameters returns the parameters with a value, from pairs of name and value.
func parameters(namesAndValues ...string) url.Values {
	v := url.Values{}
	for pair := range slices.Chunk(namesAndValues, 2) {
		if name, value := pair[0], pair[1]; value != "" {
			v.Set(name, value)
		}
	}
	return v
}

func number(v url.Values, name string, n int64) {
	if n != 0 {
		v.Set(name, strconv.FormatInt(n, 10))
	}
}

// record returns the record of a document in an answer. It makes the canonical bytes again, since a proxy may have
// changed escapes or spaces.
// the store may have escaped or spaced them otherwise.
func record(kind knowledge.Kind, data []byte, source knowledge.Source) (*knowledge.Record, error) {
	r, err := knowledge.RecordOf(kind, data)
	if err != nil {
		return nil, err
	}
	if source == "" {
		source = knowledge.SourcePrimary
	}
	return r.From(source), nil
}

// garbled returns the error for an answer that can't be decoded.
func garbled(s *Store, err error) error {
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		err = errors.New(invalid.Error())
	}
	return &store.UnavailableError{
		Reason: fmt.Sprintf("can't decode the answer of %s: it may be another program, or another version of tenet",
			s.base), Err: err,
		Halt: true,
	}
}
