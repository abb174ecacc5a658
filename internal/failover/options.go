package failover

import (
	"context"
	"log/slog"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/settings"
	"tenet/internal/store"
)

// Options configures a [Store]. Zero values mean the defaults named.
type Options struct {
	// Connect opens the primary. It is called again until it succeeds.
	Connect func(context.Context) (Primary, error)
	// Replica opens a standby of the primary, from which mirrors are built so that the primary need not be read whole;
	// nil if there is none. A replica that can't be used is passed over, and the log says why.
	Replica func(context.Context) (Replica, error)
	Mirror  Mirror
	Journal Journal
	// Seed answers reads while there is neither primary nor mirror.
	Seed store.Reader

	// MirrorMaxLag is how old the mirror may be while the primary answers; beyond it the primary answers reads.
	MirrorMaxLag time.Duration `name:"mirror-max-lag" default:"10s" least:"1" doc:"How old the mirror may be while PostgreSQL answers; then PostgreSQL answers reads"`
	// FreshReads makes every read ask for a current answer.
	FreshReads bool `name:"reads" words:"mirror,fresh" default:"mirror" doc:"What a read without a wish gets beside PostgreSQL: mirror answers as of the mirror, milliseconds old; fresh asks PostgreSQL for its newest change first"`
	// Failures counts the consecutive infrastructure failures that open the breaker.
	Failures int `name:"breaker-failures" default:"3" least:"1" doc:"Consecutive failures after which PostgreSQL is left alone"`
	// Recovery is how long the breaker stays open before a probe.
	Recovery time.Duration `name:"breaker-recovery" default:"30s" least:"1" doc:"How long until PostgreSQL is tried again"`
	Hosts    int           // number of hosts that the primary may run on; 1
	// Versions is how many versions of each document the mirror keeps.
	Versions int `name:"mirror-versions" default:"20" least:"1" doc:"Versions of each document in the mirror's history"`
	// CheckEvery is the time between two comparisons of mirror and primary.
	CheckEvery time.Duration `name:"mirror-check" default:"1h" least:"1" doc:"Time between comparisons of mirror and PostgreSQL"`
	// RefuseWrites refuses writes in an outage instead of journalling them.
	RefuseWrites bool `name:"outage-writes" words:"journal,refuse" default:"journal" doc:"What becomes of writes while PostgreSQL is down: journal keeps them on disk and replays them, refuse answers 503"`
	// Caller returns the principal that is calling, whose rights are checked again before a replay; nil means the
	// batch's actor.
	Caller func(ctx context.Context) string
	// Authorize returns a [*store.ForbiddenError] if the caller may no longer do what a batch does, given the documents
	// that now returns; another error means that it can't be decided yet. Nil allows everything.
	Authorize func(ctx context.Context, now Lookup, caller string, b *knowledge.Batch) error
	// Settled is called with the documents that may read differently although no change says so, because a pending
	// batch was applied or parked. Nil keys stand for all documents: the mirror was rebuilt. It must not block.
	Settled func(keys []knowledge.Key)
	// Event is called for every change of mode or breaker and every queued batch; nil for nobody. It must not block.
	Event func(Event)
	Log   *slog.Logger

	waits // which tests alone set
}

// waits says how long the parts of a store wait, and by which clock they tell the time.
type waits struct {
	readWait       time.Duration // how long a read waits for the mirror to reach what its caller asks for; 2 s
	readTimeout    time.Duration // how long a read at the primary may take; 2 s
	writeTimeout   time.Duration // how long a write at the primary may take; 2 s; more for large batches
	connectTimeout time.Duration // how long Connect may take, migrations included; 1 min
	// soon is Recovery for a primary that refuses at once, or has several hosts; 3 s, at most Recovery.
	soon      time.Duration
	pollFloor time.Duration // longest time between two looks at the feed; 250 ms
	// wall is the wall clock, for times that are shown or stored; time.Now. It may be set back and forth, so durations
	// are measured without it.
	wall func() time.Time
}

func withDefaults(o Options) Options {
	settings.Defaults(&o)
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&o.readWait, 2 * time.Second},
		{&o.readTimeout, 2 * time.Second},
		{&o.writeTimeout, 2 * time.Second},
		{&o.connectTimeout, time.Minute},
		{&o.soon, 3 * time.Second},
		{&o.pollFloor, 250 * time.Millisecond},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	o.soon = min(o.soon, o.Recovery)
	if o.wall == nil {
		o.wall = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
