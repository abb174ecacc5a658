package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
)

type patchSettings struct {
	whySettings
	Set       []string `name:"set" by:"flag" doc:"Field and value, as in severity=ERROR or tags='[\"go\"]'; repeatable"`
	File      string   `name:"file" by:"flag" doc:"JSON or YAML merge patch (RFC 7396); - for standard input"`
	IfVersion string   `name:"if-version" by:"flag" doc:"Write only if this version, or ETag, is there"`
	IfBatch   string   `name:"if-batch" by:"flag" doc:"Write only if this batch, even one that waits, has left what is there"`
	Batch     string   `name:"batch" by:"flag" doc:"UUID of the write: sent again with it, nothing is done twice"`
	DryRun    dryRun   `name:"dry-run" by:"flag" doc:"Write nothing, and show what would be done; =server asks the server"`
}

func addPatch(a *app) {
	var s patchSettings
	a.command(a.root, &cobra.Command{
		Use:   "patch KEY",
		Short: "Change fields of a document",
		Long: `Changes some fields of a document and leaves the others. A value that is JSON (5, true, null, "text",
["a","b"]) is taken as such; anything else is text. null takes a field back to its default.`,
		Example: `  tenet patch rule/SEC-001 --set severity=CRITICAL --set priority=10
  tenet patch rule/SEC-001 --set 'tags=["web","sql"]' --if-version 3
  tenet patch practice/small-pull-requests --file patch.yaml`,
		Annotations:       prints(asName),
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: withKeys(a),
	}, &s, func(ctx context.Context, args []string) error {
		id, err := batchID(s.Batch)
		if err != nil {
			return err
		}
		key, err := oneKey(args)
		if err != nil {
			return err
		}
		on, err := conditionOf(s.IfVersion, s.IfBatch)
		if err != nil {
			return err
		}
		patch, err := readPatch(ctx, a, &s)
		if err != nil {
			return err
		}
		d, err := a.openToLook(ctx) // what it changes is there, or there is nothing to do
		if err != nil {
			return err
		}
		defer a.close(d)
		if err := findKeys(ctx, a, d, &key); err != nil {
			return err
		}
		op := knowledge.Op{Verb: knowledge.VerbPatch, Key: key, Patch: patch}
		if err := on.put(ctx, a, d, &op); err != nil {
			return err
		}
		return applyOr(ctx, a, d, s.DryRun, knowledge.Batch{ID: id, Message: s.Message, Ops: []knowledge.Op{op}})
	})
}

// readPatch returns the merge patch of a file with what --set says on top.
func readPatch(ctx context.Context, a *app, s *patchSettings) (json.RawMessage, error) {
	patch := json.RawMessage("{}")
	if s.File != "" {
		data, err := readFile(ctx, a, s.File)
		if err != nil {
			return nil, err
		}
		values, err := jsonOf(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.File, err)
		}
		if len(values) != 1 {
			return nil, usageError("%s: want one object, found %d", s.File, len(values))
		}
		patch = values[0]
	}
	if s.File == "" && len(s.Set) == 0 {
		return nil, usageError("nothing to change: give --set field=value or --file")
	}
	root := map[string]any{}
	if err := json.Unmarshal(patch, &root); err != nil {
		return nil, usageError("%s: want one object", s.File)
	}
	for _, text := range s.Set {
		path, value, ok := strings.Cut(text, "=")
		if !ok || path == "" {
			return nil, usageError("--set %q: want field=value", text)
		}
		if err := setField(root, strings.Split(path, "."), jsonOrText(value)); err != nil {
			return nil, usageError("--set %q: %s", text, err)
		}
	}
	return json.Marshal(root)
}

func setField(object map[string]any, path []string, value any) error {
	if len(path) == 1 {
		object[path[0]] = value
		return nil
	}
	inner, ok := object[path[0]].(map[string]any)
	if !ok {
		if object[path[0]] != nil {
			return fmt.Errorf("%s has a value already", path[0])
		}
		inner = map[string]any{}
		object[path[0]] = inner
	}
	return setField(inner, path[1:], value)
}

// jsonOrText returns what a word means: JSON where it is JSON, else the word itself.
func jsonOrText(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}
