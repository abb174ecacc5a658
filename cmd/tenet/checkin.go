package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"tenet/internal/bundle"
	"tenet/internal/client"
	"tenet/internal/hook"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/treesync"
)

// checkInTimeout bounds how long a command waits to tell how its work tree stands: it has done its work by then.
const checkInTimeout = 5 * time.Second

// checkIn tells the server how a work tree stands, where that is a repository of its. While the server is away nothing
// is told: the next run tells more. What hooks have judged meanwhile is kept until then.
func checkIn(ctx context.Context, a *app, w *workTree, b *bundle.Bundle, c *store.CheckIn) {
	if w.config.Repository == "" || b == nil || w.kept {
		return
	}
	c.Repository, c.Program, c.Packs, c.Label = w.config.Repository, buildInfo().Version, w.config.Packs, w.config.Label
	c.Commit = w.gitLine(ctx, "rev-parse", "--verify", "HEAD")
	if c.Branch = w.gitLine(ctx, "rev-parse", "--abbrev-ref", "HEAD"); c.Branch == "HEAD" {
		c.Branch = "" // a commit and no branch is checked out
	}
	var err error
	if c.Takes, err = b.Digest(); err == nil {
		err = tell(ctx, a, w, c)
	}
	if err != nil && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		a.say("the server could not be told how the work tree stands: %s", err)
	}
}

func tell(ctx context.Context, a *app, w *workTree, c *store.CheckIn) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	if d.remote == nil {
		return nil // the database itself, where nobody looks after a fleet
	}
	t, err := takeTally(w.cache)
	if err != nil {
		return err
	}
	c.Hooks = t.sum
	for id, n := range t.rules {
		add(c, id, store.EffectTally{Violated: n})
	}
	_, err = withTimeout(ctx, min(a.Timeout, checkInTimeout), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, client.Fleet{Store: d.remote}.CheckIn(ctx, c)
	})
	if err == nil {
		err = t.told()
	}
	return err
}

// add adds to what became of a rule.
func add(c *store.CheckIn, rule string, t store.EffectTally) {
	if c.Rules == nil {
		c.Rules = map[string]store.EffectTally{}
	}
	sum := c.Rules[rule]
	sum.Add(t)
	c.Rules[rule] = sum
}

// gitLine returns the line that a command of git prints, "" where there is none.
func (w *workTree) gitLine(ctx context.Context, args ...string) string {
	text, err := w.git(ctx, args...)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}

// syncCheckIn says what a sync has left, or has found.
func syncCheckIn(p *treesync.Plan, b *bundle.Bundle, applied bool) *store.CheckIn {
	c := &store.CheckIn{Via: "sync", Seq: b.Seq, Files: &store.FleetFiles{}}
	if applied {
		return c
	}
	for _, s := range p.Drift() {
		switch s.State {
		case treesync.Missing:
			c.Files.Missing++
		case treesync.Behind, treesync.Stray:
			c.Files.Behind++
		default:
			c.Files.Edited++
		}
	}
	if c.Files.Missing+c.Files.Behind > 0 {
		c.Seq = min(b.Seq, knowledge.Seq(p.LockSeq)) // what the files hold is as old as what was written last
	}
	return c
}

// A tally is what hooks have judged since the server was told last: a line for each edit, in a file beside the bundle.
type tally struct {
	path  string
	size  int64
	sum   *store.FleetHookTally // nil for none
	rules map[string]int64      // how many edits broke each
}

// maxTally bounds the file: what comes when it is full is not counted.
const maxTally = 1 << 20

func tallyPath(cache string) string { return strings.TrimSuffix(cache, ".json") + ".edits" }

// noteEdit notes an edit that a hook judged. What can't be noted is not: the edit matters, and not its count.
func noteEdit(cache string, v hook.Verdict) {
	path := tallyPath(cache)
	if info, err := os.Stat(path); err == nil && info.Size() > maxTally {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600) //nolint:gosec // in the user's cache
	if err != nil {
		return
	}
	word := "allowed"
	if v.Deny {
		word = "denied"
	}
	line := strings.Join(append([]string{word}, v.Rules...), " ") + "\n"
	_, _ = f.WriteString(line) // see above
	_ = f.Close()
}

// takeTally reads what was noted.
func takeTally(cache string) (*tally, error) {
	t := &tally{path: tallyPath(cache)}
	text, err := os.ReadFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(t.path)
	if err != nil {
		return nil, err
	}
	t.size = int64(len(text))
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if t.sum == nil {
			t.sum, t.rules = &store.FleetHookTally{Last: knowledge.At(info.ModTime())}, map[string]int64{}
		}
		if t.sum.Edits++; words[0] == "denied" {
			t.sum.Denied++
		}
		for _, id := range words[1:] {
			t.rules[id]++
		}
	}
	return t, nil
}

// told forgets what was told. Where more came meanwhile all stays, and some edits are told twice: better than not at
// all.
func (t *tally) told() error {
	if t.sum == nil {
		return nil
	}
	info, err := os.Stat(t.path)
	if err != nil || info.Size() != t.size {
		return err
	}
	return os.Remove(t.path)
}
