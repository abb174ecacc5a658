package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/observe"
	"tenet/internal/postgres"
)

// newRegistry returns the metrics of an instance and of its process.
func newRegistry(version string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tenet_build_info", Help: "1, with the version of the program as a label.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	r.MustRegister(build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// measure registers what the parts tell of themselves.
func (p *parts) measure() {
	p.metrics.MustRegister(p.cache.Collector())
	observe.Gauges(p.metrics, observe.Gauge{
		Name: "tenet_policy_overrides_total", Counter: true, Help: "Proposals applied without the approvals that they need, by an override: tenet audit lists them.",
		Value: func() float64 { return float64(p.refusals.overrides.Load()) },
	}, observe.Gauge{
		Name: "tenet_audit_counted_reads_total", Counter: true,
		Help:  "Reads that the audit only counts since they came faster than it is written; any increase means that it no longer tells who read what.",
		Value: func() float64 { return float64(p.reads.lost.Load()) },
	})
	p.engine.measure(p.metrics, p.measures)
}

// statusTimeout bounds the look at the journal for a scrape.
const statusTimeout = time.Second

// measure registers how the instance stands to its PostgreSQL.
func (d *dual) measure(reg prometheus.Registerer, m *observe.Metrics) {
	m.Pool("postgres", d.pool)
	status := func(value func(failover.Status) float64) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), statusTimeout) //nolint:forbidigo // a scrape brings no context
			defer cancel()
			st, err := d.Status(ctx)
			if err != nil {
				return -1
			}
			return value(st)
		}
	}
	one := func(is bool) float64 {
		if is {
			return 1
		}
		return 0
	}
	observe.Gauges(reg,
		observe.Gauge{Name: "tenet_degraded", Help: "1 while answers come from the mirror because PostgreSQL is down, has diverged or was never seen.", Value: func() float64 {
			m := d.Level().Mode
			return one(m != knowledge.ModeNormal && m != knowledge.ModeRecovering)
		}},
		observe.Gauge{Name: "tenet_breaker_open", Help: "1 while PostgreSQL is left alone after failures.", Value: status(func(s failover.Status) float64 { return one(s.Breaker != "closed") })},
		observe.Gauge{Name: "tenet_mode_changes_total", Counter: true, Help: "Changes of mode; many mean that PostgreSQL comes and goes.", Value: status(func(s failover.Status) float64 { return float64(s.Moves) })},
		observe.Gauge{Name: "tenet_mirror_lag_seconds", Help: "Time since the mirror was last known to be level with PostgreSQL; high values mean old answers in an outage.", Value: status(func(s failover.Status) float64 { return s.Mirror.Lag })},
		observe.Gauge{Name: "tenet_journal_batches", Help: "Batches on disk that wait for PostgreSQL.", Value: status(func(s failover.Status) float64 { return float64(s.Journal.Depth) })},
		observe.Gauge{Name: "tenet_journal_bytes", Help: "Bytes that wait for PostgreSQL; at the limit writes are refused.", Value: status(func(s failover.Status) float64 { return float64(s.Journal.Bytes) })},
		observe.Gauge{Name: "tenet_journal_oldest_seconds", Help: "Age of the oldest batch that waits for PostgreSQL.", Value: status(func(s failover.Status) float64 { return s.Journal.Oldest })},
		observe.Gauge{Name: "tenet_breaker_moves_total", Counter: true, Help: "Moves of the breaker before PostgreSQL; many mean that it fails again and again.", Value: status(func(s failover.Status) float64 { return float64(s.Swings) })},
		observe.Gauge{Name: "tenet_halted", Help: "1 while PostgreSQL is there and its schema, its rights or the certificates do not let tenet work: a person must act.", Value: status(func(s failover.Status) float64 { return one(s.Halt != "") })},
		observe.Gauge{Name: "tenet_mirror_seq", Help: "The last change that the mirror has; behind the newest change for long: it no longer follows.", Value: status(func(s failover.Status) float64 { return float64(s.Mirror.Seq) })},
		observe.Gauge{Name: "tenet_mirror_builds_total", Counter: true, Help: "Rebuilds of the mirror, each of which reads all of PostgreSQL; more than one a start: look at the log for why.", Value: status(func(s failover.Status) float64 { return float64(s.Mirror.Builds) })},
		observe.Gauge{Name: "tenet_mirror_errors_total", Counter: true, Help: "Times that the mirror's file did not take something; growing: look at its disk.", Value: status(func(s failover.Status) float64 { return float64(s.Mirror.Errors) })},
		observe.Gauge{Name: "tenet_reads_passed_total", Counter: true, Help: "Reads that PostgreSQL was asked because the mirror could not answer: it is being built, lags, or did not take a write.", Value: status(func(s failover.Status) float64 { return float64(s.Passed) })},
		observe.Gauge{Name: "tenet_reads_fell_back_total", Counter: true, Help: "Reads that PostgreSQL was asked and the mirror answered, because PostgreSQL failed to.", Value: status(func(s failover.Status) float64 { return float64(s.FellBack) })},
		observe.Gauge{Name: "tenet_journal_queued_total", Counter: true, Help: "Batches that the journal took.", Value: status(func(s failover.Status) float64 { return float64(s.Journal.Queued) })},
		observe.Gauge{Name: "tenet_journal_replayed_total", Counter: true, Help: "Batches of the journal that PostgreSQL took; standing still in mode recovering: the log says what stops it.", Value: status(func(s failover.Status) float64 { return float64(s.Journal.Replayed) })},
		observe.Gauge{Name: "tenet_journal_replay_rate", Help: "Batches a second of the replay under way, 0 while none is.", Value: status(func(s failover.Status) float64 { return s.Journal.Rate })},
		observe.Gauge{Name: "tenet_standbys", Help: "Standbys that stream from PostgreSQL, -1 while that is not known; fewer than there are hosts for: one is down or lags.", Value: d.standbys.count(func(n *postgres.Standbys) int { return n.Streaming })},
		observe.Gauge{Name: "tenet_synchronous_standbys", Help: "Standbys that commits of PostgreSQL wait for, -1 while that is not known; 0 where there was one: what is acknowledged stands on one host, or waits.", Value: d.standbys.count(func(n *postgres.Standbys) int { return n.Synchronous })},
		observe.Gauge{Name: "tenet_standby_lag_bytes", Help: "WAL that the standby which is furthest behind has yet to show to its readers, -1 while that is not known; growing: its disk or its network is too slow, or a long query holds it back.", Value: d.standbys.count(func(n *postgres.Standbys) int { return int(n.Behind) })},
		observe.Gauge{Name: "tenet_replica_heartbeat_age_seconds", Help: "How old the heartbeat is that the standby of database_replica_url has, which is written once a minute; -1 without one, and while it is not known. More than two minutes: it is away or far behind, and mirrors are built from the primary.", Value: d.standbys.age},
		observe.Gauge{Name: "tenet_conflicts", Help: "Batches that did not fit when they were replayed and wait for a person: see tenet conflicts.", Value: status(func(s failover.Status) float64 { return float64(s.Journal.Parked) })},
	)
}

// pool tells the state of the connections to PostgreSQL, all zero before the first.
func (d *dual) pool() observe.PoolStats {
	p := d.primary.Load()
	if p == nil {
		return observe.PoolStats{}
	}
	s, ends := p.Stat(), postgres.CertificatesOf(p.Store)
	return observe.PoolStats{
		ServerCertificate: ends.Server, ClientCertificate: ends.Client,
		Limit: int(s.MaxConns()), Used: int(s.AcquiredConns()), Idle: int(s.IdleConns()),
		Opening:  int(s.ConstructingConns()),
		Acquired: s.AcquireCount(), Waited: s.EmptyAcquireCount(), WaitTime: s.EmptyAcquireWaitTime(),
		Cancelled: s.CanceledAcquireCount(),
	}
}
