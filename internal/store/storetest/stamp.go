package storetest

import (
	"time"

	"tenet/internal/knowledge"
)

func timesAreMicroseconds(s *suite) {
	rule := Rule()
	s.put(rule)
	zone := time.FixedZone("far", 5*3600+45*60)
	instants := []time.Time{
		time.Date(2026, 3, 29, 2, 30, 0, 123_456_789, zone),
		time.Date(1970, 1, 1, 0, 0, 0, 1_000, time.UTC),
		time.Date(1999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
	}
	for _, at := range instants {
		v := Violation(rule.RuleID, func(v *knowledge.Violation) {
			v.ReportedAt, v.WaiverExpiry = knowledge.At(at), knowledge.At(at)
			v.Status, v.WaiverReason = knowledge.ViolationWaived, "known"
		})
		s.put(v)
		p := Principal(func(p *knowledge.Principal) { p.Expiry = knowledge.At(at) })
		s.put(p)
		gotV := s.violation(v.Key())
		gotP := s.document(p.Key()).(*knowledge.Principal)
		want := at.UTC().Truncate(time.Microsecond)
		for name, got := range map[string]knowledge.Time{
			"reported_at": gotV.ReportedAt, "waiver_expiry": gotV.WaiverExpiry, "expiry": gotP.Expiry,
		} {
			if name == "reported_at" && s.o.Stamps {
				continue
			}
			if !got.Equal(want) || got.Location() != time.UTC {
				s.Errorf("%s: wrote %v, read %v, want %v", name, at, got, want)
			}
		}
	}
	rec := s.put(Rule())
	d := s.document(rec.Key)
	for name, at := range map[string]knowledge.Time{
		"created_at": d.Stamps().CreatedAt, "updated_at": d.Stamps().UpdatedAt, "the record's time": rec.Updated,
	} {
		if at.Nanosecond()%1000 != 0 || at.Location() != time.UTC {
			s.Errorf("%s is %v, want UTC at microseconds", name, at)
		}
	}
}

func (s *suite) document(k knowledge.Key) knowledge.Document {
	s.Helper()
	d, err := s.get(k).Document()
	if err != nil {
		s.Fatal(err)
	}
	return d
}

func (s *suite) violation(k knowledge.Key) *knowledge.Violation {
	s.Helper()
	v, ok := s.document(k).(*knowledge.Violation)
	if !ok {
		s.Fatalf("%s is no violation", k)
	}
	return v
}

func claimedStampsAreIgnored(s *suite) {
	lie := knowledge.Stamp{
		CreatedBy: "mallory", UpdatedBy: "mallory", Version: 99,
		CreatedAt: knowledge.At(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)),
		UpdatedAt: knowledge.At(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)),
	}
	r := Rule(func(r *knowledge.Rule) { r.Stamp = lie })
	first := s.put(r)
	r.Stamp = lie
	r.Title = "Another title"
	second := s.put(r)
	for want, rec := range map[int64]*knowledge.Record{1: first, 2: second} {
		d, err := rec.Document()
		if err != nil {
			s.Fatal(err)
		}
		st := d.Stamps()
		if st.Version != want || st.CreatedBy == "mallory" || st.UpdatedBy == "mallory" ||
			st.CreatedAt.Year() == 2001 || st.UpdatedAt.Year() == 2001 {
			s.Errorf("version %d carries what the writer claimed: %+v", want, *st)
		}
	}
	a, _ := first.Document()
	b, _ := second.Document()
	if !a.Stamps().CreatedAt.Equal(b.Stamps().CreatedAt.Time) || a.Stamps().CreatedBy != b.Stamps().CreatedBy {
		s.Errorf("the second version was created at %v by %s, the first at %v by %s", b.Stamps().CreatedAt,
			b.Stamps().CreatedBy,
			a.Stamps().CreatedAt, a.Stamps().CreatedBy)
	}
}

func violationDefaults(s *suite) {
	rule := Rule()
	s.put(rule)
	v := Violation(rule.RuleID)
	s.put(v)
	got := s.violation(v.Key())
	if got.ReportedAt.IsZero() || !got.ReportedAt.Equal(got.CreatedAt.Time) || got.ReportedBy != got.CreatedBy {
		s.Errorf("reported at %v by %q, want when (%v) and by whom (%q) it was created", got.ReportedAt,
			got.ReportedBy, got.CreatedAt, got.CreatedBy)
	}
	resolve := knowledge.Op{Verb: knowledge.VerbPatch, Key: v.Key(), Patch: []byte(`{"status":"resolved"}`)}
	s.apply(resolve)
	got = s.violation(v.Key())
	if got.ResolvedAt.IsZero() || got.ResolvedBy != got.UpdatedBy {
		s.Errorf("resolved at %v by %q, want a time and %q", got.ResolvedAt, got.ResolvedBy, got.UpdatedBy)
	}
	s.apply(knowledge.Op{Verb: knowledge.VerbPatch, Key: v.Key(), Patch: []byte(`{"status":"open"}`)})
	got = s.violation(v.Key())
	if !got.ResolvedAt.IsZero() || got.ResolvedBy != "" {
		s.Errorf("open again, and still resolved at %v by %q", got.ResolvedAt, got.ResolvedBy)
	}
	named := Violation(rule.RuleID, func(v *knowledge.Violation) {
		v.ReportedBy, v.ReportedAt = "nightly-scan", knowledge.At(time.Date(2025, 5, 1, 4, 0, 0, 0, time.UTC))
	})
	s.put(named)
	got = s.violation(named.Key())
	if !s.o.Stamps && (got.ReportedBy != "nightly-scan" || got.ReportedAt.Year() != 2025) {
		s.Errorf("reported at %v by %q, want what the writer said", got.ReportedAt, got.ReportedBy)
	}
}
