package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const (
	guidancePath  = "/api/v1/guidance"
	mediaMarkdown = "text/markdown; charset=utf-8"
)

// guidanceRequest is the body of POST /guidance.
type guidanceRequest struct {
	Paths      []string        `json:"paths,omitempty" doc:"Files that are worked on, from the repository's root" maxItems:"200" example:"[\"cmd/pay/main.go\"]"`
	Languages  []string        `json:"languages,omitempty" doc:"Languages besides those that the names of the files tell" maxItems:"50" example:"[\"sql\"]"`
	Task       string          `json:"task,omitempty" doc:"What is to be done, in words" example:"add a refund endpoint"`
	Repository string          `json:"repository,omitempty" doc:"The id of the repository, whose packs, label and exemptions count"`
	Packs      []string        `json:"packs,omitempty" doc:"The ids of packs that narrow the answer"`
	Target     string          `json:"target,omitempty" doc:"The assistant or tool that asks" example:"claude"`
	Label      string          `json:"label,omitempty" doc:"Documents as they were where this label stands"`
	Budget     *guidanceBudget `json:"budget,omitempty" doc:"How much room there is"`
	Known      []guidanceKnown `json:"known,omitempty" doc:"What the caller has already: it gets a link to these" maxItems:"1000"`
}

type guidanceBudget struct {
	Tokens *int   `json:"tokens,omitempty" doc:"Tokens; 0 explains: everything that holds or could, without texts" minimum:"0" maximum:"500000" default:"8000"`
	Family string `json:"family,omitempty" doc:"Whose tokens are meant" enum:"openai,claude" default:"openai"`
}

type guidanceKnown struct {
	Key     string `json:"key" doc:"Kind and id" example:"rule/GO-001"`
	Version int64  `json:"version" doc:"The version that the caller has" example:"3"`
}

type guidanceParams struct {
	Path       string   `query:"path" required:"true" doc:"The file that is worked on, from the repository's root" example:"cmd/pay/main.go"`
	Language   []string `query:"language" doc:"Languages besides the one that the name of the file tells" example:"sql"`
	Task       string   `query:"task" doc:"What is to be done, in words" example:"add a refund endpoint"`
	Repository string   `query:"repository" doc:"The id of the repository, whose packs, label and exemptions count" example:"acme.pay"`
	Pack       []string `query:"pack" doc:"The ids of packs that narrow the answer" example:"backend"`
	labelParam
	Target string `query:"target" doc:"The assistant or tool that asks" example:"claude"`
	Budget string `query:"budget" doc:"Tokens; 0 explains: everything that holds or could, without texts" default:"8000" example:"4000"`
	Family string `query:"family" doc:"Whose tokens are meant" enum:"openai,claude" default:"openai" example:"claude"`
	knownHeader
}

func guidanceRoutes() []*route {
	what := "Rules, practices and templates in force, what matters most first: mandatory ones, then what always " +
		"holds or whose globs match, what is " +
		"for the language, what fits the task; each of these by severity, priority and how much to the point the " +
		"glob is. A mandatory " +
		"document that does not fit the budget whole is there briefly or as a link; others are left out and " +
		"counted. Tokens are estimates. " +
		"With Accept: text/markdown the answer is a block for the context of a model."
	holds := jsonAnswer[guidance.Answer](http.StatusOK, "What holds", exampleGuidance(), "ETag")
	holds.also = mediaMarkdown
	return []*route{
		{
			method: http.MethodPost, path: guidancePath, id: "ask-guidance", tag: "guidance",
			summary: "Ask what holds for files, languages and a task", description: what, handler: with(askGuidance),
			body:    &payload{media: mediaJSON, body: typeOf[guidanceRequest](), samples: exampleGuidances()},
			answers: []answer{holds},
			refusals: []int{
				http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
				http.StatusUnprocessableEntity,
			},
		},
		{
			method: http.MethodGet, path: guidancePath, id: "get-guidance", tag: "guidance",
			summary: "Ask what holds for one file", description: what +
				" The ETag changes when the documents in the answer do.",
			handler: with(getGuidance), answers: []answer{holds, notModified()}, refusals: []int{http.StatusNotFound},
		},
	}
}

func askGuidance(c *call, _ *noParams) error {
	raw, err := c.body()
	if err != nil {
		return err
	}
	if err := wellFormed(raw, knowledge.MaxDepth); err != nil {
		return err
	}
	q, err := guidanceQuery(raw)
	if err != nil {
		return err
	}
	return answerGuidance(c, q, false)
}

// guidanceQuery reads the body of a question.
func guidanceQuery(raw []byte) (guidance.Query, error) {
	var q guidance.Query
	var f faultList
	m := f.object("", raw, "paths", "languages", "task", "repository", "packs", "target", "label", "budget", "known")
	f.member("/paths", m["paths"], &q.Paths, "a list of texts")
	f.member("/languages", m["languages"], &q.Languages, "a list of texts")
	f.member("/task", m["task"], &q.Task, "text")
	f.member("/repository", m["repository"], &q.Repository, "text")
	f.member("/packs", m["packs"], &q.Packs, "a list of texts")
	f.member("/target", m["target"], &q.Target, "text")
	f.member("/label", m["label"], &q.Label, "text")
	if budget := m["budget"]; len(budget) > 0 && string(budget) != "null" {
		b := f.object("/budget", budget, "tokens", "family")
		var tokens *int
		f.member("/budget/tokens", b["tokens"], &tokens, "a whole number")
		f.member("/budget/family", b["family"], &q.Budget.Family, "text")
		if tokens != nil {
			q.Budget.Tokens, q.Budget.Explain = *tokens, *tokens == 0
		}
	}
	var known []guidanceKnown
	f.member("/known", m["known"], &known, "a list of objects with key and version")
	for i, k := range known {
		key, ok := keyOf(k.Key)
		if !ok {
			f.add(fmt.Sprintf("/known/%d/key", i), "%q: want kind and id, as in rule/GO-001", k.Key)
		}
		q.Known = append(q.Known, guidance.Known{Key: key, Version: k.Version})
	}
	if len(f) > 0 {
		_, err := q.Check() // what else is wrong is told at once
		f.merge(err)
	}
	return q, f.err(false)
}

func keyOf(text string) (knowledge.Key, bool) {
	name, id, ok := strings.Cut(text, "/")
	kind, err := knowledge.ParseKind(name)
	return knowledge.Key{Kind: kind, ID: id}, ok && err == nil && id != ""
}

func getGuidance(c *call, p *guidanceParams) error {
	var f faultList
	q := guidance.Query{
		Paths: []string{p.Path}, Languages: p.Language, Task: p.Task, Target: p.Target, Repository: p.Repository,
		Packs: p.Pack, Label: p.Label,
		Budget: guidance.Budget{Family: p.Family, Explain: p.Budget == "0"},
	}
	if p.Budget != "" {
		f.member("/budget", []byte(p.Budget), &q.Budget.Tokens, "a whole number of tokens")
	}
	_, err := q.Check()
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		for _, fault := range invalid.Faults {
			f.add(queryPointer(fault.Pointer), "%s", fault.Detail)
		}
	}
	if err := f.err(true); err != nil {
		return err
	}
	return answerGuidance(c, q, true)
}

// queryPointer returns where a fault of a question stands in a query.
func queryPointer(pointer string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	switch {
	case name == "paths":
		return "/path"
	case name == "languages":
		return "/language"
	case pointer == "/budget/family":
		return "/family"
	}
	return "/" + name
}

// answerGuidance answers a question from memory.
func answerGuidance(c *call, q guidance.Query, tagged bool) error {
	if err := access.MayRead(c.request.Caller, guidance.Kinds()...); err != nil {
		return err
	}
	if c.h.o.Guidance == nil {
		return api.Refuse(api.ErrNoPath, "this server gives no guidance")
	}
	ctx := store.WithLeaving(c.limited()) // it is made for assistants
	secret := c.h.o.Policy.Confidential
	q.Without, q.Confidential = secret.Without(ctx), secret.Categories()
	if c.h.o.Seq != nil { // no answer is older than it says by its header Tenet-Seq
		w := store.WishOf(ctx)
		w.MinSeq = max(w.MinSeq, c.h.o.Seq())
		ctx = store.WithWish(ctx, w)
	}
	p, err := c.h.o.Guidance.Prepare(ctx, c.h.o.Store, q)
	if err != nil {
		return err
	}
	c.source = knowledge.SourceHot
	vary(c, "Accept")
	markdown := c.wants(mediaMarkdown)
	tag := p.ETag()
	if markdown {
		tag = strings.TrimSuffix(tag, `"`) + `-md"`
	}
	if tagged && c.unchanged(tag, 0) {
		return nil
	}
	a, err := p.Answer(ctx, c.h.o.Store)
	if err != nil {
		return err
	}
	if at := c.answered().AsOf; a.AsOf.IsZero() || at.Before(a.AsOf.Time) {
		a.AsOf = at
	}
	if tagged {
		c.set("Etag", "W/"+strings.Replace(tag, p.ETag(), a.ETag, 1))
	}
	if markdown {
		c.send(http.StatusOK, mediaMarkdown, []byte(a.Markdown(&q)))
		return nil
	}
	return c.json(http.StatusOK, a)
}

func exampleGuidances() []sample {
	tokens := 4000
	none := 0
	return []sample{
		{"task", "For a task in a file", guidanceRequest{
			Paths: []string{"cmd/pay/main.go"}, Task: "add a refund endpoint", Budget: &guidanceBudget{
				Tokens: &tokens,
				Family: "claude",
			},
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
			Kind: knowledge.KindRule, ID: "SEC-001", Key: "rule/SEC-001", Version: 1,
			Title: "Use parameterized queries", Severity: "CRITICAL",
			Enforcement: "mandatory", Form: guidance.FormBrief, Tokens: 40,
			Because: []guidance.Reason{{By: guidance.ByGlob, Glob: "**/*.go", Path: "cmd/pay/main.go"}},
			Text: "### Use parameterized queries\nrule/SEC-001, CRITICAL, mandatory\n\nPass values to SQL as " +
				"parameters.\n",
		}},
		LeftOut: guidance.Omissions{
			Total: 2, Counts: map[string]int{guidance.LeftModel: 2},
			First: []guidance.Omission{{
				Kind: knowledge.KindPractice, ID: "small-pull-requests", Title: "Keep pull requests small",
				Enforcement: "recommended", Reason: guidance.LeftModel, Tokens: 230,
			}},
		},
		Budget: guidance.Spent{Tokens: 4000, Reserve: 480, Used: 40, Family: "openai", Estimate: true},
		Notes:  []string{},
	}
}
