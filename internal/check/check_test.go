package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
)

func ruleWith(id, enforcement string, scope knowledge.Scope, checks ...knowledge.Check) *knowledge.Rule {
	r := &knowledge.Rule{
		RuleID: id, Title: "Title of " + id, Description: "d", Severity: "ERROR", Enforcement: enforcement,
		Status: knowledge.StatusActive, IsActive: true,
		Checks: checks, Category: "security", Common: knowledge.Common{Scope: scope},
	}
	r.Normalize()
	return r
}

func places(r *Result) []string {
	list := []string{}
	for _, f := range r.Findings {
		exempt := ""
		if f.Exempt != nil {
			exempt = " exempt"
		}
		list = append(list, fmt.Sprintf("%s:%d:%d %s/%s%s", f.Path, f.Line, f.Column, f.Rule, f.Check, exempt))
	}
	return append(list, r.Decision)
}

func TestWhatIsFound(t *testing.T) {
	forbid := func(id, pattern string, globs ...string) knowledge.Check {
		return knowledge.Check{ID: id, Kind: knowledge.CheckForbid, Pattern: pattern, Globs: globs}
	}
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	goFiles := knowledge.Scope{Globs: []string{"**/*.go", "!**/*_test.go"}}
	for _, c := range []struct {
		name       string
		rules      []*knowledge.Rule
		exemptions []knowledge.Exemption
		file       File
		want       []string
	}{
		{
			"nothing",
			[]*knowledge.Rule{ruleWith("A", "mandatory", goFiles, forbid("x", "password"))},
			nil,
			File{Path: "a.go", Content: []byte("fine\n")},
			[]string{Allow},
		},
		{
			"a line each",
			[]*knowledge.Rule{ruleWith("A", "mandatory", goFiles, forbid("x", "pass(word)?"))},
			nil,
			File{Path: "d/a.go", Content: []byte("é pass pass\n\npassword")},
			[]string{"d/a.go:1:3 A/x", "d/a.go:3:1 A/x", Deny},
		},
		{
			"ends of lines",
			[]*knowledge.Rule{ruleWith("A", "optional", goFiles, forbid("x", "^b$"))},
			nil,
			File{Path: "a.go", Content: []byte("ab\nb\n")},
			[]string{"a.go:2:1 A/x", Warn},
		},
		{
			"excluded",
			[]*knowledge.Rule{ruleWith("A", "mandatory", goFiles, forbid("x", "b"))},
			nil,
			File{Path: "a_test.go", Content: []byte("b")},
			[]string{Allow},
		},
		{
			"globs of its own",
			[]*knowledge.Rule{ruleWith("A", "mandatory", goFiles, forbid("x", "b", "*.md"))},
			nil,
			File{Path: "a.md", Content: []byte("b")},
			[]string{"a.md:1:1 A/x", Deny},
		},
		{
			"by language",
			[]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{Languages: []string{"python"}},
				forbid("x", "b"))},
			nil,
			File{Path: "a.py", Content: []byte("b")},
			[]string{"a.py:1:1 A/x", Deny},
		},
		{
			"another language",
			[]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{Languages: []string{"python"}},
				forbid("x", "b"))},
			nil,
			File{Path: "a.go", Content: []byte("b")},
			[]string{Allow},
		},
		{
			"changed lines only",
			[]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{}, forbid("x", "b"))},
			nil,
			File{Path: "a", Content: []byte("b\nb\nb\n"), Lines: []int{2}},
			[]string{"a:2:1 A/x", Deny},
		},
		{
			"across lines",
			[]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{}, forbid("x", `a\nb\nc`))},
			nil,
			File{Path: "a", Content: []byte("a\nb\nc\n"), Lines: []int{2}},
			[]string{"a:1:1 A/x", Deny},
		},
		{
			"required",
			[]*knowledge.Rule{ruleWith("A", "recommended", goFiles,
				knowledge.Check{ID: "x", Kind: knowledge.CheckRequire, Pattern: "^// Copyright"})},
			nil,
			File{Path: "a.go", Content: []byte("package a\n"), Lines: []int{}},
			[]string{"a.go:0:0 A/x", Warn},
		},
		{
			"path",
			[]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{},
				knowledge.Check{ID: "x", Kind: knowledge.CheckPath, Pattern: `\.pem$`})},
			nil,
			File{Path: "keys/a.pem", Content: []byte{0}},
			[]string{"keys/a.pem:0:0 A/x", Deny},
		},
		{
			"binary",
			[]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{}, forbid("x", "b"))},
			nil,
			File{Path: "a", Content: []byte("b\x00\xff")},
			[]string{Allow},
		},
		{
			"a zero byte in a text",
			[]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{}, forbid("x", "b"))},
			nil,
			File{Path: "a", Content: []byte("b // \x00")},
			[]string{"a:1:1 A/x", Deny},
		},
		{
			"exempt",
			[]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{}, forbid("x", "b"))},
			[]knowledge.Exemption{{
				Rule: "A", Paths: []string{"old/**"}, Reason: "r",
				Until: knowledge.At(now.Add(time.Hour)),
			}},
			File{Path: "old/a", Content: []byte("b")},
			[]string{"old/a:1:1 A/x exempt", Allow},
		},
		{
			"an exemption that has ended",
			[]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{}, forbid("x", "b"))},
			[]knowledge.Exemption{{Rule: "A", Reason: "r", Until: knowledge.At(now)}},
			File{Path: "old/a", Content: []byte("b")},
			[]string{"old/a:1:1 A/x", Deny},
		},
		{
			"an exemption of elsewhere",
			[]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{}, forbid("x", "b"))},
			[]knowledge.Exemption{{
				Rule: "A", Paths: []string{"old/**"}, Reason: "r",
				Until: knowledge.At(now.Add(time.Hour)),
			}},
			File{Path: "new/a", Content: []byte("b")},
			[]string{"new/a:1:1 A/x", Deny},
		},
	} {
		if diff := cmp.Diff(c.want, places(NewSet(c.rules, c.exemptions, now).Run([]File{c.file}))); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestDraftsAndRetiredRulesFindNothing(t *testing.T) {
	draft := ruleWith("A", "mandatory", knowledge.Scope{}, knowledge.Check{
		ID: "x", Kind: knowledge.CheckForbid,
		Pattern: "b",
	})
	draft.Status = knowledge.StatusDraft
	gone := ruleWith("B", "mandatory", knowledge.Scope{}, knowledge.Check{
		ID: "x", Kind: knowledge.CheckForbid,
		Pattern: "b",
	})
	gone.IsActive = false
	if r := NewSet([]*knowledge.Rule{draft, gone}, nil,
		time.Now()).Run([]File{{Path: "a", Content: []byte("b")}}); len(r.Findings) > 0 || r.Rules > 0 {
		t.Errorf("found %v", places(r))
	}
}

// TestAFindingKeepsItsFingerprint moves a line, and adds another that reads alike.
func TestAFindingKeepsItsFingerprint(t *testing.T) {
	s := NewSet([]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{},
		knowledge.Check{ID: "x", Kind: knowledge.CheckForbid, Pattern: "bad"})}, nil, time.Now())
	prints := func(text string) []string {
		var list []string
		for _, f := range s.Run([]File{{Path: "a", Content: []byte(text)}}).Findings {
			list = append(list, f.Fingerprint)
		}
		return list
	}
	before, moved, twice := prints("bad()\n"), prints("\n\n  bad()\n"), prints("bad()\nbad()\n")
	if before[0] != moved[0] || twice[0] != before[0] || twice[1] == before[0] {
		t.Errorf("%v, moved %v, twice %v", before, moved, twice)
	}
}

func TestALargeFileOfMatchesIsBounded(t *testing.T) {
	s := NewSet([]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{},
		knowledge.Check{ID: "x", Kind: knowledge.CheckForbid, Pattern: "b"})}, nil, time.Now())
	text := []byte(strings.Repeat("b\n", 1<<20))
	r := s.Run([]File{
		{Path: "a", Content: text, Lines: []int{1 << 20}},
		{Path: "b", Content: text},
		{Path: "c", Content: make([]byte, MaxFile+1)},
	})
	if len(r.Findings) != 1+maxOfOne || len(r.Skipped) != 1 {
		t.Errorf("%d findings, skipped %v", len(r.Findings), r.Skipped)
	}
}

// TestNothingHidesWhatDenies fills an answer with what is recommended before anything mandatory is looked at.
func TestNothingHidesWhatDenies(t *testing.T) {
	checks := make([]knowledge.Check, 21)
	for i := range checks {
		checks[i] = knowledge.Check{ID: fmt.Sprint("x", i), Kind: knowledge.CheckForbid, Pattern: "b"}
	}
	s := NewSet([]*knowledge.Rule{
		ruleWith("A", "recommended", knowledge.Scope{}, checks...),
		ruleWith("Z", "mandatory", knowledge.Scope{}, knowledge.Check{
			ID: "x", Kind: knowledge.CheckForbid,
			Pattern: "bad",
		}),
	}, nil, time.Now())
	r := s.Run([]File{{Path: "a", Content: []byte(strings.Repeat("b\n", 60))}, {Path: "z", Content: []byte("bad\n")}})
	_, violated, _ := r.Outcomes()
	if r.Decision != Deny || !r.More || len(r.Findings) != MaxFindings || r.Findings[MaxFindings-1].Rule != "Z" ||
		fmt.Sprint(violated) != "[A Z]" {
		t.Errorf("%s, more %v, %d findings, violated %v", r.Decision, r.More, len(r.Findings), violated)
	}
}

// TestWhatWasThereHidesNothingNew adds a line that breaks a rule below as many as an answer shows of one check.
func TestWhatWasThereHidesNothingNew(t *testing.T) {
	s := NewSet([]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{},
		knowledge.Check{ID: "x", Kind: knowledge.CheckForbid, Pattern: "bad"})}, nil, time.Now())
	before := strings.Repeat("bad\n", 3*maxOfOne)
	r := s.RunSince([]File{{Path: "a", Content: []byte(before + "very bad\n")}},
		[]File{{Path: "a", Content: []byte(before)}})
	if want := []string{fmt.Sprintf("a:%d:6 A/x", 3*maxOfOne+1), Deny}; cmp.Diff(want, places(r)) != "" {
		t.Errorf("got %v, want %v", places(r), want)
	}
}

// TestWhatIsNotComparedIsTold has more places than are compared with what was there before, and something new behind
// them.
func TestWhatIsNotComparedIsTold(t *testing.T) {
	s := NewSet([]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{},
		knowledge.Check{ID: "x", Kind: knowledge.CheckForbid, Pattern: "bad"})}, nil, time.Now())
	before := strings.Repeat("bad\n", maxLooked)
	r := s.RunSince([]File{{Path: "a", Content: []byte(before + "very bad\n")}},
		[]File{{Path: "a", Content: []byte(before)}})
	if len(r.Skipped) != 1 || r.Skipped[0].Path != "a" || !strings.Contains(r.Skipped[0].Why, "rule/A") || !r.More {
		t.Errorf("the answer does not tell of the places that nobody looked at: %+v", r)
	}
	if v := s.RunSince([]File{{Path: "a", Content: []byte(before)}},
		[]File{{Path: "a", Content: []byte(before)}}); len(v.Skipped) > 0 || v.More {
		t.Errorf("all places were looked at, and the answer says otherwise: %+v", v)
	}
}

func TestACheckEndsWithItsContext(t *testing.T) {
	s := NewSet([]*knowledge.Rule{ruleWith("A", "mandatory", knowledge.Scope{},
		knowledge.Check{ID: "x", Kind: knowledge.CheckForbid, Pattern: "bad"})}, nil, time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := []File{{Path: "a", Content: []byte("bad\n")}}
	for _, q := range []*Question{{Files: f}, {Files: f, Before: []File{{Path: "a"}}}} {
		if r, err := s.Answer(ctx, q); !errors.Is(err, context.Canceled) || len(r.Findings) > 0 {
			t.Errorf("%v and %d findings, want %v before anything was looked at", err, len(r.Findings),
				context.Canceled)
		}
	}
}

// TestALongLineIsSearchedOnce has a pattern that looks through the rest of the file at each of its matches: as many
// looks as there are matches would take hours.
func TestALongLineIsSearchedOnce(t *testing.T) {
	rule := ruleWith("A", "mandatory", knowledge.Scope{}, knowledge.Check{
		ID: "x", Kind: knowledge.CheckForbid,
		Pattern: "a(?s:.*b)?",
	})
	r := NewSet([]*knowledge.Rule{rule}, nil,
		time.Now()).Run([]File{{Path: "a", Content: bytes.Repeat([]byte{'a'}, 1<<20)}})
	if want := []string{"a:1:1 A/x", Deny}; cmp.Diff(want, places(r)) != "" {
		t.Errorf("got %v, want %v", places(r), want)
	}
}

func TestReportsOpenAndResolve(t *testing.T) {
	s, err := sqlite.Open(t.Context(), t.TempDir()+"/t.db", sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rule := ruleWith("A", "mandatory", knowledge.Scope{}, knowledge.Check{
		ID: "x", Kind: knowledge.CheckForbid,
		Pattern: "bad",
	})
	category := &knowledge.Category{ID: "security", Name: "Security", IsActive: true}
	category.Normalize()
	if _, err := s.Apply(t.Context(), knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "me", Ops: []knowledge.Op{
		knowledge.Put(category, knowledge.NoVersion), knowledge.Put(rule, knowledge.NoVersion),
	}}); err != nil {
		t.Fatal(err)
	}
	set := NewSet([]*knowledge.Rule{rule}, nil, time.Now())
	for i, step := range []struct {
		files map[string]string
		want  Tally
	}{
		{map[string]string{"a": "bad one\nbad two\n", "b": "bad\n"}, Tally{Opened: 3}},
		{map[string]string{"a": "bad one\nbad two\n", "b": "bad\n"}, Tally{Standing: 3}},
		{map[string]string{"a": "bad two\n"}, Tally{Standing: 1, Resolved: 1}}, // b was not looked at
		{map[string]string{"a": "bad one\nbad two\n", "b": ""}, Tally{Opened: 1, Standing: 1, Resolved: 1}},
		{map[string]string{"gone": "bad\n"}, Tally{Opened: 1}},
		{map[string]string{"a": "bad one\n"}, Tally{Standing: 1, Resolved: 2}}, // the other is gone
	} {
		var files []File
		var names []string
		for name, text := range step.files {
			files, names = append(files, File{Path: name, Content: []byte(text)}), append(names, name)
		}
		gone := func(path string) bool { return path == "gone" && step.files[path] == "" }
		got, err := Report(t.Context(), s, "me", About{"repo", names, gone}, set.Run(files))
		if err != nil || got != step.want {
			t.Errorf("step %d: %+v, %v; want %+v", i, got, err, step.want)
		}
	}
	page, err := s.List(t.Context(), knowledge.Query{Kind: knowledge.KindViolation})
	if err != nil || len(page.Records) != 4 {
		t.Errorf("%d reports, want one for each place: %v", len(page.Records), err)
	}
}

// TestOutcomesTellWhatBecameOfEachRule has rules that are followed, broken, exempt, and not looked for at all.
func TestOutcomesTellWhatBecameOfEachRule(t *testing.T) {
	var rules []*knowledge.Rule
	for id, glob := range map[string]string{
		"KEPT": "**/*.go", "BROKEN": "**/*.go", "EXEMPT": "**/*.go",
		"ELSEWHERE": "**/*.py",
	} {
		r := &knowledge.Rule{RuleID: id, Status: knowledge.StatusActive, IsActive: true, Enforcement: "mandatory"}
		pattern := "x"
		if id == "KEPT" {
			pattern = "never"
		}
		r.Checks = []knowledge.Check{{ID: "c", Kind: knowledge.CheckForbid, Pattern: pattern, Globs: []string{glob}}}
		rules = append(rules, r)
	}
	now := time.Now()
	exempt := []knowledge.Exemption{{Rule: "EXEMPT", Reason: "r", Until: knowledge.At(now.Add(time.Hour))}}
	set := NewSet(rules, exempt, now)
	files := []File{{Path: "a.go", Content: []byte("x")}}
	run := set.Run(files)
	followed, violated, exempted := run.Outcomes()
	if got := fmt.Sprint(followed, violated, exempted); got != "[KEPT] [BROKEN] [EXEMPT]" {
		t.Errorf("got %s", got)
	}
	followed, violated, exempted = set.RunSince(files, files).Outcomes() // nothing is new
	if got := fmt.Sprint(followed, violated, exempted); got != "[BROKEN EXEMPT KEPT] [] []" {
		t.Errorf("without what was there before: %s", got)
	}
}
