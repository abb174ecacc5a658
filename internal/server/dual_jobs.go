package server

import (
	"context"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/upkeep"
)

// instanceFile keeps the runs of the jobs that an instance with PostgreSQL also runs in an outage. Rebuilding the
// mirror does not change it.
const instanceFile = "instance.db"

// primaryBook is the book of runs at the primary, which may be away.
type primaryBook struct{ d *dual }

// book returns the primary's book of runs.
func (b primaryBook) book() (store.RunBook, error) {
	if p := b.d.primary.Load(); p != nil {
		return p.RunBook(), nil
	}
	return nil, b.d.errAway()
}

// ClaimRun implements [store.RunBook].
func (b primaryBook) ClaimRun(ctx context.Context, r store.Run, aliveSince knowledge.Time) (bool, error) {
	book, err := b.book()
	if err != nil {
		return false, err
	}
	return book.ClaimRun(ctx, r, aliveSince)
}

// UpdateRun implements [store.RunBook].
func (b primaryBook) UpdateRun(ctx context.Context, r store.Run) error {
	book, err := b.book()
	if err != nil {
		return err
	}
	return book.UpdateRun(ctx, r)
}

// Runs implements [store.RunBook].
func (b primaryBook) Runs(ctx context.Context, q store.RunQuery) ([]store.Run, error) {
	book, err := b.book()
	if err != nil {
		return nil, err
	}
	return book.Runs(ctx, q)
}

// PauseJob implements [store.RunBook].
func (b primaryBook) PauseJob(ctx context.Context, job, by string, paused bool) error {
	book, err := b.book()
	if err != nil {
		return err
	}
	return book.PauseJob(ctx, job, by, paused)
}

// PausedJobs implements [store.RunBook].
func (b primaryBook) PausedJobs(ctx context.Context) (map[string]string, error) {
	book, err := b.book()
	if err != nil {
		return nil, err
	}
	return book.PausedJobs(ctx)
}

// ForgetRuns implements [store.RunBook].
func (b primaryBook) ForgetRuns(ctx context.Context, before knowledge.Time) (int64, error) {
	book, err := b.book()
	if err != nil {
		return 0, err
	}
	return book.ForgetRuns(ctx, before)
}

func (d *dual) jobs(o Options) ([]upkeep.Job, error) {
	own, err := d.machineJobs(o)
	return append([]upkeep.Job{d.indexJob(), d.monthsJob()}, own...), err
}

// monthsJob describes the job that makes the parts of the audit before they are needed.
func (d *dual) monthsJob() upkeep.Job {
	return upkeep.Job{
		Name: "audit.months", Schedule: "15 3 * * *", Book: upkeep.Shared,
		Doc: "Makes the months of the audit ahead, in which PostgreSQL keeps it, so that retention.log drops what " +
			"is old by the month",
		Do: func(ctx context.Context, _ *upkeep.Progress) (string, error) {
			p := d.primary.Load()
			if p == nil {
				return "", d.errAway()
			}
			made, err := p.MakeMonths(ctx)
			if err != nil {
				return "", err
			}
			return knowledge.Count(made, "month", "months") + " made", nil
		},
	}
}

func (d *dual) runBooks() (shared, local store.RunBook) { return primaryBook{d}, d.instance.RunBook() }

func (d *dual) retain(ctx context.Context, before knowledge.Time, keep int64) (int64, error) {
	if p := d.primary.Load(); p != nil {
		return p.retain(ctx, before, keep)
	}
	return 0, d.errAway()
}

func (d *dual) maintain(ctx context.Context) (string, error) {
	if p := d.primary.Load(); p != nil {
		return p.maintain(ctx)
	}
	return "", d.errAway()
}
