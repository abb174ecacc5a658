// Package seed holds the starter set: the categories, rules, practices, templates and packs that a new install begins
// with, and that are still there to read when neither the primary nor the mirror is.
package seed

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"tenet/internal/knowledge"
)

// Actor is who writes the starter set.
const Actor = knowledge.SeedActor

// files holds the starter set as it is edited: one YAML list of documents for each kind and category.
//
//go:embed data
var files embed.FS

// Documents returns the starter set, normalized and valid, stamps left zero: categories first, so that no document is
// met before the category it names, then rules, practices, templates and packs, each by id. Every call returns
// documents of its own.
func Documents() ([]knowledge.Document, error) { return documents(files) }

// Records returns what a new install begins with, the starter set without its stacks, as the records of a store into
// which [Actor] wrote it at one time.
func Records(at time.Time) ([]*knowledge.Record, error) {
	docs, err := Documents()
	if err != nil {
		return nil, err
	}
	docs = slices.DeleteFunc(docs, func(d knowledge.Document) bool { return StackOf(d) != "" })
	records := make([]*knowledge.Record, len(docs))
	for i, d := range docs {
		knowledge.StampNext(d, nil, 0, Actor, knowledge.At(at))
		r, err := knowledge.NewRecord(d)
		if err != nil {
			return nil, err
		}
		records[i] = r.From(knowledge.SourceSeed)
	}
	return records, nil
}

// patterns says where the documents of each kind stand, in the order in which they are returned.
func patterns() []struct {
	kind knowledge.Kind
	glob string
} {
	return []struct {
		kind knowledge.Kind
		glob string
	}{
		{knowledge.KindCategory, "data/categories.yaml"},
		{knowledge.KindRule, "data/rules/*.yaml"},
		{knowledge.KindPractice, "data/practices/*.yaml"},
		{knowledge.KindTemplate, "data/templates/*.yaml"},
		{knowledge.KindPack, "data/packs.yaml"},
	}
}

func documents(fsys fs.FS) ([]knowledge.Document, error) {
	var docs []knowledge.Document
	for _, p := range patterns() {
		names, err := fs.Glob(fsys, p.glob)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", p.glob, err)
		}
		var ofKind []knowledge.Document
		for _, name := range names {
			data, err := fs.ReadFile(fsys, name)
			if err != nil {
				return nil, fmt.Errorf("read starter set: %w", err)
			}
			some, err := decode(p.kind, data)
			if err != nil {
				return nil, fmt.Errorf("starter set, %s: %w", path.Base(path.Dir(name))+"/"+path.Base(name), err)
			}
			ofKind = append(ofKind, some...)
		}
		slices.SortFunc(ofKind, func(a, b knowledge.Document) int { return cmp.Compare(a.Key().ID, b.Key().ID) })
		docs = append(docs, ofKind...)
	}
	return docs, nil
}

// decode reads a YAML list of documents. It goes through JSON, so that the starter set is held to the same rules as
// whatever a caller sends: a misspelt key is an error and not a field left empty.
func decode(kind knowledge.Kind, data []byte) ([]knowledge.Document, error) {
	var nodes []yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&nodes); err != nil {
		return nil, fmt.Errorf("want a YAML list of documents: %w", err)
	}
	docs := make([]knowledge.Document, len(nodes))
	for i := range nodes {
		d, err := decodeOne(kind, &nodes[i])
		if err != nil {
			return nil, fmt.Errorf("%s at line %d: %w", kind, nodes[i].Line, err)
		}
		docs[i] = d
	}
	return docs, nil
}

func decodeOne(kind knowledge.Kind, node *yaml.Node) (knowledge.Document, error) {
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, err
	}
	asJSON, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	d, err := knowledge.Decode(kind, asJSON)
	if err != nil {
		return nil, err
	}
	return d, d.Validate()
}
