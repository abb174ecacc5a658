package server

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/access"
	"tenet/internal/bundle"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/upkeep"
)

// fleet knows how repositories stand to what they take.
type fleet struct {
	book store.FleetBook
	docs store.Past // reads every document: the documents of a repository do not depend on the caller's rights
	// turns bound how many callers at a time have what has changed for a repository worked out.
	turns *turns
	log   *slog.Logger

	count   func(knowledge.Key, store.EffectTally) // is told what checks found
	gauges  *fleetGauges                           // nil for a command: nobody scrapes it
	mu      sync.Mutex                             // guards the fields below
	counts  []store.FleetCount                     // as of when
	counted knowledge.Time
}

func newFleet(e serving, turns *turns, log *slog.Logger) *fleet {
	return &fleet{book: e.fleetBook(), docs: e, turns: turns, log: log}
}

// Bounds of the fleet.
const (
	fleetEvery   = 30 * time.Second // how often the counts are brought up to date
	fleetTimeout = 5 * time.Second
	fleetAtOnce  = 500 // standings that are written in one go
	fleetAhead   = 5 * time.Minute
)

// CheckIn takes in what a work tree tells of itself. Its repository must be there for who asks.
func (f *fleet) CheckIn(ctx context.Context, reader store.Reader, c store.CheckIn) (*store.Standing, error) {
	r, err := repositoryOf(ctx, reader, c.Repository)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if c.At.IsZero() {
		c.At = knowledge.At(now)
	}
	if c.At.Sub(now) > fleetAhead {
		return nil, knowledge.Invalid("/at", "%s lies in the future: look at the clock of the machine, or "+
			"leave it out", c.At.Format(time.RFC3339))
	}
	if c.At.After(now) {
		c.At = knowledge.At(now) // else what it tells next would be older
	}
	if by := access.CallerFrom(ctx); by != nil {
		c.By = by.ID
	}
	known, err := f.book.Standings(ctx, store.FleetQuery{IDs: []string{c.Repository}})
	if err != nil {
		return nil, err
	}
	s := store.Standing{CheckIn: store.CheckIn{Repository: c.Repository}}
	if len(known) > 0 {
		s = known[0]
	}
	if f.count != nil {
		for id, t := range c.Rules {
			f.count(knowledge.Key{Kind: knowledge.KindRule, ID: id}, t)
		}
	}
	if c.At.Before(s.At.Time) {
		return &s, nil // one that waited, and was overtaken
	}
	s.Take(&c)
	s.Exempt = exemptions(r, now)
	s.Judge(now)
	s.Touched = knowledge.At(now)
	return &s, f.book.PutStandings(ctx, s)
}

func repositoryOf(ctx context.Context, s store.Reader, id string) (*knowledge.Repository, error) {
	key := knowledge.Key{Kind: knowledge.KindRepository, ID: id}
	if !key.Sound() {
		return nil, &store.NotFoundError{Key: key}
	}
	rec, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	d, err := rec.Document()
	if err != nil {
		return nil, err
	}
	r, ok := d.(*knowledge.Repository)
	if !ok || !rec.Active {
		return nil, &store.NotFoundError{Key: key}
	}
	return r, nil
}

// exemptions counts those of a repository that are in force.
func exemptions(r *knowledge.Repository, now time.Time) int {
	n := 0
	for i := range r.Exemptions {
		if !r.Exemptions[i].Ended(now) {
			n++
		}
	}
	return n
}

// Page returns repositories by their ids. A filter by state goes by the last look.
func (f *fleet) Page(ctx context.Context, q store.FleetQuery) ([]store.Standing, error) {
	return f.book.Standings(ctx, q)
}

// Counts returns how many repositories have each state, and as of when.
func (f *fleet) Counts() ([]store.FleetCount, knowledge.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts, f.counted
}

// News returns a repository with what has changed since it took what it takes.
func (f *fleet) News(ctx context.Context, reader store.Past, id string) (*store.FleetNews, error) {
	r, err := repositoryOf(ctx, reader, id)
	if err != nil {
		return nil, err
	}
	known, err := f.book.Standings(ctx, store.FleetQuery{IDs: []string{id}})
	if err != nil {
		return nil, err
	}
	n := &store.FleetNews{Moves: []store.FleetMove{}}
	if len(known) == 0 || known[0].At.IsZero() {
		n.Repository, n.Exempt = id, exemptions(r, time.Now())
		n.Judge(time.Now())
		return n, nil
	}
	n.Standing = known[0]
	leave, err := f.turns.take(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	moves, more, err := bundle.Since(ctx, reader, effective(r, &n.CheckIn), n.Seq)
	if fault := bundle.Fault(err); fault != "" { // that is how it stands, and no failure of the question
		n.Fault = fault
		n.Judge(time.Now())
		return n, nil
	}
	if err != nil {
		return nil, err
	}
	n.Moves, n.More = moves, more
	return n, nil
}

// Look works out anew how every repository stands: those that are silent by now, those that others' changes have left
// behind, those that never told anything. It writes only what is otherwise than before.
func (f *fleet) Look(ctx context.Context, progress *upkeep.Progress) (string, error) {
	at, err := store.Newest(ctx, f.docs)
	if err != nil {
		return "", err
	}
	list, err := f.repositories(ctx)
	if err != nil {
		return "", err
	}
	known, gone, err := f.known(ctx, list)
	if err != nil {
		return "", err
	}
	taking := make([]*knowledge.Repository, 0, len(list))
	for id, r := range list {
		s := known[id]
		taking = append(taking, effective(r, &s.CheckIn))
	}
	takings, err := bundle.Takings(ctx, f.docs, taking)
	if err != nil {
		return "", err
	}
	now := time.Now()
	var changed []store.Standing
	for id, r := range list {
		s, there := known[id]
		s.Repository = id
		if judge(&s, r, takings[id], at.Seq, now) || !there {
			s.Touched = knowledge.At(now)
			changed = append(changed, s)
		}
	}
	for done := 0; done < len(changed); done += fleetAtOnce {
		if err := f.book.PutStandings(ctx, changed[done:min(done+fleetAtOnce, len(changed))]...); err != nil {
			return "", err
		}
		progress.Set(int64(done), int64(len(changed)))
	}
	if err := f.book.DropStandings(ctx, gone...); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, %d changed, %d gone", knowledge.Count(len(list), "repository", "repositories"),
		len(changed), len(gone)), f.recount(ctx)
}

// repositories reads those that are in use.
func (f *fleet) repositories(ctx context.Context) (map[string]*knowledge.Repository, error) {
	list := map[string]*knowledge.Repository{}
	err := store.All(ctx, f.docs, knowledge.Query{
		Kind:  knowledge.KindRepository,
		Order: knowledge.OrderID,
	}, func(rec *knowledge.Record) error {
		d, err := rec.Document()
		if r, ok := d.(*knowledge.Repository); ok && rec.Active {
			list[r.RepositoryID] = r
		}
		return err
	})
	return list, err
}

// known reads the standings, and tells those of repositories that are gone apart.
func (f *fleet) known(ctx context.Context, list map[string]*knowledge.Repository) (known map[string]store.Standing,
	gone []string, err error,
) {
	known = map[string]store.Standing{}
	err = store.EachStanding(ctx, f.book, func(s *store.Standing) error {
		if list[s.Repository] != nil {
			known[s.Repository] = *s
		} else {
			gone = append(gone, s.Repository)
		}
		return nil
	})
	return known, gone, err
}

// effective returns what a work tree takes: what its repository does, and what it says itself.
func effective(r *knowledge.Repository, c *store.CheckIn) *knowledge.Repository {
	e := *r
	e.Packs = append(append([]string{}, r.Packs...), c.Packs...)
	if c.Label != "" {
		e.Label = c.Label
	}
	return &e
}

// judge works out how a repository stands, and reports whether that is otherwise than before.
func judge(s *store.Standing, r *knowledge.Repository, t bundle.Taking, seq knowledge.Seq, now time.Time) bool {
	old := *s
	if seq >= s.WantsAt {
		s.Wants, s.WantsAt, s.Fault = t.Digest, seq, t.Fault
	}
	s.Exempt = exemptions(r, now)
	s.Judge(now)
	return s.State != old.State || s.Wants != old.Wants || s.Fault != old.Fault || s.Exempt != old.Exempt
}

// recount brings the counts up to date.
func (f *fleet) recount(ctx context.Context) error {
	counts, err := f.book.CountStandings(ctx)
	if err != nil {
		return err
	}
	now := knowledge.At(time.Now())
	f.mu.Lock()
	f.counts, f.counted = counts, now
	f.mu.Unlock()
	if f.gauges != nil {
		f.gauges.set(counts, now.Time)
	}
	return nil
}

// Run brings the counts up to date from time to time until ctx ends.
func (f *fleet) Run(ctx context.Context) error {
	t := time.NewTicker(fleetEvery)
	defer t.Stop()
	for {
		f.refresh(ctx)
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (f *fleet) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	if d, ok := f.book.(*dualFleet); ok {
		if err := d.level(ctx); err != nil {
			f.log.LogAttrs(ctx, slog.LevelDebug, "the fleet's copy is not level with PostgreSQL",
				slog.Any("error", err))
		}
	}
	if err := f.recount(ctx); err != nil {
		f.log.LogAttrs(ctx, slog.LevelDebug, "the fleet can't be counted", slog.Any("error", err))
	}
}

// fleetGauges are what a scrape learns of the fleet.
type fleetGauges struct {
	repositories *prometheus.GaugeVec
	behind       prometheus.Gauge
}

func newFleetGauges(reg prometheus.Registerer) *fleetGauges {
	g := &fleetGauges{
		repositories: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tenet_fleet_repositories",
			Help: "Repositories by how they stand to what they take; many that are behind or silent: see tenet fleet.",
		}, []string{"state"}),
		behind: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tenet_fleet_behind_seconds",
			Help: "For how long the first of the repositories that are behind is, 0 for none; high means that " +
				"nobody syncs it.",
		}),
	}
	reg.MustRegister(g.repositories, g.behind)
	return g
}

func (g *fleetGauges) set(counts []store.FleetCount, now time.Time) {
	numbers := map[store.FleetState]int64{}
	behind := 0.0
	for _, c := range counts {
		numbers[c.State] = c.Repositories
		if c.State == store.FleetBehind {
			behind = max(0, now.Sub(c.Since.Time).Seconds())
		}
	}
	for _, state := range store.FleetStates() {
		g.repositories.WithLabelValues(string(state)).Set(float64(numbers[state]))
	}
	g.behind.Set(behind)
}
