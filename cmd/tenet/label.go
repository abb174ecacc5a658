package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// readAtLabel returns a document as it stands at a label.
func readAtLabel(ctx context.Context, d *door, key knowledge.Key, label string) (*knowledge.Record, error) {
	if !knowledge.Labelled(key.Kind) {
		return nil, usageError("a %s is not read at a label: it is as it is now", key.Kind)
	}
	l, err := store.LabelOf(ctx, d, label)
	if err != nil {
		return nil, err
	}
	return store.AtLabel(ctx, d, l, key)
}

// listAt returns a page of documents as they stand at a label, as they are now without one.
func (d *door) listAt(ctx context.Context, label string, q knowledge.Query) (*knowledge.Page, error) {
	if label == "" {
		return d.List(ctx, q)
	}
	l, from, err := d.labelled(ctx, label)
	if err != nil {
		return nil, err
	}
	return from.ListAt(ctx, l, q)
}

// searchAt returns the hits of a search of documents as they stand at a label, as they are now without one.
func (d *door) searchAt(ctx context.Context, label string, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if label == "" {
		return d.Search(ctx, q)
	}
	l, from, err := d.labelled(ctx, label)
	if err != nil {
		return nil, err
	}
	return from.SearchAt(ctx, l, q)
}

// labels returns what lists and searches documents at labels.
func (d *door) labels() store.LabelReader {
	if d.remote != nil {
		return d.remote
	}
	return d.local
}

// labelled returns a label as [door.labels] takes it: a running tenet looks at the label itself.
func (d *door) labelled(ctx context.Context, label string) (*knowledge.Label, store.LabelReader, error) {
	if d.remote != nil {
		return &knowledge.Label{LabelID: label}, d.remote, nil
	}
	l, err := store.LabelOf(ctx, d, label)
	return l, d.local, err
}

// sayAt tells people as of which label an answer is.
func (a *app) sayAt(at knowledge.LabelAt) {
	if at.Label != "" && a.Output != asJSON && a.Output != asYAML {
		a.say("as of label %s, at change %d", at.Label, at.Seq)
	}
}

type labelSettings struct {
	whySettings
	Hold        []string `name:"hold" by:"flag" doc:"A document that stays at a version, as in rule/SEC-001=3; repeatable"`
	Release     []string `name:"release" by:"flag" doc:"A document that no longer does; may be given several times"`
	Description string   `name:"description" by:"flag" doc:"What the label is for"`
	Batch       string   `name:"batch" by:"flag" doc:"UUID of the write: sent again with it, nothing is done twice"`
}

func addLabel(a *app) {
	label := &cobra.Command{
		Use:   "label",
		Short: "Name positions of the log, and move the names",
		Long: `A label is a name for a position of the log: the documents as they were after that change. Moving it is
the roll-out, moving it back the roll-back. What is read at a label stays as it is until the label is moved, whatever
is written meanwhile.`,
	}
	a.root.AddCommand(label)
	var set labelSettings
	a.command(label, &cobra.Command{
		Use:   "set NAME [POSITION]",
		Short: "Make a label, or change what it says",
		Long: `Makes a label at a position: the seq of a change, or the newest change when left out. Of a label that
is there it changes what is given.`,
		Example: `  tenet label set production
  tenet label set production 48211 --hold rule/SEC-001=3`,
		Args: cobra.RangeArgs(1, 2),
	}, &set, func(ctx context.Context, args []string) error { return setLabel(ctx, a, &set, args, true) })
	var move labelSettings
	a.command(label, &cobra.Command{
		Use:   "move NAME POSITION|now",
		Short: "Move a label to another position",
		Long:  `Moves a label that is there. "tenet history label/NAME" tells where it stood before.`,
		Example: `  tenet label move production now
  tenet label move production 48211`,
		Args: cobra.ExactArgs(2),
	}, &move, func(ctx context.Context, args []string) error { return setLabel(ctx, a, &move, args, false) })
	a.command(label, &cobra.Command{
		Use:   "compare A [B]",
		Short: "Show which documents differ between two labels",
		Long: `Shows which documents stand at other versions at label B than at label A; without B, than now. A
position does for a label.`,
		Example: `  tenet label compare production staging
  tenet label compare production
  tenet label compare 48211 production`,
		Args: cobra.RangeArgs(1, 2), Annotations: printsLists(),
	}, nil, func(ctx context.Context, args []string) error { return compareLabels(ctx, a, args) })
}

// setLabel writes a label, which without create must be there.
func setLabel(ctx context.Context, a *app, s *labelSettings, args []string, create bool) error {
	key, err := parseKey(string(knowledge.KindLabel) + "/" + args[0])
	if err != nil {
		return err
	}
	id, err := batchID(s.Batch)
	if err != nil {
		return err
	}
	holds, err := s.holds()
	if err != nil {
		return err
	}
	d, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	patch := map[string]any{}
	if len(args) > 1 {
		seq, err := positionOf(ctx, a, d, args[1])
		if err != nil {
			return err
		}
		patch["seq"] = seq
	}
	if len(holds) > 0 {
		patch["holds"] = holds
	}
	if s.Description != "" {
		patch["description"] = s.Description
	}
	rec, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Record, error) {
		return d.Get(ctx, key)
	})
	if errors.Is(err, store.ErrNotFound) && create {
		return makeLabel(ctx, a, d, knowledge.Batch{ID: id, Message: s.Message}, key, patch)
	}
	if err != nil {
		return err
	}
	if len(patch) == 0 {
		return usageError("label %s is there: say what to change, a position, --hold, --release or --description; "+
			"see `tenet label set --help`", key.ID)
	}
	raw, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	op := knowledge.Op{Verb: knowledge.VerbPatch, Key: key, Patch: raw, IfVersion: rec.Version}
	if rec.Pending != (knowledge.BatchID{}) {
		op.IfVersion, op.IfBatch = knowledge.AnyVersion, rec.Pending
	}
	return send(ctx, a, d, knowledge.Batch{ID: id, Message: s.Message, Ops: []knowledge.Op{op}})
}

// holds returns which documents the label holds at which version from now on; one that it releases has none.
func (s *labelSettings) holds() (map[string]any, error) {
	holds := map[string]any{}
	for _, text := range s.Release {
		k, err := parseKey(text)
		if err != nil {
			return nil, err
		}
		holds[k.String()] = nil
	}
	for _, text := range s.Hold {
		name, version, _ := strings.Cut(text, "=")
		k, err := parseKey(name)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseInt(version, 10, 64)
		if err != nil || n < 1 {
			return nil, usageError("--hold %q: want a document and a version, as in rule/SEC-001=3", text)
		}
		holds[k.String()] = n
	}
	return holds, nil
}

func makeLabel(ctx context.Context, a *app, d *door, b knowledge.Batch, key knowledge.Key,
	fields map[string]any,
) error {
	if _, given := fields["seq"]; !given {
		seq, err := positionOf(ctx, a, d, "now")
		if err != nil {
			return err
		}
		fields["seq"] = seq
	}
	if holds, ok := fields["holds"].(map[string]any); ok {
		maps.DeleteFunc(holds, func(_ string, v any) bool { return v == nil })
	}
	fields[key.Kind.IDField()] = key.ID
	raw, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	doc, err := knowledge.Decode(key.Kind, raw)
	if err != nil {
		return err
	}
	b.Ops = []knowledge.Op{knowledge.Put(doc, knowledge.NoVersion)}
	return send(ctx, a, d, b)
}

// positionOf reads a position: a seq, or now for the newest change.
func positionOf(ctx context.Context, a *app, d *door, text string) (knowledge.Seq, error) {
	if text == "now" {
		place, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) (store.Place, error) { return store.Newest(ctx, d) })
		return place.Seq, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, usageError("position %q: want the seq of a change, or now", text)
	}
	return knowledge.Seq(n), nil
}

// standOf returns the label that a word names, or one for a position.
func standOf(ctx context.Context, a *app, d *door, word string) (*knowledge.Label, error) {
	if n, err := strconv.ParseInt(word, 10, 64); err == nil && n >= 0 {
		return &knowledge.Label{LabelID: word, Seq: knowledge.Seq(n)}, nil
	}
	return withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Label, error) {
		return store.LabelOf(ctx, d, word)
	})
}

// A labelDifference is a document that stands at one version here and another there; 0 for not at all.
type labelDifference struct {
	Kind knowledge.Kind `json:"kind"`
	ID   string         `json:"id"`
	From int64          `json:"from"`
	To   int64          `json:"to"`
	rec  *knowledge.Record
}

func compareLabels(ctx context.Context, a *app, args []string) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	from, err := standOf(ctx, a, d, args[0])
	if err != nil {
		return err
	}
	to := &knowledge.Label{LabelID: "now"}
	if len(args) > 1 {
		to, err = standOf(ctx, a, d, args[1])
	} else {
		to.Seq, err = positionOf(ctx, a, d, to.LabelID)
	}
	if err != nil {
		return err
	}
	list, err := differences(ctx, a, d, from, to)
	if err != nil {
		return err
	}
	t := &table{
		head: []string{"DOCUMENT", strings.ToUpper(from.LabelID), strings.ToUpper(to.LabelID), "TITLE"},
		wide: 3,
		none: fmt.Sprintf("the documents are the same at %s and %s", from.LabelID, to.LabelID),
	}
	for _, one := range list {
		title := ""
		if doc, err := one.rec.Document(); err == nil {
			title = doc.Text().Title
		}
		t.add(string(one.Kind)+"/"+one.ID, versionCell(one.From), versionCell(one.To), cell(title))
	}
	return a.printTable(struct {
		Differences []labelDifference `json:"differences"`
	}{list}, t)
}

// differences returns the documents that stand at other versions at one label than at the other.
func differences(ctx context.Context, a *app, d *door, from, to *knowledge.Label) ([]labelDifference, error) {
	keys, err := changedBetween(ctx, a, d, from, to)
	if err != nil {
		return nil, err
	}
	list := []labelDifference{}
	for _, key := range keys {
		x, err := versionAt(ctx, a, d, from, key)
		if err != nil {
			return nil, err
		}
		y, err := versionAt(ctx, a, d, to, key)
		if err != nil {
			return nil, err
		}
		one := labelDifference{Kind: key.Kind, ID: key.ID, rec: y}
		if x != nil {
			one.From = x.Version
		}
		if y != nil {
			one.To = y.Version
		} else {
			one.rec = x
		}
		if one.From != one.To {
			list = append(list, one)
		}
	}
	return list, nil
}

func versionCell(n int64) string {
	if n == 0 {
		return "-"
	}
	return itoa(n)
}

func versionAt(ctx context.Context, a *app, d *door, l *knowledge.Label, key knowledge.Key) (*knowledge.Record, error) {
	rec, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Record, error) {
		return store.AtLabel(ctx, d, l, key)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // it does not stand there
	}
	return rec, err
}

// changedBetween returns what may differ between two labels: what was changed between their positions, and what one of
// them holds.
func changedBetween(ctx context.Context, a *app, d *door, x, y *knowledge.Label) ([]knowledge.Key, error) {
	keys := map[knowledge.Key]bool{}
	for _, l := range []*knowledge.Label{x, y} {
		for text := range l.Holds {
			if key, err := knowledge.ParseKey(text); err == nil {
				keys[key] = true
			}
		}
	}
	last := max(x.Seq, y.Seq)
	for after := min(x.Seq, y.Seq); after < last; {
		changes, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) ([]knowledge.Change, error) {
			return d.Changes(ctx, knowledge.ChangeQuery{After: after})
		})
		if err != nil {
			return nil, err
		}
		if len(changes) == 0 {
			break
		}
		for i := range changes {
			if c := &changes[i]; c.Seq <= last && knowledge.Labelled(c.Key.Kind) {
				keys[c.Key] = true
			}
		}
		after = changes[len(changes)-1].Seq
	}
	return slices.SortedFunc(maps.Keys(keys),
		func(a, b knowledge.Key) int { return strings.Compare(a.String(), b.String()) }), nil
}
