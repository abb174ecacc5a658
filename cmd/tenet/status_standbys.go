package main

import "tenet/internal/postgres"

// standbyText tells whether a write that PostgreSQL has acknowledged stands on a second host.
func standbyText(s postgres.Standbys) string {
	streaming := plural(int64(s.Streaming), "standby streams", "standbys stream")
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
