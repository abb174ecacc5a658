package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store/storetest"
)

// TestAStandbyIsNotAskedToListenAgainAndAgain: a standby has no notifications, and writes an error into its log for
// each attempt. Whoever waits hears of a change nevertheless.
func TestAStandbyIsNotAskedToListenAgainAndAgain(t *testing.T) {
	primary := pgtest.Start(t, pgtest.Options{})
	url := primary.NewDatabase()
	if _, err := postgres.Migrate(t.Context(), postgres.Address{URL: url}, -1); err != nil {
		t.Fatal(err)
	}
	writer := openAt(t, url)
	standby := primary.Standby(pgtest.Options{})
	reader := openAt(t, strings.Replace(url, primary.Addr(), standby.Addr(), 1))
	attempts := func() int { return strings.Count(standby.Log(), "LISTEN during recovery") }
	waits, stop := context.WithCancel(t.Context())
	go func() { _ = reader.Wait(waits, 0) }() // a store listens once somebody waits
	pgtest.Await(t, "the standby to be asked", func() bool { return attempts() > 0 })
	stop()
	for i := range 4 { // each waits for the time in which the listener used to try once more
		seq, err := reader.Newest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan error, 1)
		go func() { heard <- reader.Wait(t.Context(), seq) }()
		b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "a", Ops: []knowledge.Op{
			knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = fmt.Sprintf("c-%d", i) }),
				knowledge.NoVersion),
		}}
		if _, err := writer.Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if err := <-heard; err != nil {
			t.Fatal(err)
		}
	}
	if n := attempts(); n > 1 {
		t.Errorf("the standby was asked to listen %d times", n)
	}
}
