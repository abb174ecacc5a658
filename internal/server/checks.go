package server

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"tenet/internal/access"
	"tenet/internal/bundle"
	"tenet/internal/check"
	"tenet/internal/store"
)

// checks answers whether files keep rules. The rules of those who asked lately are kept, until the log has moved on.
type checks struct {
	docs store.Past // every document: which rules there are is no secret from who may read rules, but for
	// confidential ones: a caller from whom any are hidden gets what confined gives them
	confined store.Past
	secret   access.Classification

	mu   sync.Mutex // guards kept
	kept map[string]*taken
}

// A taken is what one list of packs held when somebody asked.
type taken struct {
	mu   sync.Mutex // held while it is read
	b    *bundle.Bundle
	exps time.Time // when an exemption may have ended
	set  *check.Set
}

// Of what is kept.
const (
	checksKept = 32          // lists of packs
	checksFor  = time.Minute // in which the end of an exemption is seen
)

// Check checks files.
func (c *checks) Check(ctx context.Context, q *check.Question) (*check.Result, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	set, err := c.set(ctx, bundle.Want{Repository: q.Repository, Packs: q.Packs, Label: q.Label})
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
	name, err := json.Marshal([]any{want, hidden})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	t := c.kept[string(name)]
	if t == nil {
		if c.kept == nil || len(c.kept) >= checksKept {
			c.kept = map[string]*taken{}
		}
		t = &taken{}
		c.kept[string(name)] = t
	}
	c.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := bundle.Fetch(ctx, docs, "", want, t.b)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if t.b != nil && b.Seq == t.b.Seq && now.Before(t.exps) {
		return t.set, nil
	}
	rules, err := b.Rules()
	if err != nil {
		return nil, err
	}
	exempt, err := b.Exemptions()
	if err != nil {
		return nil, err
	}
	t.b, t.set, t.exps = b, check.NewSet(rules, exempt, now), now.Add(checksFor)
	return t.set, nil
}
