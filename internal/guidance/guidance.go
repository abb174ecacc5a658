// Package guidance tells which documents hold for a path, a language or a task, in what order, and why.
//
// An [Index] keeps an entry for every document in memory. It reads all documents once and then follows the feed. Each
// query is answered from one snapshot of the index: which documents hold, and in which form they fit the budget, is a
// pure function of the snapshot, the query and the hits of a search. Only the texts of the chosen documents are read
// from the store.
package guidance

import (
	"fmt"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// Limits of a query and an answer.
const (
	MaxPaths      = 200
	MaxLanguages  = 50
	MaxKnown      = 1000
	MaxTask       = 16 << 10 // bytes
	MaxTokens     = 500_000
	DefaultTokens = 8000
	// MaxItems is the largest number of documents in an answer. Nobody can read more than that.
	MaxItems = 1000
	// firstLeft is how many omitted documents an answer names, unless the query asks for an explanation.
	firstLeft = 20
)

// A Query asks which documents hold.
type Query struct {
	Paths      []string // of files, from the repository's root
	Languages  []string // in addition to those that follow from the paths
	Task       string   // a description of the task, in words
	Repository string
	Packs      []string
	Target     string // the assistant or tool that asks; "" for all
	Label      string
	Budget     Budget
	Known      []Known
	// Without leaves out the documents of some categories, with commas between.
	Without string
	// Confidential are the categories whose documents the answer's notes call confidential, with commas between.
	Confidential string
}

// A Budget says how many tokens the answer may take.
type Budget struct {
	Tokens  int    // DefaultTokens when 0
	Family  string // of models, since they count tokens differently; openai when empty
	Explain bool   // return no texts, but every document that holds or could hold, with the reason
}

// A Known is a document that the caller has already.
type Known struct {
	Key     knowledge.Key
	Version int64
}

// Check returns the query with its defaults filled in and its paths cleaned, or a [*knowledge.InvalidError] that names
// every fault.
func (q Query) Check() (Query, error) {
	var f []knowledge.Fault
	add := func(pointer, format string, args ...any) {
		f = append(f, knowledge.Fault{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
	}
	if len(q.Paths) > MaxPaths {
		add("/paths", "%d paths: at most %d", len(q.Paths), MaxPaths)
		q.Paths = nil
	}
	paths := make([]string, 0, len(q.Paths))
	for i, p := range q.Paths {
		clean, err := knowledge.CleanPath(p)
		if err != nil {
			add(fmt.Sprintf("/paths/%d", i), "%s", err)
		} else if !slices.Contains(paths, clean) {
			paths = append(paths, clean)
		}
	}
	q.Paths = paths
	if len(q.Languages) > MaxLanguages {
		add("/languages", "%d languages: at most %d", len(q.Languages), MaxLanguages)
		q.Languages = nil
	}
	languages := make([]string, 0, len(q.Languages))
	for i, l := range q.Languages {
		if l = strings.ToLower(strings.TrimSpace(l)); l == "" {
			add(fmt.Sprintf("/languages/%d", i), "empty: want a language, as in go")
		}
		languages = append(languages, l)
	}
	q.Languages = languages
	if len(q.Task) > MaxTask {
		add("/task", "%d bytes: at most %d", len(q.Task), MaxTask)
	} else if strings.Contains(q.Task, "\x00") {
		add("/task", "holds a zero byte: want text")
	}
	if len(q.Known) > MaxKnown {
		add("/known", "%d documents: at most %d", len(q.Known), MaxKnown)
	}
	q.checkNames(add)
	if len(f) > 0 {
		return q, &knowledge.InvalidError{Faults: f}
	}
	return q, nil
}

func (q *Query) checkNames(add func(pointer, format string, args ...any)) {
	for pointer, name := range map[string]string{"/repository": q.Repository, "/target": q.Target, "/label": q.Label} {
		if len(name) > knowledge.MaxTitle {
			add(pointer, "%d bytes: at most %d", len(name), knowledge.MaxTitle)
		}
	}
	if q.Budget.Tokens < 0 || q.Budget.Tokens > MaxTokens {
		add("/budget/tokens", "%d: want 0 to %d", q.Budget.Tokens, MaxTokens)
	}
	if q.Budget.Tokens == 0 {
		q.Budget.Tokens = DefaultTokens
	}
	if q.Budget.Family == "" {
		q.Budget.Family = families()[0].Name
	}
	if _, ok := family(q.Budget.Family); !ok {
		add("/budget/family", "%q: want one of %s", q.Budget.Family, strings.Join(Families(), ", "))
	}
}

// Forms of a document in an answer.
const (
	FormFull  = "full"  // the whole text
	FormBrief = "brief" // its title and the beginning of its description
	FormLink  = "link"  // its title and its key
)

// Reasons for which a document holds.
const (
	ByAlways   = "always"
	ByGlob     = "glob"
	ByLanguage = "language"
	ByTask     = "task"
	ByPack     = "pack" // not why it holds, but why it was considered
)

// Reasons for which a document is left out.
const (
	LeftBudget = "budget" // it holds, and the budget was spent
	LeftModel  = "model"  // its scope leaves the decision to the model, which goes by the title
	LeftTarget = "target" // it is meant for other assistants
	LeftBound  = "bound"  // more documents hold than an answer may contain
)

// An Answer lists the documents that hold.
type Answer struct {
	Seq     knowledge.Seq  `json:"seq" doc:"The newest change that the answer knows of"`
	Label   string         `json:"label,omitempty" doc:"The label that was asked for"`
	AsOf    knowledge.Time `json:"as_of" doc:"The last time at which the answer was known to be current"`
	ETag    string         `json:"etag" doc:"Changes with the documents in the answer, their forms or their order"`
	Items   []Item         `json:"items" doc:"What holds, what matters most first"`
	LeftOut Omissions      `json:"left_out" doc:"What is not among the items, and why"`
	Budget  Spent          `json:"budget" doc:"How the room was used"`
	Notes   []string       `json:"notes" doc:"What the asker should know about the answer"`
}

// An Item is a document that holds.
type Item struct {
	Kind        knowledge.Kind `json:"kind" doc:"The document's kind" enum:"rule,practice,template"`
	ID          string         `json:"id" doc:"The document's id"`
	Key         string         `json:"key" doc:"Kind and id, as known names it" example:"rule/GO-001"`
	Version     int64          `json:"version" doc:"Its version"`
	Title       string         `json:"title" doc:"One line that says it"`
	Severity    string         `json:"severity,omitempty" doc:"Of a rule: how grave a violation is" enum:"CRITICAL,ERROR,WARNING,INFO"`
	Enforcement string         `json:"enforcement" doc:"How strictly it holds" enum:"mandatory,recommended,optional"`
	Form        string         `json:"form" doc:"How much of it the text is" enum:"full,brief,link"`
	Tokens      int            `json:"tokens" doc:"An estimate of what the text takes"`
	Because     []Reason       `json:"because" doc:"Why it holds"`
	Known       bool           `json:"known,omitempty" doc:"True when the caller has this version, and gets a link"`
	Text        string         `json:"text,omitempty" doc:"The text, in Markdown; left out in an explanation"`
	Sizes       *Sizes         `json:"sizes,omitempty" doc:"In an explanation: what each form would take"`
}

// A Reason says why a document holds.
type Reason struct {
	By       string `json:"by" doc:"What decided" enum:"always,glob,language,task,pack"`
	Glob     string `json:"glob,omitempty" doc:"The glob of its scope that matched" example:"**/*.go"`
	Path     string `json:"path,omitempty" doc:"The path that it matched" example:"cmd/pay/main.go"`
	Language string `json:"language,omitempty" doc:"The language of its scope" example:"go"`
	Pack     string `json:"pack,omitempty" doc:"The pack that holds it, where packs were asked for" example:"backend"`
}

// Sizes are the estimated tokens of each form of a document.
type Sizes struct {
	Full  int `json:"full" doc:"Everything"`
	Brief int `json:"brief" doc:"Title and beginning"`
	Link  int `json:"link" doc:"Title and key"`
}

// Omissions count the documents that were left out.
type Omissions struct {
	Total  int            `json:"total" doc:"How many documents"`
	Counts map[string]int `json:"counts" doc:"How many for each reason: budget, model, target, bound"`
	First  []Omission     `json:"first" doc:"The first of them; in an explanation more"`
}

// An Omission is a document that was left out.
type Omission struct {
	Kind        knowledge.Kind `json:"kind" doc:"The document's kind" enum:"rule,practice,template"`
	ID          string         `json:"id" doc:"The document's id"`
	Title       string         `json:"title" doc:"One line that says it"`
	Severity    string         `json:"severity,omitempty" doc:"Of a rule" enum:"CRITICAL,ERROR,WARNING,INFO"`
	Enforcement string         `json:"enforcement" doc:"How strictly it would hold" enum:"mandatory,recommended,optional"`
	Reason      string         `json:"reason" doc:"Why it was left out" enum:"budget,model,target,bound"`
	Tokens      int            `json:"tokens" doc:"An estimate of what its full text takes"`
}

// Spent says how the budget was used.
type Spent struct {
	Tokens   int    `json:"tokens" doc:"The room that was given"`
	Reserve  int    `json:"reserve" doc:"What of it was kept free, since estimates err"`
	Used     int    `json:"used" doc:"What the items take"`
	Family   string `json:"family" doc:"Whose tokens are meant" enum:"openai,claude"`
	Estimate bool   `json:"estimate" doc:"True: nothing here was counted by a model's own tokenizer"`
}
