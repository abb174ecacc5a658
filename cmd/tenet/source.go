package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A sourceShown is what one source imported, as programs get it.
type sourceShown struct {
	Name    string                 `json:"name"`
	Active  map[knowledge.Kind]int `json:"active"`
	Retired int                    `json:"retired"`
	Edited  int                    `json:"edited"`
	Newest  knowledge.Time         `json:"newest"`
}

// A sourceDocument is one document of a source.
type sourceDocument struct {
	Key     string `json:"key"`
	Path    string `json:"path"`
	Version int64  `json:"version"`
	Active  bool   `json:"active"`
	Edited  bool   `json:"edited"`
}

type sourceRemoveSettings struct {
	whySettings
	DryRun bool `name:"dry-run" by:"flag" doc:"Show what would be retired, and write nothing"`
	Yes    bool `name:"yes" short:"y" by:"flag" doc:"Do not ask"`
}

func addSource(a *app) {
	group := &cobra.Command{
		Use:   "source",
		Short: "See and remove what was imported",
		Long: `Lists the sources that documents were imported from, shows what one of them brought, and takes that
out of use.`,
	}
	a.root.AddCommand(group)
	a.command(group, &cobra.Command{
		Use: "list", Short: "List the sources", Example: `  tenet source list`, Annotations: printsLists(),
		Long: `Lists the sources that documents were imported from, with how many of each kind are in use, retired,
and edited in tenet since.`,
	}, nil, func(ctx context.Context, _ []string) error { return listSources(ctx, a) })
	a.command(group, &cobra.Command{
		Use: "show NAME", Short: "List what a source brought", Example: `  tenet source show handbook`,
		Args: cobra.ExactArgs(1), Annotations: printsLists(),
		Long: `Lists the documents that a source brought, with the file that each came from.`,
	}, nil, func(ctx context.Context, args []string) error { return showSource(ctx, a, args[0]) })
	var remove sourceRemoveSettings
	a.command(group, &cobra.Command{
		Use: "remove NAME", Short: "Take what a source brought out of use", Args: cobra.ExactArgs(1),
		Long: `Retires every document that a source brought and that is in use. They stay, with their history; an
import of the source, or "tenet restore", brings them back.`,
		Example: "  tenet source remove handbook --dry-run\n  tenet source remove handbook --yes",
	}, &remove, func(ctx context.Context, args []string) error { return removeSource(ctx, a, args[0], &remove) })
}

// eachImported calls fn for every document that was imported, of one source where its name is given.
func eachImported(ctx context.Context, d *door, name string,
	fn func(*knowledge.Record, interchange.Origin) error,
) error {
	q := knowledge.Query{}
	if name != "" {
		q.Tag = interchange.SourceTag(name)
	}
	for rec, err := range listed(ctx, d, q, interchange.Listed()[1:]) {
		if err != nil {
			return err
		}
		doc, err := rec.Document()
		if err != nil {
			return err
		}
		o, ok, err := interchange.OriginOf(doc)
		if err != nil {
			return err
		}
		if !ok || name != "" && o.Source != name {
			continue
		}
		if err := fn(rec, o); err != nil {
			return err
		}
	}
	return nil
}

func listSources(ctx context.Context, a *app) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	all := map[string]*sourceShown{}
	err = eachImported(ctx, d, "", func(r *knowledge.Record, o interchange.Origin) error {
		s := all[o.Source]
		if s == nil {
			s = &sourceShown{Name: o.Source, Active: map[knowledge.Kind]int{}}
			all[o.Source] = s
		}
		if r.Active {
			s.Active[r.Key.Kind]++
		} else {
			s.Retired++
		}
		if o.Edited {
			s.Edited++
		}
		if r.Updated.After(s.Newest.Time) {
			s.Newest = r.Updated
		}
		return nil
	})
	if err != nil {
		return err
	}
	shown := []*sourceShown{}
	t := &table{
		head: []string{"SOURCE", "RULES", "PRACTICES", "TEMPLATES", "RETIRED", "EDITED", "NEWEST"},
		none: "nothing was imported yet",
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		shown = append(shown, s)
		t.add(name, itoa(int64(s.Active[knowledge.KindRule])), itoa(int64(s.Active[knowledge.KindPractice])),
			itoa(int64(s.Active[knowledge.KindTemplate])), itoa(int64(s.Retired)), itoa(int64(s.Edited)),
			s.Newest.Format("2006-01-02 15:04"))
	}
	return a.printTable(shown, t)
}

// errNoSource says that a source brought nothing that is there.
func errNoSource(name string) error {
	return &sourceError{name}
}

type sourceError struct{ name string }

func (e *sourceError) Error() string {
	return "no document came from a source called " + e.name + "; `tenet source list` names them"
}

func (e *sourceError) Is(target error) bool { return target == store.ErrNotFound }

func showSource(ctx context.Context, a *app, name string) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	docs := []sourceDocument{}
	t := &table{head: []string{"KEY", "FILE", "VERSION", "STATE"}, wide: 1}
	err = eachImported(ctx, d, name, func(r *knowledge.Record, o interchange.Origin) error {
		docs = append(docs, sourceDocument{r.Key.String(), o.Path, r.Version, r.Active, o.Edited})
		state := "as imported"
		if o.Edited {
			state = "edited here"
		}
		if !r.Active {
			state += ", retired"
		}
		t.add(r.Key.String(), o.Path, itoa(r.Version), state)
		return nil
	})
	if err != nil {
		return err
	}
	if len(docs) == 0 {
		return errNoSource(name)
	}
	return a.printTable(docs, t)
}

func removeSource(ctx context.Context, a *app, name string, s *sourceRemoveSettings) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	var ops []knowledge.Op
	there, edited := 0, 0
	t := &table{head: []string{"KEY", "FILE"}, wide: 1}
	err = eachImported(ctx, d, name, func(r *knowledge.Record, o interchange.Origin) error {
		there++
		if !r.Active {
			return nil
		}
		if o.Edited {
			edited++
		}
		op, err := interchange.Removal(r)
		ops = append(ops, op)
		t.add(r.Key.String(), o.Path)
		return err
	})
	switch {
	case err != nil:
		return err
	case there == 0:
		return errNoSource(name)
	case len(ops) == 0:
		a.say("everything that %s brought is retired already", name)
		return nil
	case s.DryRun:
		a.say("%s would be retired, %d of them edited here; nothing was written",
			plural(int64(len(ops)), "document", "documents"), edited)
		return a.printTable(keysOf(ops), t)
	case !s.Yes:
		if err := confirm(a, "Retire "+plural(int64(len(ops)), "document", "documents")+" of "+name+" ("+itoa(int64(edited))+
			" edited here)?"); err != nil {
			return err
		}
	}
	done, err := writeParts(ctx, a, d, ops, s.Message, "retired")
	if err == nil {
		a.say("%s retired; `tenet restore --source %s` takes that back", plural(int64(done), "document", "documents"), name)
	}
	return err
}

// writeParts writes any number of ops, in as many batches as they need.
func writeParts(ctx context.Context, a *app, d *door, ops []knowledge.Op, message, became string) (int, error) {
	actor, err := withTimeout(ctx, a.Timeout, d.actor)
	if err != nil {
		return 0, err
	}
	done := 0
	for part := range slices.Chunk(ops, importOps) {
		all := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: actor, Message: message, Ops: part}
		for _, b := range split(all, importBytes) {
			_, err := withTimeout(ctx, a.Timeout,
				func(ctx context.Context) (knowledge.Receipt, error) { return d.Apply(ctx, b) })
			if err != nil {
				return done, fmt.Errorf("%d of %s %s, then: %w\nThe same command again goes on", done,
					plural(int64(len(ops)), "document", "documents"), became, err)
			}
			done += len(b.Ops)
		}
	}
	return done, nil
}

// restoreSource brings back what "tenet source remove", or an import with --prune, has retired of a source.
func restoreSource(ctx context.Context, a *app, s *restoreVerbSettings) error {
	if s.DryRun == dryServer || s.IfVersion != "" || s.IfBatch != "" || s.Batch != "" || s.Version != 0 {
		return usageError("with --source say --dry-run alone, or --message")
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	var ops []knowledge.Op
	there := 0
	err = eachImported(ctx, d, s.Source, func(r *knowledge.Record, _ interchange.Origin) error {
		there++
		op, removed, err := interchange.Return(r)
		if removed {
			ops = append(ops, op)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case there == 0:
		return errNoSource(s.Source)
	case len(ops) == 0:
		a.say("nothing of %s was retired with it; what was by itself is restored by its key", s.Source)
		return nil
	case s.DryRun != dryNone:
		return printPlanned(a, ops)
	}
	done, err := writeParts(ctx, a, d, ops, s.Message, "restored")
	if err == nil {
		a.say("%s restored", plural(int64(done), "document", "documents"))
	}
	return err
}

func keysOf(ops []knowledge.Op) []string {
	out := make([]string, len(ops))
	for i := range ops {
		out[i] = ops[i].Key.String()
	}
	return out
}
