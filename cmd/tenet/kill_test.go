package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
)

// TestAKilledTenetLosesNoAcknowledgedBatch kills a server in the middle of a bulk import, starts it again, and looks
// for every batch that was acknowledged. Those whose answer was lost are sent again, and none of them is done twice.
func TestAKilledTenetLosesNoAcknowledgedBatch(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	t.Run("embedded", func(t *testing.T) { killInBulkImport(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { killInBulkImport(t, pgtest.URL(t)) })
}

const (
	killWriters  = 4
	killBatchOps = 25
	killAfter    = 40 // acknowledged batches
)

func killInBulkImport(t *testing.T, databaseURL string) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serveProcess(t, dir, databaseURL)
	var mu sync.Mutex // guards acked and lost
	var acked, lost []knowledge.Batch
	enough := make(chan struct{})
	var writers sync.WaitGroup
	for w := range killWriters {
		c := p.client(t)
		writers.Go(func() {
			for n := 0; ; n++ {
				b := bulk(fmt.Sprintf("w%d-%d", w, n))
				_, err := c.Apply(t.Context(), b)
				mu.Lock()
				if err != nil {
					lost = append(lost, b)
					mu.Unlock()
					return
				}
				acked = append(acked, b)
				if len(acked) == killAfter {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	p.kill(t)
	writers.Wait()

	p = serveProcess(t, dir, databaseURL)
	c := p.client(t)
	for _, b := range lost {
		if _, err := c.Apply(t.Context(), b); err != nil {
			t.Errorf("a batch whose answer was lost, sent again: %v", err)
		}
	}
	for _, b := range append(acked, lost...) {
		changes, err := c.Changes(t.Context(), knowledge.ChangeQuery{Batch: b.ID, Limit: knowledge.MaxChanges})
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) != killBatchOps {
			t.Errorf("batch %s has left %d changes, want %d", b.ID, len(changes), killBatchOps)
		}
	}
	report, err := verifyChanges(t.Context(), c, time.Minute, anchor{}, func(int64) {})
	if err != nil || len(report.Faults) > 0 {
		t.Errorf("the log does not verify: %v, %v", report.Faults, err)
	}
	t.Logf("%d batches acknowledged, %d in doubt, %d changes verified", len(acked), len(lost), report.Changes)
	p.end(t)
}

// bulk returns a batch of new rules.
func bulk(name string) knowledge.Batch {
	b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "importer"}
	for i := range killBatchOps {
		r := &knowledge.Rule{
			RuleID: fmt.Sprintf("%s-%d", name, i), Category: "security", Title: "Rule " + name,
			Description: strings.Repeat("Text. ", 100), IsActive: true,
		}
		r.Normalize()
		b.Ops = append(b.Ops, knowledge.Put(r, knowledge.NoVersion))
	}
	return b
}

// A process is a server in a process of its own.
type process struct {
	dir  string
	cmd  *exec.Cmd
	done chan error
	log  printed
}

// serveProcess starts a server and waits until it answers. It is killed when the test ends.
func serveProcess(t *testing.T, dir, databaseURL string, args ...string) *process {
	t.Helper()
	cmd := exec.Command("tenet", append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", dir}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "TENET_DATABASE_URL="+databaseURL)
	p := &process{dir: dir, cmd: cmd, done: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = part{&p.log, &p.log.out}, part{&p.log, &p.log.out}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.done
	})
	var failed error
	err := eventually(func() bool {
		select {
		case failed = <-p.done:
			p.done <- failed
			return true
		default:
		}
		who, err := p.owner()
		return err == nil && who.PID == cmd.Process.Pid && who.URL != ""
	})
	if err != nil || failed != nil {
		t.Fatalf("tenet serve: %v, %v\n%s", err, failed, p.log.text())
	}
	return p
}

func (p *process) owner() (running, error) {
	var r running
	data, err := os.ReadFile(filepath.Join(p.dir, "owner.json"))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	return r, err
}

func (p *process) client(t *testing.T) *client.Store {
	t.Helper()
	who, err := p.owner()
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(p.dir, server.TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Options{URL: who.URL, Token: strings.TrimSpace(string(token)), Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.done <- <-p.done
}

// end sends SIGINT and checks that the server ends in order.
func (p *process) end(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case err := <-p.done:
		p.done <- err
		if err != nil {
			t.Errorf("the server ended with %v", err)
		}
	case <-ctx.Done():
		t.Error("the server has not ended on SIGINT")
	}
}
