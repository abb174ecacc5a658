package main

import (
	"fmt"

	"tenet/internal/postgres"
	"tenet/internal/server"
)

// standbyText tells whether a write that PostgreSQL has acknowledged stands on a second host.
func standbyText(s postgres.Standbys) string {
	streaming := plural(int64(s.Streaming), "standby streams", "standbys stream")
	if s.Behind > 0 {
		streaming += fmt.Sprintf(", %d KiB behind at most", (s.Behind+1023)/1024)
	}
	switch {
	case s.Hidden:
		return "not known: the role needs pg_read_all_stats"
	case s.Synchronous > 0:
		return "synchronous standby present; " + streaming
	case s.Wanted:
		return "no synchronous standby present, and commits wait for one; " + streaming
	case s.Streaming > 0:
		return streaming + ", none of them synchronous: a failover can lose what was acknowledged last"
	}
	return "none"
}

// replicaText tells how far behind the standby of database_replica_url is.
func replicaText(r server.Replica) string {
	text := "no heartbeat seen yet"
	if r.Age >= 0 {
		text = fmt.Sprintf("heartbeat %.0f s old", r.Age)
	}
	if r.Error != "" {
		text += "; it can't be asked: " + r.Error
	}
	return text
}
