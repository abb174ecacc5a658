package postgres_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store/storetest"
)

// recipe reads deploy/postgres/tenet.conf.
func recipe(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/postgres/tenet.conf")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z_.]+) = '?([^'\n]*)'?$`).FindAllStringSubmatch(string(text), -1) {
		settings[m[1]] = m[2]
	}
	return settings
}

func TestAServerWithTheRecipeHasNothingSaidOfItsSettings(t *testing.T) {
	settings := recipe(t)
	plain := inspect(t, pgtest.URL(t))
	before, err := plain.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, r := range before {
		name, _, _ := strings.Cut(r.Text, " is ")
		if _, there := settings[name]; !there {
			t.Errorf("%s is asked for and does not stand in tenet.conf", name)
		}
		said = append(said, name)
		// the tests' server has them off
		if wrong := name == "fsync" || name == "full_page_writes"; (r.Level == postgres.RemarkWrong) != wrong {
			t.Errorf("%s: level %d", r.Text, r.Level)
		}
	}
	for _, name := range []string{
		"shared_buffers", "random_page_cost", "max_wal_size", "shared_preload_libraries",
		"log_connections", "track_io_timing", "fsync",
	} {
		if !slices.Contains(said, name) {
			t.Errorf("of a server as it comes nothing is said of %s", name)
		}
	}
	if pgtest.Value(t, pgtest.URL(t),
		"SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'") == "0" {
		delete(settings, "shared_preload_libraries") // a build without what comes along with PostgreSQL
	}
	maps.DeleteFunc(settings, func(name, _ string) bool {
		return strings.Contains(name, ".") && settings["shared_preload_libraries"] == ""
	})
	settings["shared_buffers"] = "256MB" // the least that passes
	pg := pgtest.Start(t, pgtest.Options{Durable: true, Settings: settings})
	url := pg.NewDatabase()
	after, err := inspect(t, url).Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range after {
		if !strings.Contains(r.Text, "shared_preload_libraries") || settings["shared_preload_libraries"] != "" {
			t.Errorf("with the recipe: %s", r.Text)
		}
	}
	if settings["shared_preload_libraries"] != "" {
		statementsAreNamed(t, url)
	}
}

// statementsAreNamed looks for our names in what the server counts.
func statementsAreNamed(t *testing.T, url string) {
	t.Helper()
	pgtest.Exec(t, url, "CREATE EXTENSION pg_stat_statements")
	migrate(t, url, -1)
	s := openAt(t, url)
	c := storetest.Category()
	apply(t, s, knowledge.Put(c, knowledge.NoVersion))
	for range 3 {
		if _, err := s.Get(t.Context(), c.Key()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.List(t.Context(), knowledge.Query{Kind: knowledge.KindCategory, Limit: 7}); err != nil {
			t.Fatal(err)
		}
	}
	const all = 10_000 // the migrations leave some hundreds of them, most of which took longer
	costs, there, err := inspect(t, url).Statements(t.Context(), all)
	if err != nil || !there {
		t.Fatal(there, err)
	}
	for _, name := range []string{"get category", "list categories", "read receipt"} {
		if !slices.ContainsFunc(costs, func(c postgres.StatementCost) bool {
			return c.Name == name && c.Calls > 0 && c.Total > 0
		}) {
			t.Errorf("no cost of %q among %d statements", name, len(costs))
		}
	}
}

func TestWhatHarmsAServerIsNamed(t *testing.T) {
	url := migrated(t)
	i := inspect(t, url)
	if list, err := i.Health(t.Context()); err != nil ||
		slices.ContainsFunc(list, func(r postgres.Remark) bool { return r.Check == "index" }) {
		t.Errorf("of our own indexes: %v, %v", list, err)
	}
	pgtest.Exec(t, url, "CREATE INDEX twice ON rules (active, rank, rule_id)")
	pgtest.Exec(t, url, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'rules_by_title'::regclass")
	pgtest.Exec(t, url, "SELECT pg_create_physical_replication_slot('forgotten', true)")
	t.Cleanup(func() { pgtest.Exec(t, url, "SELECT pg_drop_replication_slot('forgotten')") })
	list, err := i.Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for text, level := range map[string]int{
		"indexes rules_by_house, twice are the same": postgres.RemarkWarning,
		"index rules_by_title is invalid":            postgres.RemarkWrong,
		"slot forgotten has no reader":               postgres.RemarkWrong,
	} {
		if !slices.ContainsFunc(list, func(r postgres.Remark) bool {
			return strings.Contains(r.Text, text) && r.Level == level
		}) {
			t.Errorf("nothing says %q: %v", text, list)
		}
	}
}

func TestEveryNamedStatementHasAPlan(t *testing.T) {
	url := migrated(t)
	i := inspect(t, url)
	names := map[string]bool{}
	for _, q := range postgres.Queries() {
		if names[q.Name] {
			t.Errorf("two statements are called %q", q.Name)
		}
		names[q.Name] = true
		plan, err := i.Plan(t.Context(), q.Name, false)
		if err != nil || !strings.Contains(plan, "cost=") {
			t.Errorf("%s: %v: %s", q.Name, err, plan)
		}
	}
	if _, err := i.Plan(t.Context(), "nothing", false); err == nil || !strings.Contains(err.Error(), "read receipt") {
		t.Errorf("an unknown name: %v, want the names that there are", err)
	}
}
