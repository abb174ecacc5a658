package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/coherence"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type putSettings struct {
	whySettings
	Kind       string `name:"kind" by:"flag" doc:"What the documents are, where their id field does not tell"`
	IfVersion  string `name:"if-version" by:"flag" doc:"Write only if this version, or ETag, is there"`
	Create     bool   `name:"create" by:"flag" doc:"Write only if there is no such document"`
	Force      bool   `name:"force" by:"flag" doc:"Write even if the file's version is not the one that is there"`
	DryRun     dryRun `name:"dry-run" by:"flag" doc:"Write nothing, and check the documents; =server asks the server"`
	Strict     bool   `name:"strict" by:"flag" doc:"Refuse placeholders without a variable, and unused variables"`
	Categories bool   `name:"create-category" by:"flag" doc:"Create the categories that the documents name"`
	Batch      string `name:"batch" by:"flag" doc:"UUID of the write: sent again with it, nothing is done twice"`
}

func addPut(a *app) {
	var s putSettings
	a.command(a.root, &cobra.Command{
		Use:   "put FILE|FOLDER|-...",
		Short: "Write documents from JSON or YAML files",
		Long: `Writes the documents of JSON or YAML files, of all such files in a folder, or of standard input: one,
several, or a list of them. All are written, or none. A document that says its version, as "tenet get" prints it, is
written only if that is still the version that is there.`,
		Example: `  tenet put rule.yaml
  tenet get rule/SEC-001 | sed 's/WARNING/ERROR/' | tenet put -
  tenet put new-rules.json --create --dry-run=server`,
		Annotations: prints(asName),
		Args:        cobra.MinimumNArgs(1),
	}, &s, func(ctx context.Context, args []string) error {
		id, err := batchID(s.Batch)
		if err != nil {
			return err
		}
		on, err := conditionOf(s.IfVersion, "")
		if err != nil {
			return err
		}
		ops, err := readPuts(ctx, a, args, &s)
		if err != nil {
			return err
		}
		if err := loose(a, ops, s.Strict); err != nil {
			return err
		}
		sayLeftToModel(a, ops)
		if s.DryRun == dryClient {
			for i := range ops {
				sayNotes(a, coherence.ScopeNotes(ops[i].Doc))
			}
			a.say("%s valid; nothing was written, and the server was not asked: --dry-run=server does",
				plural(int64(len(ops)), "document is", "documents are"))
			return nil
		}
		open := a.open
		if s.DryRun != dryNone {
			open = a.openToLook
		}
		d, err := open(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		if s.Categories {
			if ops, err = createCategories(ctx, d, ops); err != nil {
				return err
			}
		}
		if err := checkSeen(ctx, a, d, ops, on); err != nil {
			return err
		}
		return applyOr(ctx, a, d, s.DryRun, knowledge.Batch{ID: id, Message: s.Message, Ops: ops})
	})
}

// checkSeen looks whether the versions that documents say they are made of are still the same texts; or what was named
// as seen of the only one.
func checkSeen(ctx context.Context, a *app, d *door, ops []knowledge.Op, on condition) error {
	if on != (condition{}) {
		return on.put(ctx, a, d, &ops[0])
	}
	_, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (none struct{}, err error) {
		for i := range ops {
			if err = store.CheckSeen(ctx, d.Get, i, &ops[i]); err != nil {
				break
			}
		}
		return none, err
	})
	return err
}

// loose names what the writers of templates may not have meant, and refuses it where that is asked for.
func loose(a *app, ops []knowledge.Op, strict bool) error {
	var faulty knowledge.InvalidError
	for i := range ops {
		t, ok := ops[i].Doc.(*knowledge.Template)
		if !ok {
			continue
		}
		for _, f := range t.Loose() {
			faulty.Faults = append(faulty.Faults, knowledge.Fault{
				Pointer: ops[i].Key.String() + f.Pointer,
				Detail:  f.Detail,
			})
		}
	}
	if strict && len(faulty.Faults) > 0 {
		return &faulty
	}
	for _, f := range faulty.Faults {
		a.say("%s: %s", f.Pointer, f.Detail)
	}
	return nil
}

// sayLeftToModel names documents that hold only where a task fits them although they have globs or are mandatory. Most
// who write one mean otherwise, and have left the activation out.
func sayLeftToModel(a *app, ops []knowledge.Op) {
	for i := range ops {
		c := knowledge.CommonOf(ops[i].Doc)
		if c == nil || c.Scope.Activation != "model" {
			continue
		}
		key := cell(ops[i].Key.String())
		if r, ok := ops[i].Doc.(*knowledge.Rule); len(c.Scope.Globs) > 0 {
			a.say("%s: its globs decide nothing, since scope.activation is model: write glob to have it hold for them", key)
		} else if ok && r.Enforcement == "mandatory" {
			a.say("%s: it is mandatory and holds only where a task fits it, since scope.activation is model: write always, "+
				"or glob with globs", key)
		}
	}
}

// sayLoose names it for templates whose whole text only the answer shows.
func sayLoose(a *app, ops []knowledge.Op, r *knowledge.Receipt) {
	var whole []knowledge.Op
	for i, rec := range r.Records {
		if rec == nil || rec.Key.Kind != knowledge.KindTemplate || ops[i].Verb != knowledge.VerbPatch {
			continue
		}
		if d, err := rec.Document(); err == nil {
			whole = append(whole, knowledge.Put(d, knowledge.AnyVersion))
		}
	}
	_ = loose(a, whole, false) // without strict it returns no error
}

// readFile reads a file, or standard input for "-", no more than fits into one batch, until the context ends: of a pipe
// the writer may never come.
func readFile(ctx context.Context, a *app, name string) ([]byte, error) {
	const most = 64 << 20
	data, err := patiently(ctx, func() ([]byte, error) {
		in := a.in
		if name != "-" {
			f, err := os.Open(name) //nolint:gosec // the user names the file
			if err != nil {
				return nil, usageError("%s", err)
			}
			defer f.Close() //nolint:errcheck // it was only read
			in = f
		}
		data, err := io.ReadAll(io.LimitReader(in, most+1))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return data, nil
	})
	if err != nil {
		return nil, err
	}
	if len(data) > most {
		return nil, usageError("%s has more than %d bytes: use tenet import", name, most)
	}
	return data, nil
}

// readPuts reads documents and returns the ops that write them. Those that were made of what a waiting batch had left
// name that batch. Every fault of every document is named at once.
func readPuts(ctx context.Context, a *app, names []string, s *putSettings) ([]knowledge.Op, error) {
	if s.Create && (s.Force || s.IfVersion != "") || s.Force && s.IfVersion != "" {
		return nil, usageError("--create, --force and --if-version exclude each other")
	}
	values, err := readPutValues(ctx, a, names)
	name := strings.Join(names, ", ")
	switch {
	case err != nil:
		return nil, err
	case len(values) == 0:
		return nil, usageError("%s holds no document", name)
	case len(values) > knowledge.MaxBatchOps:
		return nil, usageError("%s holds %d documents, and at most %d are written at once: use tenet import", name,
			len(values), knowledge.MaxBatchOps)
	case len(values) > 1 && s.IfVersion != "":
		return nil, usageError("--if-version is for one document, and %s holds %d", name, len(values))
	}
	ops := make([]knowledge.Op, len(values))
	var faulty knowledge.InvalidError
	note := func(i int, err error) error {
		invalid, ok := errors.AsType[*knowledge.InvalidError](err)
		if !ok {
			return err
		}
		if len(values) > 1 {
			invalid = invalid.Below(values[i].pointer)
		}
		faulty.Faults = append(faulty.Faults, invalid.Faults...)
		return nil
	}
	for i := range values {
		raw, batch, err := takePending(values[i].raw)
		if err := note(i, err); err != nil {
			return nil, err
		}
		ops[i], err = putOp(raw, s)
		if err := note(i, err); err != nil {
			return nil, err
		}
		if values[i].file != "" && ops[i].Doc != nil {
			a.from[ops[i].Key] = values[i].file
		}
		if batch != (knowledge.BatchID{}) && !s.Create && !s.Force && s.IfVersion == "" {
			ops[i].IfVersion, ops[i].IfBatch = knowledge.AnyVersion, batch
		}
	}
	if len(faulty.Faults) > 0 {
		return nil, fmt.Errorf("%s: %w", name, &faulty)
	}
	parentsFirst(ops)
	return ops, nil
}

// A putValue is a document to write, and where it stands.
type putValue struct {
	raw     json.RawMessage
	pointer string // of faults, where there are several
	file    string // where there are several
}

// readPutValues reads the documents of files, of the JSON and YAML files in folders, or of standard input for "-".
func readPutValues(ctx context.Context, a *app, names []string) ([]putValue, error) {
	var files []string
	for _, name := range names {
		if info, err := os.Stat(name); name == "-" || err != nil || !info.IsDir() {
			files = append(files, name)
			continue
		}
		inside, err := documentFiles(name)
		if err != nil {
			return nil, usageError("%s", err)
		}
		if len(inside) == 0 {
			return nil, usageError("%s holds no JSON or YAML files; \"tenet import\" reads others", name)
		}
		files = append(files, inside...)
	}
	var out []putValue
	for _, file := range files {
		data, err := readFile(ctx, a, file)
		if err != nil {
			return nil, err
		}
		list, err := jsonOf(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for i, raw := range list {
			v := putValue{raw: raw, pointer: fmt.Sprintf("/%d", i)}
			if len(files) > 1 {
				v.pointer, v.file = file+v.pointer, file
			}
			out = append(out, v)
		}
	}
	return out, nil
}

// documentFiles returns the JSON and YAML files below a folder, in the order of their names. No link is followed.
func documentFiles(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch ext := strings.ToLower(filepath.Ext(p)); {
		case err != nil:
			return err
		case d.Type().IsRegular() && (ext == ".yaml" || ext == ".yml" || ext == ".json"):
			out = append(out, p)
		case d.IsDir() && p != dir && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		}
		return nil
	})
	return out, err
}

func putOp(raw json.RawMessage, s *putSettings) (knowledge.Op, error) {
	var kind knowledge.Kind
	var err error
	if s.Kind != "" {
		if kind, err = parseKind(s.Kind); err != nil {
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
	case !s.Force && s.IfVersion == "":
		condition = doc.Stamps().Version
	}
	return knowledge.Put(doc, condition), nil
}
