package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// The examples of the OpenAPI document. A test sends each of them to a tenet that holds exampleStored of every kind.

const (
	exampleBatchID     = "018f4a3e-7c10-7a5e-9f0b-2f6d1c3b5a70"
	exampleViolationID = "01890a5d-ac96-774b-bcce-b302099a8057"
)

func exampleTime() knowledge.Time { return knowledge.At(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)) }

// exampleID is the id of the example document of a kind.
func exampleID(k knowledge.Kind) string { return exampleDocument(k).Key().ID }

// exampleDocument is a document of a kind as a writer may send it.
func exampleDocument(k knowledge.Kind) knowledge.Document {
	d := knowledge.New(k)
	switch d := d.(type) {
	case *knowledge.Rule:
		d.RuleID, d.Category = "SEC-001", "security"
		d.Title = "Use parameterized queries"
		d.Description = "Pass values to SQL as parameters. Never put them together with the text of the statement."
		d.Severity, d.Enforcement, d.Priority = knowledge.SeverityCritical, "mandatory", 90
		d.Examples = []knowledge.Example{{Language: "go", Code: `db.Query("select * from users where id = $1", id)`, Note: "The driver sends the value apart."}}
		d.AntiPatterns = []knowledge.Example{{Language: "go", Code: `db.Query("select * from users where id = " + id)`, Note: "Whoever chooses the id writes SQL."}}
		d.ViolationsConsequence = "The change is not merged."
		d.Tags = []string{"sql", "injection"}
		d.Scope = knowledge.Scope{Activation: "glob", Globs: []string{"**/*.go"}, Languages: []string{"go"}}
	case *knowledge.Practice:
		d.PracticeID, d.Category = "small-pull-requests", "security"
		d.Title = "Keep pull requests small"
		d.Description = "A change of 200 lines gets read; one of 2,000 gets approved."
		d.Benefits = []string{"Faults are found while they are cheap.", "Reviews take minutes."}
		d.ImplementationGuide = "Split by layer or by behaviour; merge behind a flag what is not ready to be seen."
		score := 0.85
		d.EffectivenessScore = &score
		d.References = []knowledge.Reference{{Title: "The art of the small change", URL: "https://example.org/small-changes"}}
		d.Tags = []string{"review"}
	case *knowledge.Template:
		d.TemplateID, d.Category = "incident-report", "security"
		d.Name = "Incident report"
		d.Description = "What to write down after an incident."
		d.TemplateContent = "# {{title}}\n\nImpact: {{impact}}\n{{#followed_up}}Followed up.{{/followed_up}}\n"
		d.Variables = []knowledge.Variable{
			{Name: "title", Title: "Title", Type: knowledge.TypeText, Required: true, Description: "One line"},
			{Name: "impact", Title: "Impact", Type: knowledge.TypeSelect, Options: []string{"none", "some", "all"}, Default: "none"},
			{Name: "followed_up", Title: "Followed up?", Type: knowledge.TypeBoolean},
		}
		d.Tags = []string{"operations"}
	case *knowledge.Category:
		d.ID, d.Name, d.Description = "security", "Security", "What keeps strangers out."
	case *knowledge.Violation:
		d.ViolationID, d.RuleID = exampleViolationID, "SEC-001"
		d.Source, d.Repository, d.Path, d.Line = "golangci-lint", "payments-api", "internal/auth/login.go", 42
		d.Message = "SQL is put together from text."
		d.Severity = knowledge.SeverityError
	case *knowledge.Principal:
		d.PrincipalID, d.Name, d.Role = "ci-payments", "CI of the payments team", knowledge.RoleContributor
		d.TokenHash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
		d.TokenPrefix = "tenet_4fK2"
	}
	d.Normalize()
	return d
}

// exampleStored is the example document of a kind as tenet answers with it.
func exampleStored(k knowledge.Kind) knowledge.Document {
	d := exampleDocument(k)
	knowledge.StampNext(d, nil, 0, "anna", exampleTime())
	return d
}

// sent returns a document as a writer sends it: without what the store keeps.
func sent(d knowledge.Document) map[string]any {
	m, _ := plain(d).(map[string]any)
	for _, name := range []string{"created_by", "created_at", "updated_by", "updated_at", "version"} {
		delete(m, name)
	}
	return m
}

// least returns the fields that a writer must give.
func least(d knowledge.Document) map[string]any {
	all, m := sent(d), map[string]any{}
	for _, name := range written()[d.Key().Kind] {
		m[name] = all[name]
	}
	return m
}

// another returns the example document of a kind under an id that is free: n, from 2 to 9, tells several apart.
func another(k knowledge.Kind, n int) knowledge.Document {
	d := exampleDocument(k)
	id := d.Key().ID
	switch k {
	case knowledge.KindRule, knowledge.KindViolation:
		id = id[:len(id)-1] + strconv.Itoa(n)
	case knowledge.KindPractice, knowledge.KindTemplate, knowledge.KindCategory, knowledge.KindPrincipal:
		id += "-" + strconv.Itoa(n)
	}
	setID(d, id)
	return d
}

func exampleCreates(k knowledge.Kind) []sample {
	return []sample{
		{"least", "Only what is needed", least(another(k, 2))},
		{"whole", "Everything", sent(another(k, 3))},
	}
}

func examplePuts(k knowledge.Kind) []sample {
	return []sample{
		{"whole", "Everything", sent(exampleDocument(k))},
		{"least", "Only what is needed: the rest gets its defaults", least(exampleDocument(k))},
	}
}

func examplePatches(k knowledge.Kind) []sample {
	switch k {
	case knowledge.KindRule:
		return []sample{
			{"title", "Another title", map[string]any{"title": "Never build SQL from text"}},
			{"reset", "A field back to its default", map[string]any{"priority": nil, "tags": []string{"sql"}}},
		}
	case knowledge.KindPractice:
		return []sample{{"required", "Expected of everybody from now on", map[string]any{"is_required": true, "adoption_rate": 0.4}}}
	case knowledge.KindTemplate, knowledge.KindCategory:
		return []sample{{"description", "Another description", map[string]any{"description": "What to write down when it is over."}}}
	case knowledge.KindViolation:
		return []sample{
			{"resolve", "It is mended", map[string]any{"status": "resolved"}},
			{"waive", "It may stay", map[string]any{"status": "waived", "waiver_reason": "The table holds nothing that is secret."}},
		}
	case knowledge.KindPrincipal:
	}
	return []sample{{"disable", "Its token opens nothing any more", map[string]any{"disabled": true}}}
}

// exampleCursor is a cursor that fits a list without filters.
func exampleCursor(k knowledge.Kind) string {
	r, err := knowledge.NewRecord(exampleStored(k))
	if err != nil {
		panic(err) // examples are constants
	}
	q, _, err := knowledge.Query{Kind: k}.Check()
	if err != nil {
		panic(err)
	}
	return q.NextCursor(r, "")
}

func examplePage(k knowledge.Kind) any {
	return map[string]any{"items": []any{exampleStored(k)}}
}

func exampleHits() any {
	d := exampleStored(knowledge.KindRule)
	return hits{Hits: []hit{{
		Kind: knowledge.KindRule, ID: d.Key().ID, Score: 4.216667, Snippet: "Pass values to SQL as parameters.",
		Marks: [][]int{{22, 32}}, Document: d,
	}}}
}

func exampleChange(k knowledge.Kind) change {
	d := exampleStored(k)
	return change{
		Seq: 42, Batch: uuid.MustParse(exampleBatchID), Verb: knowledge.VerbPut, Kind: k, ID: d.Key().ID, Version: 1, Actor: "anna",
		At: exampleTime(), Document: d,
		Hash:  strings.Repeat("5d1f8a2c", 8),
		Chain: strings.Repeat("c07be94d", 8),
	}
}

func exampleChangePage() any {
	return changePage{Changes: []change{exampleChange(knowledge.KindCategory)}, NextAfter: 42}
}

func exampleHistory(k knowledge.Kind) any { return historyPage{Changes: []change{exampleChange(k)}} }

func exampleDifference(k knowledge.Kind) any {
	field, before, after := "title", "Parameterized queries", "Use parameterized queries"
	switch k {
	case knowledge.KindCategory, knowledge.KindTemplate, knowledge.KindPrincipal:
		field = "name"
	case knowledge.KindViolation:
		field = "message"
	case knowledge.KindRule, knowledge.KindPractice:
	}
	return difference{
		From: 1, To: 2, Patch: map[string]any{field: after},
		Changes: []differentField{{Pointer: "/" + field, From: before, To: after}},
	}
}

func exampleBatches() []sample {
	raw := func(v any) json.RawMessage {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // examples are constants
		}
		return b
	}
	ops := []batchOp{
		{Verb: knowledge.VerbPut, Kind: knowledge.KindCategory, Document: raw(least(another(knowledge.KindCategory, 4)))},
		{
			Verb: knowledge.VerbPatch, Kind: knowledge.KindRule, ID: "SEC-001", IfVersion: 1,
			Patch: raw(map[string]any{"priority": 95}),
		},
	}
	return []sample{
		{"atomic", "Both or neither", batchRequest{Mode: modeAtomic, Ops: ops}},
		{"best_effort", "Each for itself", batchRequest{Mode: modeBestEffort, Ops: append(ops, batchOp{
			Verb: knowledge.VerbRetire, Kind: knowledge.KindPractice, ID: "there-is-none",
		})}},
	}
}

func exampleBatchAnswer() any {
	return batchAnswer{
		ID: uuid.MustParse(exampleBatchID), State: knowledge.BatchApplied, Seq: 43,
		Results: []batchResult{exampleResult()},
	}
}

func exampleQueuedBatch() any {
	return batchAnswer{ID: uuid.MustParse(exampleBatchID), State: knowledge.BatchQueued, Results: []batchResult{exampleResult()}}
}

func exampleResult() batchResult {
	r, err := knowledge.NewRecord(exampleStored(knowledge.KindCategory))
	if err != nil {
		panic(err) // examples are constants
	}
	return batchResult{Kind: r.Key.Kind, ID: r.Key.ID, Verb: knowledge.VerbPut, Version: r.Version, Document: r.JSON}
}

func exampleBatchStatus() any {
	return knowledge.BatchStatus{ID: uuid.MustParse(exampleBatchID), State: knowledge.BatchApplied, Seq: 43}
}

// exampleConflict is a conflict about the example rule: both sides gave it another title.
func exampleConflict() conflict {
	side := func(title, by string, version int64) json.RawMessage {
		d := exampleDocument(knowledge.KindRule)
		d.(*knowledge.Rule).Title = title
		knowledge.StampNext(d, nil, 0, by, exampleTime())
		d.Stamps().Version = version
		r, err := knowledge.NewRecord(d)
		if err != nil {
			panic(err) // examples are constants
		}
		return r.JSON
	}
	return conflict{
		ID: uuid.MustParse(exampleBatchID), Actor: "anna", Kind: knowledge.KindRule, DocumentID: "SEC-001", Verb: knowledge.VerbPut, Ops: 1,
		Why: "rule/SEC-001 is at version 2, and was written on top of version 1", Found: 2,
		Base: side("Use parameterized queries", "anna", 1), Theirs: side("Never build SQL from text", "ben", 2),
		Ours: side("Pass values as parameters", "anna", 2), QueuedAt: exampleTime(), ParkedAt: exampleTime(),
	}
}

func exampleConflicts() any { return conflictList{Conflicts: []conflict{exampleConflict()}} }

func exampleResolves() []sample {
	merged := least(exampleDocument(knowledge.KindRule))
	merged["title"] = "Never build SQL from text: pass values as parameters"
	encoded, err := json.Marshal(merged)
	if err != nil {
		panic(err) // examples are constants
	}
	return []sample{
		{"ours", "What was journalled is written over it", resolveRequest{Resolution: resolveOurs}},
		{"theirs", "What is at the primary stays", resolveRequest{Resolution: resolveTheirs}},
		{"merged", "A document made of both is written", resolveRequest{Resolution: resolveMerged, Document: encoded}},
	}
}

// exampleResolved is the answer to the first of exampleResolves.
func exampleResolved() any { return exampleDecision(knowledge.BatchApplied, 44) }

func exampleResolvedLater() any { return exampleDecision(knowledge.BatchQueued, 0) }

func exampleDecision(state string, seq knowledge.Seq) resolveAnswer {
	c, at, as := exampleConflict(), exampleTime(), uuid.MustParse("7c9e6679-7425-5de4-944b-e07fc1f90ae7")
	c.Resolution, c.ResolvedBy, c.ResolvedAt, c.ResolvedAs = resolveOurs, "carla", &at, &as
	return resolveAnswer{Conflict: c, State: state, Seq: seq, Results: []batchResult{{
		Kind: c.Kind, ID: c.DocumentID, Verb: knowledge.VerbPut, Version: 3, Document: c.Ours,
	}}}
}

func exampleRenders() []sample {
	return []sample{
		{"values", "Some values", renderRequest{Values: map[string]any{"title": "The mail server is down", "impact": "all", "followed_up": true}}},
		{"least", "Only what is needed", renderRequest{Values: map[string]any{"title": "The mail server is down"}}},
	}
}

func exampleRendered() any {
	return renderAnswer{Text: "# The mail server is down\n\nImpact: all\nFollowed up.\n", Version: 1}
}

func exampleStatus() any {
	return statusAnswer{Version: "1.4.0", Mode: knowledge.ModeNormal, AsOf: exampleTime(), Ready: true, Reasons: []string{}}
}

func exampleCaller() any {
	return callerAnswer{ID: "ci-payments", Name: "CI of the payments team", Role: knowledge.RoleContributor}
}

// exampleErrors is an error for every status of problems.
func exampleErrors() map[int]error {
	key := knowledge.Key{Kind: knowledge.KindRule, ID: "SEC-001"}
	conflict := &store.ConflictError{Key: key, Want: 3, Got: 4}
	return map[int]error{
		http.StatusBadRequest:            knowledge.BadQuery("limit", "0: want 1 to 200"),
		http.StatusUnauthorized:          store.ErrUnauthenticated,
		http.StatusForbidden:             &store.ForbiddenError{Reason: "publishing a rule needs the role maintainer"},
		http.StatusNotFound:              &store.NotFoundError{Key: key},
		http.StatusNotAcceptable:         refuse(errNotAcceptable, "this path answers with application/json"),
		http.StatusConflict:              &store.ConflictError{Key: key, Want: knowledge.NoVersion, Got: 4},
		http.StatusGone:                  &store.GoneError{Oldest: 1000},
		http.StatusPreconditionFailed:    stale(conflict, true),
		http.StatusRequestEntityTooLarge: refuse(errTooLarge, "the body has 5000000 bytes: at most 4194304 fit"),
		http.StatusRequestURITooLong:     refuse(errURLTooLong, "the URL has 9000 bytes: at most 8192 fit"),
		http.StatusUnsupportedMediaType:  refuse(errMediaType, "Content-Type \"text/plain\": want application/json"),
		http.StatusUnprocessableEntity:   knowledge.Invalid("/title", "missing: want one line of text"),
		http.StatusInternalServerError:   fmt.Errorf("boom"),
		http.StatusServiceUnavailable:    &store.UnavailableError{Reason: "the primary can't be reached", RetryAfter: 5 * time.Second, NotDone: true},
		http.StatusGatewayTimeout:        context.DeadlineExceeded,
	}
}
