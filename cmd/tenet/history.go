package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"tenet/internal/knowledge"
)

type historySettings struct {
	Limit int `name:"limit" default:"50" by:"flag" doc:"How many changes at most (up to 2000), the newest first"`
}

func (a *app) addHistory() {
	var s historySettings
	a.command(a.root, &cobra.Command{
		Use:               "history KEY",
		Short:             "Show who changed a document, and when",
		Long:              `Shows the changes of a document, the newest first. "tenet get KEY --version N" prints one of its versions, "tenet diff" what changed between two.`,
		Example:           `  tenet history rule/SEC-001`,
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
		changes, err := a.historyOf(ctx, d, key, s.Limit)
		if err != nil {
			return err
		}
		t := &table{head: []string{"VERSION", "VERB", "BY", "AT (UTC)", "SEQ", "BATCH"}, wide: 2}
		for _, c := range changes {
			t.add(itoa(c.Version), string(c.Verb), c.Actor, moment(c.At), itoa(int64(c.Seq)), c.Batch.String())
		}
		return a.printTable(struct {
			Changes []knowledge.Change `json:"changes"`
		}{changes}, t)
	})
}

// historyOf returns a document's changes, the newest first. A document without any is not found.
func (a *app) historyOf(ctx context.Context, d *door, key knowledge.Key, limit int) ([]knowledge.Change, error) {
	return withTimeout(ctx, a.Timeout, func(ctx context.Context) ([]knowledge.Change, error) {
		changes, err := d.Changes(ctx, knowledge.ChangeQuery{Key: key, Newest: true, Limit: limit})
		if err != nil {
			return nil, err
		}
		if len(changes) == 0 {
			_, err = d.Get(ctx, key) // it is there, and its changes are no longer kept; or it is not found
		}
		return changes, err
	})
}

func (a *app) addDiff() {
	a.command(a.root, &cobra.Command{
		Use:   "diff KEY [FROM [TO]]",
		Short: "Show what changed between two versions of a document",
		Long: `Shows what changed between two versions of a document, as lines of its YAML. Without TO it is the newest version, without
FROM the one before.`,
		Example: `  tenet diff rule/SEC-001
  tenet diff rule/SEC-001 1 3`,
		Args:              cobra.RangeArgs(1, 3),
		ValidArgsFunction: a.completeKeys,
	}, nil, func(ctx context.Context, args []string) error {
		key, err := parseKey(args[0])
		if err != nil {
			return err
		}
		var versions [2]int64
		for i, text := range args[1:] {
			if versions[i], err = strconv.ParseInt(text, 10, 64); err != nil || versions[i] < 1 {
				return usageError("version %q: want a number from 1", text)
			}
		}
		d, err := a.open(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		return a.diff(ctx, d, key, versions[0], versions[1])
	})
}

func (a *app) diff(ctx context.Context, d *door, key knowledge.Key, from, to int64) error {
	if to == 0 {
		changes, err := a.historyOf(ctx, d, key, 1)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return &versionError{key, 0, "is no longer in the log"}
		}
		to = changes[0].Version
	}
	if from == 0 && to == 1 {
		return usageError("%s has had one version so far: there is nothing to compare", key)
	}
	if from == 0 {
		from = to - 1
	}
	older, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Record, error) { return readVersion(ctx, d, key, from) })
	if err != nil {
		return err
	}
	newer, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Record, error) { return readVersion(ctx, d, key, to) })
	if err != nil {
		return err
	}
	return a.print(struct {
		From json.RawMessage `json:"from"`
		To   json.RawMessage `json:"to"`
	}{older.JSON, newer.JSON}, func(w io.Writer, _ screen) error { return writeDiff(w, older, newer) })
}

func writeDiff(w io.Writer, older, newer *knowledge.Record) error {
	var texts [2]bytes.Buffer
	for i, r := range []*knowledge.Record{older, newer} {
		node, err := yamlOf(r.JSON)
		if err != nil {
			return err
		}
		dropStamps(node)
		if err := encodeYAML(&texts[i], node); err != nil {
			return err
		}
	}
	name := func(r *knowledge.Record) string { return r.Key.String() + " version " + itoa(r.Version) }
	text := diff.Diff(name(older), texts[0].Bytes(), name(newer), texts[1].Bytes())
	if len(text) == 0 {
		text = fmt.Appendf(nil, "versions %d and %d say the same\n", older.Version, newer.Version)
	}
	_, err := w.Write(text)
	return err
}

// dropStamps takes out what the store writes on every version: it differs always, and "tenet history" shows it.
func dropStamps(n *yaml.Node) {
	t := reflect.TypeFor[knowledge.Stamp]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		for j := 0; j+1 < len(n.Content); j += 2 {
			if n.Content[j].Value == name {
				n.Content = slices.Delete(n.Content, j, j+2)
				break
			}
		}
	}
}
