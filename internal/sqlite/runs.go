package sqlite

import (
	"context"
	"database/sql"
	"math"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A RunBook keeps the runs of jobs in a store's file.
type RunBook struct{ s *Store }

// RunBook returns the runs of jobs in the store.
func (s *Store) RunBook() *RunBook { return &RunBook{s} }

var _ store.RunBook = (*RunBook)(nil)

// ClaimRun implements [store.RunBook].
func (b *RunBook) ClaimRun(ctx context.Context, r store.Run, aliveSince knowledge.Time) (bool, error) {
	claimed := false
	err := b.s.do(ctx, "runs.claim", func(ctx context.Context, t *tx) error {
		n, err := t.execCount(ctx, `INSERT INTO job_runs (job, due, instance, by, state, attempt, started_at, beat_at)
VALUES (?, ?, ?, ?, 'running', 1, ?, ?)
ON CONFLICT DO UPDATE SET instance = excluded.instance, attempt = attempt + 1, started_at = excluded.started_at,
beat_at = excluded.beat_at
WHERE state = 'running' AND beat_at < ?`,
			r.Job, micros(r.Due), r.Instance, r.By, micros(r.Started), micros(r.Started), micros(aliveSince))
		claimed = n == 1
		return err
	})
	return claimed && err == nil, err
}

// UpdateRun implements [store.RunBook].
func (b *RunBook) UpdateRun(ctx context.Context, r store.Run) error {
	return b.s.do(ctx, "runs.update", func(ctx context.Context, t *tx) error {
		var ended any
		if !r.Ended.IsZero() {
			ended = micros(r.Ended)
		}
		n, err := t.execCount(ctx, `UPDATE job_runs SET state = ?, beat_at = ?, ended_at = ?, done = ?, total = ?,
			changed = ?, error = ?
WHERE job = ? AND due = ? AND instance = ? AND state = 'running'`,
			string(r.State), micros(r.Beat), ended, r.Done, r.Total, r.Changed, r.Error, r.Job, micros(r.Due),
			r.Instance)
		if err == nil && n == 0 {
			return store.ErrNotFound
		}
		return err
	})
}

// Runs implements [store.RunBook].
func (b *RunBook) Runs(ctx context.Context, q store.RunQuery) ([]store.Run, error) {
	before := int64(math.MaxInt64)
	if !q.Before.IsZero() {
		before = micros(q.Before)
	}
	list := []store.Run{}
	err := b.s.read(ctx, "runs", `SELECT job, due, instance, by, state, attempt, started_at, beat_at, ended_at, done,
		total, changed, error
FROM job_runs WHERE job = ? AND due < ? ORDER BY due DESC LIMIT ?`, []any{q.Job, before, q.Limit}, func(rows *sql.Rows) error {
		var r store.Run
		var due, started, beat int64
		var ended *int64
		err := rows.Scan(&r.Job, &due, &r.Instance, &r.By, &r.State, &r.Attempt, &started, &beat, &ended, &r.Done,
			&r.Total, &r.Changed, &r.Error)
		r.Due, r.Started, r.Beat, r.Ended = moment(due), moment(started), moment(beat), maybe(ended)
		list = append(list, r)
		return err
	})
	return list, err
}

// PauseJob implements [store.RunBook].
func (b *RunBook) PauseJob(ctx context.Context, job, by string, paused bool) error {
	return b.s.do(ctx, "runs.pause", func(ctx context.Context, t *tx) error {
		if !paused {
			return t.exec(ctx, "DELETE FROM job_pauses WHERE job = ?", job)
		}
		return t.exec(ctx, "INSERT INTO job_pauses (job, by) VALUES (?, ?) ON CONFLICT DO NOTHING", job, by)
	})
}

// PausedJobs implements [store.RunBook].
func (b *RunBook) PausedJobs(ctx context.Context) (map[string]string, error) {
	paused := map[string]string{}
	err := b.s.read(ctx, "runs.paused", "SELECT job, by FROM job_pauses", nil, func(rows *sql.Rows) error {
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
	err := b.s.do(ctx, "runs.forget", func(ctx context.Context, t *tx) error {
		var err error
		n, err = t.execCount(ctx, `DELETE FROM job_runs WHERE started_at < ? AND state <> 'running'
AND due < (SELECT max(o.due) FROM job_runs o WHERE o.job = job_runs.job)`, micros(before))
		return err
	})
	return n, err
}
