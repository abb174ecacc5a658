package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// The examples of the OpenAPI document. A test sends each of them to a tenet that holds exampleStored of every kind.

const exampleBatchID = "018f4a3e-7c10-7a5e-9f0b-2f6d1c3b5a70"

func exampleTime() knowledge.Time { return knowledge.At(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)) }

// exampleID is the id of the example document of a kind.
func exampleID(k knowledge.Kind) string { return exampleDocument(k).Key().ID }

// exampleDocument is a document of a kind as a writer may send it.
func exampleDocument(k knowledge.Kind) knowledge.Document {
	d := knowledge.Describe(k).Example()
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
	for _, f := range reflect.VisibleFields(reflect.TypeOf(d).Elem()) {
		if f.Tag.Get("readOnly") == "true" {
			delete(m, f.Tag.Get("json"))
		}
	}
	return m
}

// least returns the fields that a writer must give.
func least(d knowledge.Document) map[string]any {
	all, m := sent(d), map[string]any{}
	for _, name := range knowledge.Describe(d.Key().Kind).Needed {
		m[name] = all[name]
	}
	return m
}

// another returns the example document of a kind under an id that is free: n, from 2 to 9, tells several apart.
func another(k knowledge.Kind, n int) knowledge.Document {
	d := exampleDocument(k)
	id := d.Key().ID
	if c := id[len(id)-1]; c >= '0' && c <= '9' {
		id = id[:len(id)-1] + strconv.Itoa(n)
	} else {
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
	var list []sample
	for _, s := range knowledge.Describe(k).Patches {
		list = append(list, sample{s.Name, s.Summary, s.Patch})
	}
	return list
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
	return hits{
		Hits: []hit{{
			Kind: knowledge.KindRule, ID: d.Key().ID, Score: 14.2167, Title: d.Text().Title, Category: d.CategoryID(), Severity: knowledge.SeverityCritical,
			Version: 1, Updated: exampleTime(), Snippet: "Pass values to SQL as parameters.", Marks: [][]int{{22, 32}}, Missing: []string{},
		}}, Total: 1, Matched: knowledge.MatchedAll, Required: []string{"parameterized", "queries"}, LeftOut: []knowledge.LeftOut{},
		SearchedFor: []knowledge.Correction{}, Suggestions: []string{}, UnknownFields: []string{},
	}
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
	return changePage{Changes: []change{exampleChange(knowledge.KindCategory)}, NextAfter: 42, Position: "42-60303ae22b998861"}
}

func exampleHistory(k knowledge.Kind) any { return historyPage{Changes: []change{exampleChange(k)}} }

func exampleDifference(k knowledge.Kind) any {
	changed := knowledge.Describe(k).Changed
	field, before, after := changed[0], changed[1], changed[2]
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
		Ours: side("Pass values as parameters", "anna", 2), Seen: exampleSeen, QueuedAt: exampleTime(), ParkedAt: exampleTime(),
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
		{"ours", "What was journalled is written over it", resolveRequest{Resolution: resolveOurs, Seen: exampleSeen}},
		{"theirs", "What is at the primary stays", resolveRequest{Resolution: resolveTheirs}},
		{"merged", "A document made of both is written", resolveRequest{Resolution: resolveMerged, Seen: exampleSeen, Document: encoded}},
	}
}

// exampleSeen names what stands of the documents of the example.
const exampleSeen = "8f1c5a90d2b7e364"

func exampleResolveMany() []sample {
	return []sample{{"ours", "What was journalled is written over what is there", resolveManyRequest{
		Resolution: resolveOurs, Conflicts: []seenConflict{{ID: exampleBatchID, Seen: exampleSeen}},
	}}}
}

func exampleResolvedMany() any {
	return resolveManyAnswer{Decided: []decidedConflict{{ID: uuid.MustParse(exampleBatchID), State: knowledge.BatchApplied, Seq: 44}}}
}

// exampleResolved is the answer to the first of exampleResolves.
func exampleResolved() any { return exampleDecision(knowledge.BatchApplied, 44) }

func exampleResolvedLater() any { return exampleDecision(knowledge.BatchQueued, 0) }

func exampleDecision(state string, seq knowledge.Seq) resolveAnswer {
	c, at, as := exampleConflict(), exampleTime(), uuid.MustParse("7c9e6679-7425-5de4-944b-e07fc1f90ae7")
	c.Seen = ""
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
		http.StatusPreconditionFailed:    precondition(conflict),
		http.StatusRequestEntityTooLarge: refuse(errTooLarge, "the body has 5000000 bytes: at most 4194304 fit"),
		http.StatusRequestURITooLong:     refuse(errURLTooLong, "the URL has 9000 bytes: at most 8192 fit"),
		http.StatusUnsupportedMediaType:  refuse(errMediaType, "Content-Type \"text/plain\": want application/json"),
		http.StatusUnprocessableEntity:   knowledge.Invalid("/title", "missing: want one line of text"),
		http.StatusTooManyRequests:       enough("requests at a time", 256),
		http.StatusRequestTimeout:        refuse(errSlow, "fewer than 16384 bytes of the body came in 10s: send it again, faster"),
		http.StatusInternalServerError:   fmt.Errorf("boom"),
		http.StatusServiceUnavailable:    &store.UnavailableError{Reason: "the primary can't be reached", RetryAfter: 5 * time.Second, NotDone: true},
		http.StatusGatewayTimeout:        context.DeadlineExceeded,
	}
}

func exampleGuidances() []sample {
	tokens := 4000
	none := 0
	return []sample{
		{"task", "For a task in a file", guidanceRequest{
			Paths: []string{"cmd/pay/main.go"}, Task: "add a refund endpoint", Budget: &guidanceBudget{Tokens: &tokens, Family: "claude"},
			Known: []guidanceKnown{{Key: "rule/SEC-001", Version: 1}},
		}},
		{"explain", "Everything that holds or could, without texts", guidanceRequest{
			Paths: []string{"cmd/pay/main.go"}, Budget: &guidanceBudget{Tokens: &none},
		}},
	}
}

func exampleGuidance() any {
	return guidance.Answer{
		Seq: 42, AsOf: exampleTime(), ETag: `"3f786850e387550fdab836ed"`,
		Items: []guidance.Item{{
			Kind: knowledge.KindRule, ID: "SEC-001", Key: "rule/SEC-001", Version: 1, Title: "Use parameterized queries", Severity: "CRITICAL",
			Enforcement: "mandatory", Form: guidance.FormBrief, Tokens: 40,
			Because: []guidance.Reason{{By: guidance.ByGlob, Glob: "**/*.go", Path: "cmd/pay/main.go"}},
			Text:    "### Use parameterized queries\nrule/SEC-001, CRITICAL, mandatory\n\nPass values to SQL as parameters.\n",
		}},
		LeftOut: guidance.Omissions{Total: 2, Counts: map[string]int{guidance.LeftModel: 2}, First: []guidance.Omission{{
			Kind: knowledge.KindPractice, ID: "small-pull-requests", Title: "Keep pull requests small", Reason: guidance.LeftModel, Tokens: 230,
		}}},
		Budget: guidance.Spent{Tokens: 4000, Reserve: 480, Used: 40, Family: "openai", Estimate: true},
		Notes:  []string{},
	}
}
