package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// changeColumns lists the columns of a change.
const changeColumns = "seq, kind, id, version, verb, batch_id, actor, at, document_hash, chain, more, category, " +
	"active, rank, updated_at, document, entered_by, entered_at, erased, message"

// insertChange is the statement that writes a change.
func (t *tx) insertChange(ctx context.Context, c *knowledge.Change) error {
	args := []any{
		int64(c.Seq), string(c.Key.Kind), c.Key.ID, c.Version, string(c.Verb), c.Batch[:], c.Actor, micros(c.At),
		c.Hash[:], c.Chain[:],
		c.More, nil, nil, nil, nil, nil, nil, nil, nil, nil,
	}
	if r := c.Record; r != nil {
		copy(args[11:], []any{r.Category, r.Active, r.Rank, micros(r.Updated), string(r.JSON)})
	}
	if c.Entered() {
		copy(args[16:], []any{c.EnteredBy, micros(c.EnteredAt)})
	}
	if c.Erased != "" {
		args[18] = c.Erased
	}
	if c.Message != "" {
		args[19] = c.Message
	}
	return t.exec(ctx, "INSERT INTO changes ("+changeColumns+
		") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", args...)
}

// scanChange reads a change from a row of changeColumns.
func scanChange(r *sql.Rows, source knowledge.Source) (knowledge.Change, error) {
	var c knowledge.Change
	var at int64
	var batch, hash, chain []byte
	var category, text *string
	var active *bool
	var rank, updated, entered *int64
	var by, erased, message *string
	err := r.Scan(&c.Seq, &c.Key.Kind, &c.Key.ID, &c.Version, &c.Verb, &batch, &c.Actor, &at, &hash, &chain, &c.More,
		&category, &active, &rank, &updated, &text, &by, &entered, &erased, &message)
	if err != nil {
		return c, err
	}
	copy(c.Batch[:], batch)
	copy(c.Hash[:], hash)
	copy(c.Chain[:], chain)
	c.At = moment(at)
	if erased != nil {
		c.Erased = *erased
	}
	if message != nil {
		c.Message = *message
	}
	if by != nil && entered != nil {
		c.EnteredBy, c.EnteredAt = *by, moment(*entered)
	}
	if text != nil && category != nil && active != nil && rank != nil && updated != nil {
		c.Record = &knowledge.Record{
			Key: c.Key, Version: c.Version, Category: *category, Active: *active, Rank: *rank,
			Updated: moment(*updated),
			JSON:    []byte(*text), Source: source,
		}
	}
	return c, nil
}

// Changes returns a page of the log.
func (s *Store) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	q, err := q.Check()
	if err != nil {
		return nil, err
	}
	var list []knowledge.Change
	err = s.agree(ctx, func(ctx context.Context, v view) error {
		if q.Filtered() {
			query, args := filteredChanges(q)
			list, err = v.changes(ctx, query, args, nil, &q)
			return err
		}
		list, err = v.following(ctx, q)
		return err
	})
	return list, err
}

// following returns the changes after a seq, in whole transactions.
func (v view) following(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	const query = "SELECT " + changeColumns + " FROM changes WHERE seq > ? ORDER BY seq LIMIT ?"
	if err := v.kept(ctx, q.After); err != nil {
		return nil, err
	}
	list, err := v.changes(ctx, query, []any{int64(q.After), q.Limit}, make([]knowledge.Change, 0, min(q.Limit, 64)),
		&q)
	for err == nil && len(list) > 0 && list[len(list)-1].More {
		before := len(list)
		if list, err = v.changes(ctx, query, []any{int64(list[before-1].Seq), 64}, list, &q); len(list) == before {
			break // the log ends here, even if the change says that more follow
		}
		for i := before; i < len(list); i++ {
			if !list[i].More {
				list = list[:i+1]
				break
			}
		}
	}
	return list, err
}

// kept returns a [*store.GoneError] when the log has been trimmed beyond a seq.
func (v view) kept(ctx context.Context, after knowledge.Seq) error {
	start := knowledge.Seq(0)
	err := v.query(ctx, "changes.start", "SELECT value FROM meta WHERE key = 'log_start'", nil,
		func(r *sql.Rows) error { return r.Scan(&start) })
	if err != nil {
		return err
	}
	if after < start {
		return &store.GoneError{Oldest: start + 1}
	}
	return nil
}

// changes appends the changes of a statement to a list, until the bytes of the list end the answer.
func (v view) changes(ctx context.Context, query string, args []any, list []knowledge.Change,
	q *knowledge.ChangeQuery,
) ([]knowledge.Change, error) {
	if list == nil {
		list = []knowledge.Change{}
	}
	bytes := 0
	for i := range list {
		bytes += list[i].Size()
	}
	err := v.query(ctx, "changes", query, args, func(r *sql.Rows) error {
		if n := len(list); n > 0 && q.Ends(bytes, &list[n-1]) {
			return nil
		}
		c, err := scanChange(r, v.f.source)
		list = append(list, c)
		bytes += c.Size()
		return err
	})
	return list, err
}

// filteredChanges returns the statement for a filtered page of the log. It uses the index of the narrowest filter.
func filteredChanges(q knowledge.ChangeQuery) (string, []any) {
	var b strings.Builder
	var args []any
	index := ""
	where := []string{}
	and := func(cond string, values ...any) {
		where = append(where, cond)
		args = append(args, values...)
	}
	if q.Kind != "" {
		index = " INDEXED BY changes_by_kind"
		and("kind = ?", string(q.Kind))
	}
	if q.Batch != (knowledge.BatchID{}) {
		index = " INDEXED BY changes_by_batch"
		and("batch_id = ?", q.Batch[:])
	}
	if q.Key != (knowledge.Key{}) {
		index = " INDEXED BY changes_by_key"
		and("kind = ?", string(q.Key.Kind))
		and("id = ?", q.Key.ID)
	}
	if q.Version != 0 {
		if q.Key != (knowledge.Key{}) {
			index = "" // changes_by_version if the file has it: an older schema does not
		}
		and("version = ?", q.Version)
	}
	switch {
	case q.Newest && q.After != 0:
		and("seq < ?", int64(q.After))
	case !q.Newest:
		and("seq > ?", int64(q.After))
	}
	b.WriteString("SELECT " + changeColumns + " FROM changes" + index)
	if len(where) > 0 {
		b.WriteString(" WHERE " + strings.Join(where, " AND "))
	}
	b.WriteString(" ORDER BY seq")
	if q.Newest {
		b.WriteString(" DESC")
	}
	b.WriteString(" LIMIT ?")
	return b.String(), append(args, q.Limit)
}

// prefixed adds a prefix to each of the columns.
func prefixed(prefix, columns string) string {
	return prefix + strings.ReplaceAll(columns, ", ", ", "+prefix)
}
