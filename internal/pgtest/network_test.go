package pgtest_test

import (
	"context"
	"testing"
	"time"

	"tenet/internal/pgtest"
)

func TestANetworkLosesWhatItIsTold(t *testing.T) {
	w := pgtest.NewNetwork(t)
	s := pgtest.Start(t, pgtest.Options{Network: w})
	s.Exec("CREATE TABLE heard (what text)")
	heard := func(what string) string {
		return pgtest.Value(t, s.SocketURL("postgres"), "SELECT count(*) FROM heard WHERE what = $1", what)
	}
	for _, lost := range []struct {
		what  string
		lose  func()
		heard string // rows that the server has got meanwhile
	}{
		{"requests", w.LoseRequests, "0"},
		{"answers", w.LoseAnswers, "1"},
	} {
		conn := pgtest.Connect(t, s.URL("postgres"))
		lost.lose()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_, err := conn.PgConn().Exec(ctx, "INSERT INTO heard VALUES ('"+lost.what+"')").ReadAll() // in one message
		cancel()
		if err == nil {
			t.Errorf("%s are lost, and the client has heard an answer", lost.what)
		}
		pgtest.Await(t, "the server to have heard what it can", func() bool { return heard(lost.what) == lost.heard })
		w.Mend()
		s.WaitReady()
	}
}
