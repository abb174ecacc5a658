package live

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/npmtest"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// An instance is a tenet, as far as this package sees one: a store on the shared database, a hub, and a door with an
// address that outlives it.
type instance struct {
	t    *testing.T
	pg   string
	addr string

	mu    sync.Mutex // guards what follows
	store *postgres.Store
	hub   *Hub
	stop  func()
}

func newInstance(t *testing.T, pg string) *instance {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{t: t, pg: pg, addr: free.Addr().String()}
	free.Close()
	i.start()
	t.Cleanup(i.end)
	return i
}

func (i *instance) url() string { return "http://" + i.addr + "/api/v1/live" }

func (i *instance) start() {
	i.t.Helper()
	ctx := context.WithoutCancel(i.t.Context())
	var s *postgres.Store
	eventually(i.t, "the database is opened", func() bool {
		var err error
		s, err = postgres.Open(ctx, postgres.Options{URL: i.pg, Migrate: true})
		return err == nil
	})
	var listener net.Listener
	eventually(i.t, "the address is free again", func() bool {
		var err error
		listener, err = net.Listen("tcp", i.addr)
		return err == nil
	})
	hub := NewHub(Options{Feed: s, Ring: 64, PollFloor: 200 * time.Millisecond, WriteTimeout: 2 * time.Second})
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { hub.Run(ctx) })
	server := &http.Server{Handler: TokenFromSubprotocol(recognize(hub)), ConnContext: ConnContext}
	work.Go(func() { server.Serve(listener) })
	i.mu.Lock()
	defer i.mu.Unlock()
	i.store, i.hub = s, hub
	i.stop = func() {
		cancel()
		server.Close()
		work.Wait()
		s.Close()
	}
}

func (i *instance) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stop()
}

func (i *instance) restart() {
	i.end()
	i.start()
}

// cut breaks every stream without a word.
func (i *instance) cut() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, w := range i.hub.wires() {
		w.Cut()
	}
}

// A follower is a client with what it has received.
type follower struct {
	name  string
	role  string
	query string
	wants func(*knowledge.Change) bool
	run   func(f *follower) error

	seqs []knowledge.Seq
}

// errFinal ends a follower.
var errFinal = errors.New("that was the last change")

// took notes a change.
func (f *follower) took(seq knowledge.Seq, id string) error {
	f.seqs = append(f.seqs, seq)
	if id == "final" {
		return errFinal
	}
	return nil
}

// hops follows on one instance after the other, and leaves each after some messages.
func hops(t *testing.T, kind string, instances []*instance, slow bool) func(*follower) error {
	return func(f *follower) error {
		after := knowledge.Seq(0)
		end := time.Now().Add(patienceOfChaos())
		for time.Now().Before(end) {
			if err := hop(t, f, kind, instances[rand.IntN(len(instances))], &after, slow); err != nil {
				return err
			}
			<-time.After(rand.N(20 * time.Millisecond))
		}
		return fmt.Errorf("never came to the end, stands at %d", after)
	}
}

// hop opens one stream and reads some of it. A stream that breaks is no error.
func hop(t *testing.T, f *follower, kind string, i *instance, after *knowledge.Seq, slow bool) error {
	h := http.Header{"Authorization": {"Bearer " + f.role + ":" + f.name}}
	url := fmt.Sprintf("%s?after=%d%s", i.url(), *after, f.query)
	var p *peer
	var err error
	if kind == "websocket" {
		p, _, err = dialSocket(t, url, h, websocket.CompressionMode(rand.IntN(3))) //nolint:bodyclose // the peer reads it, and closes it
	} else {
		p, _, err = dialEvents(t, url, h) //nolint:bodyclose // the peer reads it, and closes it
	}
	if err != nil {
		return nil // it is restarting
	}
	defer p.shut()
	for n := rand.IntN(150); n > 0; n-- {
		m, err := p.next()
		if err != nil {
			return nil // cut off
		}
		switch {
		case m.Type == typeGone:
			return errors.New(m.raw)
		case m.Type == typeChange && m.Seq <= *after:
			return fmt.Errorf("change %d came after position %d", m.Seq, *after)
		case m.Type == typeChange:
			if err := f.took(m.Seq, m.ID); err != nil {
				return err
			}
		}
		*after = max(*after, m.Seq)
		if slow {
			<-time.After(rand.N(5 * time.Millisecond))
		}
	}
	return nil
}

// goClient follows with the Go client.
func goClient(i *instance) func(*follower) error {
	return func(f *follower) error {
		c, err := client.New(client.Options{URL: "http://" + i.addr, Token: f.role + ":" + f.name})
		if err != nil {
			return err
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patienceOfChaos())
		defer cancel()
		return c.Watch(ctx, client.Watch{}, func(m client.LiveMessage) error {
			if m.Type != client.LiveChange {
				return nil
			}
			return f.took(m.Seq, m.Key.ID)
		})
	}
}

// node follows with a client from npm.
func node(modules, kind string, i *instance) func(*follower) error {
	return func(f *follower) error {
		ctx, cancel := context.WithTimeout(context.Background(), patienceOfChaos())
		defer cancel()
		cmd := exec.CommandContext(ctx, "node", filepath.Join("testdata", "follow.mjs"), modules, kind, i.url(), f.role)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		for scan := bufio.NewScanner(out); scan.Scan(); {
			seq, err := strconv.ParseInt(scan.Text(), 10, 64)
			if err != nil {
				return fmt.Errorf("node printed %q", scan.Text())
			}
			f.seqs = append(f.seqs, knowledge.Seq(seq))
		}
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("node: %w\n%s", err, stderr.String())
		}
		return errFinal
	}
}

// npm returns the directory of the clients from npm, "" where they are not installed; in CI it fails there.
func npm(t *testing.T) string {
	t.Helper()
	modules, missing := npmtest.Find("ws", "eventsource")
	_, noNode := exec.LookPath("node")
	if err := errors.Join(noNode, missing); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("the clients from npm are missing; `npm ci --prefix tools/npm` installs them: %v", err)
		}
		t.Logf("without the clients from npm, which `npm ci --prefix tools/npm` installs: %v", err)
		return ""
	}
	return filepath.Dir(modules)
}

// patienceOfChaos bounds a whole run.
func patienceOfChaos() time.Duration {
	if soak, err := time.ParseDuration(os.Getenv("TENET_SOAK")); err == nil {
		return soak + 5*time.Minute
	}
	return 3 * time.Minute
}

// TestEverybodyGetsTheWholeLogWhateverHappens follows a log that is written meanwhile with clients of every kind, while
// they come and go, read slowly, and instances and the database are restarted, and compares what each got with the log.
func TestEverybodyGetsTheWholeLogWhateverHappens(t *testing.T) { chaos(t, 6, 0) }

// TestSoakLive is the same for as long as TENET_SOAK says.
func TestSoakLive(t *testing.T) {
	d, err := time.ParseDuration(os.Getenv("TENET_SOAK"))
	if err != nil {
		t.Skip("set TENET_SOAK to a duration to run this for long")
	}
	chaos(t, 1<<30, d)
}

func chaos(t *testing.T, rounds int, atMost time.Duration) {
	pg := pgtest.Start(t, pgtest.Options{})
	noGoroutinesLeft(t)
	url := pg.NewDatabase()
	one, two := newInstance(t, url), newInstance(t, url)
	both := []*instance{one, two}
	w := newWriter(t, url)

	followers := crowd(t, both)
	errs := make([]error, len(followers))
	var work sync.WaitGroup
	for n, f := range followers {
		work.Go(func() { errs[n] = f.run(f) })
	}
	begin := time.Now()
	for round := 0; round < rounds && (atMost == 0 || time.Since(begin) < atMost); round++ {
		w.some(30 + rand.IntN(40))
		switch round % 6 {
		case 0:
			one.restart()
		case 1:
			pg.KillBackend()
		case 2:
			two.cut()
		case 3:
			pg.Restart()
		case 4:
			two.restart()
		case 5:
			one.cut()
		}
	}
	w.some(30)
	w.put(rule("final", in("cat-0")))
	work.Wait()

	log := w.log()
	for n, f := range followers {
		if !errors.Is(errs[n], errFinal) {
			t.Errorf("%s: %v", f.name, errs[n])
			continue
		}
		var want []knowledge.Seq
		for i := range log {
			if f.wants(&log[i]) {
				want = append(want, log[i].Seq)
			}
		}
		if !slices.Equal(f.seqs, want) {
			t.Errorf("%s got %d changes, want %d; the first difference is at %d of %v", f.name, len(f.seqs), len(want),
				difference(f.seqs, want), tail5(f.seqs))
		}
	}
	t.Logf("%d changes to %d followers", len(log), len(followers))
}

func difference(a, b []knowledge.Seq) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func tail5(list []knowledge.Seq) []knowledge.Seq { return list[max(0, len(list)-5):] }

// crowd returns clients of every kind.
func crowd(t *testing.T, both []*instance) []*follower {
	t.Helper()
	seen := func(c *knowledge.Change) bool { return c.Key.Kind != knowledge.KindPrincipal }
	all := func(*knowledge.Change) bool { return true }
	isRule := func(c *knowledge.Change) bool { return c.Key.Kind == knowledge.KindRule }
	first := func(c *knowledge.Change) bool {
		return c.Key == (knowledge.Key{Kind: knowledge.KindCategory, ID: "cat-0"}) || c.Record != nil &&
			c.Record.Category == "cat-0"
	}
	list := []*follower{
		{name: "hopping-socket", role: "viewer", wants: seen, run: hops(t, "websocket", both, false)},
		{name: "hopping-events", role: "viewer", wants: seen, run: hops(t, "sse", both, false)},
		{name: "admin", role: "admin", wants: all, run: hops(t, "websocket", both, false)},
		{name: "slow-socket", role: "viewer", wants: seen, run: hops(t, "websocket", both, true)},
		{name: "slow-events", role: "viewer", wants: seen, run: hops(t, "sse", both, true)},
		{name: "rules-only", role: "viewer", query: "&kind=rule", wants: isRule, run: hops(t, "websocket", both,
			false)},
		{
			name: "one-category", role: "viewer", query: "&category=cat-0&document=false", wants: first,
			run: hops(t, "sse", both, false),
		},
		{name: "go-client-one", role: "viewer", wants: seen, run: goClient(both[0])},
		{name: "go-client-two", role: "admin", wants: all, run: goClient(both[1])},
	}
	if modules := npm(t); modules != "" {
		list = append(list,
			&follower{name: "ws", role: "viewer", wants: seen, run: node(modules, "ws", both[0])},
			&follower{name: "eventsource", role: "viewer", wants: seen, run: node(modules, "eventsource", both[1])},
		)
	}
	return list
}

// A writer writes into the shared database, whatever happens to it.
type writer struct {
	t *testing.T
	s *postgres.Store
}

func newWriter(t *testing.T, url string) *writer {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &writer{t, s}
	for i := range 3 {
		w.put(storetest.Category(func(c *knowledge.Category) { c.ID = fmt.Sprintf("cat-%d", i) }))
	}
	return w
}

// apply applies a batch, again until the database has answered.
func (w *writer) apply(ops ...knowledge.Op) {
	w.t.Helper()
	b := storetest.Batch(ops...)
	eventually(w.t, "a batch is applied", func() bool {
		_, err := w.s.Apply(w.t.Context(), b)
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			w.t.Fatalf("Apply: %v", err)
		}
		return err == nil
	})
}

func (w *writer) put(d knowledge.Document) {
	w.t.Helper()
	w.apply(knowledge.Put(d, knowledge.AnyVersion))
}

// some makes about n random changes.
func (w *writer) some(n int) {
	w.t.Helper()
	for n > 0 {
		var ops []knowledge.Op
		for range 1 + rand.IntN(8) {
			category := fmt.Sprintf("cat-%d", rand.IntN(3))
			switch rand.IntN(5) {
			case 0:
				ops = append(ops, knowledge.Put(
					storetest.Practice(func(p *knowledge.Practice) { p.Category = category }), knowledge.AnyVersion))
			case 1:
				ops = append(ops, knowledge.Put(storetest.Principal(), knowledge.AnyVersion))
			default:
				ops = append(ops, knowledge.Put(storetest.Rule(in(category)), knowledge.AnyVersion))
			}
		}
		w.apply(ops...)
		n -= len(ops)
	}
}

// log returns the whole log.
func (w *writer) log() []knowledge.Change {
	w.t.Helper()
	var all []knowledge.Change
	for {
		q := knowledge.ChangeQuery{}
		if len(all) > 0 {
			q.After = all[len(all)-1].Seq
		}
		list, err := w.s.Changes(w.t.Context(), q)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(list) == 0 {
			return all
		}
		all = append(all, list...)
	}
}
