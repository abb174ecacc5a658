package failover_test

import (
	"testing"
	"time"

	"tenet/internal/pgtest"
)

// TestLostPackets loses what real TCP connections carry, in one direction or both: nothing is refused, nothing ends,
// and nobody is told.
func TestLostPackets(t *testing.T) {
	t.Parallel()
	network := pgtest.NewNetwork(t)
	server := pgtest.Start(t, pgtest.Options{Network: network})
	mend := func(*cluster) { network.Mend() }
	runAll(t, func() *site { return newSite(t, server) }, []trouble{
		{
			name: "both ways", inject: func(*cluster) { network.LoseRequests(); network.LoseAnswers() }, heal: mend,
			lasts: 3 * time.Second,
		},
		{
			name: "requests", inject: func(*cluster) { network.LoseRequests() }, heal: mend, lasts: 3 * time.Second,
			soak: true,
		},
		{
			name: "answers", inject: func(*cluster) { network.LoseAnswers() }, heal: mend, lasts: 3 * time.Second,
			soak: true,
		},
	})
}
