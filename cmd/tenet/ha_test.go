package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/access"
	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
)

// A load writes new documents and reads them, all the time, and remembers what was answered.
type load struct {
	t    *testing.T
	work sync.WaitGroup
	stop context.CancelFunc

	direct atomic.Int64 // writes that the primary has acknowledged

	mu     sync.Mutex // guards the fields below
	acked  map[knowledge.BatchID]string
	failed []string
	reads  int
	worst  time.Duration
}

const loadWriters, loadReaders = 4, 4

// newLoad begins a load on a server.
func newLoad(t *testing.T, p *process) *load {
	ctx, stop := context.WithCancel(t.Context())
	l := &load{t: t, stop: stop, acked: map[knowledge.BatchID]string{}}
	for n := range loadWriters {
		c := p.client(t)
		l.work.Go(func() { l.write(ctx, c, n) })
	}
	for range loadReaders {
		c := p.client(t)
		l.work.Go(func() { l.read(ctx, c) })
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	l.stop()
	l.work.Wait()
}

func (l *load) write(ctx context.Context, c *client.Store, writer int) {
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("w%d-%d", writer, n)
		doc := &knowledge.Category{ID: id, Name: id}
		doc.Normalize()
		b := knowledge.Batch{
			ID: knowledge.NewBatchID(), Actor: access.SystemID,
			Ops: []knowledge.Op{knowledge.Put(doc, knowledge.NoVersion)},
		}
		rec, err := c.Apply(ctx, b)
		if err != nil { // nothing was promised
			continue
		}
		if !rec.Queued {
			l.direct.Add(1)
		}
		l.mu.Lock()
		l.acked[b.ID] = id
		l.mu.Unlock()
	}
}

func (l *load) read(ctx context.Context, c *client.Store) {
	for ctx.Err() == nil {
		began := time.Now()
		_, err := c.List(ctx, knowledge.Query{Kind: knowledge.KindCategory, Limit: 20})
		took := time.Since(began)
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		l.reads++
		l.worst = max(l.worst, took)
		if err != nil {
			l.failed = append(l.failed, err.Error())
		}
		l.mu.Unlock()
	}
}

// acknowledged waits for a write that the primary itself acknowledges from now on, and returns how long that took.
func (l *load) acknowledged() time.Duration {
	l.t.Helper()
	began := time.Now()
	before := l.direct.Load() + loadWriters // those under way may have been done before
	if err := waitFor(func() bool { return l.direct.Load() > before }); err != nil {
		l.t.Fatal("no write was acknowledged by the primary:", err)
	}
	return time.Since(began)
}

// waitFor is [eventually] with the patience that a cluster needs.
func waitFor(holds func() bool) (err error) {
	for range 5 {
		if err = eventually(holds); err == nil {
			break
		}
	}
	return err
}

// TestSoakHighAvailability runs deploy/ha with a server under load, and takes its leader away in turn by kill -9 and by
// a switchover, for as long as TENET_SOAK says, once at least.
func TestSoakHighAvailability(t *testing.T) {
	text := os.Getenv("TENET_SOAK")
	if text == "" {
		t.Skip("set TENET_SOAK to a duration to run this")
	}
	soak, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("TENET_SOAK: %v", err)
	}
	a := pgtest.NewAuthority(t)
	for _, role := range []string{"tenet_owner", "tenet_app"} {
		a.Named(role, role, time.Now().Add(soak+time.Hour))
	}
	c := pgtest.StartCluster(t, filepath.Join("..", "..", "deploy", "ha"), a)
	c.PgBackRest(c.Leader(), "stanza-create")
	roles, err := os.ReadFile(filepath.Join("..", "..", "deploy", "postgres", "roles.sql"))
	if err != nil {
		t.Fatal(err)
	}
	c.SQL("postgres", "CREATE DATABASE tenet")
	c.SQL("tenet", string(roles)+"\nALTER ROLE tenet_owner PASSWORD 'o'; ALTER ROLE tenet_app PASSWORD 'a';")
	if out, err := exec.Command("tenet", "migrate", "up", "--grants", "--database-url",
		c.URL("tenet_owner", "o", "tenet")).CombinedOutput(); err != nil {
		t.Fatalf("tenet migrate: %v\n%s", err, out)
	}
	c.PgBackRest(c.Leader(), "check")
	p := serveProcess(t, filepath.Join(t.TempDir(), "data"), c.URL("tenet_app", "a", "tenet"), "--migrate=false")
	normal := func() {
		t.Helper()
		if err := waitFor(func() bool {
			o := p.outage(t)
			return o.Mode == knowledge.ModeNormal && o.Journal.Depth == 0 && o.Mirror.Ready
		}); err != nil {
			t.Fatalf("the server has not come back to normal: %+v", p.outage(t))
		}
	}
	normal()
	l := newLoad(t, p)
	l.acknowledged()

	for end, round := time.Now().Add(soak), 1; ; round++ {
		old := c.Leader()
		c.Kill(old)
		took := l.acknowledged()
		t.Logf("round %d: %s was killed; the first write of its successor %s came after %.1f s", round, old,
			c.Leader(), took.Seconds())
		c.Start(old)
		c.Whole()
		normal()
		began := time.Now()
		c.Switchover()
		t.Logf("round %d: switched over to %s; %.1f s until a write was acknowledged there", round, c.Leader(),
			(time.Since(began) + l.acknowledged()).Seconds())
		c.Whole()
		normal()
		if time.Now().After(end) {
			break
		}
	}
	l.end()
	normal()
	c.PgBackRest(c.Leader(), "check")
	l.judge(p, c.SQL("tenet", "SELECT batch_id, id, count(*) FROM changes WHERE kind = 'category' GROUP BY 1, 2"))
}

// judge holds what was acknowledged against the log of the primary, which has a line for each batch and document.
func (l *load) judge(p *process, log string) {
	t := l.t
	times := map[string]string{}
	for line := range strings.Lines(log) {
		if f := strings.Split(strings.TrimSpace(line), "|"); len(f) == 3 {
			times[f[0]+" "+f[1]] = f[2]
		}
	}
	lost := 0
	for batch, id := range l.acked {
		if n := times[batch.String()+" "+id]; n != "1" {
			lost++
			t.Errorf("%s was acknowledged and is in the log %q times", id, n)
		}
	}
	for _, text := range l.failed {
		t.Errorf("a read failed: %s", text)
	}
	if o := p.outage(t); o.Journal.Parked != 0 {
		t.Errorf("%d batches wait for a person, want none", o.Journal.Parked)
	}
	t.Logf("%d writes acknowledged, %d by the primary at once, %d lost; %d reads, %d failed, the slowest took %v",
		len(l.acked), l.direct.Load(), lost, l.reads, len(l.failed), l.worst)
}
