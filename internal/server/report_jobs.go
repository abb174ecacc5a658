package server

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/upkeep"
)

// A size is how much a database holds.
type size struct {
	documents, changes, bytes int64
	free                      uint64 // bytes that are free on its disk
	freeKnown                 bool   // of a PostgreSQL on another machine it is not
	connections               string // in words; "" where there are none
}

// countAll counts documents and changes.
func countAll(ctx context.Context, s counted) (z size, err error) {
	for _, kind := range knowledge.Kinds() {
		n, err := s.Count(ctx, kind)
		if err != nil {
			return z, err
		}
		z.documents += n
	}
	tail, err := store.Tail(ctx, s)
	z.changes = int64(tail)
	return z, err
}

func (e *embedded) size(ctx context.Context) (size, error) {
	z, err := countAll(ctx, e)
	if err != nil {
		return z, err
	}
	st, err := e.Stat(ctx)
	z.bytes = st.Bytes + st.WALBytes
	z.free, z.freeKnown = freeSpace(e.path)
	return z, err
}

func (p *primary) size(ctx context.Context) (size, error) {
	c := postgres.NewCluster(p.Store)
	z, err := countAll(ctx, countedCluster{p.Store, c})
	if err != nil {
		return z, err
	}
	pool := p.Stat()
	z.connections = fmt.Sprintf("%d of at most %d connections of this instance are open", pool.TotalConns(),
		pool.MaxConns())
	z.bytes, err = c.Bytes(ctx)
	if err != nil {
		return z, err
	}
	if a, err := c.Archiving(ctx); err == nil && a.DataDir != "" {
		z.free, z.freeKnown = freeSpace(a.DataDir)
	}
	return z, nil
}

func (d *dual) size(ctx context.Context) (size, error) {
	if p := d.primary.Load(); p != nil {
		return p.size(ctx)
	}
	return size{}, d.errAway()
}

// reported reads a report of before.
var reported = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(\d+) documents?, (\d+) changes?, (\d+) bytes`)
})

// report says how much there is, how it grew since a run before, and how long the disk lasts at that rate.
func (z size) report(now time.Time, before *store.Run) string {
	text := fmt.Sprintf("%s, %s, %d bytes", knowledge.Count(z.documents, "document", "documents"),
		knowledge.Count(z.changes, "change", "changes"), z.bytes)
	if z.freeKnown {
		text += fmt.Sprintf("; %d MiB are free on its disk", z.free>>20)
	}
	if z.connections != "" {
		text += "; " + z.connections
	}
	if before == nil {
		return text + "; growth is told from the second report on"
	}
	m := reported().FindStringSubmatch(before.Changed)
	days := now.Sub(before.Ended.Time).Hours() / 24
	if m == nil || days <= 0 {
		return text
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(m[i], 10, 64); return n }
	grown := z.bytes - number(3)
	text += fmt.Sprintf("; in the %.1f days since the report before: %+d documents, %+d changes, %+d bytes", days,
		z.documents-number(1), z.changes-number(2), grown)
	if z.freeKnown && grown > 0 && days >= 1 { // an hour tells nothing of a year
		left := float64(z.free) / (float64(grown) / days)
		text += "; at that rate its disk lasts " + forDays(left)
	}
	return text
}

// forDays is a number of days for a person.
func forDays(n float64) string {
	const year = 365
	if n > 10*year {
		return "more than 10 years"
	}
	return knowledge.Count(int64(math.Floor(n)), "day", "days")
}

// indexes reports on the indexes of a PostgreSQL.
func indexes(ctx context.Context, c *postgres.Cluster) (string, error) {
	r, err := c.Indexes(ctx)
	if err != nil {
		return "", err
	}
	since := "since the database was made"
	if !r.Since.IsZero() {
		since = "since " + knowledge.At(r.Since).Format(time.RFC3339)
	}
	text := fmt.Sprintf("%s; unused %s: %s; duplicates: %s", knowledge.Count(r.Indexes, "index", "indexes"), since,
		orNone(r.Unused), orNone(r.Duplicates))
	if r.Replicas > 0 {
		text += fmt.Sprintf("; %s with counts of their own: what is unused here may be used there",
			knowledge.Count(r.Replicas, "replica", "replicas"))
	}
	return text + "; wait for a whole month of counting before one is dropped", nil
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// reportJobs describes the jobs that report on the database. Their reports are kept as the history of the jobs.
func (p *parts) reportJobs() []upkeep.Job {
	const capacity = "capacity.report"
	return []upkeep.Job{{
		Name: capacity, Schedule: "0 6 1 * *", Book: upkeep.Shared,
		Doc: "Reports how much the database holds, how it has grown since the report before, and how long its disk " +
			"lasts at that rate",
		Do: func(ctx context.Context, _ *upkeep.Progress) (string, error) {
			z, err := p.engine.size(ctx)
			if err != nil {
				return "", err
			}
			shared, _ := p.engine.runBooks()
			runs, err := shared.Runs(ctx, store.RunQuery{Job: capacity, Limit: 10})
			if err != nil {
				return "", err
			}
			for i := range runs {
				if runs[i].State == store.RunDone {
					return z.report(time.Now(), &runs[i]), nil
				}
			}
			return z.report(time.Now(), nil), nil
		},
	}}
}

// indexJob describes the job that reports on the primary's indexes.
func (d *dual) indexJob() upkeep.Job {
	return upkeep.Job{
		Name: "indexes.report", Schedule: "0 6 * * 1", Book: upkeep.Shared,
		Doc: "Reports which indexes of the PostgreSQL no statement uses, and which are there twice: each costs " +
			"every write",
		Do: func(ctx context.Context, _ *upkeep.Progress) (string, error) {
			if s := d.primary.Load(); s != nil {
				return indexes(ctx, postgres.NewCluster(s.Store))
			}
			return "", d.errAway()
		},
	}
}
