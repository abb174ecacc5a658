package failover_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A shutter stands before a PostgreSQL and can be shut.
type shutter struct {
	*postgres.Store
	shut atomic.Bool
}

func (g *shutter) away() error {
	if g.shut.Load() {
		return &store.UnavailableError{Reason: "shut", NotDone: true}
	}
	return nil
}

func (g *shutter) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if err := g.away(); err != nil {
		return knowledge.Receipt{}, err
	}
	return g.Store.Apply(ctx, b)
}

func (g *shutter) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if err := g.away(); err != nil {
		return nil, err
	}
	return g.Store.Changes(ctx, q)
}

func (g *shutter) Position(ctx context.Context) (knowledge.Position, error) {
	if err := g.away(); err != nil {
		return knowledge.Position{}, err
	}
	return g.Store.Position(ctx)
}

// BenchmarkReplay brings a journal of batches to a PostgreSQL whose commits are flushed. Each document is another one.
func BenchmarkReplay(b *testing.B) {
	pg := pgtest.Start(b, pgtest.Options{Durable: true})
	for _, size := range []int{1, 20} {
		b.Run(fmt.Sprintf("ops=%d", size), func(b *testing.B) {
			address := pg.NewDatabase()
			if _, err := postgres.Migrate(b.Context(), postgres.Address{URL: address}, -1); err != nil {
				b.Fatal(err)
			}
			p, err := postgres.Open(b.Context(), postgres.Options{URL: address})
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			first := knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "general" }), 0)
			if _, err := p.Apply(b.Context(), batchOf(first)); err != nil {
				b.Fatal(err)
			}
			g := &shutter{Store: p}
			s, _ := openInstance(b, b.TempDir(), nil, patient, func(o *failover.Options) {
				o.Connect = func(context.Context) (failover.Primary, error) { return g, nil }
			})
			run(b, s)
			is := func(mode knowledge.Mode) {
				waitFor(b, "the mode is "+string(mode)+" and nothing waits", func() bool {
					if s.Level().Mode != mode { // the status counts the journal, which takes its time while it is long
						return false
					}
					st, err := s.Status(b.Context())
					return err == nil && st.Mode == mode && st.Mirror.Ready && (mode != knowledge.ModeNormal ||
						st.Journal.Depth == 0)
				})
			}
			is(knowledge.ModeNormal)
			const batches = 2000
			n := batches / size * max(1, size/4)
			done := 0
			for b.Loop() {
				b.StopTimer()
				g.shut.Store(true)
				is(knowledge.ModeDegraded)
				list := make(chan knowledge.Batch, 16)
				var writers sync.WaitGroup
				for range 16 {
					writers.Go(func() {
						for batch := range list {
							if rec, err := s.Apply(b.Context(), batch); err != nil || !rec.Queued {
								b.Errorf("journal: queued %t, %v", rec.Queued, err)
							}
						}
					})
				}
				for i := range n {
					ops := make([]knowledge.Op, size)
					for j := range ops {
						d := rule(fmt.Sprintf("R-%d-%d-%d", done, i, j))
						d.Description = strings.Repeat("What to do and why. ", 40)
						ops[j] = knowledge.Put(d, knowledge.NoVersion)
					}
					list <- batchOf(ops...)
				}
				close(list)
				writers.Wait()
				done += n
				b.StartTimer()
				g.shut.Store(false)
				is(knowledge.ModeNormal)
			}
			b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "batches/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
