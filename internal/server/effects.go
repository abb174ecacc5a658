package server

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"tenet/internal/bundle"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/upkeep"
)

// Of the effects of documents.
const (
	effectDays    = 180 // how long counts are kept
	effectPart    = 14  // days at the beginning and at the end of a count that are compared
	effectRuns    = 20  // runs that a part needs, and a verdict
	effectFleet   = 5   // repositories that a share of them needs
	effectPending = 100_000
)

// effects counts in memory what becomes of documents, adds the counts to the book from time to time, and works out
// every night what they say. What was not added yet is lost when the process is killed.
type effects struct {
	book  store.EffectBook
	docs  store.Past // every document
	fleet *fleet
	holds func(knowledge.Key) bool // whether there is such a document
	log   *slog.Logger

	mu      sync.Mutex // guards the fields below
	pending map[effectKey]store.EffectTally
}

type effectKey struct {
	key knowledge.Key
	day string
}

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Count adds to what becomes of documents. It does not wait. What is no document is passed over.
func (e *effects) Count(key knowledge.Key, t store.EffectTally) {
	if !e.holds(key) {
		return
	}
	k := effectKey{key, dayOf(time.Now())}
	e.mu.Lock()
	defer e.mu.Unlock()
	if sum, there := e.pending[k]; there || len(e.pending) < effectPending {
		sum.Add(t)
		e.pending[k] = sum
	}
}

// Served counts that documents were given to somebody.
func (e *effects) Served(keys []knowledge.Key) {
	for _, key := range keys {
		e.Count(key, store.EffectTally{Served: 1})
	}
}

// Run adds the counts to the book from time to time until ctx ends.
func (e *effects) Run(ctx context.Context) error {
	t := time.NewTicker(usesEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			e.flush(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// flush adds the counts to the book. What can't be added waits for the next time.
func (e *effects) flush(ctx context.Context) {
	e.mu.Lock()
	counts := e.pending
	e.pending = map[effectKey]store.EffectTally{}
	e.mu.Unlock()
	list := make([]store.EffectDay, 0, len(counts))
	for k, t := range counts {
		list = append(list, store.EffectDay{Key: k.key.String(), Day: k.day, EffectTally: t})
	}
	ctx, cancel := context.WithTimeout(ctx, usesTimeout)
	defer cancel()
	err := e.book.AddEffects(ctx, list...)
	if err == nil {
		return
	}
	e.log.LogAttrs(ctx, slog.LevelWarn, "effects of documents not written", slog.Int("documents", len(list)),
		slog.Any("error", err))
	e.mu.Lock()
	defer e.mu.Unlock()
	for k, t := range counts {
		t.Add(e.pending[k])
		e.pending[k] = t
	}
}

// Page returns what was worked out in the last night.
func (e *effects) Page(ctx context.Context, q store.EffectQuery) ([]store.Effect, error) {
	return e.book.Effects(ctx, q)
}

// Work works out what the counts say, and forgets those that are too old.
func (e *effects) Work(ctx context.Context, _ *upkeep.Progress) (string, error) {
	e.flush(ctx)
	now := time.Now()
	counted := map[string]*course{}
	today := dayOf(now)
	err := e.book.EffectDays(ctx, dayOf(now.AddDate(0, 0, -effectDays)), func(d store.EffectDay) error {
		if d.Day == today {
			return nil // it is not over
		}
		if counted[d.Key] == nil {
			counted[d.Key] = &course{}
		}
		counted[d.Key].add(d)
		return nil
	})
	if err != nil {
		return "", err
	}
	first := today // since when anything is counted
	for _, c := range counted {
		first = min(first, c.days[0].Day)
	}
	takers, fleet, err := e.takers(ctx)
	if err != nil {
		return "", err
	}
	var list []store.Effect
	for _, kind := range []knowledge.Kind{knowledge.KindPractice, knowledge.KindRule} {
		err := store.All(ctx, e.docs, knowledge.Query{
			Kind:  kind,
			Order: knowledge.OrderID,
		}, func(r *knowledge.Record) error {
			if !r.Active {
				return nil
			}
			c := counted[r.Key.String()]
			if c == nil {
				c = &course{}
			}
			f := c.effect(r.Key.String(), now)
			f.AdoptionRate, f.AdoptionSample = share(takers[r.Key], fleet), fleet
			d, err := r.Document()
			if err != nil {
				return err
			}
			// before it was written nobody could be given it
			f.Verdict, f.Why = verdict(&f, max(first, dayOf(d.Stamps().CreatedAt.Time)), now)
			list = append(list, f)
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	if err := e.book.PutEffects(ctx, list...); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, counted since %s", knowledge.Count(len(list), "document", "documents"), first),
		e.book.ForgetEffects(ctx, dayOf(now.AddDate(0, 0, -effectDays)))
}

// takers counts for each document how many repositories take it, and the repositories.
func (e *effects) takers(ctx context.Context) (map[knowledge.Key]int, int, error) {
	list, err := e.fleet.repositories(ctx)
	if err != nil {
		return nil, 0, err
	}
	known, _, err := e.fleet.known(ctx, list)
	if err != nil {
		return nil, 0, err
	}
	taking := make([]*knowledge.Repository, 0, len(list))
	for id, r := range list {
		s := known[id]
		taking = append(taking, effective(r, &s.CheckIn))
	}
	takers, err := bundle.Takers(ctx, e.docs, taking)
	return takers, len(list), err
}

// share returns n of all to two decimals; nil where all are too few to say.
func share(n, all int) *float64 {
	if all < effectFleet {
		return nil
	}
	s := math.Round(100*float64(n)/float64(all)) / 100
	return &s
}

// A course is what became of a document, day by day.
type course struct{ days []store.EffectDay }

func (c *course) add(d store.EffectDay) { c.days = append(c.days, d) }

// effect sums a course up.
func (c *course) effect(key string, now time.Time) store.Effect {
	f := store.Effect{Key: key, Days: len(c.days), At: knowledge.At(now)}
	for i := range c.days {
		f.Add(c.days[i].EffectTally)
	}
	if len(c.days) == 0 {
		return f
	}
	begin, err := time.Parse(time.DateOnly, c.days[0].Day)
	if err != nil {
		return f
	}
	end := dayOf(begin.AddDate(0, 0, effectPart))   // behind the first part
	from := dayOf(now.AddDate(0, 0, -effectPart-1)) // before the last part
	if from < end {
		return f // they would overlap
	}
	var early, late store.EffectTally
	for i := range c.days {
		switch day := c.days[i].Day; {
		case day < end:
			early.Add(c.days[i].EffectTally)
		case day > from:
			late.Add(c.days[i].EffectTally)
		}
	}
	before, now0 := early.Followed+early.Violated, late.Followed+late.Violated
	f.EffectivenessSample = min(before, now0)
	if f.EffectivenessSample < effectRuns || early.Violated == 0 {
		return f
	}
	was, is := float64(early.Violated)/float64(before), float64(late.Violated)/float64(now0)
	score := math.Round(100*max(0, 1-is/was)) / 100
	f.EffectivenessScore = &score
	return f
}

// verdict says what is worth a look at a document that has been counted since a day.
func verdict(f *store.Effect, since string, now time.Time) (what, why string) {
	runs := f.Followed + f.Violated + f.Exempted
	switch {
	case runs >= effectRuns && f.Violated+f.Exempted == 0:
		return store.EffectDead, knowledge.Count(runs, "run", "runs") + " looked for it, and none found it broken"
	case runs >= effectRuns && 2*(f.Violated+f.Exempted) > runs:
		return store.EffectNoisy, fmt.Sprintf("of %s %d broke it and %d had an exemption",
			knowledge.Count(runs, "run", "runs"), f.Violated, f.Exempted)
	case f.Served+runs == 0 && since <= dayOf(now.AddDate(0, 0, -effectPart)):
		return store.EffectUnserved, "nobody was given it since " + since
	}
	return "", ""
}
