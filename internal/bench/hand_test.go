//go:build bench

package bench

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// A handWriter writes rules as somebody would by hand who wants the same tables, indexes, search, log and history: few
// statements with arrays, prepared by pgx and sent in one packet, hashes made here. It has neither conditions nor
// versions nor guards, and nobody else writes beside it.
type handWriter struct {
	conn  *pgx.Conn
	seq   int64
	chain [32]byte
}

// newHandWriter makes copies of the tables in a schema of their own, without their triggers.
func newHandWriter(t *testing.T, url string) *handWriter {
	t.Helper()
	pgtest.Exec(t, url, `CREATE SCHEMA hand;
		CREATE TABLE hand.batches (LIKE batches INCLUDING ALL); CREATE TABLE hand.rules (LIKE rules INCLUDING ALL);
		CREATE TABLE hand.search (LIKE search INCLUDING ALL); CREATE TABLE hand.facets (LIKE facets INCLUDING ALL);
		CREATE TABLE hand.changes (LIKE changes INCLUDING ALL);
		ALTER TABLE hand.rules ADD FOREIGN KEY (category) REFERENCES categories (category_id)`)
	return &handWriter{conn: pgtest.Connect(t, url)}
}

const (
	handRules = `INSERT INTO hand.rules (rule_id, category, title, description, severity, enforcement, examples,
		anti_patterns, violations_consequence,
		checks, priority, status, active, tags, scope, extra, created_by, updated_by, batch_id)
		SELECT d.rule_id, d.category, d.title, d.description, d.severity, d.enforcement, d.examples, d.anti_patterns,
		d.violations_consequence,
		coalesce(d.checks, '[]'), d.priority, d.status, d.active, d.tags, d.scope, d.extra, $2, $2, $3
		FROM unnest($1::jsonb[]) o (document), jsonb_populate_record(NULL::hand.rules, o.document) d`
	handSearch = `INSERT INTO hand.search (kind, id, category, rank, title, tags, vector)
		SELECT 'rule', r.rule_id, r.category, r.rank, r.title, r.tags::text, setweight(to_tsvector('english', r.title),
		'A') || to_tsvector('english', r.description)
		FROM hand.rules r WHERE r.rule_id = ANY ($1)`
	handFacets = `INSERT INTO hand.facets (kind, id, facet, value, rank)
		SELECT 'rule', r.rule_id, 'tag', t, r.rank FROM hand.rules r, jsonb_array_elements_text(r.tags) t
		WHERE r.rule_id = ANY ($1)`
	handChanges = `INSERT INTO hand.changes (seq, kind, id, version, verb, batch_id, actor, at, document,
		document_hash, chain)
		SELECT o.seq, 'rule', o.id, 1, 'put', $6, $7, now(), o.document, o.hash, o.chain
		FROM unnest($1::bigint[], $2::text[], $3::jsonb[], $4::bytea[], $5::bytea[]) o (seq, id, document, hash, chain)`
)

// write writes a batch of new rules in one transaction.
func (h *handWriter) write(ctx context.Context, b knowledge.Batch) error {
	n := len(b.Ops)
	seqs, ids, docs, hashes, chains := make([]int64, n), make([]string, n), make([][]byte, n), make([][]byte, n),
		make([][]byte, n)
	all := sha256.New()
	for i := range b.Ops {
		doc, err := knowledge.Canonical(b.Ops[i].Doc)
		if err != nil {
			return err
		}
		all.Write(doc)
		h.seq++
		hash := sha256.Sum256(doc)
		h.chain = sha256.Sum256(append(strconv.AppendInt(h.chain[:], h.seq, 10), hash[:]...))
		chain := h.chain
		seqs[i], ids[i], docs[i], hashes[i], chains[i] = h.seq, b.Ops[i].Key.ID, doc, hash[:], chain[:]
	}
	q := &pgx.Batch{}
	q.Queue("INSERT INTO hand.batches (id, fingerprint, actor) VALUES ($1, $2, $3)", b.ID, all.Sum(nil), b.Actor)
	q.Queue(handRules, docs, b.Actor, b.ID)
	q.Queue(handSearch, ids)
	q.Queue(handFacets, ids)
	q.Queue(handChanges, seqs, ids, docs, hashes, chains, b.ID, b.Actor)
	q.Queue("SELECT pg_notify('tenet_hand', '')")
	return h.conn.SendBatch(ctx, q).Close()
}

// onlyRules hands out batches of generated rules.
func onlyRules(t *testing.T, n, size int, fn func(knowledge.Batch)) {
	t.Helper()
	var ops []knowledge.Op
	batches(t, n, n+1, func(b knowledge.Batch) {
		for _, op := range b.Ops {
			if op.Key.Kind == knowledge.KindRule {
				ops = append(ops, op)
			}
			if len(ops) == size {
				fn(knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "bench", Ops: ops})
				ops = nil
			}
		}
	})
	if len(ops) > 0 {
		fn(knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "bench", Ops: ops})
	}
}

// writes compares writing through the engine with two writers made by hand: a bare one, and one with the same tables,
// indexes, log and history.
func (r *report) writes(t *testing.T, e *env) {
	url := e.pg.NewDatabase()
	if _, err := postgres.Migrate(t.Context(), postgres.Address{URL: url}, -1); err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	lite, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "writes.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer lite.Close()
	batches(t, 0, 1000, func(b knowledge.Batch) { // the categories
		for _, to := range []store.Store{s, lite} {
			if _, err := to.Apply(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	})
	pgtest.Exec(t, url, "CREATE TABLE bare (rule_id text PRIMARY KEY, document jsonb NOT NULL)")
	conn, hand := pgtest.Connect(t, url), newHandWriter(t, url)
	r.line("## Writes\n")
	r.line("One writer of new rules, each commit flushed to disk. Bare: one jsonb column by pgx, pipelined in " +
		"batches. The same by hand: the same tables and")
	r.line("indexes, search, ledger, log with documents and hashes, in six prepared statements for a batch, without " +
		"conditions, versions and guards. The")
	r.line("writers take turns, three each; the median of the ratios of a turn.\n")
	r.line("| writes | bare | the same by hand | PostgreSQL | bare/PostgreSQL | by hand/PostgreSQL | bound of the " +
		"last | SQLite |")
	r.line("| --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, w := range []struct {
		size, n int
		goal    float64
	}{{1, 1800, 3}, {1000, 18_000, 2}} {
		var list [3][]knowledge.Batch
		onlyRules(t, w.n, w.size, func(b knowledge.Batch) {
			for i := range b.Ops { // those of the turns before are there already
				d := b.Ops[i].Doc.(*knowledge.Rule) // onlyRules
				d.RuleID = fmt.Sprintf("%s-%d", d.RuleID, w.size)
				b.Ops[i] = knowledge.Put(d, 0)
			}
			k := slices.Index([]bool{
				len(list[0]) <= len(list[1]) && len(list[0]) <= len(list[2]),
				len(list[1]) <= len(list[2]), true,
			}, true)
			list[k] = append(list[k], b)
		})
		var rates [4][]float64
		var toBare, toHand []float64
		for _, turn := range list {
			for k, apply := range []func(b knowledge.Batch) error{
				func(b knowledge.Batch) error { return insertBare(t.Context(), conn, b) },
				func(b knowledge.Batch) error { return hand.write(t.Context(), b) },
				func(b knowledge.Batch) error { _, err := s.Apply(t.Context(), b); return err },
				func(b knowledge.Batch) error { _, err := lite.Apply(t.Context(), b); return err },
			} {
				done, began := 0, time.Now()
				for _, b := range turn {
					if err := apply(b); err != nil {
						t.Fatal(err)
					}
					done += len(b.Ops)
				}
				rates[k] = append(rates[k], float64(done)/time.Since(began).Seconds())
			}
			last := len(rates[0]) - 1
			toBare, toHand = append(toBare, rates[0][last]/rates[2][last]),
				append(toHand, rates[1][last]/rates[2][last])
		}
		r.line("| batches of %d | %.0f/s | %.0f/s | %.0f/s | %.2f | %.2f | %s | %.0f/s |", w.size, median(rates[0]),
			median(rates[1]), median(rates[2]),
			median(toBare), median(toHand), verdict(median(toHand), w.goal), median(rates[3]))
	}
	r.repeat("writes")
}

func insertBare(ctx context.Context, conn *pgx.Conn, b knowledge.Batch) error {
	q := &pgx.Batch{}
	for i := range b.Ops {
		doc, err := knowledge.Canonical(b.Ops[i].Doc)
		if err != nil {
			return err
		}
		q.Queue("INSERT INTO bare VALUES ($1, $2) ON CONFLICT (rule_id) DO UPDATE SET document = excluded.document",
			b.Ops[i].Key.String(), doc)
	}
	return conn.SendBatch(ctx, q).Close()
}

// median returns the middle of some figures.
func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
