package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// checkRecord checks what holds for every record that a store hands out.
func (s *suite) checkRecord(rec *knowledge.Record) {
	s.Helper()
	d, err := rec.Document()
	if err != nil {
		s.Fatalf("record of %s: %v", rec.Key, err)
	}
	want, err := knowledge.NewRecord(d)
	if err != nil {
		s.Fatalf("record of %s: %v", rec.Key, err)
	}
	if string(rec.JSON) != string(want.JSON) {
		s.Errorf("record of %s is not in canonical JSON (-canonical +got):\n%s", rec.Key,
			difference(string(want.JSON), string(rec.JSON)))
	}
	if rec.Updated.Location() != time.UTC {
		s.Errorf("record of %s was updated at %v, want the time in UTC", rec.Key, rec.Updated)
	}
	if rec.Source == "" {
		s.Errorf("record of %s does not say where it came from", rec.Key)
	}
	got := *rec // without its text, which was compared and is long
	want.Source, want.Pending, want.JSON, got.JSON = rec.Source, rec.Pending, nil, nil
	if !reflect.DeepEqual(want, &got) { // far cheaper than to look for a difference
		if diff := cmp.Diff(want, &got); diff != "" {
			s.Errorf("record of %s differs from its own JSON (-JSON +record):\n%s", rec.Key, diff)
		}
	}
	st := d.Stamps()
	if st.Version < 1 || st.CreatedAt.IsZero() || st.UpdatedAt.IsZero() || st.CreatedBy == "" || st.UpdatedBy == "" {
		s.Errorf("record of %s lacks a stamp: %+v", rec.Key, *st)
	}
	if st.UpdatedAt.Before(st.CreatedAt.Time) {
		s.Errorf("record of %s was updated (%v) before it was created (%v)", rec.Key, st.UpdatedAt, st.CreatedAt)
	}
}

// checkError checks that an error is one of those that a store may return.
func (s *suite) checkError(err error) {
	s.Helper()
	for _, allowed := range []error{
		store.ErrNotFound, store.ErrConflict, store.ErrReused, store.ErrUnavailable, store.ErrClosed, store.ErrGone,
		store.ErrUnauthenticated, store.ErrForbidden, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, allowed) {
			return
		}
	}
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		if len(invalid.Faults) == 0 {
			s.Error("an InvalidError names no fault")
		}
		return
	}
	s.Errorf("an error comes out that is none of the contract's: %T: %v", err, err)
}

// invalidAt checks that err is an InvalidError with a fault at each of the pointers; one that ends in "/" stands for
// anything below.
func (s *suite) invalidAt(err error, pointers ...string) {
	s.Helper()
	var invalid *knowledge.InvalidError
	if !errors.As(err, &invalid) {
		s.Fatalf("error is %T (%v), want an InvalidError at %s", err, err, strings.Join(pointers, ", "))
	}
	if invalid.Query {
		s.Errorf("%v says that a query is at fault, and it is a batch", err)
	}
	for _, p := range pointers {
		found := false
		for _, f := range invalid.Faults {
			found = found || f.Pointer == p || strings.HasSuffix(p, "/") && strings.HasPrefix(f.Pointer+"/", p)
		}
		if !found {
			s.Errorf("%v: no fault at %s", err, p)
		}
	}
}

// badQuery checks that err is an InvalidError about a parameter of a query.
func (s *suite) badQuery(what string, err error, pointer string) {
	s.Helper()
	var invalid *knowledge.InvalidError
	if !errors.As(err, &invalid) {
		s.Errorf("%s: error is %T (%v), want an InvalidError", what, err, err)
		return
	}
	if !invalid.Query {
		s.Errorf("%s: %v does not say that the query is at fault", what, err)
	}
	for _, f := range invalid.Faults {
		if f.Pointer == pointer {
			return
		}
	}
	s.Errorf("%s: %v has no fault at %s", what, err, pointer)
}

// missing checks that there is no such document.
func (s *suite) missing(k knowledge.Key) {
	s.Helper()
	rec, err := s.s.Get(s.ctx, k)
	if !errors.Is(err, store.ErrNotFound) || rec != nil {
		s.Errorf("Get(%s) = %v, %v; want nil and ErrNotFound", k, rec, err)
	}
}

// unchanged checks that a document is as a record says.
func (s *suite) unchanged(want *knowledge.Record) {
	s.Helper()
	got := s.get(want.Key)
	if got.Version != want.Version || string(got.JSON) != string(want.JSON) {
		s.Errorf("%s changed (-want +got):\n%s", want.Key, difference(string(want.JSON), string(got.JSON)))
	}
}

// same checks that a record holds a document, whatever its stamps.
func (s *suite) same(rec *knowledge.Record, want knowledge.Document) {
	s.Helper()
	got, err := rec.Document()
	if err != nil {
		s.Fatalf("record of %s: %v", rec.Key, err)
	}
	clone, err := knowledge.Clone(want)
	if err != nil {
		s.Fatalf("document %s: %v", want.Key(), err)
	}
	*clone.Stamps() = *got.Stamps()
	if v, ok := clone.(*knowledge.Violation); ok { // what the store fills in
		g := got.(*knowledge.Violation)
		if v.ReportedAt.IsZero() {
			v.ReportedAt = g.ReportedAt
		}
		if v.ReportedBy == "" {
			v.ReportedBy = g.ReportedBy
		}
	}
	a, b := canonical(s, clone), canonical(s, got)
	if a != b {
		s.Errorf("%s was stored otherwise than written (-written +stored):\n%s", rec.Key, difference(a, b))
	}
}

func canonical(s *suite, d knowledge.Document) string {
	s.Helper()
	b, err := knowledge.Canonical(d)
	if err != nil {
		s.Fatalf("document %s: %v", d.Key(), err)
	}
	return string(b)
}

// changes reads a part of the log that must be readable.
func (s *suite) changes(q knowledge.ChangeQuery) []knowledge.Change {
	s.Helper()
	list, err := s.s.Changes(s.ctx, q)
	if err != nil {
		s.Fatalf("Changes(%+v): %v", q, err)
	}
	return list
}

// log reads the whole log.
func (s *suite) log() []knowledge.Change {
	s.Helper()
	var all []knowledge.Change
	var after knowledge.Seq
	for {
		part := s.changes(knowledge.ChangeQuery{After: after})
		if len(part) == 0 {
			return all
		}
		all = append(all, part...)
		after = part[len(part)-1].Seq
	}
}

// tail returns the seq of the newest change.
func (s *suite) tail() knowledge.Seq {
	s.Helper()
	seq, err := store.Tail(s.ctx, s.s)
	if err != nil {
		s.Fatalf("Tail: %v", err)
	}
	return seq
}

// difference shows where two texts part, without what they share.
func difference(want, got string) string {
	i := 0
	for i < len(want) && i < len(got) && want[i] == got[i] {
		i++
	}
	part := func(s string) string { return fmt.Sprintf("%q", s[max(0, i-60):min(len(s), i+120)]) }
	return fmt.Sprintf("at byte %d:\n- %s\n+ %s", i, part(want), part(got))
}
