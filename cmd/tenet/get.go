package main

import (
	"context"
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type getSettings struct {
	Version int64 `name:"version" by:"flag" doc:"This version instead of the newest"`
}

func (a *app) addGet() {
	var s getSettings
	a.command(a.root, &cobra.Command{
		Use:   "get KEY",
		Short: "Print one document",
		Long: `Prints the document that a key such as rule/SEC-001 names. What it prints, YAML unless --output says json, can be edited
and given back to "tenet put", which then refuses to overwrite what somebody else has written meanwhile. A document that waits for an
absent PostgreSQL says so, with the batch that it waits in as pending; "tenet put" then asks what became of that.`,
		Example: `  tenet get rule/SEC-001
  tenet get rule/SEC-001 --version 1
  tenet get template/incident-report > t.yaml && $EDITOR t.yaml && tenet put t.yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKeys,
	}, &s, func(ctx context.Context, args []string) error {
		key, err := parseKey(args[0])
		if err != nil {
			return err
		}
		d, err := a.open(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		rec, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Record, error) {
			if s.Version != 0 {
				return readVersion(ctx, d, key, s.Version)
			}
			return d.Get(ctx, key)
		})
		if err != nil {
			return err
		}
		doc := json.RawMessage(rec.JSON)
		if rec.Pending != (knowledge.BatchID{}) {
			a.say("version %d of %s waits in batch %s for PostgreSQL, which may decide otherwise", rec.Version, key, rec.Pending)
			if doc, err = withPending(doc, rec.Pending); err != nil {
				return err
			}
		}
		return a.print(doc, func(w io.Writer, _ screen) error { return printYAML(w, doc) })
	})
}

func parseKey(text string) (knowledge.Key, error) {
	key, err := knowledge.ParseKey(text)
	if err != nil {
		return key, usageError("%s", err)
	}
	return key, nil
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

// completeKeys completes a key, with what the tenet has.
func (a *app) completeKeys(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	const quiet = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, quiet
	}
	if err := a.load(cmd, nil); err != nil {
		return nil, quiet
	}
	d, err := a.open(cmd.Context())
	if err != nil {
		return nil, quiet
	}
	defer a.close(d)
	var keys []string
	for _, kind := range knowledge.Kinds() {
		page, err := d.List(cmd.Context(), knowledge.Query{Kind: kind, Order: knowledge.OrderID, Activity: knowledge.AnyActivity, Limit: knowledge.MaxLimit})
		if err != nil {
			continue // a kind that the caller may not see
		}
		for _, r := range page.Records {
			if k := r.Key.String(); len(k) >= len(begun) && k[:len(begun)] == begun {
				keys = append(keys, k)
			}
		}
	}
	return keys, quiet
}
