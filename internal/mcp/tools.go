package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/access"
	"tenet/internal/check"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A reply is a tool's answer: text for the model, and data for programs.
type reply struct {
	text string
	data any // an object
}

// add registers a tool. Its arguments are checked against the schema of In before fn is called.
func add[In any](d *Door, t *mcp.Tool, fn func(ctx context.Context, in *In) (*reply, error)) {
	schema := schemaOf[In]()
	t.InputSchema = schema
	d.offered = append(d.offered, t)
	if d.tools != nil && t.Annotations.ReadOnlyHint {
		d.tools[t.Name] = directly(schema, fn)
	}
	mcp.AddTool(d.server, t, func(ctx context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
		r, err := fn(ctx, &in)
		if err != nil {
			return nil, nil, d.explain(ctx, err)
		}
		return &mcp.CallToolResult{Meta: d.meta(ctx), Content: []mcp.Content{&mcp.TextContent{Text: r.text}}}, r.data, nil
	})
}

// refuse returns an error of the protocol.
func refuse(format string, args ...any) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf(format, args...)}
}

// explain returns the error for a model: what it can do about it, without internals.
func (d *Door) explain(ctx context.Context, err error) error {
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		var lines []string
		for _, f := range invalid.Faults {
			lines = append(lines, strings.TrimPrefix(f.Pointer+": "+f.Detail, ": "))
		}
		return errors.New("not valid: " + strings.Join(lines, "; "))
	}
	for _, known := range []error{
		store.ErrNotFound, store.ErrConflict, store.ErrReused, store.ErrGone, store.ErrForbidden,
		store.ErrUnauthenticated, store.ErrUnavailable,
		store.ErrClosed, context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	d.hidden(ctx, err)
	if d.o.Fault == nil {
		return err
	}
	return errors.New("something went wrong in tenet; its log says more")
}

func no() *bool { b := false; return &b }

func reads(title string) *mcp.ToolAnnotations {
	return &mcp.ToolAnnotations{Title: title, ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: no()}
}

func writes(title string) *mcp.ToolAnnotations {
	return &mcp.ToolAnnotations{Title: title, DestructiveHint: no(), IdempotentHint: true, OpenWorldHint: no()}
}

// addTools registers the tools.
func (d *Door) addTools() {
	add(d, &mcp.Tool{
		Name: "get_guidance", Title: "What holds here", Annotations: reads("What holds here"),
		Description: "Call this before you write or change code. Returns the team's rules, practices and templates " +
			"that hold for the " +
			"given paths, languages and task, the strictest first, each with the reason why it holds. Mandatory " +
			"rules are never left " +
			"out; what does not fit the budget is counted. Name what you have already in known, to get only " +
			"links to it.",
	}, d.guide)
	add(d, &mcp.Tool{
		Name: "search", Title: "Search", Annotations: reads("Search"),
		Description: "Call this when you look for a rule, practice or template by what it is about. Words are " +
			"wishes: what holds more " +
			"of them comes first. Conditions: \"a phrase\", -not, OR, prefix*, tag:, category:, kind:, id:. Returns " +
			"keys for get.",
	}, d.search)
	add(d, &mcp.Tool{
		Name: "get", Title: "Read one document", Annotations: reads("Read one document"),
		Description: "Call this to read one document whole when you have its key, such as rule/SEC-001, " +
			"practice/small-pull-requests or " +
			"template/incident-report.",
	}, d.get)
	add(d, &mcp.Tool{
		Name: "render_template", Title: "Fill in a template", Annotations: reads("Fill in a template"),
		Description: "Call this to fill in one of the team's templates: a pull request, an incident report, a " +
			"skeleton of code. Returns " +
			"the text. Without the values that it needs the answer names them.",
	}, d.render)
	add(d, &mcp.Tool{
		Name: "report_violation", Title: "Report a broken rule", Annotations: writes("Report a broken rule"),
		Description: "Call this when you find a place where one of the team's rules is broken and you do not mend " +
			"it now. The same " +
			"place reported twice is one report.",
	}, d.report)
	d.addWorkTools()
}

type guideArgs struct {
	Paths     []string `json:"paths,omitempty" jsonschema:"files you are about to read or change, from the root, as cmd/main.go"`
	Languages []string `json:"languages,omitempty" jsonschema:"languages besides those of the files' names, as in sql"`
	Task      string   `json:"task,omitempty" jsonschema:"what is to be done, in a sentence"`
	Budget    int      `json:"budget,omitempty" jsonschema:"tokens that the answer may take; 8000 when left out"`
	Family    string   `json:"family,omitempty" jsonschema:"the model family that counts the tokens: openai or claude"`
	Target    string   `json:"target,omitempty" jsonschema:"the assistant that asks, as in claude or cursor"`
	Repo      string   `json:"repository,omitempty" jsonschema:"the repository's id, as .tenet.yaml in its root names it"`
	Packs     []string `json:"packs,omitempty" jsonschema:"packs besides the repository's; with neither, everything"`
	Label     string   `json:"label,omitempty" jsonschema:"documents as they stand at this label, as in production"`
	Known     []string `json:"known,omitempty" jsonschema:"what you have already, as in rule/SEC-001@3"`
}

func (d *Door) guide(ctx context.Context, in *guideArgs) (*reply, error) {
	q := guidance.Query{
		Paths: in.Paths, Languages: in.Languages, Task: in.Task, Target: in.Target, Label: in.Label,
		Repository: in.Repo, Packs: in.Packs, Budget: guidance.Budget{Tokens: in.Budget, Family: in.Family},
	}
	for i, text := range in.Known {
		name, version, _ := strings.Cut(text, "@")
		key, err := knowledge.ParseKey(name)
		var n int64
		if _, scanned := fmt.Sscan(version, &n); err != nil || scanned != nil {
			return nil, knowledge.BadQuery(fmt.Sprintf("known/%d", i),
				"%q: want key and version, as in rule/SEC-001@3", text)
		}
		q.Known = append(q.Known, guidance.Known{Key: key, Version: n})
	}
	if err := mayRead(ctx, guidance.Kinds()...); err != nil {
		return nil, err
	}
	a, err := d.o.Guide(ctx, q)
	if err != nil {
		return nil, err
	}
	return &reply{a.Markdown(&q), a}, nil
}

// mayRead returns why the caller may not read documents of these kinds. A context without a caller was checked
// elsewhere.
func mayRead(ctx context.Context, kinds ...knowledge.Kind) error {
	if c := access.CallerFrom(ctx); c != nil {
		return access.MayRead(c, kinds...)
	}
	return nil
}

type searchArgs struct {
	Query    string   `json:"query" jsonschema:"what to look for, in words"`
	Kinds    []string `json:"kinds,omitempty" jsonschema:"rule, practice or template; all of them when left out"`
	Category string   `json:"category,omitempty" jsonschema:"the id of their category"`
	Language string   `json:"language,omitempty" jsonschema:"a language of their scope"`
	Limit    int      `json:"limit,omitempty" jsonschema:"hits to return, at most 50; 10 when left out"`
	Label    string   `json:"label,omitempty" jsonschema:"documents as they stand at this label; default: as they are now"`
}

type foundDocument struct {
	Key      string   `json:"key"`
	Title    string   `json:"title"`
	Severity string   `json:"severity,omitempty"`
	Version  int64    `json:"version"`
	Score    float64  `json:"score"`
	Snippet  string   `json:"snippet"`
	Missing  []string `json:"missing"`
}

func (d *Door) search(ctx context.Context, in *searchArgs) (*reply, error) {
	q := knowledge.SearchQuery{
		Text: in.Query, Category: in.Category, Language: in.Language,
		Limit: min(or(in.Limit, 10), 50),
	}
	for _, name := range in.Kinds {
		k, err := knowledge.ParseKind(name)
		if err != nil {
			return nil, knowledge.BadQuery("kinds", "%q: want one of %s", name,
				knowledge.KindList(knowledge.SearchKinds()))
		}
		q.Kinds = append(q.Kinds, k)
	}
	found, err := hitsOf(ctx, d, in.Label, q)
	if err != nil {
		return nil, err
	}
	shown := knowledge.Memoized(found.Memo, func() *shownHits { return showHits(found) })
	return &reply{shown.text, shown.data}, shown.err
}

// shownHits are hits as the tool answers them: made once as long as they stay in memory.
type shownHits struct {
	text string
	data json.RawMessage
	err  error
}

func showHits(found *knowledge.Hits) *shownHits {
	var b strings.Builder
	list := make([]foundDocument, 0, len(found.Hits))
	for i := range found.Hits {
		h := &found.Hits[i]
		list = append(list, foundDocument{
			h.Record.Key.String(), h.Title, h.Severity, h.Record.Version, h.Score, h.Snippet,
			append([]string{}, h.Missing...),
		})
		fmt.Fprintf(&b, "- %s (%s%s)\n", h.Title, h.Record.Key, strings.TrimSuffix(", "+h.Severity, ", "))
		if h.Snippet != "" {
			b.WriteString("  " + strings.Join(strings.Fields(h.Snippet), " ") + "\n")
		}
	}
	if len(list) == 0 {
		b.WriteString("Nothing matches.\n")
	}
	for _, c := range found.Reading.SearchedFor {
		fmt.Fprintf(&b, "No document has %q; what is shown has %q.\n", c.Typed, c.Used)
	}
	for _, e := range found.Reading.AlsoSearched {
		fmt.Fprintf(&b, "For %q also searched for %s.\n", e.Typed, strings.Join(e.Used, ", "))
	}
	data, err := encoded(struct {
		Hits  []foundDocument `json:"hits"`
		Total int             `json:"total"`
		knowledge.Reading
		knowledge.LabelAt
	}{list, found.Total, found.Reading.Filled(), found.At})
	return &shownHits{b.String(), data, err}
}

// hitsOf searches as of a label, or as of now without one.
func hitsOf(ctx context.Context, d *Door, label string, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if label == "" {
		return d.o.Store.Search(ctx, q)
	}
	if d.o.Labels == nil {
		return nil, knowledge.BadQuery("label", "search finds documents as they are now here: leave it out")
	}
	if err := mayRead(ctx, knowledge.SearchKinds()...); err != nil {
		return nil, err
	}
	l, err := store.LabelOf(ctx, d.o.Store, label)
	if err != nil {
		return nil, err
	}
	return d.o.Labels.SearchAt(ctx, l, q)
}

type getArgs struct {
	Key   string `json:"key" jsonschema:"kind and id, as in rule/SEC-001"`
	Label string `json:"label,omitempty" jsonschema:"the document as it stands at this label; default: as it is now"`
}

func (d *Door) get(ctx context.Context, in *getArgs) (*reply, error) {
	rec, doc, err := d.documentAt(ctx, in.Key, in.Label)
	if err != nil {
		return nil, err
	}
	text := guidance.Text(doc)
	if !rec.Active {
		text = "This document was retired.\n\n" + text
	}
	return &reply{text, struct {
		Key      string `json:"key"`
		Document any    `json:"document"`
	}{rec.Key.String(), doc}}, nil
}

// document reads a document by its key.
func (d *Door) document(ctx context.Context, name string) (*knowledge.Record, knowledge.Document, error) {
	return d.documentAt(ctx, name, "")
}

// documentAt reads a document by its key as of a label, or as of now without one.
func (d *Door) documentAt(ctx context.Context, name, label string) (*knowledge.Record, knowledge.Document, error) {
	key, err := knowledge.ParseKey(name)
	if err != nil {
		return nil, nil, knowledge.BadQuery("key", "%q: want kind and id, as in rule/SEC-001", name)
	}
	rec, err := readAt(ctx, d.o.Store, key, label)
	if err != nil {
		return nil, nil, err
	}
	doc, err := rec.Document()
	return rec, doc, err
}

// readAt reads a document as of a label, or as of now without one.
func readAt(ctx context.Context, s store.Past, key knowledge.Key, label string) (*knowledge.Record, error) {
	if label == "" {
		return s.Get(ctx, key)
	}
	if !knowledge.Labelled(key.Kind) {
		return nil, knowledge.BadQuery("label", "%s are not read at a label: they are as they are now",
			key.Kind.Plural())
	}
	l, err := store.LabelOf(ctx, s, label)
	if err != nil {
		return nil, err
	}
	return store.AtLabel(ctx, s, l, key)
}

type renderArgs struct {
	Template string         `json:"template" jsonschema:"the template's id, as in incident-report"`
	Values   map[string]any `json:"values,omitempty" jsonschema:"values by the names of the template's variables"`
}

func (d *Door) render(ctx context.Context, in *renderArgs) (*reply, error) {
	text, rec, left, err := d.rendered(ctx, in.Template, in.Values)
	if err != nil {
		return nil, err
	}
	return &reply{text, struct {
		Text    string   `json:"text"`
		Version int64    `json:"version"`
		Notes   []string `json:"notes,omitempty"`
	}{text, rec.Version, left}}, nil
}

func (d *Door) rendered(ctx context.Context, id string,
	values map[string]any,
) (string, *knowledge.Record, []string, error) {
	rec, doc, err := d.document(ctx, string(knowledge.KindTemplate)+"/"+strings.TrimPrefix(id, "template/"))
	if err != nil {
		return "", nil, nil, err
	}
	t, ok := doc.(*knowledge.Template)
	if !ok {
		return "", nil, nil, fmt.Errorf("%s is a %T", rec.Key, doc)
	}
	text, err := t.Render(values)
	if err != nil {
		return "", nil, nil, err
	}
	if d.o.Use != nil {
		d.o.Use(t.TemplateID)
	}
	return text, rec, t.Left(), nil
}

type reportArgs struct {
	Rule       string `json:"rule" jsonschema:"the id of the rule that is broken, as in SEC-001"`
	Path       string `json:"path" jsonschema:"the file, from the repository's root"`
	Line       int64  `json:"line,omitempty" jsonschema:"the line, from 1; left out when it is about the whole file"`
	Message    string `json:"message" jsonschema:"what is wrong there, in a sentence"`
	Repository string `json:"repository,omitempty" jsonschema:"the repository's name"`
	Severity   string `json:"severity,omitempty" jsonschema:"CRITICAL, ERROR, WARNING or INFO; default: the rule's own"`
}

func (d *Door) report(ctx context.Context, in *reportArgs) (*reply, error) {
	actor := ""
	if c := access.CallerFrom(ctx); c != nil {
		actor = c.ID
	}
	key, fresh, err := check.ReportOne(ctx, d.o.Store, actor, check.One{
		Rule: strings.TrimPrefix(in.Rule, "rule/"), Repository: in.Repository, Path: in.Path, Line: in.Line,
		Message: in.Message, Severity: in.Severity,
		Source: "assistant",
	})
	if err != nil {
		return nil, err
	}
	state := "was reported before"
	if fresh {
		state = "reported"
	}
	return &reply{fmt.Sprintf("%s %s.\n", key, state), struct {
		Violation string `json:"violation"`
		New       bool   `json:"new"`
	}{key.ID, fresh}}, nil
}

// kindsShown returns the kinds that have URIs.
func kindsShown() []knowledge.Kind {
	return slices.DeleteFunc(knowledge.Kinds(),
		func(k knowledge.Kind) bool { d := knowledge.Describe(k); return d == nil || d.Hidden })
}
