package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A RunBook keeps the runs of jobs in a store's database, for all instances that share it.
type RunBook struct{ s *Store }

// RunBook returns the run book of a store.
func (s *Store) RunBook() *RunBook { return &RunBook{s} }

var _ store.RunBook = (*RunBook)(nil)

// ClaimRun implements [store.RunBook]. A retry after a lost answer finds its own row.
func (b *RunBook) ClaimRun(ctx context.Context, r store.Run, aliveSince knowledge.Time) (bool, error) {
	claimed := false
	err := b.s.query(ctx, "runs.claim", `INSERT INTO job_runs AS j (job, due, instance, by, state, attempt, started_at,
		beat_at)
VALUES ($1, $2, $3, $4, 'running', 1, $5, $5)
ON CONFLICT (job, due) DO UPDATE SET instance = excluded.instance, attempt = j.attempt + 1, started_at =
excluded.started_at,
  beat_at = excluded.beat_at
WHERE j.state = 'running' AND j.beat_at < $6
RETURNING true`, []any{r.Job, r.Due.Time, r.Instance, r.By, r.Started.Time, aliveSince.Time}, func(rows pgx.Rows) error {
		return rows.Scan(&claimed)
	})
	return claimed && err == nil, err
}

// UpdateRun implements [store.RunBook].
func (b *RunBook) UpdateRun(ctx context.Context, r store.Run) error {
	found := false
	err := b.s.query(ctx, "runs.update", `UPDATE job_runs SET state = $4, beat_at = $5, ended_at = $6, done = $7, total
		= $8, changed = $9,
  error = $10
WHERE job = $1 AND due = $2 AND instance = $3 AND state = 'running' RETURNING true`,
		[]any{
			r.Job, r.Due.Time, r.Instance, string(r.State), r.Beat.Time, null(r.Ended), r.Done, r.Total, r.Changed,
			r.Error,
		}, func(rows pgx.Rows) error { return rows.Scan(&found) })
	if err == nil && !found {
		return store.ErrNotFound
	}
	return err
}

// Runs implements [store.RunBook].
func (b *RunBook) Runs(ctx context.Context, q store.RunQuery) ([]store.Run, error) {
	list := []store.Run{}
	err := b.s.query(ctx, "runs", `SELECT job, due, instance, by, state, attempt, started_at, beat_at, ended_at, done,
		total, changed, error
FROM job_runs WHERE job = $1 AND due < coalesce($2::timestamptz, 'infinity') ORDER BY due DESC LIMIT $3`,
		[]any{q.Job, null(q.Before), q.Limit}, func(rows pgx.Rows) error {
			var r store.Run
			var due, started, beat, ended pgtype.Timestamptz
			err := rows.Scan(&r.Job, &due, &r.Instance, &r.By, &r.State, &r.Attempt, &started, &beat, &ended, &r.Done,
				&r.Total, &r.Changed, &r.Error)
			r.Due, r.Started, r.Beat, r.Ended = timeOf(due), timeOf(started), timeOf(beat), timeOf(ended)
			list = append(list, r)
			return err
		})
	return list, err
}

// PauseJob implements [store.RunBook].
func (b *RunBook) PauseJob(ctx context.Context, job, by string, paused bool) error {
	if !paused {
		return b.s.exec(ctx, "runs.resume", "DELETE FROM job_pauses WHERE job = $1", job)
	}
	return b.s.exec(ctx, "runs.pause", "INSERT INTO job_pauses (job, by) VALUES ($1, $2) ON CONFLICT DO NOTHING", job,
		by)
}

// PausedJobs implements [store.RunBook].
func (b *RunBook) PausedJobs(ctx context.Context) (map[string]string, error) {
	paused := map[string]string{}
	err := b.s.query(ctx, "runs.paused", "SELECT job, by FROM job_pauses", nil, func(rows pgx.Rows) error {
		var job, by string
		err := rows.Scan(&job, &by)
		paused[job] = by
		return err
	})
	return paused, err
}

// ForgetRuns implements [store.RunBook].
func (b *RunBook) ForgetRuns(ctx context.Context, before knowledge.Time) (int64, error) {
	var n int64
	err := b.s.one(ctx, "runs.forget", `WITH old AS (
  DELETE FROM job_runs j WHERE started_at < $1 AND state <> 'running' AND due < (SELECT max(o.due)
  FROM job_runs o WHERE o.job = j.job)
  RETURNING 1
) SELECT count(*) FROM old`, []any{before.Time}, &n)
	return n, err
}
