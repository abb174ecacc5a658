package postgres

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/store"
)

// filling makes {rules} rules and a tenth of each other kind, past the triggers: what a plan depends on is how values
// spread.
const filling = `
ALTER TABLE categories DISABLE TRIGGER USER; ALTER TABLE rules DISABLE TRIGGER USER; ALTER TABLE practices DISABLE
TRIGGER USER;
ALTER TABLE templates DISABLE TRIGGER USER; ALTER TABLE violations DISABLE TRIGGER USER; ALTER TABLE principals DISABLE
TRIGGER USER;
INSERT INTO categories (category_id, name) SELECT 'cat-' || i, 'Category ' || i FROM generate_series(0, 999) i;
INSERT INTO principals (principal_id, name, token_hash, disabled) SELECT 'p-' || i, 'P ' || i, repeat('0', 64), i % 20
= 0 FROM generate_series(1, {rules} / 10) i;
INSERT INTO rules (rule_id, category, title, description, severity, enforcement, status, priority, active, tags, scope,
updated_at)
  SELECT 'r-' || i, 'cat-' || CASE WHEN i % 30 = 0 THEN 0 ELSE i % 1000 END, 'Rule ' || md5(i::text), 'd' || i,
  (ARRAY['CRITICAL','ERROR','WARNING','INFO'])[1 + i % 4],
    CASE WHEN i % 61 = 0 THEN 'mandatory' ELSE 'optional' END, CASE WHEN i % 59 = 0 THEN 'DRAFT' ELSE 'ACTIVE' END, i %
    100, i % 20 > 0,
    jsonb_build_array('t' || i % 50, 'all'), jsonb_build_object('languages', jsonb_build_array('l' || i % 10)), now() -
    i * interval '1 minute'
  FROM generate_series(1, {rules}) i;
INSERT INTO practices (practice_id, category, title, description, is_required, effectiveness_score, is_active,
updated_at)
  SELECT 'p-' || i, 'cat-' || i % 1000, 'P ' || md5(i::text), 'd', i % 2 = 0, (i % 100) / 100.0, i % 20 > 0, now() - i
  * interval '1 minute' FROM generate_series(1, {rules} / 10) i;
INSERT INTO templates (template_id, category, name, template_content, is_active, updated_at)
  SELECT 't-' || i, 'cat-' || i % 1000, 'T ' || md5(i::text), 'c', i % 20 > 0, now() - i * interval '1 minute'
  FROM generate_series(1, {rules} / 10) i;
INSERT INTO violations (violation_id, rule_id, repository, message, severity, status, reported_at, is_active)
  SELECT md5(i::text)::uuid, 'r-' || 1 + i % 1000, 'repo-' || i % 50, 'm' || i, CASE WHEN i % 61 = 0 THEN 'ERROR' ELSE
  'INFO' END,
    CASE WHEN i % 59 = 0 THEN 'open' ELSE 'resolved' END, now() - i * interval '1 minute', i % 20 > 0
    FROM generate_series(1, {rules} * 3 / 10) i;
ALTER TABLE packs DISABLE TRIGGER USER; ALTER TABLE repositories DISABLE TRIGGER USER; ALTER TABLE labels DISABLE
TRIGGER USER; ALTER TABLE proposals DISABLE TRIGGER USER;
INSERT INTO packs (pack_id, name, is_active, updated_at) SELECT 'p-' || i, 'P ' || md5(i::text), i % 20 > 0, now() - i
* interval '1 minute' FROM generate_series(1, {rules} / 10) i;
INSERT INTO repositories (repository_id, name, is_active, updated_at) SELECT 'p-' || i, 'P ' || md5(i::text), i % 20 >
0, now() - i * interval '1 minute' FROM generate_series(1, {rules} / 10) i;
INSERT INTO labels (label_id, name, is_active, updated_at) SELECT 'p-' || i, 'P ' || md5(i::text), i % 20 > 0, now() -
i * interval '1 minute' FROM generate_series(1, {rules} / 10) i;
INSERT INTO proposals (proposal_id, title, state, is_active, created_at, updated_at) SELECT md5(i::text)::uuid, 'P ' ||
md5(i::text), CASE WHEN i % 59 = 0 THEN 'open' ELSE 'applied' END,
  i % 20 > 0, now() - i * interval '2 minutes', now() - i * interval '1 minute' FROM generate_series(1, {rules} / 10) i;
INSERT INTO facets (kind, id, facet, value, rank) SELECT 'rule', r.rule_id, 'tag', t, r.rank
FROM rules r, jsonb_array_elements_text(r.tags) t WHERE r.active
  UNION ALL SELECT 'rule', r.rule_id, 'language', l, r.rank FROM rules r, jsonb_array_elements_text(r.scope ->
  'languages') l WHERE r.active;
INSERT INTO search (kind, id, category, rank, title, tags, vector)
  SELECT 'rule', rule_id, category, rank, title, 'x', to_tsvector('tenet', concat_ws(' ', title, CASE WHEN
  hashtext(rule_id) % 2 = 0 THEN 'database' END,
    'rare' || abs(hashtext(rule_id) % 20000))) FROM rules WHERE active
  UNION ALL SELECT 'practice', practice_id, category, rank, title, 'x', to_tsvector('tenet', title || ' database')
  FROM practices WHERE is_active
  UNION ALL SELECT 'template', template_id, category, rank, name, 'x', to_tsvector('tenet', name) FROM templates
  WHERE is_active;
INSERT INTO standings (repository, state, since, at, touched, standing)
  SELECT 'r-' || i, CASE WHEN i % 61 = 0 THEN 'behind' ELSE 'current' END, now(), now(), now() - i * interval '1 second', '{}' FROM generate_series(1, {rules} / 10) i;
INSERT INTO changes (seq, kind, id, version, verb, batch_id, actor, at, document_hash, chain, txid)
  SELECT i, CASE WHEN i % 97 = 0 THEN 'category' ELSE 'rule' END, 'x-' || i % 9000, 1 + i / 9000, 'put', md5((i /
  3)::text)::uuid, 'a', now(), sha256('x'), sha256('x'), 1000 + i / 3 FROM generate_series(1, {rules}) i;
ANALYZE;`

// filled returns a connection to a database with so many rules, and its address.
func filled(t *testing.T, rules int) (*pgx.Conn, string) {
	t.Helper()
	url := pgtest.URL(t)
	if _, err := Migrate(t.Context(), Address{URL: url}, -1); err != nil {
		t.Fatal(err)
	}
	conn := pgtest.Connect(t, url)
	if _, err := conn.PgConn().Exec(t.Context(), strings.ReplaceAll(filling, "{rules}",
		strconv.Itoa(rules))).ReadAll(); err != nil {
		t.Fatal(err)
	}
	return conn, url
}

// A planNode is a step of a plan as EXPLAIN tells it.
type planNode struct {
	Type  string     `json:"Node Type"`
	Index string     `json:"Index Name"`
	Table string     `json:"Relation Name"`
	Rows  float64    `json:"Plan Rows"`
	Hit   int        `json:"Shared Hit Blocks"`
	Read  int        `json:"Shared Read Blocks"`
	Plans []planNode `json:"Plans"`
}

func (n *planNode) walk(visit func(*planNode)) {
	visit(n)
	for i := range n.Plans {
		n.Plans[i].walk(visit)
	}
}

func TestEveryCriticalQueryCostsItsPage(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped in short mode: it fills a database with 100,000 rules")
	}
	conn, _ := filled(t, 100_000)
	for _, c := range critical() {
		c.check(t, explain(t, conn, c.sql, c.args))
	}
}

// TestSoakEveryCriticalQueryCostsItsPageAtAMillion also carries the queries out and counts the pages that they look at.
func TestSoakEveryCriticalQueryCostsItsPageAtAMillion(t *testing.T) {
	if os.Getenv("TENET_SOAK") == "" {
		t.Skip("TENET_SOAK is not set")
	}
	conn, url := filled(t, 1_000_000)
	if _, err := conn.Exec(t.Context(), "VACUUM ANALYZE"); err != nil {
		t.Fatal(err)
	}
	for _, c := range critical() {
		c.check(t, explain(t, conn, c.sql, c.args))
		most := 1200 // a page of 51 documents, each out of another page, found by two levels of an index for some
		switch {
		case strings.HasPrefix(c.name, "search"):
			most = 8000 // 501 candidates of which half match, or the documents of a rare word
		case strings.HasPrefix(c.name, "changes"):
			most = 3000 // 500 changes, each of which looks whether the next belongs to its transaction
		}
		if root := carriedOut(t, conn, c.sql, c.args); root.Hit+root.Read > most {
			t.Errorf("%s: looks at %d pages, want at most %d", c.name, root.Hit+root.Read, most)
		}
	}
	s, err := Open(t.Context(), Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	slowest := func(word func(i int) string) time.Duration {
		var times []time.Duration
		for i := range 300 {
			began := time.Now()
			if _, err := s.Search(t.Context(), knowledge.SearchQuery{Text: word(i)}); err != nil {
				t.Fatal(err)
			}
			times = append(times, time.Since(began))
		}
		slices.Sort(times)
		return times[len(times)*99/100]
	}
	rare := slowest(func(i int) string { return fmt.Sprintf("rare%d", 1+i*61%19_999) })
	common := slowest(func(int) string { return "database" })
	t.Logf("p99 of a rare word %v, of one in half of all %v", rare, common)
	if common > 10*rare {
		t.Errorf("the 99th percentile of a common word is %v, of a rare one %v: want at most ten times as much",
			common, rare)
	}
}

// check tells of what a plan does that costs more than its page.
func (c *criticalQuery) check(t *testing.T, root *planNode) {
	t.Helper()
	var indexes []string
	root.walk(func(n *planNode) {
		if n.Index != "" {
			indexes = append(indexes, n.Index)
		}
		if n.Type == "Seq Scan" {
			t.Errorf("%s: reads all of %s", c.name, n.Table)
		}
		if strings.Contains(n.Type, "Sort") && n.Plans[0].Rows > 2500 {
			t.Errorf("%s: sorts %.0f rows", c.name, n.Plans[0].Rows)
		}
	})
	for _, want := range c.indexes {
		if !slices.Contains(indexes, want) {
			t.Errorf("%s: uses %v and not %s", c.name, indexes, want)
		}
	}
}

// explain returns how the server would carry out a query.
func explain(t *testing.T, conn *pgx.Conn, sql string, args []any) *planNode {
	t.Helper()
	return planOf(t, conn, "EXPLAIN (FORMAT JSON) ", sql, args)
}

// carriedOut returns how it did.
func carriedOut(t *testing.T, conn *pgx.Conn, sql string, args []any) *planNode {
	t.Helper()
	return planOf(t, conn, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ", sql, args)
}

func planOf(t *testing.T, conn *pgx.Conn, how, sql string, args []any) *planNode {
	t.Helper()
	var text string
	if err := conn.QueryRow(t.Context(), how+sql, append([]any{pgx.QueryExecModeExec}, args...)...).Scan(
		&text); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	return &plans[0].Plan
}

// A query of the program, and indexes that its plan must use.
type criticalQuery struct {
	name    string
	sql     string
	args    []any
	indexes []string
}

// critical returns every shape of query that a caller can ask at will.
func critical() []criticalQuery {
	var all []criticalQuery
	list := func(q knowledge.Query, indexes ...string) {
		q, _, err := q.Check()
		if err != nil {
			panic(err)
		}
		cursor := &knowledge.Cursor{ID: "r-5", Rank: 1 << 33, Title: "Rule 5", Updated: knowledge.Time{}}
		if knowledge.Describe(q.Kind).UUID {
			cursor.ID = "01890a5d-ac96-774b-bcce-b302099a8057"
		}
		for what, c := range map[string]*knowledge.Cursor{"first": nil, "next": cursor} {
			sql, args := listSQL(tableOf(q.Kind), &q, c)
			all = append(all, criticalQuery{fmt.Sprintf("%s page of %+v", what, q), sql, args, indexes})
		}
	}
	for _, kind := range knowledge.Kinds() {
		t := kind.Plural()
		for _, a := range []knowledge.Activity{knowledge.ActiveOnly, knowledge.AnyActivity} {
			list(knowledge.Query{Kind: kind, Activity: a}, t+"_by_house")
			list(knowledge.Query{Kind: kind, Activity: a, Order: knowledge.OrderUpdated}, t+"_by_updated")
			list(knowledge.Query{Kind: kind, Activity: a, Order: knowledge.OrderTitle}, t+"_by_title")
			list(knowledge.Query{Kind: kind, Activity: a, Order: knowledge.OrderID})
		}
		list(knowledge.Query{Kind: kind, Activity: knowledge.RetiredOnly}, t+"_by_house")
	}
	for _, kind := range []knowledge.Kind{knowledge.KindRule, knowledge.KindPractice, knowledge.KindTemplate} {
		// ten documents of such a category are also quickly sorted: no index is named
		for _, order := range knowledge.Orders() {
			list(knowledge.Query{Kind: kind, Category: "cat-7", Order: order})
		}
	}
	list(knowledge.Query{Kind: knowledge.KindRule, Category: "cat-0"}, "rules_by_category_house")
	list(knowledge.Query{Kind: knowledge.KindRule, Category: "cat-0", Order: knowledge.OrderTitle},
		"rules_by_category_title")
	list(knowledge.Query{Kind: knowledge.KindRule, Category: "cat-0", Order: knowledge.OrderUpdated},
		"rules_by_category_updated")
	list(knowledge.Query{Kind: knowledge.KindRule, Category: "cat-0", Order: knowledge.OrderID})
	list(knowledge.Query{Kind: knowledge.KindRule, Severity: knowledge.SeverityError}, "rules_by_house")
	list(knowledge.Query{Kind: knowledge.KindRule, Enforcement: "mandatory"}, "rules_by_enforcement")
	list(knowledge.Query{Kind: knowledge.KindRule, Status: knowledge.StatusDraft}, "rules_by_status")
	list(knowledge.Query{Kind: knowledge.KindRule, Tag: "t7"}, "facets_by_value")
	list(knowledge.Query{Kind: knowledge.KindRule, Tag: "all"}, "facets_by_value")
	list(knowledge.Query{Kind: knowledge.KindRule, Language: "l3"}, "facets_by_value")
	list(knowledge.Query{Kind: knowledge.KindViolation, Rule: "r-7"}, "violations_by_rule")
	list(knowledge.Query{Kind: knowledge.KindViolation, Repository: "repo-7"}, "violations_by_repository")
	list(knowledge.Query{Kind: knowledge.KindViolation, Status: knowledge.ViolationOpen}, "violations_by_status")
	list(knowledge.Query{Kind: knowledge.KindViolation, Severity: knowledge.SeverityError}, "violations_by_severity")
	list(knowledge.Query{Kind: knowledge.KindProposal, Status: knowledge.ProposalOpen}, "proposals_by_status")

	search := func(q knowledge.SearchQuery, indexes ...string) {
		q, s, err := q.Check()
		if err != nil {
			panic(err)
		}
		sql, args := searchSQL(&q, s, allWords)
		all = append(all, criticalQuery{fmt.Sprintf("search %+v", q), sql, args, indexes})
	}
	search(knowledge.SearchQuery{Text: "database"}, "search_by_house")
	search(knowledge.SearchQuery{Text: "rare77"}, "search_by_words")
	search(knowledge.SearchQuery{Text: "database rare77"}, "search_by_words")
	search(knowledge.SearchQuery{Text: "database+rare77"}, "search_by_words")
	search(knowledge.SearchQuery{Text: "database", Kinds: []knowledge.Kind{knowledge.KindRule}}, "search_by_kind")

	changes := func(q knowledge.ChangeQuery, indexes ...string) {
		q, err := q.Check()
		if err != nil {
			panic(err)
		}
		sql, args := changesSQL(&q)
		all = append(all, criticalQuery{fmt.Sprintf("changes %+v", q), sql, args, indexes})
	}
	key := knowledge.Key{Kind: knowledge.KindRule, ID: "x-3"}
	changes(knowledge.ChangeQuery{After: 99_000}, "changes_pkey")
	changes(knowledge.ChangeQuery{Newest: true, Limit: 20}, "changes_pkey")
	changes(knowledge.ChangeQuery{Key: key}, "changes_by_key")
	changes(knowledge.ChangeQuery{Key: key, Newest: true}, "changes_by_key")
	changes(knowledge.ChangeQuery{Key: key, Version: 3}, "changes_by_key")
	changes(knowledge.ChangeQuery{Batch: knowledge.NewBatchID()}, "changes_by_batch")
	changes(knowledge.ChangeQuery{Kind: knowledge.KindCategory, After: 50_000, Limit: 50}, "changes_by_kind")
	group := make([]string, groupBatches)
	for i := range group {
		group[i] = knowledge.NewBatchID().String()
	}
	all = append(all, criticalQuery{"changes of a group", appliedSQL(), []any{group}, []string{"changes_by_batch"}})
	fleet := func(q store.FleetQuery, indexes ...string) {
		sql, args := standingsSQL(q)
		all = append(all, criticalQuery{fmt.Sprintf("fleet %+v", q), sql, args, indexes})
	}
	fleet(store.FleetQuery{}, "standings_pkey")
	fleet(store.FleetQuery{After: "r-5"}, "standings_pkey")
	fleet(store.FleetQuery{State: store.FleetBehind}, "standings_by_state")
	fleet(store.FleetQuery{State: store.FleetCurrent, After: "r-5"})
	fleet(store.FleetQuery{IDs: []string{"r-5"}}, "standings_pkey")
	fleet(store.FleetQuery{Touched: knowledge.At(time.Now().Add(-time.Minute))}, "standings_by_touched")
	for _, kind := range knowledge.Kinds() {
		id := "x"
		if knowledge.Describe(kind).UUID {
			id = "01890a5d-ac96-774b-bcce-b302099a8057"
		}
		all = append(all, criticalQuery{
			"get " + string(kind), tableOf(kind).getSQL,
			[]any{id},
			[]string{kind.Plural() + "_pkey"},
		})
	}
	return all
}
