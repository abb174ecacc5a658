package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type getSettings struct {
	Version  int64  `name:"version" least:"1" by:"flag" doc:"This version instead of the newest"`
	Label    string `name:"label" by:"flag" doc:"The document as it stands where this label does"`
	Archived bool   `name:"archived" by:"flag" doc:"The document as it was before it was archived"`
	Fields   string `name:"fields" by:"flag" doc:"Only these fields, as in title,scope.globs: see \"tenet explain KIND\""`
}

func addGet(a *app) {
	var s getSettings
	a.command(a.root, &cobra.Command{
		Use:   "get KEY",
		Short: "Print one document",
		Long: `Prints the document that a key such as rule/SEC-001, a kind and an id, or an id that no other document
has, names: on a terminal for reading, as --output wide does anywhere. Into a file or a pipe it prints YAML, or what
--output says, which can be edited and given back to "tenet put", which then refuses to overwrite what somebody else
has written meanwhile. A document that waits for an absent PostgreSQL says so, with the batch that it waits in as
pending; "tenet put" then asks what became of that.`,
		Example: `  tenet get rule/SEC-001
  tenet get SEC-001 --output wide
  tenet get rule/SEC-001 --version 1
  tenet get rule/SEC-001 --label production
  tenet get rule/SEC-001 --archived
  tenet get template/incident-report > t.yaml && $EDITOR t.yaml && tenet put t.yaml`,
		Annotations:       prints(asWide, asName),
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: withKeys(a),
	}, &s, func(ctx context.Context, args []string) error { return get(ctx, a, args, &s) })
}

func get(ctx context.Context, a *app, args []string, s *getSettings) error {
	key, err := oneKey(args)
	if err != nil {
		return err
	}
	switch {
	case s.Version != 0 && s.Label != "":
		return usageError("--version and --label say two things: give one")
	case s.Archived && (s.Version != 0 || s.Label != ""):
		return usageError("--archived shows the document as it was before it was archived: --version and " +
			"--label name other states")
	case s.Archived:
		return printArchived(ctx, a, key, s.Fields)
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	if err := findKeys(ctx, a, d, &key); err != nil {
		return err
	}
	fields, err := splitFields(key.Kind, s.Fields)
	if err != nil {
		return err
	}
	rec, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Record, error) {
		switch {
		case s.Version != 0:
			return readVersion(ctx, d, key, s.Version)
		case s.Label != "":
			return readAtLabel(ctx, d, key, s.Label)
		}
		return d.Get(ctx, key)
	})
	if err != nil {
		return err
	}
	if rec.Pending != (knowledge.BatchID{}) {
		a.say("version %d of %s waits in batch %s for PostgreSQL, which may decide otherwise", rec.Version, key,
			rec.Pending)
	}
	return printDocument(a, rec, fields)
}

// printDocument prints a document: for a person at a terminal to read, else as text that can be edited and written
// again.
func printDocument(a *app, rec *knowledge.Record, fields []string) error {
	if a.Output == asName {
		return writeNames(a.out, []knowledge.Key{rec.Key})
	}
	doc, err := documentOf(rec)
	if err != nil {
		return err
	}
	if len(fields) > 0 {
		if doc, err = chosen(doc, fields); err != nil {
			return err
		}
	}
	return a.print(doc, func(w io.Writer, sc screen) error {
		if len(fields) == 0 && (a.Output == asWide || screenOf(a.out, a.env).columns > 0) {
			return writeView(w, sc, rec)
		}
		return printYAML(w, doc)
	})
}

// readVersion returns one version of a document, out of the log.
func readVersion(ctx context.Context, feed store.Feed, key knowledge.Key, n int64) (*knowledge.Record, error) {
	changes, err := feed.Changes(ctx, knowledge.ChangeQuery{Key: key, Version: n, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		return nil, &versionError{key, n, "does not exist; `tenet history` lists those that do"}
	}
	if changes[0].Verb == knowledge.VerbArchive {
		return nil, &versionError{key, n, "is archived: see tenet archive show"}
	}
	if changes[0].Record == nil {
		return nil, &versionError{key, n, "was purged"}
	}
	return changes[0].Record, nil
}

// A versionError says that a version of a document is not there. It is [store.ErrNotFound].
type versionError struct {
	key     knowledge.Key
	version int64
	why     string
}

func (e *versionError) Error() string {
	return "version " + itoa(e.version) + " of " + e.key.String() + " " + e.why
}

func (e *versionError) Is(target error) bool { return target == store.ErrNotFound }

// withKeys completes keys.
func withKeys(a *app) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		return completeKeys(a, cmd, args, begun)
	}
}

// completeKeys completes a key, in one word or in two, with what the server has.
func completeKeys(a *app, cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	const quiet = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		kind, err := parseKind(args[0])
		if err != nil || len(args) > 1 {
			return nil, quiet
		}
		return idsOf(a, kind)(cmd, nil, begun)
	}
	var keys []string
	for _, r := range recordsToComplete(a, cmd, knowledge.Kinds()...) {
		switch k := r.Key.String(); {
		case strings.HasPrefix(k, begun):
			keys = append(keys, k)
		case strings.HasPrefix(r.Key.ID, begun): // an id alone
			keys = append(keys, r.Key.ID)
		}
	}
	return keys, quiet
}
