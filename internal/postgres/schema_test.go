package postgres_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// layout returns everything that a migration makes, a line each.
func layout(t *testing.T, url string) []string {
	t.Helper()
	return strings.Split(pgtest.Value(t, url, `SELECT string_agg(line, E'\n' ORDER BY line) FROM (
		SELECT format('%s.%s %s %s %s %s', table_name, column_name, data_type, column_default, is_nullable,
		generation_expression) AS line
			FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'goose_db_version'
		UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
		UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
		WHERE connamespace = 'public'::regnamespace
			AND contype <> 'n' -- 18 has rows for NOT NULL, which the columns tell above
		UNION ALL SELECT format('%s %s', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE NOT tgisinternal
		UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		UNION ALL SELECT 'configuration ' || cfgname FROM pg_ts_config WHERE cfgnamespace = 'public'::regnamespace
		UNION ALL SELECT 'dictionary ' || dictname FROM pg_ts_dict WHERE dictnamespace = 'public'::regnamespace
	) l`), "\n")
}

func migrate(t *testing.T, url string, to int64) {
	t.Helper()
	if _, err := postgres.Migrate(t.Context(), postgres.Address{URL: url}, to); err != nil {
		t.Fatalf("migrate to %d: %v", to, err)
	}
}

func TestMigrationsUpDownAndUpAgainLeaveTheSameSchema(t *testing.T) {
	url := pgtest.URL(t)
	migrate(t, url, -1)
	first := layout(t, url)
	migrate(t, url, 0)
	if rest := layout(t, url); len(rest) > 2 { // goose's own index and key
		t.Errorf("after all migrations down there are still:\n%s", strings.Join(rest, "\n"))
	}
	migrate(t, url, -1)
	if diff := cmp.Diff(first, layout(t, url)); diff != "" {
		t.Errorf("the schema differs after down and up (-first +second):\n%s", diff)
	}
}

func TestThreeProcessesThatStartAtOnceMigrateOnce(t *testing.T) {
	url := pgtest.URL(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			s, err := postgres.Open(t.Context(), postgres.Options{URL: url, Migrate: true, MinConns: 1})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			s.Close()
		})
	}
	wg.Wait()
	const twice = "SELECT string_agg(version_id::text, ',' ORDER BY id) FROM goose_db_version"
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var want strings.Builder
	want.WriteString("0")
	for i := range files {
		fmt.Fprintf(&want, ",%d", i+1)
	}
	if got := pgtest.Value(t, url, twice); got != want.String() {
		t.Errorf("the migrations that ran: %s, want each once: %s", got, want.String())
	}
}

func TestAnUnknownSchemaIsRefused(t *testing.T) {
	for what, c := range map[string]struct{ sql, want string }{
		"newer": {"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)", "run the newer program"},
		"none":  {"DROP TABLE goose_db_version", "tenet migrate up"},
		"older": {"DELETE FROM goose_db_version WHERE version_id > 7", "needs at least schema 19"},
	} {
		url := migrated(t)
		pgtest.Exec(t, url, c.sql)
		_, err := postgres.Open(t.Context(), postgres.Options{URL: url, Migrate: what == "newer"})
		var u *store.UnavailableError
		if !errors.As(err, &u) || !u.Halt || !strings.Contains(u.Reason, c.want) {
			t.Errorf("%s schema: %v, want a halt that says %q", what, err, c.want)
		}
	}
}

// serve does a little of everything that needs the core of the schema.
func serve(t *testing.T, s *postgres.Store) {
	t.Helper()
	c := storetest.Category()
	r := storetest.Rule(func(r *knowledge.Rule) { r.Category = c.ID })
	apply(t, s, knowledge.Put(r, knowledge.NoVersion), knowledge.Put(c, knowledge.NoVersion))
	apply(t, s, knowledge.Op{Verb: knowledge.VerbPatch, Key: r.Key(), Patch: []byte(`{"title":"Axolotl"}`)})
	if _, err := s.Get(t.Context(), r.Key()); err != nil {
		t.Error(err)
	}
	if p, err := s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule, Category: c.ID}); err != nil ||
		len(p.Records) != 1 {
		t.Errorf("list: %v, %v", p, err)
	}
	if h, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "axolotl", Category: c.ID}); err != nil ||
		len(h.Hits) != 1 {
		t.Errorf("search: %v, %v", h, err)
	}
	if l, err := s.Changes(t.Context(), knowledge.ChangeQuery{Key: r.Key()}); err != nil || len(l) != 2 {
		t.Errorf("changes: %v, %v", l, err)
	}
}

func TestAnOlderSchemaIsServedAlsoWhileItIsMigrated(t *testing.T) {
	url := pgtest.URL(t)
	migrate(t, url, 19) // the oldest that is served
	s := openAt(t, url)
	serve(t, s)
	var wg sync.WaitGroup
	wg.Go(func() { migrate(t, url, -1) })
	serve(t, s)
	wg.Wait()
	serve(t, s)
	schema, err := s.Schema(t.Context())
	if err != nil || schema.Pending() || schema.Version != schema.Newest {
		t.Errorf("schema %+v, %v after all migrations", schema, err)
	}
}

func TestARoleWithoutRightsToTheSchemaIsEnough(t *testing.T) {
	url := migrated(t)
	role := "tenet_app_" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "_"))
	pgtest.Exec(t, url, "DROP ROLE IF EXISTS "+role)
	pgtest.Exec(t, url, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() { pgtest.Exec(t, url, "DROP OWNED BY "+role); pgtest.Exec(t, url, "DROP ROLE "+role) })
	pgtest.Exec(t, url, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "+role)
	s := openAt(t, strings.Replace(url, "postgres@", role+"@", 1))
	serve(t, s)
	if _, err := s.Position(t.Context()); err != nil {
		t.Errorf("position: %v", err)
	}
}
