package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/treesync"
)

// mostLinks is of how many documents a write asks whether they are there. Of more it says nothing.
const mostLinks = 100

// sayLinks names what documents that were written refer to and that is not there. It may come later, so that it is
// no fault; more often it is a slip, which nothing else would show before somebody misses a rule.
func sayLinks(ctx context.Context, a *app, d *door, ops []knowledge.Op, r *knowledge.Receipt) {
	says := map[knowledge.Key]string{}
	for i := range ops {
		says[ops[i].Key] = "" // a dry run has not written it, and it is there all the same
	}
	most := len(says) + mostLinks
	for i, rec := range r.Records {
		if rec == nil || !rec.Active || ops[i].Verb != knowledge.VerbPut && ops[i].Verb != knowledge.VerbPatch {
			continue
		}
		doc, err := rec.Document()
		if err != nil {
			continue
		}
		sayScope(a, &ops[i], doc)
		for _, l := range knowledge.Links(doc) {
			text, known := says[l.Key]
			if !known && len(says) < most {
				text, _ = withTimeout(ctx, a.Timeout, func(ctx context.Context) (string, error) {
					return notThere(ctx, d, l.Key), nil
				})
				says[l.Key] = text
			}
			sayAt(a, &ops[i], l.Pointer, text)
		}
		if p, ok := doc.(*knowledge.Pack); ok {
			for n, tag := range p.Select.Tags {
				text, _ := withTimeout(ctx, a.Timeout, func(ctx context.Context) (string, error) {
					return notTagged(ctx, d, tag), nil
				})
				sayAt(a, &ops[i], fmt.Sprintf("/select/tags/%d", n), text)
			}
		}
	}
}

// sayAt prints a note about a field, unless there is nothing to say or a patch has left the field alone.
func sayAt(a *app, op *knowledge.Op, pointer, text string) {
	if text == "" {
		return
	}
	if op.Verb == knowledge.VerbPatch {
		var fields map[string]json.RawMessage
		name, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
		if json.Unmarshal(op.Patch, &fields) == nil && fields[name] == nil {
			return
		}
	}
	a.say("%s: %s: %s", cell(op.Key.String()), pointer, cell(text))
}

// notThere says that a document is not there or not in use, and which was probably meant; "" for one that is.
func notThere(ctx context.Context, s store.Reader, key knowledge.Key) string {
	rec, err := s.Get(ctx, key)
	switch {
	case err == nil && !rec.Active:
		return key.String() + " is not in use"
	case !errors.Is(err, store.ErrNotFound):
		return "" // it is there, or can't be asked for
	}
	text := "there is no " + key.String() + " yet"
	if near := meantKey(ctx, s, key); near != "" {
		text += ": did you mean " + near + "?"
	}
	return text
}

// notTagged says that no document has a tag; "" where one has.
func notTagged(ctx context.Context, s store.Reader, tag string) string {
	for _, kind := range knowledge.SelectKinds() {
		page, err := s.List(ctx, knowledge.Query{Kind: knowledge.Kind(kind), Tag: tag, Limit: 1})
		if err != nil || len(page.Records) > 0 {
			return ""
		}
	}
	return fmt.Sprintf("no document has the tag %q yet", tag)
}

// sayScope names assistants and languages of a scope that tenet knows nothing of: the tool of somebody's own may ask by
// such a name, and nobody else does.
func sayScope(a *app, op *knowledge.Op, doc knowledge.Document) {
	c := knowledge.CommonOf(doc)
	if c == nil {
		return
	}
	known := treesync.Targets()
	for i, name := range c.Scope.Targets {
		if slices.Contains(known, name) {
			continue
		}
		text := fmt.Sprintf("`tenet sync` writes for no assistant %q, so that only a tool that asks by this name "+
			"gets it", name)
		if near := knowledge.Nearest(name, slices.Values(known)); near != "" {
			text += ": did you mean " + near + "?"
		}
		sayAt(a, op, fmt.Sprintf("/scope/targets/%d", i), text)
	}
	for i, name := range c.Scope.Languages {
		if len(knowledge.GlobsOf(name)) > 0 {
			continue
		}
		text := fmt.Sprintf("no file's name tells that its language is %q, so that only a question that names it "+
			"gets it", name)
		if near := knowledge.NearestLanguage(name); near != "" {
			text += ": did you mean " + near + "?"
		}
		sayAt(a, op, fmt.Sprintf("/scope/languages/%d", i), text)
	}
}
