package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenet/internal/access"
	"tenet/internal/backup"
	"tenet/internal/erasure"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// newErasures makes what remembers who was erased.
func (p *parts) newErasures(o Options) (*erasure.Keeper, error) {
	return erasure.NewKeeper(erasure.Options{
		Store: p.engine, Feed: p.from.feed, Here: p.from.forget, Eraser: p.engine, Dirs: ledgerDirs(o),
		Actor: access.SystemID, Log: o.Log,
		Told: func() { p.guidance.Stale() },
	})
}

// forgets returns what takes the name of an erased person out of the files that this machine alone has.
func (d *dual) forgets() []func(ctx context.Context, pseudonym string, person *knowledge.Erasure) error {
	journal := func(ctx context.Context, pseudonym string, person *knowledge.Erasure) error {
		_, err := d.journal.Erase(ctx, pseudonym, person)
		return err
	}
	return []func(context.Context, string, *knowledge.Erasure) error{journal, sqlite.NewEraser(d.instance).Forget}
}

// ledgerDirs are where the ledger of erasures is kept: beside the data, and beside the backups, where they lie on this
// machine.
func ledgerDirs(o Options) []string {
	dirs := []string{o.DataDir}
	if o.Backups.Dir != "" {
		dirs = append(dirs, o.Backups.Dir)
	}
	return dirs
}

// Erase implements [store.Eraser] for an instance with PostgreSQL. In an outage it is refused and not journalled: the
// name must leave every copy, and the answer must not say so while the primary still has it.
func (d *dual) Erase(ctx context.Context, r store.ErasureRequest) (store.ErasureResult, error) {
	p := d.primary.Load()
	if p == nil || d.Level().Mode != knowledge.ModeNormal {
		return store.ErasureResult{}, &store.UnavailableError{
			Reason: d.where + " does not answer, or writes of an outage still wait for it: a person is erased " +
				"there first, and nothing was erased yet; ask again when the mode is normal",
			RetryAfter: 5 * time.Second, NotDone: true,
		}
	}
	return p.Erase(ctx, r)
}

// erase erases a person for a caller who may, and returns once this instance has followed.
func (p *parts) erase(ctx context.Context, r erasure.Request) (*erasure.Report, error) {
	p.reads.flush(ctx)
	p.refusals.flush(ctx) // what is still in memory would bring the name in again
	report, err := erasure.Erase(ctx, p.engine, p.engine, r)
	if err != nil {
		return nil, err
	}
	for report.Seq != 0 && !p.from.alone {
		list, err := p.from.feed.Changes(ctx, knowledge.ChangeQuery{After: report.Seq - 1, Limit: 1})
		if err != nil || len(list) > 0 {
			break // done, or the mirror follows later
		}
		if err := p.engine.Wait(ctx, report.Seq-1); err != nil {
			break
		}
	}
	report.Note = leftBehind(p.engine)
	report.Held, err = held(ctx, p.backups)
	return report, err
}

// held returns the backups that were made before now, with the day on which each is removed at the latest.
func held(ctx context.Context, e backup.Engine) ([]erasure.Held, error) {
	list := []erasure.Held{}
	if e == nil {
		return list, nil
	}
	copies, err := e.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("tell which backups hold the name: %w", err)
	}
	kept := backup.DefaultKeep.Daily
	for i := range copies {
		if copies[i].Engine != "sqlite" {
			kept = pgBackRestKept
		}
		list = append(list, erasure.Held{
			Name: copies[i].Name, At: copies[i].At,
			Until: knowledge.At(copies[i].At.Add(kept)),
		})
	}
	return list, nil
}

// pgBackRestKept is how long tenet's configuration of pgBackRest keeps a full backup.
const pgBackRestKept = 14 * 24 * time.Hour

// sweepErased looks for people who were erased and are in the data again.
func (p *parts) sweepErased(ctx context.Context) (string, error) {
	n, err := erasure.Sweep(ctx, p.engine, p.engine, access.SystemID)
	if err != nil || n == 0 {
		return "", err
	}
	return knowledge.Count(n, "person", "people") + " found in the data again, and erased again", nil
}

// Erase erases a person from the database.
func (l *Local) Erase(ctx context.Context, o Options, id string, dry bool) (*erasure.Report, error) {
	if l.agent {
		return nil, &store.ForbiddenError{Reason: "an agent erases nobody"}
	}
	report, err := erasure.Erase(ctx, l.engine, l.engine, erasure.Request{ID: id, Actor: l.actor, Dry: dry})
	if err != nil {
		return nil, err
	}
	report.Note = leftBehind(l.engine)
	if o.Backups.Dir != "" {
		e, err := OpenBackups(o, BackedUp{})
		if err == nil {
			report.Held, err = held(ctx, e)
		}
		if err != nil {
			return nil, err
		}
	}
	if dry {
		return report, nil
	}
	return report, l.Reapply(ctx, o)
}

// Reapply brings the database up to the ledger of erasures in the data directory and beside the backups: after a
// restore, or an import of an old export.
func (l *Local) Reapply(ctx context.Context, o Options) error {
	k, err := l.erasures(o)
	if err != nil {
		return err
	}
	return k.Reapply(ctx, true)
}

// NotePurged notes in the ledger that documents were purged, so that no backup brings them back.
func (l *Local) NotePurged(ctx context.Context, o Options, keys []knowledge.Key) error {
	k, err := l.erasures(o)
	if err != nil {
		return err
	}
	return k.NotePurged(ctx, keys)
}

// erasures makes what remembers who was erased and what was purged.
func (l *Local) erasures(o Options) (*erasure.Keeper, error) {
	return erasure.NewKeeper(erasure.Options{
		Store: l.engine, Feed: l.engine, Eraser: l.engine, Dirs: ledgerDirs(o), Actor: access.SystemID,
		Log: o.withDefaults().Log,
	})
}

// ReapplyRestored brings an embedded database that was restored into a directory up to the ledger of erasures, and puts
// the ledger beside it.
func ReapplyRestored(ctx context.Context, o Options, dir string) error {
	o = o.withDefaults()
	for _, from := range ledgerDirs(o) {
		l, err := erasure.ReadLedger(from)
		if err != nil {
			return err
		}
		if l.Empty() {
			continue
		}
		l.Seq, l.Chain = 0, nil // of another log
		if err := l.Write(dir); err != nil {
			return err
		}
	}
	restored := Options{DataDir: dir, NoSeed: true, Log: o.Log}
	l, err := OpenLocal(ctx, restored)
	if err != nil {
		return err
	}
	return errors.Join(l.Reapply(ctx, restored), l.Close())
}

// Erased returns how many people the ledger of a data directory knows.
func Erased(dir string) (int, error) {
	l, err := erasure.ReadLedger(dir)
	if err != nil {
		return 0, err
	}
	return len(l.People), nil
}
