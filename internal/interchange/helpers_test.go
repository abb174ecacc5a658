package interchange

import (
	"crypto/sha256"
	"errors"
	"flag"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tenet/internal/knowledge"
)

//nolint:gochecknoglobals // a flag of the tests
var update = flag.Bool("update", false, "rewrite the golden files")

// memory is a store as small as the tests need: it keeps documents and a log, and checks conditions.
type memory struct {
	docs  map[knowledge.Key]*knowledge.Record
	last  map[knowledge.Key]int64
	log   []knowledge.Change
	clock knowledge.Time
}

func newMemory() *memory {
	return &memory{
		docs: map[knowledge.Key]*knowledge.Record{}, last: map[knowledge.Key]int64{},
		clock: knowledge.At(time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)),
	}
}

func (m *memory) current(k knowledge.Key) (*knowledge.Record, error) { return m.docs[k], nil }

// imported lists the documents with a tag, as a store's list does.
func (m *memory) imported(tag string) iter.Seq2[*knowledge.Record, error] {
	return func(yield func(*knowledge.Record, error) bool) {
		for _, k := range slices.SortedFunc(keysOf(m.docs), compareKeys) {
			d, err := m.docs[k].Document()
			if err != nil || slices.Contains(d.Text().Tags, tag) {
				if !yield(m.docs[k], err) {
					return
				}
			}
		}
	}
}

func keysOf(m map[knowledge.Key]*knowledge.Record) iter.Seq[knowledge.Key] {
	return func(yield func(knowledge.Key) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func compareKeys(a, b knowledge.Key) int {
	if a.String() < b.String() {
		return -1
	}
	return 1
}

// apply does a batch or returns why not.
func (m *memory) apply(b knowledge.Batch) error {
	if err := b.Validate(); err != nil {
		return err
	}
	at := b.At
	if at.IsZero() {
		m.clock = knowledge.At(m.clock.Add(time.Second))
		at = m.clock
	}
	for i, op := range b.Ops {
		if err := m.do(b, op, at, i < len(b.Ops)-1); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) do(b knowledge.Batch, op knowledge.Op, at knowledge.Time, more bool) error {
	var current knowledge.Document
	version := int64(0)
	if r := m.docs[op.Key]; r != nil {
		version = r.Version
		var err error
		if current, err = r.Document(); err != nil {
			return err
		}
	}
	if op.IfVersion == knowledge.NoVersion && version != 0 || op.IfVersion > 0 && op.IfVersion != version {
		return errors.New("conflict on " + op.Key.String())
	}
	next, err := op.Next(current)
	if err != nil {
		return err
	}
	c := knowledge.Change{
		Seq: knowledge.Seq(len(m.log) + 1), Batch: b.ID, Key: op.Key, Actor: b.Actor, At: at, More: more,
		Verb: knowledge.ChangeVerb(current, next),
	}
	if next == nil {
		c.Version = m.last[op.Key] + 1
		c.Hash = knowledge.RemovalHash(c.Verb, c.Actor, c.At)
		delete(m.docs, op.Key)
		for i := range m.log {
			if m.log[i].Key == op.Key {
				m.log[i].Record = nil
			}
		}
	} else {
		if next, err = knowledge.Clone(next); err != nil {
			return err
		}
		knowledge.StampNext(next, current, m.last[op.Key], b.Actor, at)
		if c.Record, err = knowledge.NewRecord(next); err != nil {
			return err
		}
		c.Version = c.Record.Version
		c.Hash = sha256.Sum256(c.Record.JSON)
		m.docs[op.Key] = c.Record
	}
	m.last[op.Key] = c.Version
	var prev [32]byte
	if len(m.log) > 0 {
		prev = m.log[len(m.log)-1].Chain
	}
	c.Chain = knowledge.NextChain(prev, &c)
	m.log = append(m.log, c)
	return nil
}

// put writes a document as somebody who works in tenet.
func (m *memory) put(t *testing.T, d knowledge.Document, actor string) {
	t.Helper()
	op := knowledge.Put(d, knowledge.AnyVersion)
	b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: actor, Ops: []knowledge.Op{op}}
	if err := m.apply(b); err != nil {
		t.Fatal(err)
	}
}

func (m *memory) doc(t *testing.T, key string) knowledge.Document {
	t.Helper()
	k, err := knowledge.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if m.docs[k] == nil {
		t.Fatalf("no %s in the store; it has %v", key, slices.SortedFunc(keysOf(m.docs), compareKeys))
	}
	d, err := m.docs[k].Document()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// plan plans the import of a path.
func (m *memory) plan(t *testing.T, path string, ro ReadOptions, o PlanOptions) *Plan {
	t.Helper()
	s, err := Open(path, ro)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	o.Current = m.current
	p := NewPlan(o)
	if err := p.Add(s); err != nil {
		t.Fatal(err)
	}
	return p
}

// run plans an import and carries it out.
func (m *memory) run(t *testing.T, path string, ro ReadOptions, o PlanOptions) *Plan {
	t.Helper()
	p := m.plan(t, path, ro, o)
	m.carryOut(t, p)
	return p
}

func (m *memory) carryOut(t *testing.T, p *Plan) {
	t.Helper()
	for b, err := range p.Batches("ann", 0) {
		if err == nil {
			err = m.apply(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// refusals returns what a plan refuses, with the reasons.
func refusals(p *Plan) []string {
	var out []string
	for _, st := range p.Steps() {
		if st.Outcome == Refused {
			out = append(out, st.where()+": "+st.Reason)
		}
	}
	return out
}

// write writes files below dir.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// named returns a new folder with a name that does not change from run to run.
func named(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
