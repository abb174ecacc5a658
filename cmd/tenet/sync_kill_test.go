package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A syncTreeTest is a work tree with hand-written parts, and a database of its own.
type syncTreeTest struct {
	t   *testing.T
	dir string
	env []string
}

func newSyncTree(t *testing.T) *syncTreeTest {
	t.Helper()
	x := &syncTreeTest{t: t, dir: filepath.Join(t.TempDir(), "tree")}
	x.env = append(os.Environ(), "TENET_DATA_DIR="+filepath.Join(t.TempDir(), "data"), "XDG_CACHE_HOME="+t.TempDir(),
		"TENET_URL=", "TENET_DATABASE_URL=", "TENET_TOKEN=")
	x.write("AGENTS.md", "# By hand\r\n\r\nAsk before you delete.\r\n")
	x.write(".claude/rules/mine.md", "Mine.\n")
	x.write(".tenet.yaml", "targets: [claude, codex]\npacks: [few]\n")
	x.write("few.json", `{"pack_id":"few","name":"Few","select":{"kinds":["rule"],"categories":["security"]}}`)
	x.run("put", "few.json")
	return x
}

func (x *syncTreeTest) write(name, text string) {
	x.t.Helper()
	path := filepath.Join(x.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		x.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		x.t.Fatal(err)
	}
}

func (x *syncTreeTest) command(args ...string) *exec.Cmd {
	cmd := exec.Command("tenet", args...)
	cmd.Dir, cmd.Env = x.dir, x.env
	return cmd
}

func (x *syncTreeTest) run(args ...string) {
	x.t.Helper()
	if out, err := x.command(args...).CombinedOutput(); err != nil {
		x.t.Fatalf("tenet %v: %v\n%s", args, err, out)
	}
}

// files returns what is in the tree, without what is being written.
func (x *syncTreeTest) files() map[string]string {
	x.t.Helper()
	all := x.everything()
	maps.DeleteFunc(all, func(name, _ string) bool { return strings.Contains(name, ".tenet-tmp-") })
	return all
}

// everything returns what is in the tree.
func (x *syncTreeTest) everything() map[string]string {
	x.t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(x.dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil //nolint:nilerr // it went while it was looked at
		}
		text, err := os.ReadFile(filepath.Join(x.dir, name))
		if err == nil {
			all[name] = string(text)
		}
		return nil
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return all
}

// clear leaves the hand-written parts alone.
func (x *syncTreeTest) clear(hand map[string]string) {
	x.t.Helper()
	for name := range x.everything() {
		if err := os.Remove(filepath.Join(x.dir, name)); err != nil {
			x.t.Fatal(err)
		}
	}
	for name, text := range hand {
		x.write(name, text)
	}
}

// TestAKilledSyncIsMendedByTheNext kills the process when it has written some files, more each time: whatever it was
// at, every byte that is not its own stands, no file is half, and the next run makes the tree that an undisturbed one
// makes.
func TestAKilledSyncIsMendedByTheNext(t *testing.T) {
	x := newSyncTree(t)
	hand := x.files()
	x.run("sync", "--adopt")
	want := x.files()
	for _, after := range []int{0, 1, 4, len(want) - len(hand) - 1} {
		x.clear(hand)
		cmd := x.command("sync", "--adopt", "--offline")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		died := make(chan error, 1)
		go func() { died <- cmd.Wait() }()
		for ended := false; !ended && len(x.files()) < len(hand)+after; {
			select {
			case err := <-died:
				died <- err
				ended = true
			case <-time.After(200 * time.Microsecond): // the next look
			}
		}
		cmd.Process.Kill()
		<-died
		got := x.files()
		for name, text := range got {
			if text != want[name] && text != hand[name] {
				t.Errorf("killed after %d files, %s is neither as it was nor as it becomes: %q", after, name, text)
			}
		}
		x.write(".claude/rules/.tenet-tmp-1", "half a f") // as one that was killed at another moment
		x.write(".tenet-tmp-2", "")
		x.run("sync", "--adopt", "--offline")
		x.run("sync", "--check", "--offline")
		if got := x.everything(); !maps.Equal(got, want) {
			t.Errorf("killed after %d files, the next run leaves %v", after, slices.Sorted(maps.Keys(got)))
		}
	}
}

// TestManySyncsAtOnceMakeOneTree starts several runs on an empty tree.
func TestManySyncsAtOnceMakeOneTree(t *testing.T) {
	x := newSyncTree(t)
	hand := x.files()
	x.run("sync", "--adopt")
	want := x.files()
	x.clear(hand)
	var runs sync.WaitGroup
	said := make([]string, 3)
	for i := range said {
		runs.Go(func() {
			if out, err := x.command("sync", "--adopt", "--offline").CombinedOutput(); err != nil {
				said[i] = fmt.Sprintf("%v: %s", err, out)
			}
		})
	}
	runs.Wait()
	if got := x.files(); !maps.Equal(got, want) || strings.Join(said, "") != "" {
		t.Errorf("the runs left %d files, want %d; they said %q", len(got), len(want), said)
	}
}
