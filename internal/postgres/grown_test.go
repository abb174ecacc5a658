package postgres_test

import (
	"fmt"
	"strconv"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store/storetest"
)

// TestAWriteReadsNoMoreWhenTheTableHasGrown keeps the plans of tenet_apply, which a session makes over small tables and
// keeps, to the rows that are written.
func TestAWriteReadsNoMoreWhenTheTableHasGrown(t *testing.T) {
	address := migrated(t)
	s, err := postgres.Open(t.Context(), postgres.Options{URL: address, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	general(t, s)
	for i := range 300 {
		apply(t, s, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) { r.RuleID = fmt.Sprintf("grown-%d", i) }),
			knowledge.NoVersion))
	}
	if err := s.Close(); err != nil { // the end of a session tells the server what it has read
		t.Fatal(err)
	}
	var read string
	pgtest.Await(t, "the server to have counted", func() bool {
		read = pgtest.Value(t, address, "SELECT coalesce(sum(idx_tup_fetch + seq_tup_read), 0) FROM "+
			"pg_stat_user_tables WHERE relname = 'rules' AND n_tup_ins = 300")
		return read != "0"
	})
	if n, err := strconv.Atoi(read); err != nil || n > 300*4 {
		t.Errorf("300 writes of one rule each have read %s rows of the table, %v; want at most 4 for each", read, err)
	}
}
