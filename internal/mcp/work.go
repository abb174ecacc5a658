package mcp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/access"
	"tenet/internal/check"
	"tenet/internal/coherence"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// addWorkTools registers the tools that check an assistant's work, or prepare work for people to decide.
func (d *Door) addWorkTools() {
	if d.o.Check != nil {
		add(d, &mcp.Tool{
			Name: "check", Title: "Check files", Annotations: reads("Check files"),
			Description: "Call this when you have written or changed files, before you hand them over: it finds " +
				"where they break rules that a program can " +
				"check. Give the text before the edit too, and only what the edit brings in counts.",
		}, d.check)
	}
	add(d, &mcp.Tool{
		Name: "propose", Title: "Propose a change of the team's documents",
		Annotations: writes("Propose a change of the team's documents"),
		Description: "Call this when a rule, practice or template should be added or changed, and the user has " +
			"asked for that: it writes a proposal that waits " +
			"for a person, and changes nothing itself. Read a document with get before you change it.",
	}, d.propose)
}

type checkArgs struct {
	Repository string     `json:"repository,omitempty" jsonschema:"the repository's id, as .tenet.yaml in its root names it"`
	Packs      []string   `json:"packs,omitempty" jsonschema:"packs besides the repository's; with neither, all rules"`
	Files      []fileArgs `json:"files" jsonschema:"the files that you have written or changed"`
}

type fileArgs struct {
	Path    string `json:"path" jsonschema:"the file, from the repository's root"`
	Content string `json:"content" jsonschema:"its whole text, as it is now"`
	Before  string `json:"before,omitempty" jsonschema:"its whole text before your edit; left out for a new file"`
}

func (d *Door) check(ctx context.Context, in *checkArgs) (*reply, error) {
	if err := mayRead(ctx, knowledge.KindRule, knowledge.KindPack, knowledge.KindRepository); err != nil {
		return nil, err
	}
	q := &check.Question{Repository: in.Repository, Packs: in.Packs}
	for i := range in.Files {
		f := &in.Files[i]
		q.Files = append(q.Files, check.File{Path: f.Path, Content: []byte(f.Content)})
		if f.Before != "" {
			q.Before = append(q.Before, check.File{Path: f.Path, Content: []byte(f.Before)})
		}
	}
	r, err := d.o.Check(ctx, q)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i := range r.Findings {
		f := &r.Findings[i]
		place := f.Path
		if f.Line > 0 {
			place = fmt.Sprintf("%s:%d", f.Path, f.Line)
		}
		fmt.Fprintf(&b, "- %s: %s (rule/%s, %s, %s)", place, f.Message, f.Rule, f.Severity, f.Enforcement)
		if f.Fix != "" {
			b.WriteString(" What helps: " + f.Fix)
		}
		if f.Exempt != nil {
			fmt.Fprintf(&b, " (exempt until %s: %s)", f.Exempt.Until.Format("2006-01-02"), f.Exempt.Reason)
		}
		b.WriteString("\n")
	}
	switch {
	case r.Decision == check.Deny:
		b.WriteString("A mandatory rule is broken.\n")
	case len(r.Findings) == 0:
		fmt.Fprintf(&b, "%s kept in %s.\n", knowledge.Count(r.Rules, "rule that a program can check is",
			"rules that a program can check are"), knowledge.Count(r.Files, "file", "files"))
	}
	return &reply{b.String(), r}, nil
}

type proposeArgs struct {
	Title string   `json:"title" jsonschema:"one line that says what is proposed"`
	Why   string   `json:"why,omitempty" jsonschema:"why, in Markdown: what was seen, and what it would change"`
	Ops   []opArgs `json:"ops" jsonschema:"what is done when a person applies it"`
}

type opArgs struct {
	Verb     string         `json:"verb" jsonschema:"put a whole document, patch fields of one, retire or restore one"`
	Key      string         `json:"key" jsonschema:"kind and id, as in rule/SEC-001"`
	Document map[string]any `json:"document,omitempty" jsonschema:"for put: the whole document, as get shows it"`
	Patch    map[string]any `json:"patch,omitempty" jsonschema:"for patch: the fields that change; null sets one back"`
	Version  int64          `json:"version,omitempty" jsonschema:"the version that you have read; default: the current one"`
}

type proposeAnswer struct {
	Proposal string           `json:"proposal"`
	State    string           `json:"state"`
	Queued   bool             `json:"queued"`
	Notes    []knowledge.Note `json:"notes,omitempty"`
}

func (d *Door) propose(ctx context.Context, in *proposeArgs) (*reply, error) {
	p := &knowledge.Proposal{ProposalID: knowledge.NewBatchID().String(), Title: in.Title, Why: in.Why, IsActive: true}
	for i := range in.Ops {
		o := &in.Ops[i]
		key, err := knowledge.ParseKey(o.Key)
		if err != nil {
			return nil, knowledge.BadQuery(fmt.Sprintf("ops/%d/key", i), "%q: want kind and id, as in rule/SEC-001",
				o.Key)
		}
		op := knowledge.ProposedOp{
			Verb: knowledge.Verb(o.Verb), Kind: string(key.Kind), ID: key.ID,
			IfVersion: o.Version, Document: o.Document, Patch: o.Patch,
		}
		p.Ops = append(p.Ops, op)
	}
	if err := store.FillVersions(ctx, d.o.Store, p); err != nil {
		return nil, err
	}
	p.Normalize()
	if err := p.Validate(); err != nil {
		return nil, err
	}
	actor := ""
	if c := access.CallerFrom(ctx); c != nil {
		actor = c.ID
	}
	receipt, err := d.o.Store.Apply(ctx, knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: actor,
		Ops: []knowledge.Op{knowledge.Put(p, knowledge.NoVersion)},
	})
	if made, ok := errors.AsType[*store.ProposedError](err); ok {
		return &reply{
			made.Key.String() + " says the same and waits for a person already: nothing was proposed again.\n",
			proposeAnswer{Proposal: made.Key.ID, State: knowledge.ProposalOpen},
		}, nil
	}
	if err != nil {
		return nil, err
	}
	notes, said := coherence.ProposedNotes(access.Unrecorded(ctx), d.o.Store, p), ""
	if receipt.Queued {
		said = " PostgreSQL can't be reached: the proposal is safe on disk, and people see it when PostgreSQL is back."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s waits for a person to review it.%s\n", p.Key(), said)
	for _, n := range notes {
		fmt.Fprintf(&b, "- %s: %s\n", n.Pointer, n.Detail)
	}
	return &reply{b.String(), proposeAnswer{p.ProposalID, knowledge.ProposalOpen, receipt.Queued, notes}}, nil
}
