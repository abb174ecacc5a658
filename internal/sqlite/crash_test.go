package sqlite

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

// batchSize is how many documents each batch of a child process has.
const batchSize = 20

// TestChild is what a child process runs: it does what its arguments say until it is killed, and writes a line for
// everything that was acknowledged.
func TestChild(t *testing.T) {
	if flag.NArg() != 2 {
		t.Skip("only for child processes of other tests")
	}
	ctx, dir := context.Background(), flag.Arg(1)
	switch flag.Arg(0) {
	case "own":
		if _, err := Own(dir, Ownership{PID: os.Getpid(), Address: "http://127.0.0.1:1"}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(os.Stdout, "owned")
		<-ctx.Done()
	case "write":
		s, err := Open(ctx, filepath.Join(dir, "tenet.db"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, general())
		hammer(t, func() (uuid.UUID, error) {
			ops := make([]knowledge.Op, batchSize)
			for i := range ops {
				ops[i] = knowledge.Put(storetest.Rule(), knowledge.NoVersion)
			}
			b := storetest.Batch(ops...)
			_, err := s.Apply(ctx, b)
			return b.ID, err
		})
	}
}

// hammer writes from several goroutines, without end, and says what was acknowledged.
func hammer(t *testing.T, write func() (uuid.UUID, error)) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				id, err := write()
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				fmt.Fprintln(os.Stdout, "done", id)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// child starts this test binary as another process, and returns its lines. It is killed at the end of the test.
func child(t *testing.T, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"-test.run=^TestChild$", "-test.timeout=2m"},
		args...)...)
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
	return cmd, bufio.NewScanner(out)
}

// killed lets a child acknowledge some writes, kills it in the middle of others, and returns what it has acknowledged.
func killed(t *testing.T, args ...string) []uuid.UUID {
	t.Helper()
	cmd, lines := child(t, args...)
	var done []uuid.UUID
	for lines.Scan() {
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

func TestKilledWriterLeavesWholeBatchesAndAllThatWereAcknowledged(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	done := killed(t, "write", dir)
	s := openAt(t, filepath.Join(dir, "tenet.db"), Options{})
	if err := s.VerifyChanges(ctx, nil); err != nil {
		t.Errorf("VerifyChanges: %v", err)
	}
	sizes := map[uuid.UUID]int{}
	for _, c := range feed(t, s, 1) {
		sizes[c.Batch]++
		rec, err := s.Get(ctx, c.Key)
		if err != nil || rec.Version != c.Version {
			t.Errorf("the log holds %s at version %d, and Get says %+v, %v", c.Key, c.Version, rec, err)
		}
	}
	for id, n := range sizes {
		if n != batchSize {
			t.Errorf("batch %s has %d changes, want %d", id, n, batchSize)
		}
	}
	for _, id := range done {
		if sizes[id] == 0 {
			t.Errorf("batch %s was acknowledged and is lost", id)
		}
	}
	if n := len(everything(t, s)); n != len(sizes)*batchSize+1 {
		t.Errorf("%d documents for %d batches", n, len(sizes))
	}
	sound(t, s)
	put(t, s, storetest.Rule())
}

// sound checks that everything that is derived from the documents fits them.
func sound(t testing.TB, s *Store) {
	t.Helper()
	for what, query := range map[string]string{
		"documents in use that search does not know": "SELECT count(*) FROM rules r WHERE active = 1 AND NOT " +
			"EXISTS (SELECT 1 FROM search s WHERE s.kind = 'rule' AND s.id = r.rule_id)",
		"rows of search without a document": "SELECT count(*) FROM search s WHERE s.kind = 'rule' AND NOT " +
			"EXISTS (SELECT 1 FROM rules r WHERE r.rule_id = s.id AND active = 1)",
		"documents that wait without a row of search": "SELECT count(*) FROM search_waiting WHERE number NOT IN " +
			"(SELECT number FROM search)",
		"facets without a document": "SELECT count(*) FROM facets f WHERE f.kind = 'rule' AND NOT " +
			"EXISTS (SELECT 1 FROM rules r WHERE r.rule_id = f.id AND r.rank = f.rank AND r.active = f.active AND " +
			"r.category = f.category)",
		"tags without a facet": "SELECT count(*) FROM rules r, json_each(r.tags) e WHERE NOT " +
			"EXISTS (SELECT 1 FROM facets f WHERE f.kind = 'rule' AND f.facet = 'tag' AND f.value = e.value AND " +
			"f.id = r.rule_id)",
	} {
		n := -1
		db, err := handle{path: resolve(s.path), readOnly: true, conns: 1}.open()
		if err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d (%v)", what, n, err)
		}
		db.Close()
	}
	soundLists(t, s)
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
}

func TestSecondProcessHearsWhoOwnsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	cmd, lines := child(t, "own", dir)
	for lines.Scan() && lines.Text() != "owned" {
	}
	var owned *OwnedError
	_, err := Own(dir, Ownership{PID: os.Getpid()})
	if !errors.Is(err, ErrOwned) || !errors.As(err, &owned) {
		t.Fatalf("Own of a directory that another process owns: %v", err)
	}
	if owned.Owner.PID != cmd.Process.Pid || owned.Owner.Address != "http://127.0.0.1:1" {
		t.Errorf("the owner is said to be %+v, want process %d", owned.Owner, cmd.Process.Pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // until the process is gone
	}
	_ = cmd.Wait()
	o, err := Own(dir, Ownership{PID: os.Getpid()})
	if err != nil {
		t.Fatalf("Own after the owner was killed: %v", err)
	}
	if _, err := Own(dir, Ownership{}); !errors.Is(err, ErrOwned) {
		t.Errorf("Own twice: %v, want ErrOwned", err)
	}
	if err := o.Release(); err != nil {
		t.Errorf("Release: %v", err)
	}
}

func TestFullDiskRefusesWritesAndLosesNothing(t *testing.T) {
	ctx := t.Context()
	dir := pgtest.SmallDisk(t, 8<<20)
	s := openAt(t, filepath.Join(dir, "tenet.db"), Options{})
	put(t, s, general())
	text := strings.Repeat("A word, and another one. ", 4000)
	var acknowledged []knowledge.Key
	var refused error
	for refused == nil {
		r := storetest.Rule(func(r *knowledge.Rule) { r.Description = text })
		if _, refused = s.Apply(ctx, storetest.Batch(knowledge.Put(r, 0))); refused == nil {
			acknowledged = append(acknowledged, r.Key())
		}
	}
	var u *store.UnavailableError
	if !errors.As(refused, &u) || !u.ReadOnly || u.Halt {
		t.Fatalf("Apply on a full disk: %#v, want an UnavailableError that says read-only", refused)
	}
	t.Logf("refused after %d writes: %v", len(acknowledged), refused)
	before := feed(t, s, 0)
	if len(before) != len(acknowledged)+1 {
		t.Errorf("the log holds %d changes, want %d", len(before), len(acknowledged)+1)
	}
	for _, key := range acknowledged {
		if _, err := s.Get(ctx, key); err != nil {
			t.Errorf("Get(%s) on a full disk: %v", key, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Logf("Close on a full disk: %v", err)
	}
	s = openAt(t, filepath.Join(dir, "tenet.db"), Options{})
	if after := feed(t, s, 0); len(after) != len(before) {
		t.Errorf("the log holds %d changes after it was opened again, want %d", len(after), len(before))
	}
	if err := s.VerifyChanges(ctx, nil); err != nil {
		t.Errorf("VerifyChanges: %v", err)
	}
	sound(t, s)
}
