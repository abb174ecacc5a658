package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"tenet/internal/backup"
	"tenet/internal/knowledge"
	"tenet/internal/upkeep"
)

// longJob is the time that a backup of a large PostgreSQL may take, or its restore.
const longJob = 12 * time.Hour

// A walWatcher is an engine of backups that a log of writes is archived for, all the time.
type walWatcher interface {
	Watch(ctx context.Context) (newest knowledge.Time, faults []string, err error)
}

// backupJobs describes the jobs about backups.
func backupJobs(e backup.Engine, archived func(knowledge.Time)) []upkeep.Job {
	full := upkeep.Job{
		Name: "backup.full", Schedule: "*/15 * * * *", Book: upkeep.Shared,
		Doc: "Makes a backup of the database, and removes those that are no longer kept",
		Do:  func(ctx context.Context, p *upkeep.Progress) (string, error) { return makeBackup(ctx, e, e.Full, p) },
	}
	check := upkeep.Job{
		Name: "backup.check", Schedule: "50 * * * *", Book: upkeep.Shared,
		Doc: "Reads every backup and compares it with its manifest, and finds fault when the newest is too old",
		Do: func(ctx context.Context, _ *upkeep.Progress) (string, error) {
			r, err := e.Check(ctx)
			return knowledge.Count(r.Copies, "backup is", "backups are") + " whole", errors.Join(err, found(r.Faults))
		},
	}
	drill := upkeep.Job{
		Name: "backup.drill", Schedule: "20 4 * * 0", Book: upkeep.Shared,
		Doc: "Restores the newest backup beside everything else, verifies and compares it, and measures how long that takes",
		Do: func(ctx context.Context, p *upkeep.Progress) (string, error) {
			d, err := e.Drill(ctx, p.Set)
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("backup %s is proven: back in %.1f s, and at most %.0f s of writes would have been lost",
				d.Copy, d.RTO, d.RPO), nil
		},
	}
	w, ok := e.(walWatcher)
	if _, base := e.(*backup.BaseBackup); base { // which sends everything over the network
		full.Schedule, full.Timeout, drill.Timeout = "0 * * * *", longJob, longJob
	}
	if !ok {
		return []upkeep.Job{full, check, drill}
	}
	// Between two full backups the WAL is archived, so that one a day is enough.
	full.Schedule, full.Timeout, check.Timeout, drill.Timeout = "0 2 * * *", longJob, longJob, longJob
	check.Doc = "Reads every file of the backups, looks for gaps in the archived WAL, and finds fault when " +
		"the newest full backup is too old"
	return []upkeep.Job{
		full, check, drill,
		{
			Name: "backup.incr", Book: upkeep.Shared, Timeout: longJob,
			Doc: "Makes a backup of what has changed since the last one; a schedule of its own makes " +
				"restores faster where much is written",
			Do: func(ctx context.Context, p *upkeep.Progress) (string, error) {
				return makeBackup(ctx, e, e.Incremental, p)
			},
		},
		{
			Name: "backup.wal", Schedule: "*/5 * * * *", Book: upkeep.Shared,
			Doc: "Looks whether PostgreSQL archives its WAL, how old the newest in the archive is, and whether " +
				"any is missing; its own run is the write by which that age is known while nobody else writes",
			Do: func(ctx context.Context, _ *upkeep.Progress) (string, error) {
				newest, faults, err := w.Watch(ctx)
				archived(newest)
				return "no WAL is missing; the newest was archived at " + newest.Format(time.RFC3339),
					errors.Join(err, found(faults))
			},
		},
	}
}

// makeBackup makes a backup and removes those that are no longer kept.
func makeBackup(
	ctx context.Context, e backup.Engine, do func(context.Context, backup.Progress) (backup.Copy, error),
	p *upkeep.Progress,
) (string, error) {
	c, err := do(ctx, p.Set)
	if err != nil {
		return "", err
	}
	old, err := e.Expire(ctx)
	return fmt.Sprintf("backup %s, up to change %d, %d bytes; %s removed", c.Name, c.Seq, c.Bytes,
		knowledge.Count(len(old), "old backup", "old backups")), err
}

// found is the error of faults; nil for none.
func found(faults []string) error {
	if len(faults) == 0 {
		return nil
	}
	return errors.New(strings.Join(faults, "; "))
}
