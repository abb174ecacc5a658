package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// changedFields returns for each change of one document, the newest first, the fields that it has changed.
func changedFields(ctx context.Context, feed store.Feed, changes []knowledge.Change) ([]string, error) {
	out := make([]string, len(changes))
	for i := range changes {
		c := &changes[i]
		var before *knowledge.Record
		switch {
		case i+1 < len(changes):
			before = changes[i+1].Record
		case c.Version > 1:
			r, err := readVersion(ctx, feed, c.Key, c.Version-1)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
			before = r
		}
		switch {
		case c.Record == nil:
			out[i] = "-"
		case before == nil && c.Version == 1:
			out[i] = "created"
		case before == nil:
			out[i] = "the version before is no longer there"
		default:
			out[i] = strings.Join(differing(before.JSON, c.Record.JSON), ", ")
		}
	}
	return out, nil
}

// differing returns the names of the fields in which two documents differ, without those that differ always.
func differing(before, after []byte) []string {
	var a, b map[string]json.RawMessage
	if json.Unmarshal(before, &a) != nil || json.Unmarshal(after, &b) != nil {
		return nil
	}
	kept := []string{"created_by", "created_at", "updated_by", "updated_at", "version"}
	names := map[string]bool{}
	for _, m := range []map[string]json.RawMessage{a, b} {
		for name := range m {
			names[name] = !slices.Contains(kept, name) && !bytes.Equal(a[name], b[name])
		}
	}
	maps.DeleteFunc(names, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(names))
}

// A fileDifference is what a file would change of one document.
type fileDifference struct {
	Key  string          `json:"key"`
	From json.RawMessage `json:"from"` // null where there is none
	To   json.RawMessage `json:"to"`
}

// diffFile shows what writing a file would change.
func diffFile(ctx context.Context, a *app, name string) error {
	ops, err := readPuts(ctx, a, []string{name}, &putSettings{Force: true})
	if err != nil {
		return err
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	list := []fileDifference{}
	var text bytes.Buffer
	same := 0
	for _, op := range ops {
		now, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) (*knowledge.Record, error) { return d.Get(ctx, op.Key) })
		diff := fileDifference{Key: op.Key.String(), From: json.RawMessage("null")}
		there := op.Key.String() + " (not there yet)"
		var before []byte
		switch {
		case err == nil:
			before, diff.From = now.JSON, now.JSON
			there = op.Key.String() + " version " + itoa(now.Version)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if diff.To, err = knowledge.Canonical(op.Doc); err != nil {
			return fmt.Errorf("encode %s: %w", op.Key, err)
		}
		lines, err := diffOf(there, before, op.Key.String()+" in "+name, diff.To)
		if err != nil {
			return err
		}
		if len(lines) == 0 {
			same++
			continue
		}
		text.Write(lines)
		list = append(list, diff)
	}
	a.say("%s would change, %d say the same", plural(int64(len(list)), "document", "documents"), same)
	return a.print(list, func(w io.Writer, _ screen) error { _, err := text.WriteTo(w); return err })
}
