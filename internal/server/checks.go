package server

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"tenet/internal/access"
	"tenet/internal/bundle"
	"tenet/internal/check"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// checks answers whether files keep rules. The rules of those who asked lately are kept, until the log has moved on.
type checks struct {
	docs store.Past // every document: which rules there are is no secret from who may read rules, but for
	// confidential ones: a caller from whom any are hidden gets what confined gives them
	confined store.Past
	secret   access.Classification
	turns    *turns

	mu   sync.Mutex // guards the fields below, and of each taken all but its gate
	kept map[string]*taken
	uses int64
}

// A taken is what one list of packs held when somebody asked.
type taken struct {
	gate chan struct{} // holds one while it is read, for which others wait
	last int64         // use, by the count of checks.uses
	seq  knowledge.Seq
	exps time.Time // when an exemption may have ended
	set  *check.Set
}

// Of what is kept.
const (
	checksKept = 32          // lists of packs
	checksSize = 64 << 20    // bytes of their rules; of one list alone it may be more
	checksFor  = time.Minute // in which the end of an exemption is seen
)

func newChecks(docs, confined store.Past, secret access.Classification, turns *turns) *checks {
	return &checks{docs: docs, confined: confined, secret: secret, turns: turns, kept: map[string]*taken{}}
}

// Check checks files.
func (c *checks) Check(ctx context.Context, q *check.Question) (*check.Result, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	leave, err := c.turns.take(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	packs := slices.Clone(q.Packs) // in whatever order, and how often, they are named
	slices.Sort(packs)
	set, err := c.set(ctx, bundle.Want{Repository: q.Repository, Packs: slices.Compact(packs), Label: q.Label})
	if err != nil {
		return nil, err
	}
	return set.Answer(ctx, q)
}

func (c *checks) set(ctx context.Context, want bundle.Want) (*check.Set, error) {
	hidden, docs := c.secret.Without(ctx), c.docs
	if hidden != "" {
		docs = c.confined
	}
	text, err := json.Marshal([]any{want, hidden})
	if err != nil {
		return nil, err
	}
	name := string(text)
	t := c.take(name)
	select {
	case t.gate <- struct{}{}:
		defer func() { <-t.gate }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	at, err := store.Newest(ctx, docs)
	if err != nil {
		return nil, err
	}
	if set := c.current(t, at.Seq); set != nil {
		return set, nil
	}
	rules, exempt, err := bundle.Checked(ctx, docs, want)
	if err != nil {
		return nil, err
	}
	return c.keep(name, t, at.Seq, check.NewSet(rules, exempt, time.Now())), nil
}

// take returns what is kept under a name, or what will be.
func (c *checks) take(name string) *taken {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.kept[name]
	if t == nil {
		t = &taken{gate: make(chan struct{}, 1)}
		c.kept[name] = t
	}
	c.uses++
	t.last = c.uses
	c.drop(t)
	return t
}

// current returns the rules that are kept, nil if they are none or not those of now.
func (c *checks) current(t *taken, seq knowledge.Seq) *check.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.set == nil || t.seq != seq || !time.Now().Before(t.exps) {
		return nil
	}
	return t.set
}

// keep keeps the rules of a list of packs.
func (c *checks) keep(name string, t *taken, seq knowledge.Seq, set *check.Set) *check.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.seq, t.set, t.exps = seq, set, time.Now().Add(checksFor)
	if c.kept[name] == t { // it may have been dropped meanwhile
		c.drop(t)
	}
	return set
}

// drop drops what was not used for longest, and never one of them, until the others fit. It needs the lock.
func (c *checks) drop(but *taken) {
	for {
		size, oldest := 0, ""
		for name, t := range c.kept {
			if t.set != nil {
				size += t.set.Size()
			}
			if t != but && (oldest == "" || t.last < c.kept[oldest].last) {
				oldest = name
			}
		}
		if oldest == "" || len(c.kept) <= checksKept && size <= checksSize {
			return
		}
		delete(c.kept, oldest)
	}
}
