package journal

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// TestChild is what a child process runs: it appends from several goroutines until it is killed, and writes a line for
// everything that was acknowledged.
func TestChild(t *testing.T) {
	if flag.NArg() != 1 {
		t.Skip("only for child processes of other tests")
	}
	ctx := context.Background()
	j, err := Open(ctx, filepath.Join(flag.Arg(0), "journal.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				e := entry(t, storetest.Rule())
				if err := j.Append(ctx, e); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				fmt.Fprintln(os.Stdout, "done", e.Batch.ID)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// killed lets a child acknowledge some writes, kills it in the middle of others, and returns what it has acknowledged.
func killed(t *testing.T, dir string) (done []uuid.UUID) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.timeout=2m", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text, ok := strings.CutPrefix(lines.Text(), "done ")
		id, err := uuid.Parse(text)
		if !ok || err != nil {
			continue // half a line
		}
		if done = append(done, id); len(done) == 40 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(done) < 40 {
		t.Fatalf("the child ended after %d writes", len(done))
	}
	return done
}

func TestKilledJournalKeepsAllThatWasAcknowledged(t *testing.T) {
	dir := t.TempDir()
	done := killed(t, dir)
	j := openJournal(t, filepath.Join(dir, "journal.db"), Options{})
	for _, id := range done {
		if _, out, err := j.Find(t.Context(), id); err != nil || out.State != knowledge.BatchQueued {
			t.Errorf("batch %s was acknowledged: %+v, %v", id, out, err)
		}
	}
	if err := j.file.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	appendEntry(t, j, entry(t, storetest.Rule()))
}

func TestFullDiskOfAJournalLosesNoEntry(t *testing.T) {
	ctx := t.Context()
	dir := pgtest.SmallDisk(t, 4<<20)
	path := filepath.Join(dir, "journal.db")
	j := openJournal(t, path, Options{})
	text := strings.Repeat("A word, and another one. ", 4000)
	var taken []knowledge.BatchID
	for {
		e := entry(t, storetest.Rule(func(r *knowledge.Rule) { r.Description = text }))
		err := j.Append(ctx, e)
		if err == nil {
			taken = append(taken, e.Batch.ID)
			continue
		}
		var u *store.UnavailableError
		if !errors.As(err, &u) || !u.NotDone {
			t.Errorf("Append on a full disk: %#v, want an UnavailableError with NotDone", err)
		}
		break
	}
	_ = j.Close()
	j = openJournal(t, path, Options{})
	list := oldest(t, j)
	if len(list) != len(taken) || len(taken) == 0 {
		t.Fatalf("%d entries wait, want the %d that were taken", len(list), len(taken))
	}
	for i := range list {
		if list[i].Batch.ID != taken[i] {
			t.Errorf("entry %d is %s, want %s", i, list[i].Batch.ID, taken[i])
		}
	}
}
