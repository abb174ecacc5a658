package failover_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tenet/internal/awaittest"
	"tenet/internal/failover"
	"tenet/internal/journal"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// crashEnv makes the test binary be an instance that kills itself at a point, or with "end" one that comes to an end.
const crashEnv = "TENET_TEST_CRASH"

// A crash is where a process kills itself: at the n-th time that it comes to a point.
type crash struct {
	point string
	left  atomic.Int64
}

// nth returns at which time a point is deadly: so late that somebody was told something before, where there is a
// before.
func nth(point string) int64 {
	switch point {
	case "applied directly", "followed", "before following":
		return 2
	}
	return 1
}

// at kills the process where it is, as kill -9 does.
func (c *crash) at(point string) {
	if c.point == point && c.left.Add(-1) == 0 {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// TestAKillAtAnyStepLosesNothing runs the life of an instance in a process that kills itself at one durable step, and
// then goes on with another on the same files and the same PostgreSQL.
func TestAKillAtAnyStepLosesNothing(t *testing.T) {
	for _, point := range []string{
		"snapshot", "built", "swapped", "applied directly", "journal: before append", "journal: after append",
		"overlaid", "outcome unknown",
		"replayed", "journal: after applied", "settled", "journal: before park", "journal: after park",
		"parked and settled",
		"followed", "before following", "resync: snapshot", "resync: built", "resync: swapped",
	} {
		t.Run(point, func(t *testing.T) {
			url, dir := pgtest.Template(t, "failover", func(url string) error {
				_, err := postgres.Migrate(context.Background(), postgres.Address{URL: url}, -1)
				return err
			}), t.TempDir()
			first := runCrash(t, url, dir, point)
			if first.err == nil {
				t.Fatal("the process came to its end: it never was at the point")
			}
			second := runCrash(t, url, dir, "end")
			if second.err != nil {
				t.Fatalf("the process after the kill: %v\n%s", second.err, second.output)
			}
			told := append(first.told, second.told...)
			if len(told) == 0 && !strings.Contains("snapshot built swapped", point) {
				t.Error("nobody was told anything: the test shows nothing")
			}
			checkTold(t, openPrimary(t, url), told, second.parked)
		})
	}
}

// crashed is what came of a process.
type crashed struct {
	told   []told
	parked map[knowledge.BatchID]bool
	output string
	err    error
}

// told is what a writer heard.
type told struct {
	Batch   knowledge.BatchID `json:"batch"`
	Queued  bool              `json:"queued"`
	Version int64             `json:"version"`
	Parked  bool              `json:"parked"` // not heard by the writer: found in the end
}

// runCrash runs the test binary as an instance.
func runCrash(t *testing.T, url, dir, point string) *crashed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+point, "TENET_TEST_CRASH_URL="+url, "TENET_TEST_CRASH_DIR="+dir)
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	if ctx.Err() != nil {
		t.Fatalf("the process hangs\n%s", log.String())
	}
	c := &crashed{parked: map[knowledge.BatchID]bool{}, output: log.String(), err: err}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("the process ended with %v\n%s", err, log.String())
		}
	}
	for line := range strings.Lines(string(out)) {
		var w told
		if json.Unmarshal([]byte(line), &w) != nil {
			continue // the last words were cut off: nobody heard them
		}
		if w.Parked {
			c.parked[w.Batch] = true
		} else {
			c.told = append(c.told, w)
		}
	}
	return c
}

// checkTold compares what the writers heard with the log.
func checkTold(t *testing.T, primary store.Store, heard []told, parked map[knowledge.BatchID]bool) {
	t.Helper()
	changes := logOf(t, primary)
	applied := map[knowledge.BatchID][]knowledge.Change{}
	for i := range changes {
		applied[changes[i].Batch] = append(applied[changes[i].Batch], changes[i])
	}
	for _, w := range heard {
		done := applied[w.Batch]
		switch {
		case len(done) > 1:
			t.Errorf("batch %s was applied %d times", w.Batch, len(done))
		case w.Queued && (len(done) == 1) == parked[w.Batch]:
			t.Errorf("batch %s was queued: applied %t, parked %t; want one of them", w.Batch, len(done) == 1,
				parked[w.Batch])
		case !w.Queued && (len(done) == 0 || done[0].Version != w.Version):
			t.Errorf("batch %s was acknowledged at version %d; the log has %d changes of it", w.Batch, w.Version,
				len(done))
		}
	}
}

// crashing runs in the process of its own: the life of an instance, with every kind of durable step in it.
func crashing(point string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	dir := os.Getenv("TENET_TEST_CRASH_DIR")
	k := &crash{point: point}
	k.left.Store(nth(point))
	direct, err := postgres.Open(ctx, postgres.Options{URL: os.Getenv("TENET_TEST_CRASH_URL")})
	if err != nil {
		return err
	}
	mirror, err := sqlite.Open(ctx, filepath.Join(dir, "mirror.db"), sqlite.Options{Mirror: true})
	if err != nil {
		return err
	}
	journal, err := journal.Open(ctx, filepath.Join(dir, "journal.db"), journal.Options{})
	if err != nil {
		return err
	}
	p := &door{Primary: direct, k: k}
	l := &life{ctx: ctx, p: p, direct: direct, end: point == "end"}
	if !l.end { // before the mirror is made, or there were nothing in it
		l.past(storetest.Category(func(c *knowledge.Category) { c.ID = "general" }), rule("A"), rule("B"))
	}
	o := failover.Options{
		Connect: func(context.Context) (failover.Primary, error) { return p, nil },
		Mirror:  &mortalMirror{Mirror: mirror, k: k, p: p}, Journal: &mortalJournal{Journal: journal, k: k},
		Recovery: 100 * time.Millisecond,
	}
	o.Wait(failover.Waits{ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second})
	if l.s, err = failover.Open(ctx, o); err != nil {
		return err
	}
	go l.s.Run(ctx)
	return l.run()
}

// A life is what an instance goes through.
type life struct {
	ctx    context.Context // of the whole process
	s      *failover.Store
	p      *door
	direct *postgres.Store
	end    bool
	err    error
}

func (l *life) await(what string, ok func() bool) {
	if l.err == nil && !awaittest.Until(60*time.Second, ok) {
		st, err := l.s.Status(l.ctx)
		l.err = fmt.Errorf("waited in vain until %s: %+v, %w", what, st, err)
	}
}

func (l *life) mode(want knowledge.Mode) {
	l.await("the mode is "+string(want), func() bool {
		st, err := l.s.Status(l.ctx)
		return err == nil && st.Mode == want && (want != knowledge.ModeNormal || st.Mirror.Ready &&
			st.Journal.Depth == 0)
	})
}

// write writes a rule on top of what is there, and tells what came of it, which nobody hears after a kill.
func (l *life) write(id string) {
	if l.err != nil {
		return
	}
	r, err := l.s.Get(l.ctx, ruleKey(id))
	if err != nil {
		r = nil
	}
	rec, err := l.s.Apply(l.ctx, batchOf(onto(
		storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Category = id, "general" }), r)))
	if err != nil {
		l.err = fmt.Errorf("write %s: %w", id, err)
		return
	}
	l.tell(told{Batch: rec.Batch, Queued: rec.Queued, Version: rec.Records[0].Version})
}

func (l *life) tell(w told) {
	b, err := json.Marshal(w)
	if err == nil {
		_, err = os.Stdout.Write(append(b, '\n'))
	}
	l.err = errors.Join(l.err, err)
}

// past writes at the primary past the instance.
func (l *life) past(docs ...knowledge.Document) {
	for _, d := range docs {
		if _, err := l.direct.Apply(l.ctx, batchOf(knowledge.Put(d, 0))); err != nil {
			l.err = errors.Join(l.err, err)
		}
	}
}

func (l *life) run() error {
	if !l.end {
		l.mode(knowledge.ModeNormal)
		l.write("A")
		l.write("C")
		l.await("the mirror has followed", func() bool {
			st, err := l.s.Status(l.ctx)
			return err == nil && st.Mirror.Seq >= 5
		})
		l.p.losing.Store(true)
		l.write("D") // done, and the answer is lost
		l.p.losing.Store(false)
		l.mode(knowledge.ModeNormal)
		l.p.shut.Store(true)
		l.mode(knowledge.ModeDegraded)
		l.write("A")
		l.write("A") // on top of the one before
		l.write("B")
		l.write("B") // falls with the one before
		l.write("E")
		l.past(rule("B")) // so that B no longer fits
		l.p.shut.Store(false)
	}
	l.mode(knowledge.ModeNormal)
	if !l.end {
		l.p.gone.Store(true) // the mirror is made anew
		l.past(rule("A"))
		l.await("the mirror was made anew", func() bool {
			st, err := l.s.Status(l.ctx)
			return err == nil && st.Mirror.Builds >= 2
		})
		l.mode(knowledge.ModeNormal)
	}
	return l.last()
}

// last compares the mirror with the primary, and tells what is parked.
func (l *life) last() error {
	l.s.CheckMirror()
	var st failover.Status
	l.await("the mirror was compared", func() bool {
		var err error
		st, err = l.s.Status(l.ctx)
		return err == nil && !st.Mirror.Compared.At.IsZero()
	})
	if l.err == nil && !st.Mirror.Compared.Equal {
		l.err = fmt.Errorf("the mirror differs: %+v", st.Mirror)
	}
	list, err := l.s.Conflicts(l.ctx, store.ParkedQuery{Resolved: true})
	l.err = errors.Join(l.err, err)
	for i := range list {
		if list[i].Ours == nil {
			l.err = fmt.Errorf("batch %s was parked without its payload", list[i].Entry.Batch.ID)
		}
		l.tell(told{Batch: list[i].Entry.Batch.ID, Parked: true})
	}
	return l.err
}

// A door stands before the primary.
type door struct {
	failover.Primary
	k                  *crash
	shut, losing, gone atomic.Bool
	resync             atomic.Bool
}

func (d *door) away() error {
	if d.shut.Load() {
		return &store.UnavailableError{Reason: "connection refused", NotDone: true}
	}
	return nil
}

func (d *door) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if err := d.away(); err != nil {
		return nil, err
	}
	return d.Primary.Get(ctx, key)
}

func (d *door) Position(ctx context.Context) (knowledge.Position, error) {
	if err := d.away(); err != nil {
		return knowledge.Position{}, err
	}
	return d.Primary.Position(ctx)
}

func (d *door) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if err := d.away(); err != nil {
		return nil, err
	}
	if !q.Filtered() && d.gone.Swap(false) {
		d.resync.Store(true)
		return nil, &store.GoneError{Oldest: 1}
	}
	return d.Primary.Changes(ctx, q)
}

func (d *door) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if err := d.away(); err != nil {
		return knowledge.Receipt{}, err
	}
	rec, err := d.Primary.Apply(ctx, b)
	switch {
	case d.losing.Load() && b.Origin == [32]byte{}:
		d.k.at("outcome unknown")
		return knowledge.Receipt{}, &store.UnavailableError{Reason: "connection reset"}
	case b.Origin != [32]byte{}:
		d.k.at("replayed")
	default:
		d.k.at("applied directly")
	}
	return rec, err
}

// A mortalMirror is a mirror whose process is killed.
type mortalMirror struct {
	failover.Mirror
	k *crash
	p *door
}

func (m *mortalMirror) Replicate(ctx context.Context, changes []knowledge.Change) error {
	m.k.at("before following")
	err := m.Mirror.Replicate(ctx, changes)
	m.k.at("followed")
	return err
}

func (m *mortalMirror) Overlay(ctx context.Context, waiting ...store.Entry) error {
	err := m.Mirror.Overlay(ctx, waiting...)
	m.k.at("overlaid")
	return err
}

func (m *mortalMirror) Settle(ctx context.Context, id knowledge.BatchID, keys []knowledge.Key,
	applied []store.Left,
) error {
	err := m.Mirror.Settle(ctx, id, keys, applied)
	if applied != nil {
		m.k.at("settled")
	} else {
		m.k.at("parked and settled")
	}
	return err
}

func (m *mortalMirror) Rebuild(ctx context.Context, fill func(store.Sink) error, newer func() []store.Left) error {
	prefix := ""
	if m.p.resync.Load() {
		prefix = "resync: "
	}
	err := m.Mirror.Rebuild(ctx, func(sink store.Sink) error {
		err := fill(&mortalSink{sink, m.k, prefix})
		m.k.at(prefix + "built")
		return err
	}, newer)
	m.k.at(prefix + "swapped")
	return err
}

type mortalSink struct {
	store.Sink
	k      *crash
	prefix string
}

func (s *mortalSink) Record(r *knowledge.Record) error {
	err := s.Sink.Record(r)
	s.k.at(s.prefix + "snapshot")
	return err
}

// A mortalJournal is a journal whose process is killed.
type mortalJournal struct {
	failover.Journal
	k *crash
}

func (j *mortalJournal) Append(ctx context.Context, e store.Entry) error {
	j.k.at("journal: before append")
	err := j.Journal.Append(ctx, e)
	j.k.at("journal: after append")
	return err
}

func (j *mortalJournal) Applied(ctx context.Context, id knowledge.BatchID, seq knowledge.Seq,
	versions map[knowledge.Key]int64,
) error {
	err := j.Journal.Applied(ctx, id, seq, versions)
	j.k.at("journal: after applied")
	return err
}

func (j *mortalJournal) Park(ctx context.Context, p store.Parked) error {
	j.k.at("journal: before park")
	err := j.Journal.Park(ctx, p)
	j.k.at("journal: after park")
	return err
}
