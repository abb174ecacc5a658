package pgtest_test

import (
	"testing"

	"tenet/internal/pgtest"
)

const identifier = "SELECT system_identifier FROM pg_control_system()"

// TestServersThatMeetAreOfDifferentClusters: a copy has its original's identifier, by which programs tell clusters
// apart.
func TestServersThatMeetAreOfDifferentClusters(t *testing.T) {
	first := pgtest.Start(t, pgtest.Options{})
	seen := map[string]string{pgtest.Value(t, pgtest.URL(t), identifier): "the server that tests share"}
	differs := func(t *testing.T, of string, s *pgtest.Server) {
		t.Helper()
		id := pgtest.Value(t, s.URL("postgres"), identifier)
		if seen[id] != "" {
			t.Errorf("%s has the system identifier of %s", of, seen[id])
		}
		seen[id] = of
	}
	differs(t, "the first server", first)
	differs(t, "the second server", pgtest.Start(t, pgtest.Options{}))
	t.Run("below", func(t *testing.T) { differs(t, "a subtest's server", pgtest.Start(t, pgtest.Options{})) })
}

// TestAServerIsACopy: of two servers that never meet the second is not made by initdb, which takes half a second.
func TestAServerIsACopy(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		t.Run("", func(t *testing.T) {
			seen[pgtest.Value(t, pgtest.Start(t, pgtest.Options{}).URL("postgres"), identifier)] = true
		})
	}
	if len(seen) != 1 {
		t.Errorf("two servers in turn are of %d clusters, want copies of one", len(seen))
	}
}
