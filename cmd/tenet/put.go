package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
)

type putSettings struct {
	Kind      string `name:"kind" by:"flag" doc:"What the documents are, where their id field does not tell"`
	IfVersion int64  `name:"if-version" by:"flag" doc:"Write only if this is the version that is there"`
	Create    bool   `name:"create" by:"flag" doc:"Write only if there is no such document"`
	Force     bool   `name:"force" by:"flag" doc:"Write whatever is there, also where the file says which version it was made of"`
	DryRun    bool   `name:"dry-run" by:"flag" doc:"Check the documents and write nothing"`
	Batch     string `name:"batch" by:"flag" doc:"Id of the write, a UUID: given again after a lost answer, nothing is done twice"`
}

func (a *app) addPut() {
	var s putSettings
	a.command(a.root, &cobra.Command{
		Use:   "put FILE|-",
		Short: "Write documents from a JSON or YAML file",
		Long: `Writes the documents of a JSON or YAML file, or of standard input: one, several, or a list of them. All are written, or none.
A document that says its version, as "tenet get" prints it, is written only if that is still the version that is there.`,
		Example: `  tenet put rule.yaml
  tenet get rule/SEC-001 | sed 's/WARNING/ERROR/' | tenet put -
  tenet put new-rules.json --create --dry-run`,
		Args: cobra.ExactArgs(1),
	}, &s, func(ctx context.Context, args []string) error {
		id, err := batchID(s.Batch)
		if err != nil {
			return err
		}
		ops, made, err := a.readPuts(args[0], &s)
		if err != nil {
			return err
		}
		if s.DryRun {
			a.say("%d documents are valid; nothing was written", len(ops))
			return nil
		}
		d, err := a.open(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		for i, batch := range made {
			ops[i].IfVersion, err = withTimeout(ctx, a.Timeout, func(ctx context.Context) (int64, error) { return d.pendingVersion(ctx, &ops[i], batch) })
			if err != nil {
				return err
			}
		}
		return a.apply(ctx, d, id, ops)
	})
}

// readFile reads a file, or standard input for "-", no more than fits into one batch.
func (a *app) readFile(name string) ([]byte, error) {
	in := a.in
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // the user names the file
		if err != nil {
			return nil, usageError("%s", err)
		}
		defer f.Close() //nolint:errcheck // it was only read
		in = f
	}
	const most = 64 << 20
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > most {
		return nil, usageError("%s has more than %d bytes: use tenet import", name, most)
	}
	return data, nil
}

// readPuts reads documents and returns the ops that write them, and for those that were made of what a batch had left that waited
// then, that batch. Every fault of every document is named at once.
func (a *app) readPuts(name string, s *putSettings) ([]knowledge.Op, map[int]knowledge.BatchID, error) {
	if s.Create && (s.Force || s.IfVersion != 0) || s.Force && s.IfVersion != 0 {
		return nil, nil, usageError("--create, --force and --if-version exclude each other")
	}
	data, err := a.readFile(name)
	if err != nil {
		return nil, nil, err
	}
	values, err := jsonOf(data)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	case len(values) == 0:
		return nil, nil, usageError("%s holds no document", name)
	case len(values) > knowledge.MaxBatchOps:
		return nil, nil, usageError("%s holds %d documents, and at most %d are written at once: use tenet import", name, len(values), knowledge.MaxBatchOps)
	case len(values) > 1 && s.IfVersion != 0:
		return nil, nil, usageError("--if-version is for one document, and %s holds %d", name, len(values))
	}
	ops, made := make([]knowledge.Op, len(values)), map[int]knowledge.BatchID{}
	var faulty knowledge.InvalidError
	note := func(i int, err error) error {
		invalid, ok := errors.AsType[*knowledge.InvalidError](err)
		if !ok {
			return err
		}
		if len(values) > 1 {
			invalid = invalid.Below(fmt.Sprintf("/%d", i))
		}
		faulty.Faults = append(faulty.Faults, invalid.Faults...)
		return nil
	}
	for i, raw := range values {
		raw, batch, err := takePending(raw)
		if err := note(i, err); err != nil {
			return nil, nil, err
		}
		ops[i], err = putOp(raw, s)
		if err := note(i, err); err != nil {
			return nil, nil, err
		}
		if batch != (knowledge.BatchID{}) && !s.Create && !s.Force && s.IfVersion == 0 {
			made[i] = batch
		}
	}
	if len(faulty.Faults) > 0 {
		return nil, nil, fmt.Errorf("%s: %w", name, &faulty)
	}
	return ops, made, nil
}

func putOp(raw json.RawMessage, s *putSettings) (knowledge.Op, error) {
	var kind knowledge.Kind
	var err error
	if s.Kind != "" {
		if kind, err = knowledge.ParseKind(s.Kind); err != nil {
			return knowledge.Op{}, usageError("--kind: %s", err)
		}
	} else if kind, err = kindOf(raw); err != nil {
		return knowledge.Op{}, err
	}
	doc, err := knowledge.Decode(kind, raw)
	if err != nil {
		return knowledge.Op{}, err
	}
	if err := doc.Validate(); err != nil {
		return knowledge.Op{}, err
	}
	condition := knowledge.AnyVersion
	switch {
	case s.Create:
		condition = knowledge.NoVersion
	case s.IfVersion != 0:
		condition = s.IfVersion
	case !s.Force:
		condition = doc.Stamps().Version
	}
	return knowledge.Put(doc, condition), nil
}
