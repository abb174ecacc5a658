package guidance

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store/storetest"
)

// BenchmarkPlan asks what holds among 100,000 rules, of which one in ten matches the path by its extension, one in a
// hundred always holds and the others are for a folder of their own. It reports the 99th in a hundred of the times, and
// that of the same within packs.
func BenchmarkPlan(b *testing.B) {
	const n = 100_000
	docs := make([]*doc, 0, n)
	for i := range n {
		r := storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Title = fmt.Sprintf("rule-%06d", i), fmt.Sprintf("Rule %d", i)
			r.Severity, r.Enforcement, r.Priority = knowledge.Severities()[i%4],
				knowledge.Enforcements()[min(2, i%50)], int64(i%100)
			r.Scope = knowledge.Scope{Activation: "glob", Globs: []string{fmt.Sprintf("services/s%d/**/*.go", i%5000)}}
			switch {
			case i%100 == 0:
				r.Scope, r.Enforcement = knowledge.Scope{Activation: "always"}, "recommended"
			case i%10 == 0:
				r.Scope.Globs, r.Enforcement = []string{"**/*.go"}, "recommended"
			}
		})
		e := describe(r)
		e.tokens = [3]int32{300, 60, 12}
		docs = append(docs, e)
	}
	s := &snapshot{base: newSegment(docs), recent: newSegment(nil)}
	x := New(Options{})
	pack := storetest.Pack(func(p *knowledge.Pack) {
		p.Select, p.Raise = knowledge.Selection{
			Kinds:      []string{"rule"},
			Categories: []string{storetest.GeneralCategory},
		}, nil
	})
	c, err := knowledge.Compose([]string{pack.PackID}, func(string) (*knowledge.Pack, error) { return pack, nil })
	if err != nil {
		b.Fatal(err)
	}
	for name, snap := range map[string]*snapshot{"everything": s, "packs": x.inPacks(s, c)} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				q, err := Query{
					Paths:  []string{fmt.Sprintf("services/s%d/api/handler.go", i%5000)},
					Budget: Budget{Tokens: 8000},
				}.Check()
				if err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				at := snap
				if name == "packs" {
					at = x.inPacks(s, c)
				}
				at.plan(&q, nil)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
		})
	}
}
