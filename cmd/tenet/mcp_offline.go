package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"tenet/internal/bundle"
	"tenet/internal/check"
	"tenet/internal/client"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/mcp"
	"tenet/internal/store"
)

// asTreeAsks lets questions that name no repository be about the one of the work tree, with its packs and label: what
// sync, check and hooks go by there.
func asTreeAsks(c *treeConfig, o *mcp.Options) {
	guide, look := o.Guide, o.Check
	o.Guide = func(ctx context.Context, q guidance.Query) (*guidance.Answer, error) {
		c.take(&q.Repository, &q.Packs, &q.Label)
		return guide(ctx, q)
	}
	if look == nil {
		return
	}
	o.Check = func(ctx context.Context, q *check.Question) (*check.Result, error) {
		c.take(&q.Repository, &q.Packs, &q.Label)
		return look(ctx, q)
	}
}

// A lastResort answers an assistant from the server, and while that is away from what the work tree took last.
type lastResort struct {
	store.Store
	kept   *kept
	guide  func(context.Context, guidance.Query) (*guidance.Answer, error)
	skills func(context.Context) ([]guidance.Left, error)
	check  func(context.Context, *check.Question) (*check.Result, error) // nil: what is kept answers alone
	fell   atomic.Bool                                                   // the last answer came from what was kept
}

// withLastResort returns a store with what a work tree took last behind it; nil where it took nothing.
func withLastResort(
	ctx context.Context, w *workTree, s store.Store,
	guide func(context.Context, guidance.Query) (*guidance.Answer, error),
) (*lastResort, error) {
	b, err := bundle.Load(w.cache)
	if err != nil || b == nil {
		return nil, err
	}
	k, err := ready(ctx, b)
	if err != nil {
		return nil, err
	}
	return &lastResort{Store: s, kept: k, guide: guide}, nil
}

// A kept is what a work tree took, ready to answer.
type kept struct {
	*bundle.Bundle
	reader *bundle.Reader
	index  *guidance.Index
}

func ready(ctx context.Context, b *bundle.Bundle) (*kept, error) {
	r, err := b.Reader()
	if err != nil {
		return nil, err
	}
	x := guidance.New(guidance.Options{
		Store: r, Feed: r,
		AsOf: func() knowledge.Time { return knowledge.At(b.Fetched) },
	})
	return &kept{b, r, x}, x.Load(ctx)
}

// Guide tells what holds, and how old that is. Repository, packs and label of the question are those that were taken.
func (k *kept) Guide(ctx context.Context, q guidance.Query) (*guidance.Answer, error) {
	q.Repository, q.Packs, q.Label = "", nil, ""
	q.Confidential = strings.Join(k.Confidential, ",")
	p, err := k.index.Prepare(ctx, k.reader, q)
	if err != nil {
		return nil, err
	}
	a, err := p.Answer(ctx, k.reader)
	if err == nil {
		a.Notes = append(a.Notes, "the server is away: this is what the work tree took "+ago(k.Fetched)+" ago")
	}
	return a, err
}

func away(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// or returns what the server answered, and where it is away what is kept.
func or[T any](l *lastResort, got T, err error, kept func() (T, error)) (T, error) {
	if err == nil || !away(err) {
		l.fell.Store(false)
		return got, err
	}
	l.fell.Store(true)
	return kept()
}

// Get implements [store.Store].
func (l *lastResort) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	got, err := l.Store.Get(ctx, key)
	return or(l, got, err, func() (*knowledge.Record, error) { return l.kept.reader.Get(ctx, key) })
}

// List implements [store.Store].
func (l *lastResort) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	got, err := l.Store.List(ctx, q)
	return or(l, got, err, func() (*knowledge.Page, error) { return l.kept.reader.List(ctx, q) })
}

// Search implements [store.Store].
func (l *lastResort) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	got, err := l.Store.Search(ctx, q)
	return or(l, got, err, func() (*knowledge.Hits, error) { return l.kept.reader.Search(ctx, q) })
}

// Guide tells what holds. Of what is kept it says how old it is.
func (l *lastResort) Guide(ctx context.Context, q guidance.Query) (*guidance.Answer, error) {
	got, err := l.guide(ctx, q)
	return or(l, got, err, func() (*guidance.Answer, error) { return l.kept.Guide(ctx, q) })
}

// Skills returns the documents that a model may take up as skills.
func (l *lastResort) Skills(ctx context.Context) ([]guidance.Left, error) {
	got, err := l.skills(ctx)
	return or(l, got, err, func() ([]guidance.Left, error) { return l.kept.index.LeftToModel(ctx) })
}

// A modelsChoice knows what models may take up as skills. It reads the documents when it is first asked, and again when
// any was written since.
type modelsChoice struct {
	s    store.Store
	last atomic.Pointer[choice]
}

// A choice is an index of the documents as they were at a change of the log.
type choice struct {
	*guidance.Index
	seq knowledge.Seq
}

func (m *modelsChoice) left(ctx context.Context) ([]guidance.Left, error) {
	at, err := store.Newest(ctx, m.s)
	if err != nil {
		return nil, err
	}
	c := m.last.Load()
	if c == nil || c.seq != at.Seq {
		c = &choice{guidance.New(guidance.Options{Store: m.s, Feed: m.s}), at.Seq}
		if err := c.Load(ctx); err != nil {
			return nil, err
		}
		m.last.Store(c)
	}
	return c.LeftToModel(ctx)
}

// Check checks files by what the server holds, and while that is away by what the work tree took last, as hooks do.
func (l *lastResort) Check(ctx context.Context, q *check.Question) (*check.Result, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	kept := func() (*check.Result, error) {
		set, err := setOf(l.kept.Bundle)
		if err != nil {
			return nil, err
		}
		return set.Answer(ctx, q)
	}
	if l.check == nil {
		return kept()
	}
	got, err := l.check(ctx, q)
	return or(l, got, err, kept)
}

// checkAt asks a running tenet to check files.
func checkAt(remote *client.Store) func(context.Context, *check.Question) (*check.Result, error) {
	type file struct {
		Path    string  `json:"path"`
		Content string  `json:"content"`
		Before  *string `json:"before,omitempty"`
	}
	return func(ctx context.Context, q *check.Question) (*check.Result, error) {
		files := make([]file, len(q.Files))
		for i := range q.Files {
			files[i] = file{Path: q.Files[i].Path, Content: string(q.Files[i].Content)}
			for j := range q.Before {
				if q.Before[j].Path == files[i].Path {
					before := string(q.Before[j].Content)
					files[i].Before = &before
				}
			}
		}
		r := new(check.Result)
		err := client.Check(ctx, remote, struct {
			Repository string   `json:"repository,omitempty"`
			Packs      []string `json:"packs,omitempty"`
			Label      string   `json:"label,omitempty"`
			Files      []file   `json:"files"`
		}{q.Repository, q.Packs, q.Label, files}, r)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
}

// level says how old the answers are.
func (l *lastResort) level(usual func() knowledge.Level) func() knowledge.Level {
	return func() knowledge.Level {
		if l.fell.Load() {
			return knowledge.Level{Mode: knowledge.ModeDegraded, AsOf: knowledge.At(l.kept.Fetched)}
		}
		return usual()
	}
}
