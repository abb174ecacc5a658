package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/access"
	"tenet/internal/browsertest"
	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/store"
)

// TestABrowserAndAWatchSeeEveryChangeOnce runs two tenets on one PostgreSQL, with the example's page in a browser on
// the first and tenet watch on the second, kills everything in turn while changes are made, and compares what both were
// told with the log.
func TestABrowserAndAWatchSeeEveryChangeOnce(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Options{})
	pages := httptest.NewServer(http.FileServer(http.Dir(filepath.Join("..", "..", "docs", "examples"))))
	t.Cleanup(pages.Close)
	t.Setenv("TENET_LIVE_ORIGINS", pages.URL)
	t.Setenv("TENET_BREAKER_RECOVERY", "500ms")
	one, two := newSite(t, pg.URL("postgres")), newSite(t, pg.URL("postgres"))
	// The second has written its admin by now; the first hears of it a moment later.
	begin, err := store.Tail(t.Context(), two.client(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := eventually(func() bool {
		at, err := store.Tail(t.Context(), one.client(t))
		return err == nil && at >= begin
	}); err != nil {
		t.Fatal("the first instance has not followed the second:", err)
	}

	page := browsertest.Open(t, pages.URL+"/live.html?tenet=http://"+one.addr)
	page.Await("!!document.forms[0]?.onsubmit", "true")
	page.Eval("document.querySelector('input').value = '" + one.token(t) + "'; document.forms[0].requestSubmit()")
	page.Await("document.querySelector('output').value", "normal")
	lines := watchJSON(t, two, begin)

	one.put(t, "first")
	two.put(t, "second")
	took := time.Now()
	page.Await("document.querySelectorAll('li').length", "2")
	t.Logf("two writes were shown within %v of the second's answer", time.Since(took))

	one.kill(t)
	two.put(t, "while-one-is-away")
	one.serve(t)
	one.put(t, "one-is-back")
	two.kill(t)
	one.put(t, "while-two-is-away")
	two.serve(t)
	two.put(t, "two-is-back")
	pg.Kill()
	one.put(t, "while-the-database-is-away")
	two.put(t, "while-the-database-is-away-too")
	pg.Start()
	two.put(t, "final")

	const shown = "[...document.querySelectorAll('li')].reverse().map(li => li.textContent.split(' ')[0]).filter(s " +
		"=> s !== 'waiting').join(' ')"
	page.Await("[...document.querySelectorAll('li')].filter(li => !li.textContent.startsWith('waiting')).length", "9")
	if err := eventually(func() bool { return len(lines.seqs(t)) >= 9 }); err != nil {
		t.Errorf("the watch has told of %v: %v\n%s", lines.seqs(t), err, lines.said())
	}
	list, err := two.client(t).Changes(t.Context(), knowledge.ChangeQuery{After: begin})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range list {
		want = append(want, strconv.Itoa(int(list[i].Seq)))
	}
	if diff := cmp.Diff(strings.Join(want, " "), page.Eval(shown)); diff != "" {
		t.Errorf("the page (-log +shown):\n%s", diff)
	}
	if diff := cmp.Diff(want, lines.seqs(t)); diff != "" {
		t.Errorf("the watch (-log +told):\n%s", diff)
	}
}

// A site is a server that keeps its address and its data from one process to the next.
type site struct {
	*process
	addr, database string
}

func newSite(t *testing.T, database string) *site {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	s := &site{
		process: &process{dir: filepath.Join(t.TempDir(), "data")}, addr: free.Addr().String(),
		database: database,
	}
	s.serve(t)
	return s
}

// serve starts the server.
func (s *site) serve(t *testing.T) {
	t.Helper()
	s.process = serveProcess(t, s.dir, s.database, "--listen", s.addr)
}

func (s *site) token(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// put writes a category, again with the same batch until it is answered.
func (s *site) put(t *testing.T, id string) {
	t.Helper()
	c := &knowledge.Category{ID: id, Name: id}
	c.Normalize()
	b := knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: access.SystemID,
		Ops: []knowledge.Op{knowledge.Put(c, knowledge.NoVersion)},
	}
	to := s.client(t)
	var last error
	if err := eventually(func() bool { _, last = to.Apply(t.Context(), b); return last == nil }); err != nil {
		t.Fatalf("put %s: %v", id, last)
	}
}

// Printed is what a program has printed.
type printed struct {
	mu       sync.Mutex // guards out and err
	out, err bytes.Buffer
}

// watchJSON runs tenet watch until the test ends.
func watchJSON(t *testing.T, s *site, after knowledge.Seq) *printed {
	t.Helper()
	p := &printed{}
	cmd := exec.Command("tenet", "watch", "--output", "json", "--after", strconv.Itoa(int(after)))
	cmd.Env = append(os.Environ(), "TENET_URL=http://"+s.addr, "TENET_TOKEN="+s.token(t))
	cmd.Stdout, cmd.Stderr = part{p, &p.out}, part{p, &p.err}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return p
}

// A part takes one of a program's two outputs.
type part struct {
	p  *printed
	to *bytes.Buffer
}

func (w part) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.to.Write(b)
}

// text returns what was printed so far.
func (p *printed) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// seqs returns the seqs of the changes that were printed.
func (p *printed) seqs(t *testing.T) []string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for line := range strings.Lines(p.out.String()) {
		var m struct {
			Type        string
			Seq         int
			Provisional bool
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("the watch printed %q: %v", line, err)
		}
		if m.Type == "change" && !m.Provisional {
			out = append(out, strconv.Itoa(m.Seq))
		}
	}
	return out
}

func (p *printed) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("out:\n%serr:\n%s", p.out.String(), p.err.String())
}

// TestSoakWatch lets watchers follow two tenets, some from one to the other and back, for as long as TENET_SOAK says,
// while documents are written and everything is killed, stopped and paused at random, and compares what each was told
// with the log.
func TestSoakWatch(t *testing.T) {
	soak, err := time.ParseDuration(os.Getenv("TENET_SOAK"))
	if err != nil {
		t.Skip("set TENET_SOAK to a duration to run this for long")
	}
	pg := pgtest.Start(t, pgtest.Options{})
	t.Setenv("TENET_BREAKER_RECOVERY", "500ms")
	sites := []*site{newSite(t, pg.URL("postgres")), newSite(t, pg.URL("postgres"))}
	begin, err := store.Tail(t.Context(), sites[0].client(t))
	if err != nil {
		t.Fatal(err)
	}
	clients := []*client.Store{sites[0].client(t), sites[1].client(t)}
	end := time.Now().Add(soak)
	ctx, cancel := context.WithDeadline(t.Context(), end.Add(3*time.Minute))
	defer cancel()
	var watchers []*watcher
	var work sync.WaitGroup
	for n := range 4 {
		w := &watcher{after: begin}
		watchers = append(watchers, w)
		// The first two stay where they are, the others go elsewhere after some changes.
		work.Go(func() {
			for w.err == nil {
				if n < len(clients) {
					w.watch(ctx, clients[n], 0)
				} else {
					w.watch(ctx, clients[rand.IntN(len(clients))], 1+rand.IntN(20))
				}
			}
		})
	}
	for n := 0; time.Now().Before(end); n++ {
		for i := range 1 + rand.IntN(10) {
			sites[rand.IntN(2)].put(t, fmt.Sprintf("c-%d-%d", n, i))
		}
		disturb(t, pg, sites[rand.IntN(2)], fmt.Sprintf("d-%d", n))
	}
	sites[0].put(t, "final")
	work.Wait()
	log := whole(t, clients[1], begin)
	for n, w := range watchers {
		if !errors.Is(w.err, io.EOF) {
			t.Errorf("watcher %d: %v", n, w.err)
		}
		if diff := cmp.Diff(log, w.told); diff != "" {
			t.Errorf("watcher %d (-log +told):\n%s", n, diff)
		}
	}
	t.Logf("%d changes", len(log))
}

// A watcher keeps its position and what it was told.
type watcher struct {
	after knowledge.Seq
	chain [32]byte
	told  []knowledge.Seq
	err   error // why it ended: io.EOF once it was told of the change "final"
}

// watch follows one server from where the watcher stands; with n for so many changes, or until the stream is lost.
func (w *watcher) watch(ctx context.Context, c *client.Store, n int) {
	left := n
	err := c.Watch(ctx, client.Watch{After: knowledge.MarkAt(w.after, w.chain)}, func(m client.LiveMessage) error {
		switch {
		case n > 0 && m.Type == client.LiveLost:
			return errSeenAll
		case m.Type != client.LiveChange || m.Provisional:
			return nil
		}
		w.told = append(w.told, m.Seq)
		w.after, w.chain = m.Seq, m.Change.Chain
		if m.Key.ID == "final" {
			return io.EOF
		}
		if left--; left == 0 {
			return errSeenAll
		}
		return nil
	})
	if !errors.Is(err, errSeenAll) {
		w.err = err
	}
}

// disturb does something bad to a server or the database.
func disturb(t *testing.T, pg *pgtest.Server, s *site, id string) {
	t.Helper()
	switch rand.IntN(6) {
	case 0:
		s.kill(t)
		s.serve(t)
	case 1:
		s.end(t)
		s.serve(t)
	case 2:
		pg.Kill()
		s.put(t, id)
		pg.Start()
	case 3:
		pg.Pause()
		s.put(t, id)
		pg.Continue()
	case 4:
		pg.WaitReady()
		pg.KillBackend()
		pg.WaitReady()
	case 5:
		pg.Stop(pgtest.Immediate)
		s.kill(t)
		s.serve(t)
		pg.Start()
	}
}

// whole returns the seqs of the log up to the change "final".
func whole(t *testing.T, c *client.Store, after knowledge.Seq) (seqs []knowledge.Seq) {
	t.Helper()
	for {
		list, err := c.Changes(t.Context(), knowledge.ChangeQuery{After: after})
		if err != nil || len(list) == 0 {
			t.Fatalf("read the log after %d: %v", after, err)
		}
		for i := range list {
			after = list[i].Seq
			if seqs = append(seqs, after); list[i].Key.ID == "final" {
				return seqs
			}
		}
	}
}
