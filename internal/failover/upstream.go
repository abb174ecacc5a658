package failover

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// opTime is added to WriteTimeout for each operation of a batch.
const opTime = 10 * time.Millisecond

// An upstream sends calls to the primary: through the breaker, each with a deadline of its own. It reports each result
// to the breaker and to modes.
type upstream struct {
	o       *Options
	life    *life
	modes   *modes
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	primary atomic.Pointer[Primary]
	index   index
}

func newUpstream(o *Options, l *life, m *modes) *upstream {
	return &upstream{o: o, life: l, modes: m, breaker: gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: "primary", MaxRequests: 1, Timeout: min(o.soon, o.Recovery),
		ReadyToTrip:   func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= o.Failures },
		IsSuccessful:  func(err error) bool { return !isInfra(err) },
		IsExcluded:    func(err error) bool { return isExcluded(err) },
		OnStateChange: func(_ string, _, to gobreaker.State) { m.breakerTo(to) },
	})}
}

// An index asks the primary for its newest seq. One query is in flight at a time, and answers all callers that came
// before it was sent. A caller that comes later needs the next one: the answer in flight may be older than what that
// caller has seen.
type index struct {
	mu     sync.Mutex // guards the fields below
	flying bool
	next   *flight // the query for those who wait now; nil if nobody waits
}

// A flight is one query and its answer, which is there when done is closed.
type flight struct {
	done chan struct{}
	seq  knowledge.Seq
	err  error
}

// current returns the connected primary, nil if there is none yet.
func (u *upstream) current() Primary {
	p := u.primary.Load()
	if p == nil {
		return nil
	}
	return *p
}

// newest returns the primary's newest seq, as of no earlier than the call.
func (u *upstream) newest(ctx context.Context, p Primary) (knowledge.Seq, error) {
	x := &u.index
	x.mu.Lock()
	if x.next == nil {
		x.next = &flight{done: make(chan struct{})}
	}
	f := x.next
	if !x.flying {
		x.flying = true
		u.life.work.Go(func() { u.fly(context.WithoutCancel(ctx), p) })
	}
	x.mu.Unlock()
	select {
	case <-f.done:
		return f.seq, f.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// fly sends queries until nobody waits for one.
func (u *upstream) fly(ctx context.Context, p Primary) {
	x := &u.index
	for {
		x.mu.Lock()
		f := x.next
		x.next = nil
		x.flying = f != nil
		x.mu.Unlock()
		if f == nil {
			return
		}
		f.seq, f.err = u.askNewest(ctx, p)
		close(f.done)
	}
}

// askNewest sends one query with a deadline of its own, and reports the result to the breaker.
func (u *upstream) askNewest(ctx context.Context, p Primary) (knowledge.Seq, error) {
	done, err := u.breaker.Allow()
	if err != nil {
		return 0, unreached(err)
	}
	own, cancel := context.WithTimeout(ctx, u.o.readTimeout)
	defer cancel()
	began := time.Now()
	seq, err := p.Newest(own)
	c := classify(nil, err)
	u.modes.heard(readSaid, c, err, time.Since(began))
	done(c.forBreaker())
	return seq, err
}

// report reports the result of a look to the breaker.
func (u *upstream) report(c class) {
	if done, err := u.breaker.Allow(); err == nil {
		done(c.forBreaker())
	}
}

// connect opens the primary for the first time.
func (u *upstream) connect(ctx context.Context) (Primary, error) {
	short, cancel := context.WithTimeout(ctx, u.o.connectTimeout)
	defer cancel()
	p, err := u.o.Connect(short)
	if err != nil {
		return nil, err
	}
	u.primary.Store(&p)
	return p, nil
}

// reachable returns the primary, nil if it should not be asked in the current mode.
func (u *upstream) reachable() Primary {
	if !u.modes.now().asks() {
		return nil
	}
	return u.current()
}

// lookup returns a Lookup that asks the primary for each document once, since many batches of a page have the same
// caller.
func (u *upstream) lookup() Lookup {
	type look struct {
		once sync.Once
		r    *knowledge.Record
		err  error
	}
	var looks sync.Map
	return func(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
		had, _ := looks.LoadOrStore(key, &look{})
		l := had.(*look) // nothing else is stored
		l.once.Do(func() {
			p := u.current()
			if p == nil {
				l.err = cold()
				return
			}
			own, cancel := context.WithTimeout(ctx, u.o.readTimeout)
			defer cancel()
			l.r, l.err = p.Get(own, key)
		})
		return l.r, l.err
	}
}

// apply sends a batch to the primary, with a deadline of patience times WriteTimeout, and reports the result to the
// breaker and to modes.
func (u *upstream) apply(
	ctx context.Context, p Primary, b knowledge.Batch, patience time.Duration, done func(error),
) (knowledge.Receipt, error) {
	own, cancel := context.WithTimeout(ctx, patience*u.o.writeTimeout+time.Duration(len(b.Ops))*opTime)
	defer cancel()
	began := time.Now()
	rec, err := p.Apply(own, b)
	c := classify(ctx.Err(), err)
	if c == infra && own.Err() != nil && u.modes.answeredSince(began) {
		c = late
	}
	u.modes.heard(writeSaid, c, err, time.Since(began))
	done(c.forBreaker())
	return rec, err
}

// unreached is the error for a read that needs the primary's latest change and can't get it.
func unreached(cause error) error {
	return &store.UnavailableError{
		Reason:     "this instance can't confirm that its answer is current: ask without requiring that, or later",
		RetryAfter: 5 * time.Second, NotDone: true, Err: cause,
	}
}

// cold is the error while neither the primary nor a mirror can answer.
func cold() error {
	return &store.UnavailableError{
		Reason:     "the primary can't be reached and this instance has no mirror of it yet",
		RetryAfter: 5 * time.Second, NotDone: true,
	}
}
