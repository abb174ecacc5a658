package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// source is the source of reports about findings.
const source = "tenet check"

// reports is the namespace of report ids: the same place always has the same report.
//
//nolint:gochecknoglobals // a constant
var reports = uuid.MustParse("6f2a1a0e-4d1b-5a70-9c39-0d2f6a1b7c11")

func idOf(parts ...string) string {
	return uuid.NewSHA1(reports, []byte(strings.Join(parts, "\x00"))).String()
}

// A Tally counts what was done with reports.
type Tally struct {
	Opened   int `json:"opened" doc:"Reports that are new, or open again"`
	Standing int `json:"standing" doc:"Reports that were open already"`
	Resolved int `json:"resolved" doc:"Reports whose place is mended"`
	Exempted int `json:"exempted" doc:"Findings that are exempt, and not reported"`
}

// Bounds of reporting.
const (
	reportOps   = 200   // of one batch
	reportsRead = 20000 // open reports of one repository
)

// An About says which files a run was about.
type About struct {
	Repository string
	Checked    []string               // the files that were looked at as a whole
	Gone       func(path string) bool // whether a file is no longer there; nil if that is unknown
}

// Report opens a report for each finding that counts, and resolves those of the checked files that are fixed, and those
// of files that are gone. The actor is their author.
func Report(ctx context.Context, s store.Store, actor string, about About, r *Result) (Tally, error) {
	var t Tally
	repository := about.Repository
	open, err := openReports(ctx, s, repository)
	if err != nil {
		return t, err
	}
	found := map[string]bool{}
	for mark := range r.stood { // they are not new, and not mended either
		if id := idOf(source, repository, mark); open[id] != nil {
			found[id] = true
			t.Standing++
		}
	}
	var ops []knowledge.Op
	for _, f := range append(r.carried(open, repository), r.Findings...) {
		id := idOf(source, repository, f.Fingerprint)
		if f.Exempt != nil {
			t.Exempted++
			continue
		}
		found[id] = true
		if open[id] != nil {
			t.Standing++
			continue
		}
		op, err := opening(ctx, s, &knowledge.Violation{
			ViolationID: id, RuleID: f.Rule, Source: source, Repository: repository, Path: f.Path, Line: int64(f.Line),
			Message:  f.Message,
			Severity: f.Severity, Status: knowledge.ViolationOpen, IsActive: true,
		})
		if err != nil {
			return t, err
		}
		if op == nil {
			t.Standing++
			continue
		}
		t.Opened++
		ops = append(ops, *op)
	}
	ended, err := about.ended(open, found, r)
	if err != nil {
		return t, err
	}
	if err := moveWaivers(ctx, s, actor, r, repository); err != nil {
		return t, err
	}
	t.Resolved, ops = len(ended), append(ops, ended...)
	for part := range slices.Chunk(ops, reportOps) {
		if _, err := s.Apply(ctx, knowledge.Batch{ID: knowledge.NewBatchID(), Actor: actor, Ops: part}); err != nil &&
			!errors.Is(err, store.ErrConflict) {
			return t, fmt.Errorf("report what was found: %w", err)
		}
	}
	return t, nil
}

// carried returns the findings that a moved file brought along and that are reported under its earlier name only.
func (r *Result) carried(open map[string]*knowledge.Record, repository string) []Finding {
	var out []Finding
	for i := range r.moved {
		f := &r.moved[i]
		if open[idOf(source, repository, f.was)] != nil && open[idOf(source, repository, f.Fingerprint)] == nil {
			out = append(out, f.Finding)
		}
	}
	return out
}

// ended returns the ops that resolve the open reports which were not found again and whose place is mended, or gone.
func (a *About) ended(open map[string]*knowledge.Record, found map[string]bool, r *Result) ([]knowledge.Op, error) {
	var ops []knowledge.Op
	checked := a.checked()
	for id, rec := range open {
		if found[id] || r.More {
			continue
		}
		over, err := a.over(rec, checked, r)
		if err != nil {
			return nil, err
		}
		if over {
			ops = append(ops, knowledge.Op{
				Verb: knowledge.VerbPatch, Key: rec.Key,
				Patch: []byte(`{"status":"resolved"}`), IfVersion: rec.Version,
			})
		}
	}
	return ops, nil
}

func (a *About) checked() map[string]bool {
	paths := make(map[string]bool, len(a.Checked))
	for _, path := range a.Checked {
		if clean, err := knowledge.CleanPath(path); err == nil { // as findings name it
			paths[clean] = true
		}
	}
	return paths
}

// over reports whether the place of a report that was not found again is mended, or gone.
func (a *About) over(rec *knowledge.Record, checked map[string]bool, r *Result) (bool, error) {
	d, err := rec.Document()
	v, ok := d.(*knowledge.Violation)
	if err != nil || !ok || v.Source != source {
		return false, err
	}
	return checked[v.Path] && !r.skipped(v.Path) || a.Gone != nil && a.Gone(v.Path), nil
}

// skipped reports whether a file was not looked at: that nothing was found there does not say that it is fixed.
func (r *Result) skipped(path string) bool {
	return slices.ContainsFunc(r.Skipped, func(s Skipped) bool { return s.Path == path })
}

func openReports(ctx context.Context, s store.Store, repository string) (map[string]*knowledge.Record, error) {
	open := map[string]*knowledge.Record{}
	q := knowledge.Query{
		Kind: knowledge.KindViolation, Repository: repository, Status: knowledge.ViolationOpen,
		Limit: knowledge.MaxLimit,
	}
	for {
		page, err := s.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, rec := range page.Records {
			open[rec.Key.ID] = rec
		}
		if q.Cursor = page.Next; page.Next == "" || len(open) >= reportsRead {
			return open, nil
		}
	}
}

// opening returns the op that opens a report; nil if one is open already, or was waived by a person.
func opening(ctx context.Context, s store.Store, v *knowledge.Violation) (*knowledge.Op, error) {
	v.Normalize()
	op := knowledge.Put(v, knowledge.NoVersion)
	rec, err := s.Get(ctx, v.Key())
	if errors.Is(err, store.ErrNotFound) {
		return &op, nil
	}
	if err != nil {
		return nil, err
	}
	d, err := rec.Document()
	if err != nil {
		return nil, err
	}
	if old, ok := d.(*knowledge.Violation); ok && old.IsActive && old.Status != knowledge.ViolationResolved {
		return nil, nil // it stands
	}
	op.IfVersion = rec.Version
	return &op, nil
}

// A One is a report made by hand, perhaps by an assistant.
type One struct {
	Rule, Repository, Path, Message, Severity, Source string
	Line                                              int64
}

// ReportOne opens a report of one place and returns its key; false if there is one already.
func ReportOne(ctx context.Context, s store.Store, actor string, o One) (knowledge.Key, bool, error) {
	rec, err := s.Get(ctx, knowledge.Key{Kind: knowledge.KindRule, ID: o.Rule})
	if err != nil {
		return knowledge.Key{}, false, err
	}
	d, err := rec.Document()
	if err != nil {
		return knowledge.Key{}, false, err
	}
	if r, ok := d.(*knowledge.Rule); ok && o.Severity == "" {
		o.Severity = r.Severity
	}
	v := &knowledge.Violation{
		ViolationID: idOf(o.Rule, o.Repository, o.Path, o.Message), RuleID: o.Rule, Source: o.Source,
		Repository: o.Repository, Path: o.Path,
		Line: o.Line, Message: o.Message, Severity: o.Severity, Status: knowledge.ViolationOpen, IsActive: true,
	}
	op, err := opening(ctx, s, v)
	if err != nil || op == nil {
		return v.Key(), false, err
	}
	_, err = s.Apply(ctx, knowledge.Batch{ID: knowledge.NewBatchID(), Actor: actor, Ops: []knowledge.Op{*op}})
	if errors.Is(err, store.ErrConflict) { // another caller has just reported it
		return v.Key(), false, nil
	}
	return v.Key(), err == nil, err
}

// A Place is where a rule is broken.
type Place struct {
	Rule, Source, Repository, Path, Message, Severity string
	Line                                              int64
}

// Document returns the report of a place, with an id.
func (p *Place) Document(id string) knowledge.Document {
	v := &knowledge.Violation{
		ViolationID: id, RuleID: p.Rule, Source: p.Source, Repository: p.Repository, Path: p.Path, Line: p.Line,
		Message:  p.Message,
		Severity: p.Severity, IsActive: true,
	}
	v.Normalize()
	return v
}

// moveWaivers brings the waivers of findings that a moved file brought along to its new name. A caller who may waive
// nothing moves none: what was waived is reported under the new name once all files are checked again.
func moveWaivers(ctx context.Context, s store.Store, actor string, r *Result, repository string) error {
	var ops []knowledge.Op
	for i := range r.moved {
		f := &r.moved[i]
		pair, err := moveWaiver(ctx, s, f, repository)
		if err != nil {
			return err
		}
		ops = append(ops, pair...)
	}
	for part := range slices.Chunk(ops, reportOps) {
		_, err := s.Apply(ctx, knowledge.Batch{ID: knowledge.NewBatchID(), Actor: actor, Ops: part})
		if _, proposed := errors.AsType[*store.ProposedError](err); err != nil && !proposed &&
			!errors.Is(err, store.ErrForbidden) && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("move the waivers of renamed files: %w", err)
		}
	}
	return nil
}

// moveWaiver returns the ops that waive a finding under the name that its file has now, and end the waiver of the name
// that it had; none where nothing was waived, or something is known of the new name.
func moveWaiver(ctx context.Context, s store.Store, f *moved, repository string) ([]knowledge.Op, error) {
	was, version, err := reported(ctx, s, idOf(source, repository, f.was))
	if err != nil || was == nil || was.Status != knowledge.ViolationWaived {
		return nil, err
	}
	before, at, err := reported(ctx, s, idOf(source, repository, f.Fingerprint))
	if err != nil || before != nil && before.Status != knowledge.ViolationResolved {
		return nil, err
	}
	waived := &knowledge.Violation{
		ViolationID: idOf(source, repository, f.Fingerprint), RuleID: f.Rule, Source: source, Repository: repository,
		Path: f.Path, Line: int64(f.Line), Message: f.Message, Severity: f.Severity, IsActive: true,
		Status: knowledge.ViolationWaived, WaiverReason: was.WaiverReason, WaiverExpiry: was.WaiverExpiry,
	}
	waived.Normalize()
	return []knowledge.Op{knowledge.Put(waived, at), {
		Verb: knowledge.VerbPatch, Key: was.Key(), Patch: []byte(`{"status":"resolved"}`), IfVersion: version,
	}}, nil
}

// reported returns a report and its version; nil where there is none.
func reported(ctx context.Context, s store.Store, id string) (*knowledge.Violation, int64, error) {
	rec, err := s.Get(ctx, (&knowledge.Violation{ViolationID: id}).Key())
	if errors.Is(err, store.ErrNotFound) {
		return nil, knowledge.NoVersion, nil
	}
	if err != nil {
		return nil, 0, err
	}
	d, err := rec.Document()
	if err != nil {
		return nil, 0, err
	}
	v, ok := d.(*knowledge.Violation)
	if !ok || !v.IsActive {
		return nil, rec.Version, nil
	}
	return v, rec.Version, nil
}
