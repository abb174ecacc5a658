//go:build bench

package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/access"
	"tenet/internal/failover"
	"tenet/internal/httpapi"
	"tenet/internal/journal"
	"tenet/internal/knowledge"
	"tenet/internal/observe"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storegen"
)

// plainRole makes the test binary be a tenet on PostgreSQL alone, without mirror and journal.
const plainRole = "plain"

// Bounds of an outage.
const (
	outageP99  = 100 * time.Millisecond
	outageMost = 300 * time.Millisecond
	lagP99     = 250 * time.Millisecond
)

// outages measures what readers feel while PostgreSQL is killed, stopped or cut off.
func (r *report) outages(t *testing.T, e *env) {
	pg := pgtest.Start(t, pgtest.Options{Durable: true})
	wall := newWall(t, pg.Addr())
	address := pg.NewDatabase()
	ids := fill(t, address, 2000)
	through, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	through.Host = wall.Addr().String()
	p := startTenet(t, e.bin, filepath.Join(t.TempDir(), "data"), "--database-url", through.String(), "--cache-hot",
		"0", "--cache-warm", "0", "--seed=false",
		"--breaker-recovery", "3s") // what comes after a fault is the same whenever the breaker asks again
	awaitMode(t, p, `"mode":"normal"`, `"mirror":{"ready":true`)
	var paths []string
	for _, id := range ids {
		paths = append(paths, "/api/v1/rules/"+id)
	}
	r.line("## Reading through an outage\n")
	r.line("Uncached reads of one document over 32 connections: for two seconds, then four in the fault, and four " +
		"after it. A read waits 50 ms for PostgreSQL")
	r.line("before the mirror answers. Bounds: no read fails, p99 %s, slowest %s.\n", ms(outageP99), ms(outageMost))
	r.line("| fault | reads | failed | p50 | p99 | slowest |")
	r.line("| --- | --- | --- | --- | --- | --- |")
	for _, f := range []struct {
		name         string
		inject, heal func()
	}{
		{"none", func() {}, func() {}},
		{"killed (kill -9), started again", pg.Kill, pg.Start},
		{"stopped (SIGSTOP), continued", pg.Pause, pg.Continue},
		{"cut off: packets vanish", wall.silence, wall.talk},
		{"refused", wall.refuse, wall.talk},
	} {
		var wg sync.WaitGroup
		wg.Go(func() {
			wait(t, 2*time.Second)
			f.inject()
			wait(t, 4*time.Second)
			f.heal()
		})
		l := ask(t, p, 32, 10*time.Second, paths)
		wg.Wait()
		r.line("| %s | %d | %d | %s | %s | %s |", f.name, l.n, l.failed, ms(l.p50), ms(l.p99), ms(l.most))
		if l.failed > 0 || l.p99 > outageP99 || l.most > outageMost {
			t.Errorf("%s: %d reads failed, p99 %s, slowest %s: over a bound", f.name, l.failed, l.p99, l.most)
		}
		awaitMode(t, p, `"mode":"normal"`)
	}
	p.stop()
	r.line("")
}

// wait lets a time pass that is measured.
func wait(t *testing.T, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// awaitMode waits until a tenet's status holds some texts.
func awaitMode(t *testing.T, p *process, texts ...string) {
	t.Helper()
	pgtest.Await(t, strings.Join(texts, " and "), func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/api/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+p.token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return err == nil && !slices.ContainsFunc(texts,
			func(text string) bool { return !strings.Contains(string(body), text) })
	})
}

// fill migrates a database and writes generated documents, and returns the ids of its rules.
func fill(t *testing.T, address string, n int) []string {
	t.Helper()
	if _, err := postgres.Migrate(t.Context(), postgres.Address{URL: address}, -1); err != nil {
		t.Fatal(err)
	}
	s := openPG(t, address)
	var ids []string
	batches(t, n, loadBatch, func(b knowledge.Batch) {
		if _, err := s.Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Ops {
			if b.Ops[i].Key.Kind == knowledge.KindRule {
				ids = append(ids, b.Ops[i].Key.ID)
			}
		}
	})
	return ids
}

func openPG(t *testing.T, address string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A gate stands before a primary and can be shut.
type gate struct {
	*postgres.Store
	shut atomic.Bool
}

func (g *gate) away() error {
	if g.shut.Load() {
		return &store.UnavailableError{Reason: "shut", NotDone: true}
	}
	return nil
}

func (g *gate) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if err := g.away(); err != nil {
		return knowledge.Receipt{}, err
	}
	return g.Store.Apply(ctx, b)
}

func (g *gate) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if err := g.away(); err != nil {
		return nil, err
	}
	return g.Store.Changes(ctx, q)
}

func (g *gate) Position(ctx context.Context) (knowledge.Position, error) {
	if err := g.away(); err != nil {
		return knowledge.Position{}, err
	}
	return g.Store.Position(ctx)
}

// instance runs an instance on a PostgreSQL, in this process.
func instance(t *testing.T, p failover.Primary) *failover.Store {
	t.Helper()
	dir := t.TempDir()
	mirror, err := sqlite.Open(t.Context(), filepath.Join(dir, "mirror.db"), sqlite.Options{Mirror: true})
	if err != nil {
		t.Fatal(err)
	}
	journal, err := journal.Open(t.Context(), filepath.Join(dir, "journal.db"), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := failover.Open(t.Context(), failover.Options{
		Connect: func(context.Context) (failover.Primary, error) { return p, nil },
		Mirror:  mirror, Journal: journal, Recovery: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended; s.Close(); mirror.Close(); journal.Close() })
	return s
}

// until waits until an instance's status is as wanted; building a large mirror takes its time.
func until(t *testing.T, s *failover.Store, what string, ok func(failover.Status) bool) {
	t.Helper()
	late := time.Now().Add(20 * time.Minute)
	for {
		st, err := s.Status(t.Context())
		if err == nil && ok(st) {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("waited in vain for %s: %+v, %v", what, st, err)
		}
		wait(t, 10*time.Millisecond) // the depth of a long journal is counted each time
	}
}

func isLevel(st failover.Status) bool {
	return st.Mode == knowledge.ModeNormal && st.Mirror.Ready && st.Journal.Depth == 0
}

// recoveries measures how fast a journal is brought to PostgreSQL, and how fast it takes what comes meanwhile.
func (r *report) recoveries(t *testing.T, e *env) {
	address := e.pg.NewDatabase()
	fill(t, address, 10)
	g := &gate{Store: openPG(t, address)}
	s := instance(t, g)
	until(t, s, "a mirror", isLevel)
	r.line("## Recovering\n")
	r.line("Batches are journalled by 16 writers while PostgreSQL is away, and replayed when it is back; each " +
		"document is another one. Each batch is durable on")
	r.line("this machine before its writer hears of it, and its commit is flushed at PostgreSQL.\n")
	r.line("| batches | journalled | replayed |")
	r.line("| --- | --- | --- |")
	for _, size := range []int{1, 20} {
		n := 1500 / size
		if size > 1 {
			n = 12_000 / size
		}
		g.shut.Store(true)
		until(t, s, "an outage", func(st failover.Status) bool { return st.Mode == knowledge.ModeDegraded })
		list := make(chan knowledge.Batch, 16)
		var wg sync.WaitGroup
		began := time.Now()
		for range 16 {
			wg.Go(func() {
				for b := range list {
					if rec, err := s.Apply(t.Context(), b); err != nil || !rec.Queued {
						t.Errorf("journal: queued %t, %v", rec.Queued, err)
					}
				}
			})
		}
		for i := range n {
			list <- newRules(fmt.Sprintf("replay-%d-%d", size, i), size)
		}
		close(list)
		wg.Wait()
		took := time.Since(began)
		began = time.Now()
		g.shut.Store(false)
		until(t, s, "a replayed journal", isLevel)
		again := time.Since(began)
		ops := float64(n * size)
		r.line("| %d of %d ops | %.0f ops/s | %.0f ops/s |", n, size, ops/took.Seconds(), ops/again.Seconds())
	}
	r.line("")
}

// newRules returns a batch of new rules.
func newRules(name string, n int) knowledge.Batch {
	b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "bench"}
	category := storegen.Categories()[0].Key().ID
	for i := range n {
		d := &knowledge.Rule{
			RuleID: fmt.Sprintf("%s-%d", name, i), Category: category, Title: "Rule " + name,
			Description: strings.Repeat("What to do and why. ", 40), IsActive: true,
		}
		d.Normalize()
		b.Ops = append(b.Ops, knowledge.Put(d, knowledge.NoVersion))
	}
	return b
}

// mirrors measures how long a mirror takes to be made, and how far it is behind while others write.
func (r *report) mirrors(t *testing.T, e *env) {
	l := e.large(t, r)
	r.line("## The mirror\n")
	r.mirror(t, l.url, *sizeFlag)
}

// hugeTitle begins the part of the report that is kept from an earlier run.
const hugeTitle = "## The mirror of a huge database\n"

// million measures the same with more documents. That takes long, most of it to fill the database, so it must be asked
// for; else what the report says of it is kept.
func (r *report) million(t *testing.T, e *env) {
	if *hugeFlag == 0 {
		if at := strings.Index(r.before, hugeTitle); at >= 0 {
			r.line("%s", strings.TrimSpace(r.before[at:]))
		}
		t.Skip("it must be asked for with -huge 1000000")
	}
	address := e.pg.NewDatabase()
	fill(t, address, *hugeFlag)
	pgtest.Exec(t, address, "VACUUM ANALYZE")
	r.line("%s", hugeTitle)
	r.line("Measured when `make bench HUGE=%d` asks for it, this time on %s.\n", *hugeFlag,
		time.Now().UTC().Format(time.DateOnly))
	r.mirror(t, address, *hugeFlag)
}

// mirror measures the making of a mirror and how far it is behind, also while it is compared with its primary.
func (r *report) mirror(t *testing.T, address string, size int) {
	s := openPG(t, address)
	began := time.Now()
	made := instance(t, s)
	until(t, made, "a mirror", func(st failover.Status) bool { return st.Mirror.Ready })
	took := time.Since(began)
	r.line("Made from %d documents and their history in %.1f s: %.0f documents a second.\n", size, took.Seconds(),
		float64(size)/took.Seconds())
	until(t, made, "a level mirror", isLevel)
	r.lag(t, s, made, "")
	began = time.Now()
	made.CheckMirror()
	r.lag(t, s, made, ", while it is compared with its primary")
	until(t, made, "a comparison", func(st failover.Status) bool { return !st.Mirror.Compared.At.IsZero() })
	st, err := made.Status(t.Context())
	if err != nil || !st.Mirror.Compared.Equal {
		t.Errorf("the mirror differs from its primary: %+v, %v", st.Mirror, err)
	}
	r.line("The comparison of %d documents took %.1f s beside these writes.\n", st.Mirror.Compared.Documents,
		st.Mirror.Compared.At.Sub(began).Seconds())
}

// lag measures how far a mirror is behind while others write.
func (r *report) lag(t *testing.T, s *postgres.Store, made *failover.Store, when string) {
	const rate, lasts = 200, 10 * time.Second
	var mu sync.Mutex // guards acked and lags
	acked := map[knowledge.Seq]time.Time{}
	var lags []time.Duration
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	tail, err := store.Tail(t.Context(), made.Mirrored())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[knowledge.Seq]time.Time{}
	wg.Go(func() {
		w := store.Watch{
			Feed:  made.Mirrored(),
			Begin: func(context.Context, error) (store.Place, error) { return store.Place{Seq: tail}, nil },
		}
		w.Changed = func(changes []knowledge.Change) error {
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			for i := range changes {
				seen[changes[i].Seq] = now
			}
			return nil
		}
		_ = w.Run(ctx)
	})
	tick := time.NewTicker(time.Second / rate)
	writing, end := sync.WaitGroup{}, time.Now().Add(lasts)
	slots := make(chan struct{}, 8)
	for i := 0; time.Now().Before(end); i++ {
		<-tick.C
		slots <- struct{}{}
		writing.Go(func() {
			defer func() { <-slots }()
			rec, err := s.Apply(t.Context(), newRules(knowledge.NewBatchID().String(), 1))
			if err != nil {
				t.Errorf("write: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			acked[rec.Seq] = time.Now()
		})
	}
	tick.Stop()
	writing.Wait()
	pgtest.Await(t, "the mirror has everything", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) >= len(acked)
	})
	cancel()
	wg.Wait()
	for seq, at := range acked {
		lags = append(lags, max(0, seen[seq].Sub(at)))
	}
	slices.Sort(lags)
	p50, p99 := lags[len(lags)/2], lags[len(lags)*99/100]
	r.line("With %.0f writes a second from elsewhere, each is in the mirror after the writer has heard of it%s: p50 "+
		"%s, p99 %s, slowest %s. Bound: p99 %s.\n",
		float64(len(lags))/lasts.Seconds(), when, ms(p50), ms(p99), ms(lags[len(lags)-1]), ms(lagP99))
	if p99 > lagP99 {
		t.Errorf("the mirror is %s behind at p99%s, over %s", p99, when, lagP99)
	}
}

// overhead compares reads through the failover with the same program on PostgreSQL alone.
func (r *report) overhead(t *testing.T, e *env) {
	address := e.pg.NewDatabase()
	ids := fill(t, address, 5000)
	dual := startTenet(t, e.bin, filepath.Join(t.TempDir(), "data"), "--database-url", address, "--cache-hot", "0",
		"--cache-warm", "0", "--seed=false")
	awaitMode(t, dual, `"mode":"normal"`, `"mirror":{"ready":true`)
	plain := &process{url: "http://" + freeAddr(t), token: dual.token}
	cmd := exec.Command(os.Args[0], strings.TrimPrefix(plain.url, "http://"))
	cmd.Env = append(os.Environ(), roleEnv+"="+plainRole, "TENET_BENCH_DATABASE="+address)
	plain.start(t, "/readyz", cmd)
	extra := func() []int { return postgresPIDs(e.pg.DataDir()) }
	dual.extra, plain.extra = extra, extra
	defer func() { plain.stop(); dual.stop() }()
	var gets []string
	for _, id := range ids {
		gets = append(gets, "/api/v1/rules/"+id)
	}
	r.line("## What the failover costs a read\n")
	r.line("Processor time of the server and PostgreSQL together for one uncached read over 8 connections, with " +
		"mirror and journal, against the same door and")
	r.line("the same checks on PostgreSQL alone (alternating A B A B, the better run of each). Bound: 1.10.\n")
	r.line("| request | PostgreSQL alone | with mirror and journal | ratio |")
	r.line("| --- | --- | --- | --- |")
	for _, q := range []struct {
		name  string
		paths []string
	}{{"one document", gets}, {"list of 50", []string{"/api/v1/rules?limit=50"}}} {
		a, b := alternate(t, plain, dual, 8, 4*time.Second, q.paths, q.paths)
		r.line("| %s | %s | %s | %.2f |", q.name, us(a.cpu), us(b.cpu), ratio(b.cpu, a.cpu))
		if a.failed+b.failed > 0 {
			t.Errorf("%s: %d requests failed", q.name, a.failed+b.failed)
		}
		if float64(b.cpu) > 1.1*float64(a.cpu) {
			t.Errorf("%s: %s with the failover, %s without: over 1.1", q.name, b.cpu, a.cpu)
		}
	}
	r.line("")
}

// servePlain serves a tenet on PostgreSQL alone: what stands over the engine is the same, the failover and the cache
// are not there.
func servePlain(addr string) {
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	pg, err := postgres.Open(ctx, postgres.Options{URL: os.Getenv("TENET_BENCH_DATABASE")})
	fail(err)
	measures := observe.NewMetrics(prometheus.NewRegistry())
	dir := access.NewDirectory(pg, nil)
	fail(dir.Load(ctx))
	chain := access.New(observe.New(observe.New(pg, "postgres", measures), "all", measures), dir,
		func(context.Context, access.Refusal) {})
	observed := func(route string) func(int, time.Duration) { return measures.Request(route).Observe }
	h := httpapi.New(httpapi.Options{Store: chain, Authenticate: dir.Authenticate, Observe: observed})
	fail((&http.Server{Addr: addr, Handler: h, ReadHeaderTimeout: time.Minute}).ListenAndServe())
}

// A wall stands before a server and can let nothing through, or refuse everybody.
type wall struct {
	net.Listener
	silent, refusing atomic.Bool
	mu               sync.Mutex // guards what follows
	conns            map[net.Conn]bool
	open             chan struct{} // closed while bytes may pass
}

func newWall(t *testing.T, target string) *wall {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wall{Listener: l, conns: map[net.Conn]bool{}, open: make(chan struct{})}
	close(w.open)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			if w.refusing.Load() {
				client.Close()
				continue
			}
			go w.join(client, target)
		}
	}()
	t.Cleanup(func() { l.Close(); w.talk(); w.end() })
	return w
}

func (w *wall) join(client net.Conn, target string) {
	server, err := net.Dial("tcp", target)
	if err != nil {
		client.Close()
		return
	}
	w.mu.Lock()
	w.conns[client], w.conns[server] = true, true
	w.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { w.pass(server, client) })
	w.pass(client, server)
	wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, client)
	delete(w.conns, server)
}

// pass hands bytes on, as long as they may.
func (w *wall) pass(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		w.mu.Lock()
		open := w.open
		w.mu.Unlock()
		<-open
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (w *wall) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = make(chan struct{})
	w.silent.Store(true)
}

func (w *wall) refuse() {
	w.refusing.Store(true)
	w.end()
}

func (w *wall) talk() {
	w.refusing.Store(false)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silent.Swap(false) {
		close(w.open)
	}
}

func (w *wall) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		c.Close()
	}
}
