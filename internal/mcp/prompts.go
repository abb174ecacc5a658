package mcp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Bounds of lists that a client shows to a person.
const (
	promptPage      = 100 // prompts on a page
	promptArguments = 8   // of a prompt; clients ask for them one by one
	completions     = 100 // the protocol's own bound
)

// listPrompts returns a page of the active templates.
func (d catalogue) listPrompts(ctx context.Context, p *mcp.ListPromptsParams) (mcp.Result, error) {
	q := knowledge.Query{Kind: knowledge.KindTemplate, Order: knowledge.OrderID, Limit: promptPage}
	if p != nil {
		q.Cursor = p.Cursor
	}
	page, err := d.page(ctx, q)
	if err != nil {
		return nil, err
	}
	r := &mcp.ListPromptsResult{Meta: d.meta(ctx), Prompts: []*mcp.Prompt{}, NextCursor: page.Next}
	r.CacheScope = "private"
	for _, rec := range page.Records {
		doc, err := rec.Document()
		if err != nil {
			return nil, d.explain(ctx, err)
		}
		if t, ok := doc.(*knowledge.Template); ok {
			r.Prompts = append(r.Prompts, promptOf(t))
		}
	}
	return r, nil
}

// A catalogue lists what the protocol lists.
type catalogue struct{ *Door }

// page reads a page of a list.
func (d catalogue) page(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	page, err := d.o.Store.List(ctx, q)
	if _, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		return nil, refuse("cursor: %s", d.explain(ctx, err))
	}
	if err != nil {
		return nil, d.explain(ctx, err)
	}
	return page, nil
}

// promptOf returns a template as a prompt. Clients ask for arguments one by one: required ones come first, and beyond
// the limit those with a default are omitted.
func promptOf(t *knowledge.Template) *mcp.Prompt {
	p := &mcp.Prompt{Name: t.TemplateID, Title: t.Name, Description: t.Description, Arguments: []*mcp.PromptArgument{}}
	for _, v := range asked(t) {
		about := v.Description
		if len(v.Options) > 0 {
			about = strings.TrimSpace(about + " One of: " + strings.Join(v.Options, ", ") + ".")
		}
		p.Arguments = append(p.Arguments, &mcp.PromptArgument{
			Name: v.Name, Title: v.Title, Description: about,
			Required: v.Required && v.Default == nil,
		})
	}
	return p
}

// asked returns the variables of a template that become arguments, the most important first.
func asked(t *knowledge.Template) []knowledge.Variable {
	list := slices.Clone(t.Variables)
	needed := func(v *knowledge.Variable) bool { return v.Required && v.Default == nil }
	slices.SortStableFunc(list, func(a, b knowledge.Variable) int {
		switch {
		case needed(&a) == needed(&b):
			return 0
		case needed(&a):
			return -1
		}
		return 1
	})
	for len(list) > promptArguments && !needed(&list[len(list)-1]) {
		list = list[:len(list)-1]
	}
	return list
}

// anyPrompt is the name of the one registered prompt, which stands for all: the SDK completes only registered ones in
// the form of each protocol version.
const anyPrompt = "tenet"

// promptName is the context key of the requested name.
type promptName struct{}

// addPrompts registers the prompt. Registering it again makes the SDK announce a changed list.
func (d *Door) addPrompts() {
	d.server.AddPrompt(&mcp.Prompt{Name: anyPrompt}, func(ctx context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		p := *req.Params
		p.Name, _ = ctx.Value(promptName{}).(string)
		if d.prompt != nil {
			if r, err := d.prompt(ctx, &p); r != nil || err != nil {
				return r, err
			}
		}
		return d.getPrompt(ctx, &p)
	})
}

func (d *Door) getPrompt(ctx context.Context, p *mcp.GetPromptParams) (*mcp.GetPromptResult, error) {
	_, doc, err := d.document(ctx, string(knowledge.KindTemplate)+"/"+p.Name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse("there is no prompt %q", p.Name)
	}
	if err != nil {
		return nil, refuse("%s", d.explain(ctx, err))
	}
	t, ok := doc.(*knowledge.Template)
	if !ok || !t.IsActive {
		return nil, refuse("there is no prompt %q in use", p.Name)
	}
	text, err := t.Render(typed(t, p.Arguments))
	if err != nil {
		return nil, refuse("%s", d.explain(ctx, err))
	}
	if d.o.Use != nil {
		d.o.Use(t.TemplateID)
	}
	return &mcp.GetPromptResult{
		Meta: d.meta(ctx), Description: t.Description,
		Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: text}}},
	}, nil
}

// typed converts arguments, which are texts in this protocol, to the types of the template's variables. One that can't
// be converted stays a text, and rendering reports it.
func typed(t *knowledge.Template, args map[string]string) map[string]any {
	values := map[string]any{}
	for name, text := range args {
		values[name] = text
		i := slices.IndexFunc(t.Variables, func(v knowledge.Variable) bool { return v.Name == name })
		if i < 0 {
			continue
		}
		v := &t.Variables[i]
		if text == "" && v.Type != knowledge.TypeText && v.Type != knowledge.TypeMultiline {
			delete(values, name) // a client that asks can't leave an argument out
			continue
		}
		switch v.Type {
		case knowledge.TypeNumber:
			if n, err := strconv.ParseFloat(text, 64); err == nil {
				values[name] = n
			}
		case knowledge.TypeBoolean:
			if b, err := strconv.ParseBool(strings.ToLower(text)); err == nil {
				values[name] = b
			}
		case knowledge.TypeMultiselect:
			list := []any{}
			for part := range strings.SplitSeq(text, ",") {
				list = append(list, strings.TrimSpace(part))
			}
			values[name] = list
		}
	}
	return values
}

// complete suggests values: the options of a prompt's argument, or ids of documents.
func (d *Door) complete(ctx context.Context, req *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
	r := &mcp.CompleteResult{Meta: d.meta(ctx), Completion: mcp.CompletionResultDetails{Values: []string{}}}
	if req.Params.Ref == nil {
		return nil, refuse("ref: want a prompt or a resource")
	}
	typed := req.Params.Argument.Value
	offer := func(value string) {
		if len(value) < len(typed) || !strings.EqualFold(value[:len(typed)], typed) {
			return
		}
		if r.Completion.Total++; len(r.Completion.Values) < completions {
			r.Completion.Values = append(r.Completion.Values, value)
		}
		r.Completion.HasMore = r.Completion.Total > completions
	}
	switch req.Params.Ref.Type {
	case "ref/prompt":
		_, doc, err := d.document(ctx, string(knowledge.KindTemplate)+"/"+req.Params.Ref.Name)
		if err != nil {
			return nil, refuse("there is no prompt %q", req.Params.Ref.Name)
		}
		if t, ok := doc.(*knowledge.Template); ok {
			for _, v := range t.Variables {
				if v.Name != req.Params.Argument.Name {
					continue
				}
				for _, o := range v.Options {
					offer(o)
				}
				if v.Type == knowledge.TypeBoolean {
					offer("true")
					offer("false")
				}
			}
		}
	case "ref/resource":
		kind, ok := kindOf(req.Params.Ref.URI)
		if !ok {
			return nil, refuse("there are no resources %q", req.Params.Ref.URI)
		}
		if err := d.offerIDs(ctx, kind, typed, offer); err != nil {
			return nil, d.explain(ctx, err)
		}
	default:
		return nil, refuse("ref: %q is neither ref/prompt nor ref/resource", req.Params.Ref.Type)
	}
	return r, nil
}

// offerIDs offers the ids of active documents with a prefix, found by search.
func (d *Door) offerIDs(ctx context.Context, kind knowledge.Kind, typed string, offer func(string)) error {
	if typed == "" || !slices.Contains(knowledge.SearchKinds(), kind) {
		page, err := d.o.Store.List(ctx, knowledge.Query{Kind: kind, Order: knowledge.OrderID, Limit: completions})
		if err != nil {
			return err
		}
		for _, rec := range page.Records {
			offer(rec.Key.ID)
		}
		return nil
	}
	words := knowledge.Words(typed)
	if len(words) == 0 {
		return nil
	}
	found, err := d.o.Store.Search(ctx, knowledge.SearchQuery{
		Text: fmt.Sprintf("id:%s*", words[0]), Kinds: []knowledge.Kind{kind}, Limit: completions,
	})
	if err != nil {
		return err
	}
	for i := range found.Hits {
		offer(found.Hits[i].Record.Key.ID)
	}
	return nil
}
