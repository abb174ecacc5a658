package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// An eraser replaces a person in a file by a pseudonym, in one transaction.
type eraser struct {
	*tx
	pseudonym string
	person    *knowledge.Erasure
	names     []string // the names of the person in this file
	rows      map[string]int64
}

// An Eraser erases people from a store's file.
type Eraser struct{ s *Store }

// NewEraser returns an eraser for a store's file.
func NewEraser(s *Store) *Eraser { return &Eraser{s} }

var _ store.Eraser = (*Eraser)(nil)

// errCounted returns the error that rolls back a dry run.
func errCounted() error {
	return &store.UnavailableError{Reason: "nothing was erased: this was a dry run", NotDone: true}
}

// Erase implements [store.Eraser]. Other writes wait for the writer meanwhile. A mirror erases the person when it
// replicates the primary's erasure; see Replicate.
func (x *Eraser) Erase(ctx context.Context, r store.ErasureRequest) (store.ErasureResult, error) {
	s := x.s
	if s.opts.Mirror {
		return store.ErasureResult{}, &store.UnavailableError{
			Reason: "this is the copy of another store: erase from that one", ReadOnly: true, NotDone: true,
		}
	}
	var result store.ErasureResult
	counted := errCounted()
	err := s.do(ctx, "erase", func(ctx context.Context, t *tx) error {
		t.now = knowledge.At(s.now())
		e := &eraser{tx: t, pseudonym: r.Pseudonym, person: &r.Erasure, rows: map[string]int64{}}
		err := e.everything(ctx)
		if err == nil && !r.Dry {
			result.Seq, err = e.conclude(ctx, &r)
		}
		if result.Rows = e.rows; err == nil && r.Dry {
			err = counted
		}
		return err
	})
	if r.Dry && errors.Is(err, counted) {
		err = nil
	}
	return result, err
}

// Forget erases a person from a file whose log does not record it: the runs of this machine's jobs.
func (x *Eraser) Forget(ctx context.Context, pseudonym string, person *knowledge.Erasure) error {
	return x.s.do(ctx, "forget", func(ctx context.Context, t *tx) error {
		return (&eraser{tx: t, pseudonym: pseudonym, person: person, rows: map[string]int64{}}).everything(ctx)
	})
}

// everything erases the person from every table except that of the traces.
func (e *eraser) everything(ctx context.Context) error {
	var err error
	if e.names, err = e.find(ctx); err != nil || len(e.names) == 0 {
		return err
	}
	for _, kind := range knowledge.Kinds() {
		if err := e.documents(ctx, kind); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context) error{e.layers, e.log, e.messages, e.columns, e.words, e.audit} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return e.owe(ctx) // the overwritten pages must leave the write-ahead log too
}

// texts runs a query for texts, and adds those that are the person's id or name to found.
func (e *eraser) texts(ctx context.Context, found map[string]bool, query string, args ...any) error {
	list, err := column[sql.NullString](ctx, e.tx, query, args...)
	for i := range list {
		if e.person.Is(list[i].String) {
			found[list[i].String] = true
		}
	}
	return err
}

// find returns the person's names in the file.
func (e *eraser) find(ctx context.Context) ([]string, error) {
	found := map[string]bool{}
	own, lists := knowledge.PlacesOfPeople()
	tables := []string{"changes", "below", "overlays", "purged"}
	for _, kind := range knowledge.Kinds() {
		tables = append(tables, tableOf(kind).name)
	}
	for _, table := range tables {
		fields := "json_array(document ->> '$." + strings.Join(own, "', document ->> '$.") + "')"
		members := "json_each(coalesce(document -> '$." + strings.Join(lists, "', document -> '$.") + "', '[]'))"
		for _, query := range []string{
			"SELECT DISTINCT f.value FROM " + table + ", json_each(" + fields + ") f WHERE document IS NOT NULL",
			"SELECT DISTINCT m.value ->> '$.by' FROM " + table + ", " + members + " m WHERE document IS NOT NULL",
		} {
			if err := e.texts(ctx, found, query); err != nil {
				return nil, err
			}
		}
	}
	for _, query := range []string{
		"SELECT principal_id FROM principals", "SELECT DISTINCT id FROM changes WHERE kind = 'principal'",
		"SELECT id FROM purged WHERE kind = 'principal'",
		"SELECT id FROM below WHERE kind = 'principal'", "SELECT id FROM overlays WHERE kind = 'principal'",
		"SELECT DISTINCT actor FROM changes", "SELECT DISTINCT entered_by FROM changes WHERE entered_by IS NOT NULL",
		"SELECT DISTINCT actor FROM batches",
		"SELECT DISTINCT actor FROM audit", "SELECT DISTINCT substr(key, 11) FROM audit WHERE key LIKE 'principal/%'",
		"SELECT DISTINCT by FROM job_runs", "SELECT DISTINCT by FROM job_pauses",
		"SELECT DISTINCT standing ->> '$.by' FROM standings",
	} {
		if err := e.texts(ctx, found, query); err != nil {
			return nil, err
		}
	}
	list := make([]string, 0, len(found))
	for name := range found {
		list = append(list, name)
	}
	return list, nil
}

// within returns a condition on a column that may hold one of the names, as JSON has them, with its arguments.
func (e *eraser) within(what string) (condition string, args []any) {
	var b strings.Builder
	for i, name := range e.names {
		if i > 0 {
			b.WriteString(" OR ")
		}
		b.WriteString("instr(" + what + ", ?) > 0")
		args = append(args, quoted(name))
	}
	return "(" + b.String() + ")", args
}

// quoted returns a text as a JSON string.
func quoted(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		return text // a text always has a form
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// redacted returns a document without the person; "" if it does not name them.
func (e *eraser) redacted(kind knowledge.Kind, text string) (string, error) {
	doc, err := knowledge.DecodeStored(kind, []byte(text))
	if err != nil {
		return "", err
	}
	if !e.person.Redact(doc, e.pseudonym) {
		return "", nil
	}
	b, err := knowledge.Canonical(doc)
	return string(b), err
}

// documents erases the person from the documents of a kind. This creates no new versions.
func (e *eraser) documents(ctx context.Context, kind knowledge.Kind) error {
	tab := tableOf(kind)
	where, args := e.within("document")
	ids, err := column[string](ctx, e.tx, "SELECT "+tab.id+" FROM "+tab.name+" WHERE "+where, args...)
	if err != nil {
		return err
	}
	for _, id := range ids {
		key := knowledge.Key{Kind: kind, ID: id}
		now, err := e.current(ctx, key)
		if err != nil {
			return err
		}
		text, err := e.redacted(kind, now.text)
		if err != nil || text == "" {
			if err != nil {
				return err
			}
			continue
		}
		e.rows[tab.name]++
		next := id
		if kind == knowledge.KindPrincipal && e.person.IsID(id) {
			next = e.pseudonym
			var one int
			there, err := e.one(ctx, "SELECT 1 FROM principals WHERE principal_id = ?", []any{next}, &one)
			if err == nil && there { // the mirror may already have a later version
				err = e.exec(ctx, "DELETE FROM principals WHERE principal_id = ?", id)
			}
			if err != nil || there {
				if err != nil {
					return err
				}
				continue
			}
		}
		if err := e.exec(ctx, "UPDATE "+tab.name+" SET "+tab.id+" = ?, document = ? WHERE "+tab.id+" = ?", next, text,
			id); err != nil {
			return err
		}
	}
	return nil
}

// log erases the person from the log of changes, and records the new hash of each change.
func (e *eraser) log(ctx context.Context) error {
	where, args := e.within("document")
	for _, name := range e.names {
		where += " OR actor = ? OR entered_by = ? OR kind = 'principal' AND id = ?"
		args = append(args, name, name, name)
	}
	seqs, err := column[int64](ctx, e.tx, "SELECT seq FROM changes WHERE "+where+" ORDER BY seq", args...)
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		if err := e.change(ctx, seq); err != nil {
			return err
		}
	}
	return nil
}

// change erases the person from one change.
func (e *eraser) change(ctx context.Context, seq int64) error {
	c, err := e.logged(ctx, seq)
	if err != nil {
		return err
	}
	touched := false
	for _, field := range []*string{&c.Actor, &c.EnteredBy} {
		if e.person.Is(*field) {
			*field, touched = e.pseudonym, true
		}
	}
	if c.Key.Kind == knowledge.KindPrincipal && e.person.IsID(c.Key.ID) {
		c.Key.ID, touched = e.pseudonym, true
	}
	var document any
	hash := sha256.Sum256(nil)
	if c.Record != nil {
		text, err := e.redacted(c.Key.Kind, string(c.Record.JSON))
		if err != nil {
			return err
		}
		if touched = touched || text != ""; text == "" {
			text = string(c.Record.JSON)
		}
		document, hash = text, sha256.Sum256([]byte(text))
	}
	if !touched {
		return nil
	}
	e.rows["changes"]++
	var by any
	if c.Entered() {
		by = c.EnteredBy
	}
	if err := e.exec(ctx, "UPDATE changes SET id = ?, actor = ?, entered_by = ?, document = ?, erased = ? WHERE "+
		"seq = ?",
		c.Key.ID, c.Actor, by, document, e.pseudonym, seq); err != nil || e.role != primary {
		return err
	}
	digest := knowledge.ErasedDigest(&c, hash)
	return e.exec(ctx, "INSERT OR REPLACE INTO erased (erasure, seq, document_hash, digest) VALUES (?, ?, ?, ?)",
		e.pseudonym, seq, hash[:], digest[:])
}

// messages replaces the person in what writers have said of their batches. The chain does not hold it.
func (e *eraser) messages(ctx context.Context) error {
	for _, name := range e.names {
		said, err := column[string](ctx, e.tx, "SELECT DISTINCT message FROM changes WHERE instr(message, ?) > 0", name)
		if err != nil {
			return err
		}
		for _, text := range said {
			next := replaceWord(text, name, e.pseudonym)
			if next == text {
				continue
			}
			n, err := e.execCount(ctx, "UPDATE changes SET message = ? WHERE message = ?", next, text)
			if err != nil {
				return err
			}
			e.rows["messages"] += n
		}
	}
	return nil
}

func (e *eraser) logged(ctx context.Context, seq int64) (c knowledge.Change, err error) {
	st, err := e.stmt(ctx, "SELECT "+changeColumns+" FROM changes WHERE seq = ?") //nolint:sqlclosecheck // the writer's
	if err != nil {
		return c, err
	}
	rows, err := st.QueryContext(ctx, seq)
	if err != nil {
		return c, err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	for rows.Next() {
		if c, err = scanChange(rows, knowledge.SourcePrimary); err != nil {
			return c, err
		}
	}
	return c, rows.Err()
}

// conclude writes the principal that replaces the person, with the root of the erasure. It returns the seq of that
// change; 0 if the erasure is already there and nothing was added.
func (e *eraser) conclude(ctx context.Context, r *store.ErasureRequest) (knowledge.Seq, error) {
	key := knowledge.Key{Kind: knowledge.KindPrincipal, ID: e.pseudonym}
	now, err := e.current(ctx, key)
	if err != nil {
		return 0, err
	}
	was, _ := now.doc.(*knowledge.Principal)
	if was != nil && was.Erasure.SamePerson(e.person) && len(e.rows) == 0 {
		return 0, nil
	}
	var last int64
	if now.doc == nil {
		if last, err = e.lastPurged(ctx, key); err != nil {
			return 0, err
		}
	}
	var sum knowledge.ErasedRoot
	if err := e.root(ctx, e.pseudonym, &sum); err != nil {
		return 0, err
	}
	person := *e.person
	person.Rows, person.Root = sum.Rows, sum.Text()
	next := knowledge.ErasedPrincipal(was, e.pseudonym, &person)
	at := e.now
	if was != nil && at.Before(was.UpdatedAt.Time) {
		at = was.UpdatedAt
	}
	actor := r.Actor
	if e.person.Is(actor) {
		actor = e.pseudonym
	}
	next.Normalize()
	knowledge.StampNext(next, now.doc, last, actor, at)
	rec, err := knowledge.NewRecord(next)
	if err != nil {
		return 0, err
	}
	if err := e.put(ctx, rec, next, now, knowledge.BatchID{}); err != nil {
		return 0, err
	}
	b := &knowledge.Batch{ID: r.Batch, Actor: actor}
	if err := e.tx.log(ctx, b, &knowledge.Change{
		Batch: r.Batch, Verb: knowledge.ChangeVerb(now.doc, next), Key: key, Version: rec.Version, Record: rec,
		Actor: actor, At: at,
		Hash: sha256.Sum256(rec.JSON),
	}); err != nil {
		return 0, err
	}
	return e.head.Seq, e.auditErasure(ctx, actor)
}

// root computes the root of an erasure from its traces in the log.
func (e *eraser) root(ctx context.Context, erasure string, sum *knowledge.ErasedRoot) error {
	st, err := e.stmt(ctx, erasedSQL) //nolint:sqlclosecheck // the writer's
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, erasure)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	for rows.Next() {
		if err := scanErased(rows, sum); err != nil {
			return err
		}
	}
	return rows.Err()
}

const erasedSQL = "SELECT seq, document_hash, digest FROM erased WHERE erasure = ? ORDER BY seq"

func scanErased(r *sql.Rows, sum *knowledge.ErasedRoot) error {
	var seq int64
	var document, digest []byte
	err := r.Scan(&seq, &document, &digest)
	sum.Add(knowledge.Seq(seq), document, digest)
	return err
}
