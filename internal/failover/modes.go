package failover

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"tenet/internal/knowledge"
)

// keptErrors is how many of the primary's last errors the status shows.
const keptErrors = 5

// slow is the shortest time of a failed call that counts as a hang rather than a refusal.
const slow = 500 * time.Millisecond

// remindEvery is how often the log repeats that the primary can't be reached.
const remindEvery = 10 * time.Minute

// A failure is the primary's last error.
type failure struct {
	class  class
	text   string
	reason string // the part that callers may read, "" for nothing
}

// modes keeps the [standing] of this instance, and reports its changes to the log and to those who wait.
type modes struct {
	o      *Options
	board  *board
	counts *counts

	at atomic.Pointer[standing] // read without a lock, changed with mu held

	// guards the fields below; while it is held, no call leaves the process and only the board's lock is taken
	mu          sync.Mutex
	since       time.Time // when the mode last changed
	talked      time.Time // when the standing was last logged
	opened      time.Time // when the breaker opened, zero while it is closed
	writesAfter time.Time // when a primary that refuses writes may be asked again, zero while it takes them
	answered    time.Time // when the primary last answered a call
	refusing    bool      // the primary's last failure came within slow
	failure     *failure  // the primary's last error, nil once it has answered again
	errs        []string  // the last keptErrors errors, newest last
}

func newModes(o *Options, b *board, n *counts) *modes {
	m := &modes{o: o, board: b, counts: n, since: time.Now()}
	at := atStart(knowledge.ModeCold, false)
	m.at.Store(&at)
	return m
}

// now returns the current standing.
func (m *modes) now() *standing { return m.at.Load() }

// mode returns the mode.
func (m *modes) mode() knowledge.Mode { return m.now().mode }

// begin sets the first standing of an instance with a complete mirror.
func (m *modes) begin() {
	at := atStart(knowledge.ModeDegraded, true)
	m.at.Store(&at)
}

// handle moves to the next standing, and reports the changes.
func (m *modes) handle(in input) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.handleLocked(in)
}

func (m *modes) handleLocked(in input) {
	before := m.at.Load()
	after := before.next(in)
	if after == *before {
		return
	}
	m.at.Store(&after)
	if after.breaker != before.breaker {
		m.tellBreaker(before.breaker, &after)
	}
	switch {
	case after.mode != before.mode:
		m.tellMode(before.mode, &after)
	case before.starting && !after.starting: // the mode stays, but the log must tell why
		m.say("started without the primary", slog.String("mode", string(after.mode)), slog.String("why", after.why))
	}
	if before.halt == "" && after.halt != "" {
		m.o.Log.Error("the primary's schema, rights or certificates are wrong: the mirror answers reads, and writes "+
			"are refused until an operator has acted", "error", after.halt)
	}
	if before.haltWrites == "" && after.haltWrites != "" {
		m.o.Log.Error("the primary's schema or rights do not allow writes: writes are refused until an operator "+
			"has acted", "error", after.haltWrites)
	}
}

// tellMode needs m.mu.
func (m *modes) tellMode(from knowledge.Mode, now *standing) {
	m.since = time.Now()
	m.counts.transitions.Add(1)
	if from != knowledge.ModeNormal && (now.mode == knowledge.ModeNormal || now.mode == knowledge.ModeRecovering) {
		m.failure = nil // it answers again
	}
	m.say("mode changed", slog.String("from", string(from)), slog.String("to", string(now.mode)),
		slog.String("why", now.why))
	m.board.announce(Event{Mode: now.mode, From: from, Why: now.why})
	m.board.post(modeMoved)
	m.board.post(lookWanted)
}

// tellBreaker needs m.mu.
func (m *modes) tellBreaker(from gobreaker.State, now *standing) {
	say := m.o.Log.Info
	if from == gobreaker.StateHalfOpen && now.breaker == gobreaker.StateOpen || now.breaker == gobreaker.StateHalfOpen {
		say = m.o.Log.Debug // each probe of a long outage
	}
	say("breaker moved", "from", from.String(), "to", now.breaker.String())
	m.counts.breakerMoves.Add(1)
	m.board.announce(Event{Mode: now.mode, Breaker: now.breaker.String()})
}

// say logs a warning about the standing, with the primary's last error if it has not answered since. It needs m.mu.
func (m *modes) say(text string, attrs ...slog.Attr) {
	m.talked = time.Now()
	if f := m.failure; f != nil {
		attrs = append(attrs, slog.String("class", f.class.String()), slog.String("error", f.text))
	}
	m.o.Log.LogAttrs(context.Background(), slog.LevelWarn, text, attrs...) //nolint:forbidigo,sloglint // its callers give constants; nobody's call: the instance itself speaks
}

// remind repeats from time to time that the primary can't be reached, since rotation drops old log lines.
func (m *modes) remind(waiting int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	away := now.mode == knowledge.ModeDegraded || now.mode == knowledge.ModeDiverged || now.mode == knowledge.ModeCold
	if away && !m.talked.IsZero() && time.Since(m.talked) >= remindEvery {
		m.say("mode goes on", slog.String("mode", string(now.mode)), slog.String("why", now.why),
			slog.String("for", time.Since(m.since).Round(time.Second).String()), slog.Int("waiting", waiting))
	}
}

// breakerTo is called by the breaker, with the breaker's own lock held. It ignores half-open: the breaker moves there
// as soon as it may let a call through, but the keeper, its only caller then, may wait longer; see probe.
func (m *modes) breakerTo(to gobreaker.State) {
	if to == gobreaker.StateHalfOpen {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened = time.Time{}
	if to == gobreaker.StateOpen {
		m.opened = time.Now()
	}
	m.handleLocked(input{kind: breakerMoved, breaker: to})
}

// probeDue reports whether the primary behind an open breaker may be asked again. A primary that refuses at once is
// cheap to ask, and one of several hosts may have been replaced: both are asked sooner.
func (m *modes) probeDue() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	wait := m.o.Recovery
	if m.o.Hosts > 1 || m.refusing {
		wait = m.o.soon
	}
	return m.opened.IsZero() || time.Since(m.opened) >= wait
}

// heard notes the primary's answer to a read or a write, and how long it took.
func (m *modes) heard(to inputKind, c class, err error, took time.Duration) {
	in := input{kind: to, class: c}
	if err != nil {
		in.why = err.Error()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.handleLocked(in)
	if to == writeSaid {
		switch {
		case c == fine:
			m.writesAfter = time.Time{}
		case (c == readOnly || c == late) && m.now().refused >= m.o.Failures:
			m.writesAfter = time.Now().Add(m.o.soon)
		}
	}
	switch c {
	case fine:
		m.failure, m.answered = nil, time.Now()
		return
	case disconnected:
		return
	case infra:
		m.refusing = took < slow
	case readOnly, late, halted:
	}
	m.failure = &failure{class: c, text: in.why, reason: reasonOf(err)}
	m.errs = append(m.errs, m.o.wall().UTC().Format(time.RFC3339)+" "+in.why)
	if len(m.errs) > keptErrors {
		m.errs = m.errs[len(m.errs)-keptErrors:]
	}
}

// answeredSince reports whether the primary has answered a call since t.
func (m *modes) answeredSince(t time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.answered.After(t)
}

// refusesWrites reports whether the primary answers reads and takes no writes, as a standby, a full disk or an overload
// does; and whether the time has come to try a write again.
func (m *modes) refusesWrites() (refuses, due bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.writesAfter.IsZero(), !time.Now().Before(m.writesAfter)
}

// reason returns why the mode is what it is, with the readable part of the primary's last error.
func (m *modes) reason() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	why := m.now().why
	if f := m.failure; f != nil && f.reason != "" && !strings.HasSuffix(why, f.reason) {
		why += ": " + f.reason
	}
	return why
}

// tell fills in the standing's part of a status.
func (m *modes) tell(st *Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	st.Mode, st.Since, st.Why, st.Halt, st.Breaker = now.mode, knowledge.At(m.since), now.why, now.halted(),
		now.breaker.String()
	st.Errors = append([]string{}, m.errs...)
	st.Swings, st.Moves = m.counts.breakerMoves.Load(), m.counts.transitions.Load()
}
