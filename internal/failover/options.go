package failover

import (
	"context"
	"log/slog"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Lookup reads a document at the end of the primary's log, which the mirror may not have reached yet.
type Lookup func(ctx context.Context, key knowledge.Key) (*knowledge.Record, error)

// Options configures a [Store]. Zero values mean the defaults named.
type Options struct {
	// Connect opens the primary. It is called again until it succeeds.
	Connect func(context.Context) (Primary, error)
	Mirror  Mirror
	Journal Journal
	// Seed answers reads while there is neither primary nor mirror.
	Seed store.Reader

	ReadWait     time.Duration // how long a read waits for the mirror to reach what its caller asks for; 2 s
	CopyMaxLag   time.Duration // how old the mirror may be while the primary answers; beyond it the primary answers reads; 10 s
	FreshReads   bool          // every read asks for a current answer
	ReadTimeout  time.Duration // how long a read at the primary may take; 2 s
	WriteTimeout time.Duration // how long a write at the primary may take; 2 s; more for large batches
	// ConnectTimeout is how long Connect may take, migrations included; 1 min.
	ConnectTimeout time.Duration
	Failures       int           // consecutive infrastructure failures that open the breaker; 3
	Recovery       time.Duration // how long the breaker stays open before a probe; 30 s
	Soon           time.Duration // the same for a primary that refuses at once, or has several hosts; 3 s, at most Recovery
	Hosts          int           // number of hosts that the primary may run on; 1
	Versions       int           // versions of each document that the mirror keeps; 20
	PollFloor      time.Duration // longest time between two looks at the feed; 250 ms
	CheckEvery     time.Duration // time between two comparisons of mirror and primary; 1 h
	// RefuseWrites refuses writes in an outage instead of journalling them.
	RefuseWrites bool
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
	// Wall is the wall clock, for times that are shown or stored; time.Now. It may be set back and forth, so durations
	// are measured without it.
	Wall func() time.Time
	Log  *slog.Logger
}

func withDefaults(o Options) Options {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&o.ReadWait, 2 * time.Second},
		{&o.CopyMaxLag, 10 * time.Second},
		{&o.ReadTimeout, 2 * time.Second},
		{&o.WriteTimeout, 2 * time.Second},
		{&o.ConnectTimeout, time.Minute},
		{&o.Recovery, 30 * time.Second},
		{&o.Soon, 3 * time.Second},
		{&o.PollFloor, 250 * time.Millisecond},
		{&o.CheckEvery, time.Hour},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	for _, d := range []struct {
		v   *int
		def int
	}{{&o.Failures, 3}, {&o.Versions, 20}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	o.Soon = min(o.Soon, o.Recovery)
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
