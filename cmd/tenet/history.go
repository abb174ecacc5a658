package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type historySettings struct {
	Limit int `name:"limit" least:"1" default:"50" by:"flag" doc:"How many changes at most (up to 2000), the newest first"`
}

func addHistory(a *app) {
	var s historySettings
	a.command(a.root, &cobra.Command{
		Use:   "history KEY",
		Short: "Show who changed a document, and when",
		Long: `Shows the changes of a document, the newest first, with the fields that each has changed, and what its
writer said of it with --message. A change that a proposal brought names the proposal and who proposed it. "tenet get
KEY --version N" prints one of its versions, "tenet diff" what changed between two, and "tenet undo BATCH" takes a write
back.`,
		Example:           "  tenet history rule/SEC-001\n  tenet history rule SEC-001 --limit 5",
		Annotations:       prints(asWide, asCSV),
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: withKeys(a),
	}, &s, func(ctx context.Context, args []string) error {
		key, err := oneKey(args)
		if err != nil {
			return err
		}
		d, err := a.openToLook(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		if err := findKeys(ctx, a, d, &key); err != nil {
			return err
		}
		return showHistory(ctx, a, d, key, s.Limit)
	})
}

func showHistory(ctx context.Context, a *app, d *door, key knowledge.Key, limit int) error {
	changes, err := historyOf(ctx, a, d, key, limit)
	if err != nil {
		return err
	}
	more, err := olderThan(ctx, a, d, key, changes)
	if err != nil {
		return err
	}
	fields, err := withTimeout(ctx, a.Timeout,
		func(ctx context.Context) ([]string, error) { return changedFields(ctx, d, changes) })
	if err != nil {
		return err
	}
	proposals, err := withTimeout(ctx, a.Timeout,
		func(ctx context.Context) (map[string]*proposed, error) { return proposedIn(ctx, d, changes) })
	if err != nil {
		return err
	}
	t := &table{head: []string{"VERSION", "VERB", "BY", "AT (UTC)", "SEQ", "BATCH", "CHANGED"}, wide: 6}
	said := slices.ContainsFunc(changes, func(c knowledge.Change) bool { return c.Message != "" })
	if said {
		t.head, t.wide = append(t.head, "MESSAGE"), 7
	}
	for i, c := range changes {
		by := c.Actor
		if c.Entered() {
			by += " (entered by " + c.EnteredBy + ", " + moment(c.EnteredAt) + ")"
		}
		if p := proposals[c.Batch.String()]; p != nil {
			by += " (proposed by " + p.By + ", " + p.Proposal + ")"
		}
		t.add(itoa(c.Version), string(c.Verb), by, moment(c.At), itoa(int64(c.Seq)), c.Batch.String(), fields[i])
		if said {
			t.rows[i] = append(t.rows[i], c.Message)
		}
	}
	if err := a.printTable(struct {
		Changes   []knowledge.Change   `json:"changes"`
		Proposals map[string]*proposed `json:"proposals,omitempty"` // by the batch that applied them
	}{changes, proposals}, t); err != nil {
		return err
	}
	if more {
		a.sayMore(len(changes), fmt.Sprintf("--limit %d shows older ones too", min(10*limit, knowledge.MaxChanges)))
	}
	return sayWaiting(ctx, a, d, key)
}

// A proposed change was written by a proposal that somebody else may have made than the one who applied it.
type proposed struct {
	Proposal string `json:"proposal"`
	By       string `json:"by"`
}

// proposedIn returns the proposals that changes come from, by their batches. Who may not read proposals gets none.
func proposedIn(ctx context.Context, d *door, changes []knowledge.Change) (map[string]*proposed, error) {
	found := map[string]*proposed{}
	for _, c := range changes {
		name := c.Batch.String()
		if _, asked := found[name]; asked || !knowledge.MayBeApplyID(c.Batch) || c.Key.Kind == knowledge.KindProposal {
			continue
		}
		found[name] = nil
		of, err := d.Changes(ctx, knowledge.ChangeQuery{Batch: c.Batch, Kind: knowledge.KindProposal, Limit: 1})
		switch {
		case errors.Is(err, store.ErrForbidden):
			return nil, nil
		case err != nil:
			return nil, err
		case len(of) > 0 && of[0].Record != nil:
			doc, err := of[0].Record.Document()
			if err != nil {
				return nil, err
			}
			found[name] = &proposed{of[0].Key.String(), doc.Stamps().CreatedBy}
		}
	}
	maps.DeleteFunc(found, func(_ string, p *proposed) bool { return p == nil })
	return found, nil
}

// sayWaiting tells of a document's newest write that waits for an absent primary: it is in no log yet.
func sayWaiting(ctx context.Context, a *app, d *door, key knowledge.Key) error {
	rec, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Record, error) {
		return d.Get(ctx, key)
	})
	switch {
	case errors.Is(err, store.ErrNotFound): // deleted
		return nil
	case err != nil:
		return err
	case rec.Pending != knowledge.BatchID{}:
		a.say("not in the log yet: batch %s, which waits for the primary and is promised version %d; `tenet get %s` "+
			"shows it", rec.Pending, rec.Version, key)
	}
	return nil
}

// historyOf returns a document's changes, the newest first. A document without any is not found.
func historyOf(ctx context.Context, a *app, d *door, key knowledge.Key, limit int) ([]knowledge.Change, error) {
	return withTimeout(ctx, a.Timeout, func(ctx context.Context) ([]knowledge.Change, error) {
		changes, err := d.Changes(ctx, knowledge.ChangeQuery{Key: key, Newest: true, Limit: limit})
		for more := changes; err == nil && len(more) > 0 && len(changes) < limit && more[len(more)-1].Version > 1; {
			// A server's answer ends before its count where the documents are large.
			more, err = d.Changes(ctx, knowledge.ChangeQuery{
				Key: key, Newest: true, After: more[len(more)-1].Seq,
				Limit: limit - len(changes),
			})
			changes = append(changes, more...)
		}
		if err != nil {
			return nil, err
		}
		if len(changes) == 0 {
			_, err = d.Get(ctx, key) // it is there, and its changes are no longer kept; or it is not found
		}
		return changes, err
	})
}

// olderThan reports whether the log holds older changes of a document than those that were read.
func olderThan(ctx context.Context, a *app, d *door, key knowledge.Key, read []knowledge.Change) (bool, error) {
	if len(read) == 0 || read[len(read)-1].Version == 1 {
		return false, nil
	}
	older, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) ([]knowledge.Change, error) {
		return d.Changes(ctx, knowledge.ChangeQuery{
			Key: key, Newest: true, After: read[len(read)-1].Seq, Limit: 1,
		})
	})
	return len(older) > 0, err
}

type diffSettings struct {
	File string `name:"file" short:"f" by:"flag" doc:"JSON or YAML file, a folder of them, or - for standard input"`
}

func addDiff(a *app) {
	var s diffSettings
	a.command(a.root, &cobra.Command{
		Use:   "diff KEY [FROM [TO]]",
		Short: "Show what changed between two versions, or what a file would change",
		Long: `Shows what changed between two versions of a document, as lines of its YAML. Without TO it is the
newest version, without FROM the one before.

With --file it shows what "tenet put FILE" would change: of each document in the file, against what is there.`,
		Example: `  tenet diff rule/SEC-001
  tenet diff rule SEC-001 1 3
  tenet diff --file rules.yaml`,
		Args: cobra.RangeArgs(0, 4), ValidArgsFunction: keyThenVersions(a),
	}, &s, func(ctx context.Context, args []string) error {
		switch {
		case s.File != "" && len(args) > 0:
			return usageError("name a document or a --file, not both")
		case s.File != "":
			return diffFile(ctx, a, s.File)
		case len(args) == 0:
			return usageError("name a document or a --file; see `tenet diff --help`")
		}
		key, rest, err := takeKey(args)
		if err != nil {
			return err
		}
		if len(rest) > 2 {
			return usageError("%q is too much: want a document and two versions at most", rest[2])
		}
		var versions [2]int64
		for i, text := range rest {
			if versions[i], err = strconv.ParseInt(text, 10, 64); err != nil || versions[i] < 1 {
				return usageError("version %q: want a number from 1", text)
			}
		}
		d, err := a.openToLook(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		if err := findKeys(ctx, a, d, &key); err != nil {
			if _, no := os.Stat(args[0]); no == nil && errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("%w\nWhat the file %[2]s would change shows `tenet diff --file %[2]s`", err, args[0])
			}
			return err
		}
		return diffVersions(ctx, a, d, key, versions[0], versions[1])
	})
}

func diffVersions(ctx context.Context, a *app, d *door, key knowledge.Key, from, to int64) error {
	if to == 0 {
		changes, err := historyOf(ctx, a, d, key, 1)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return &versionError{key, 0, "is no longer in the log"}
		}
		to = changes[0].Version
	}
	if from == 0 && to == 1 {
		a.say("%s has had one version so far: there is nothing to compare", key)
		return nil
	}
	if from == 0 {
		from = to - 1
	}
	older, err := withTimeout(ctx, a.Timeout,
		func(ctx context.Context) (*knowledge.Record, error) { return readVersion(ctx, d, key, from) })
	if err != nil {
		return err
	}
	newer, err := withTimeout(ctx, a.Timeout,
		func(ctx context.Context) (*knowledge.Record, error) { return readVersion(ctx, d, key, to) })
	if err != nil {
		return err
	}
	return a.print(struct {
		From json.RawMessage `json:"from"`
		To   json.RawMessage `json:"to"`
	}{older.JSON, newer.JSON}, func(w io.Writer, _ screen) error { return writeDiff(w, older, newer) })
}

func writeDiff(w io.Writer, older, newer *knowledge.Record) error {
	name := func(r *knowledge.Record) string { return r.Key.String() + " version " + itoa(r.Version) }
	text, err := diffOf(name(older), older.JSON, name(newer), newer.JSON)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		text = fmt.Appendf(nil, "versions %d and %d say the same\n", older.Version, newer.Version)
	}
	_, err = w.Write(text)
	return err
}

// diffOf returns what differs between two documents, as lines of their YAML without stamps; nil for no document.
func diffOf(before string, old []byte, after string, now []byte) ([]byte, error) {
	var texts [2]bytes.Buffer
	for i, doc := range [][]byte{old, now} {
		if doc == nil {
			continue
		}
		node, err := yamlOf(doc)
		if err != nil {
			return nil, err
		}
		dropStamps(node)
		if err := interchange.EncodeYAML(&texts[i], node); err != nil {
			return nil, err
		}
	}
	return diff.Diff(before, texts[0].Bytes(), after, texts[1].Bytes()), nil
}

// dropStamps takes out what the store writes on every version: it differs always, and "tenet history" shows it.
func dropStamps(n *yaml.Node) {
	t := reflect.TypeFor[knowledge.Stamp]()
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		for j := 0; j+1 < len(n.Content); j += 2 {
			if n.Content[j].Value == name {
				n.Content = slices.Delete(n.Content, j, j+2)
				break
			}
		}
	}
}
