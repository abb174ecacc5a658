//go:build bench

package bench

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tenet/internal/client"
	"tenet/internal/knowledge"
)

// live reports what the live door costs: its own benchmarks, whose clients are another process, and two whole tenets.
func (r *report) live(t *testing.T, e *env) {
	r.line("## Live changes\n")
	r.line("A change of 500 bytes to all subscribers at a time, over TCP to clients in another process on the same " +
		"cores; the time is from the publishing")
	r.line("to the last receipt. Beside the hub: the library that it shakes hands with, and the leanest one, each " +
		"bare, with a queue for each connection")
	r.line("and neither a log nor rights, filters, positions or pings. Bytes are those of the Go heap and the " +
		"stacks.\n")
	r.line("| subscribers | server | p50 | p99 | CPU for a message | bytes for an idle connection |")
	r.line("| --- | --- | --- | --- | --- | --- |")
	names := map[string]string{
		"hub": "tenet, WebSocket", "events": "tenet, server-sent events", "coder": "coder/websocket, bare",
		"gobwas": "gobwas/ws, bare",
	}
	const fanOut = "BenchmarkFanOut/(hub|events|coder|gobwas)/(1000|5000|10000)"
	for _, m := range benchmarks(t, "./internal/live", fanOut, "60x") {
		server, subscribers, _ := strings.Cut(m.name, "/")
		r.line("| %s | %s | %s ms | %s ms | %s us | %s |", subscribers, names[server], m.values["p50-last-ms"],
			m.values["p99-last-ms"],
			m.values["cpu-us/message"], m.values["bytes/connection"])
	}
	r.line("\nA row again: %s.\n", repeats(fanOut, "60x"))

	r.line("Messages of 16 KiB to 1,000 subscribers, and the same with 10 of them who read nothing and are cut off " +
		"on the way:\n")
	r.line("| stuck | p50 | p99 | CPU for a message |")
	r.line("| --- | --- | --- | --- |")
	for _, m := range benchmarks(t, "./internal/live", "BenchmarkStuck", "60x") {
		r.line("| %s | %s ms | %s ms | %s us |", m.name, m.values["p50-last-ms"], m.values["p99-last-ms"],
			m.values["cpu-us/message"])
	}
	r.line("\nAgain: %s.\n", repeats("BenchmarkStuck", "60x"))
	r.across(t, e)
}

// A measured is what one benchmark has reported.
type measured struct {
	name   string // below that of its function
	values map[string]string
}

// repeats is the command that runs benchmarks again.
func repeats(pattern, times string) string {
	return fmt.Sprintf("`go test ./internal/live -run '^$' -bench '%s' -benchtime %s`", pattern, times)
}

// benchmarks runs benchmarks of a package and returns what they have reported.
func benchmarks(t *testing.T, pkg, pattern, times string) []measured {
	t.Helper()
	cmd := exec.Command("go", "test", pkg, "-run", "^$", "-bench", pattern, "-benchtime", times)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	var list []measured
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		_, name, _ := strings.Cut(fields[0], "/")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i] // the number of processors
		}
		m := measured{name: name, values: map[string]string{}}
		for i := 2; i+1 < len(fields); i += 2 {
			m.values[fields[i+1]] = fields[i]
		}
		list = append(list, m)
	}
	if len(list) == 0 {
		t.Fatalf("%s measured nothing:\n%s", cmd, out)
	}
	return list
}

// across measures two tenets on one PostgreSQL: from the answer to a write on one to its receipt from the other.
func (r *report) across(t *testing.T, e *env) {
	url := e.pg.NewDatabase()
	one := startTenet(t, e.bin, t.TempDir(), "--database-url", url)
	two := startTenet(t, e.bin, t.TempDir(), "--database-url", url)
	defer func() { one.stop(); two.stop() }()
	r.line("Two tenets on one PostgreSQL: from the answer to a write on one to its receipt by a subscriber of the " +
		"other, over HTTP both:\n")
	r.line("| other writers at the same time | p50 | p99 |")
	r.line("| --- | --- | --- |")
	for _, writers := range []int{0, 4} {
		delays := crossings(t, one, two, writers)
		slices.Sort(delays)
		r.line("| %d | %s | %s |", writers, ms(delays[len(delays)/2]), ms(delays[len(delays)*99/100]))
	}
	r.line("\nAgain: `go test -tags bench -run TestReport/live ./internal/bench`.\n")
}

// crossings writes on one tenet and waits each time for what another tells.
func crossings(t *testing.T, from, to *process, writers int) []time.Duration {
	const n = 300
	key := knowledge.Key{Kind: knowledge.KindCategory, ID: "crossing-" + strconv.Itoa(writers)}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	here, there := remote(t, from), remote(t, to)
	seen, began := make(chan time.Time, n), make(chan struct{})
	work.Go(func() {
		there.Watch(ctx, client.Watch{Tail: true, Keys: []knowledge.Key{key}}, func(m client.LiveMessage) error {
			switch m.Type {
			case client.LiveHello:
				close(began)
			case client.LiveChange:
				seen <- time.Now()
			}
			return nil
		})
	})
	<-began
	write := func(c *client.Store, id string) error {
		d := &knowledge.Category{ID: id, Name: id, Description: strings.Repeat("every file that is opened is closed; ",
			10)}
		d.Normalize()
		_, err := c.Apply(ctx, knowledge.Batch{
			ID: knowledge.NewBatchID(), Actor: "admin",
			Ops: []knowledge.Op{knowledge.Put(d, knowledge.AnyVersion)},
		})
		return err
	}
	for i := range writers {
		c := remote(t, from)
		work.Go(func() {
			for ctx.Err() == nil {
				write(c, fmt.Sprintf("other-%d", i))
			}
		})
	}
	delays := make([]time.Duration, 0, n)
	for range n {
		if err := write(here, key.ID); err != nil {
			t.Fatal(err)
		}
		answered := time.Now()
		select {
		case at := <-seen:
			delays = append(delays, max(0, at.Sub(answered))) // it can be told before the writer has heard
		case <-ctx.Done():
			t.Fatal("a change was not told")
		}
	}
	return delays
}

func remote(t *testing.T, p *process) *client.Store {
	t.Helper()
	c, err := client.New(client.Options{URL: p.url, Token: p.token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
