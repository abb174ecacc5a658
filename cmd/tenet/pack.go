package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A packed is a document of a pack, with how strictly it holds there.
type packed struct {
	Kind        knowledge.Kind `json:"kind"`
	ID          string         `json:"id"`
	Title       string         `json:"title"`
	Severity    string         `json:"severity,omitempty"`
	Enforcement string         `json:"enforcement"`
	Raised      bool           `json:"raised"`
	Via         []string       `json:"via"`
}

func addPack(a *app) {
	pack := &cobra.Command{
		Use:   "pack",
		Short: "Look at packs: named selections of documents",
		Long: `A pack is a named selection of documents to which repositories subscribe. One that extends others holds
all of theirs, adds some, and may have them hold more strictly. "tenet put" and "tenet patch" write packs, as other
documents.`,
	}
	a.root.AddCommand(pack)
	a.command(pack, &cobra.Command{
		Use:   "show PACK...",
		Short: "Show what packs hold, and how strictly",
		Long: `Shows the active documents that packs hold together with those that they extend, with the packs that
lead to each.`,
		Example: `  tenet pack show backend`,
		Args:    cobra.MinimumNArgs(1), Annotations: printsLists(),
	}, nil, func(ctx context.Context, args []string) error {
		d, err := a.openToLook(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		c, err := composed(ctx, a, d, args)
		if err != nil {
			return err
		}
		list, err := documentsOf(ctx, d, c)
		if err != nil {
			return err
		}
		t := &table{head: []string{"DOCUMENT", "ENFORCEMENT", "PACKS", "TITLE"}, wide: 3, none: "the packs hold no documents"}
		for _, p := range list {
			strict := p.Enforcement
			if p.Severity != "" {
				strict += ", " + p.Severity
			}
			if p.Raised {
				strict += " (raised)"
			}
			t.add(string(p.Kind)+"/"+p.ID, strict, strings.Join(p.Via, " → "), cell(p.Title))
		}
		for _, what := range idle(c, list) {
			a.say("%s", what)
		}
		return a.printTable(struct {
			Documents []packed `json:"documents"`
		}{list}, t)
	})
	a.command(pack, &cobra.Command{
		Use:   "test PACK DOCUMENT...",
		Short: "Tell whether packs hold documents",
		Long: `Tells whether a pack holds documents, and by which packs; a rule needs its id only. It ends with code 1
when one of them is not in the pack: for checks of what a pack promises.`,
		Example: `  tenet pack test backend SEC-001 practice/small-pull-requests`,
		Args:    cobra.MinimumNArgs(2),
	}, nil, func(ctx context.Context, args []string) error { return testPack(ctx, a, args[0], args[1:]) })
}

// idle says which documents some packs name that are not among those that they hold: a misspelled id, or one that was
// retired.
func idle(c *knowledge.Composition, list []packed) []string {
	held := map[string]bool{}
	for i := range list {
		held[string(list[i].Kind)+"/"+list[i].ID] = true
	}
	var says []string
	for _, p := range c.Packs {
		for _, id := range p.Select.IDs {
			if !held[id] {
				says = append(says, fmt.Sprintf("pack %s selects %s, which is not in use", p.PackID, id))
			}
		}
		for i := range p.Raise {
			if !held[p.Raise[i].ID] {
				says = append(says, fmt.Sprintf("pack %s raises %s, which these packs do not hold", p.PackID, p.Raise[i].ID))
			}
		}
	}
	return says
}

// composed puts packs together.
func composed(ctx context.Context, a *app, d *door, ids []string) (*knowledge.Composition, error) {
	return withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Composition, error) {
		c, err := knowledge.Compose(ids, func(id string) (*knowledge.Pack, error) {
			return store.PackOf(ctx, d.Get, id)
		})
		if missing, ok := err.(*knowledge.MissingPackError); ok { //nolint:errorlint // Compose wraps nothing
			return nil, fmt.Errorf("%w: %w", missing, &store.NotFoundError{Key: knowledge.Key{
				Kind: knowledge.KindPack,
				ID:   missing.ID,
			}})
		}
		return c, err
	})
}

// documentsOf lists what a composition holds.
func documentsOf(ctx context.Context, d *door, c *knowledge.Composition) ([]packed, error) {
	list := []packed{}
	for _, name := range knowledge.SelectKinds() {
		kind := knowledge.Kind(name)
		err := store.All(ctx, d, knowledge.Query{
			Kind:  kind,
			Order: knowledge.OrderHouse,
		}, func(r *knowledge.Record) error {
			doc, err := r.Document()
			if err != nil {
				return err
			}
			if p := c.Holding(doc); p != nil {
				list = append(list, packedOf(doc, c, p))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

func packedOf(doc knowledge.Document, c *knowledge.Composition, by *knowledge.Pack) packed {
	key := doc.Key()
	severity, enforcement := knowledge.Strictness(doc)
	p := packed{Kind: key.Kind, ID: key.ID, Title: doc.Text().Title, Via: c.Via(by.PackID)}
	p.Severity, p.Enforcement = c.Raised(key, severity, enforcement)
	p.Raised = p.Severity != severity || p.Enforcement != enforcement
	return p
}

// A packVerdict says whether a pack holds a document, and through which packs.
type packVerdict struct {
	Document string   `json:"document"`
	Holds    bool     `json:"holds"`
	Via      []string `json:"via"`
}

func packVerdictOf(ctx context.Context, a *app, d *door, c *knowledge.Composition,
	key knowledge.Key,
) (packVerdict, error) {
	v := packVerdict{Document: key.String(), Via: []string{}}
	rec, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Record, error) {
		return d.Get(ctx, key)
	})
	if err != nil {
		return v, err
	}
	doc, err := rec.Document()
	if err != nil {
		return v, err
	}
	if p := c.Holding(doc); p != nil && rec.Active {
		v.Holds, v.Via = true, c.Via(p.PackID)
	}
	return v, nil
}

func testPack(ctx context.Context, a *app, id string, names []string) error {
	var keys []knowledge.Key
	for _, name := range names {
		if !strings.Contains(name, "/") {
			name = string(knowledge.KindRule) + "/" + name
		}
		key, err := parseKey(name)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	c, err := composed(ctx, a, d, []string{id})
	if err != nil {
		return err
	}
	var list []packVerdict
	missing := 0
	for _, key := range keys {
		v, err := packVerdictOf(ctx, a, d, c, key)
		if err != nil {
			return err
		}
		if !v.Holds {
			missing++
		}
		list = append(list, v)
	}
	err = a.print(list, func(w io.Writer, _ screen) error {
		for _, v := range list {
			says := "is not in pack " + id
			if v.Holds {
				says = "is in pack " + strings.Join(v.Via, " → ")
			}
			if _, err := fmt.Fprintf(w, "%s %s\n", v.Document, says); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && missing > 0 {
		return fmt.Errorf("%d of %s not in pack %s", missing, plural(int64(len(list)), "document", "documents"), id)
	}
	return err
}
