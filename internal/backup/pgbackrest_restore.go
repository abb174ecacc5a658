package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A plan is a restore: the backup to begin with, and how far to replay.
type plan struct {
	backup *restBackup
	kind   string // of pgBackRest's restore types: default, immediate, name or time
	target string
	wal    *wal
}

// plans returns the possible plans for a target, the best first. Only a replay finds a restore point, which has no
// time.
func (e *PgBackRest) plans(ctx context.Context, t Target) ([]plan, error) {
	s, err := e.info(ctx)
	if err != nil {
		return nil, err
	}
	w, err := e.wal(ctx, s)
	if err != nil {
		return nil, err
	}
	var list []plan
	for i := range slices.Backward(s.Backup) {
		b := &s.Backup[i]
		p := plan{backup: b, kind: "default", wal: w}
		switch {
		case t.Point != "":
			p.kind, p.target = "name", t.Point
		case t.Name != "" && t.Name == b.Label:
			p.kind = "immediate"
		case t.Name != "":
			continue
		case !t.To.IsZero() && time.Unix(b.Timestamp.Stop, 0).After(t.To):
			continue
		case !t.To.IsZero():
			p.kind, p.target = "time", t.To.UTC().Format("2006-01-02 15:04:05.999999+00")
		}
		if list = append(list, p); t.Point == "" {
			return list, e.whole(p, t)
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	what := "there is no backup: " + s.Status.Message
	switch {
	case t.Name != "":
		what = "there is no backup " + t.Name
	case len(s.Backup) > 0:
		what = fmt.Sprintf("the oldest backup is of %s, after the time asked for",
			time.Unix(s.Backup[0].Timestamp.Stop, 0).UTC().Format(time.RFC3339))
	}
	return nil, fmt.Errorf("%s: %w", what, store.ErrNotFound)
}

// whole returns an error if WAL is missing that a plan needs: PostgreSQL would silently end there.
func (e *PgBackRest) whole(p plan, t Target) error {
	from, to := p.wal.position(p.backup.Archive.Start), p.wal.position(p.backup.Archive.Stop)
	if missing := p.wal.missing(from, to); len(missing) > 0 {
		return fmt.Errorf("%w: %s, without which backup %s can't be restored", ErrDamaged, p.wal.describe(missing),
			p.backup.Label)
	}
	if p.kind == "default" && !t.AcceptGap {
		return p.gap()
	}
	return nil
}

// gap returns an error if WAL is missing after the backup of a plan.
func (p plan) gap() error {
	missing := p.wal.missing(p.wal.position(p.backup.Archive.Start), p.wal.newest)
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s, and so can't be used %s after it: restore up to there with --accept-gap",
		ErrDamaged, p.wal.describe(missing),
		knowledge.Count(p.wal.newest-missing[0], "segment", "segments"))
}

// roomFactor is the required free space relative to the database's size: for it, and the WAL to replay.
const roomFactor = 1.2

// room returns an error if the disk of a directory has no room for a backup.
func (e *PgBackRest) room(b *restBackup, dir string) error {
	if e.o.Free == nil {
		return nil
	}
	need := uint64(float64(b.Info.Size) * roomFactor)
	if free, ok := e.o.Free(dir); ok && free < need {
		return fmt.Errorf("the disk of %s has %d MiB free, and backup %s needs %d MiB: free some space first", dir,
			free>>20, b.Label, need>>20)
	}
	return nil
}

// fetch restores the files of a plan into a temporary directory, with a separate configuration that has the repository
// and nothing of the live cluster.
func (e *PgBackRest) fetch(ctx context.Context, p plan, work, tablespaces string, progress Progress) error {
	text, err := os.ReadFile(e.o.Config)
	if err != nil {
		return err
	}
	data, config := filepath.Join(work, dataName), filepath.Join(work, configName)
	if err := ownDir(data, e.o.Account); err != nil {
		return err
	}
	err = writeSynced(config, []byte(scratchConfig(string(text), e.o.Stanza, data, filepath.Join(work, lockName))))
	if err := errors.Join(err, e.o.Account.give(config)); err != nil {
		return err
	}
	args := []string{
		"restore", "--set=" + p.backup.Label, "--type=" + p.kind, "--archive-mode=off", "--tablespace-map-all=" +
			tablespaces,
	}
	if p.target != "" {
		args = append(args, "--target="+p.target)
	}
	if p.kind != "default" {
		args = append(args, "--target-action=promote")
	}
	if err := e.follow(ctx, config, progress, args...); err != nil {
		return fmt.Errorf("restore backup %s: %w", p.backup.Label, err)
	}
	return nil
}

var redoDone = compiled(`redo done at ([0-9A-F]+)/([0-9A-F]+)`)

// replay starts the fetched cluster and waits until it has replayed up to the target. It returns where the replay ended
// if the target lies after the end of the WAL.
func (e *PgBackRest) replay(ctx context.Context, p plan, t Target, work string) (*restored, string, error) {
	data := filepath.Join(work, dataName)
	r, err := startRestored(ctx, e.o.Account, work, data)
	said := ""
	if early, ok := errors.AsType[*replayError](err); ok && early.early() {
		if err := p.ended(t); err != nil {
			return nil, "", err
		}
		// Nothing was written, or archived, after that time: all of the WAL is what was requested.
		said = fmt.Sprintf("; no WAL of a write after %s is in the archive, so this is all that there is", p.target)
		if err := dropSettings(data, "recovery_target"); err != nil { // all WAL is replayed
			return nil, "", err
		}
		r, err = startRestored(ctx, e.o.Account, work, data)
	}
	if err != nil {
		return nil, "", errors.Join(err, r.stop())
	}
	if p.kind == "default" && !t.AcceptGap {
		err = p.reached(r.log())
	}
	if err != nil {
		return nil, "", errors.Join(err, r.stop())
	}
	return r, said, nil
}

// ended returns why the WAL ended before the target, nil if that is not an error.
func (p plan) ended(t Target) error {
	if !t.AcceptGap {
		if err := p.gap(); err != nil {
			return err
		}
	}
	if p.kind == "name" {
		return fmt.Errorf("the WAL after backup %s has no restore point %q: %w", p.backup.Label, p.target,
			store.ErrNotFound)
	}
	return nil
}

// reached returns an error if a replay of all WAL has ended before the newest segment: PostgreSQL treats an unreadable
// segment like a missing one.
func (p plan) reached(log string) error {
	text, err := os.ReadFile(log) //nolint:gosec // of our own scratch
	if err != nil {
		return err
	}
	m := redoDone().FindSubmatch(text)
	if m == nil {
		return nil // nothing to replay
	}
	high, err1 := strconv.ParseInt(string(m[1]), 16, 64)
	low, err2 := strconv.ParseInt(string(m[2]), 16, 64)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if at := high*p.wal.perLog + low/((1<<32)/p.wal.perLog); at < p.wal.newest {
		return fmt.Errorf("%w: the replay ended in WAL segment %s, and the archive goes on to %s: that segment or "+
			"the one after it can't be read; "+
			"restore up to there with --accept-gap", ErrDamaged, p.wal.name(at), p.wal.name(p.wal.newest))
	}
	return nil
}

// dropSettings removes the settings with some beginnings of their names that pgBackRest has written.
func dropSettings(data string, names ...string) error {
	path := filepath.Join(data, "postgresql.auto.conf")
	text, err := os.ReadFile(path) //nolint:gosec // of the cluster that we restored
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		if !slices.ContainsFunc(names, func(n string) bool { return bytes.HasPrefix(line, []byte(n)) }) {
			out.Write(line)
		}
	}
	return os.WriteFile(path, out.Bytes(), 0o600) // in place, which keeps the owner
}

// Restore implements [Engine]: the files, the WAL after them up to the target, and the verification of the log, all in
// scratch; what appears in the directory is a cluster that was shut down in good order. It archives nothing until it is
// told to.
func (e *PgBackRest) Restore(ctx context.Context, target Target, dir string, progress Progress) (c Copy, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return c, err
	}
	list, err := e.plans(ctx, target)
	if err != nil {
		return c, err
	}
	// The tablespaces beside it may be those of a cluster that was restored there before, and runs elsewhere by now.
	for _, place := range []string{dir, tablespacesOf(dir)} {
		if entries, err := os.ReadDir(place); err == nil && len(entries) > 0 {
			return c, fmt.Errorf("%s is not empty: a restore never writes over anything; name a new directory", place)
		}
	}
	parent := filepath.Dir(dir)
	if err := ownDir(parent, e.o.Account); err != nil {
		return c, err
	}
	for _, p := range list {
		if c, err = e.restore(ctx, p, target, dir, progress); !errors.Is(err, store.ErrNotFound) {
			break // a missing restore point may be in the WAL after an older backup
		}
	}
	return c, err
}

// tablespacesOf returns where the tablespaces of a cluster are restored to.
func tablespacesOf(dir string) string { return dir + "-" + spaceName }

func (e *PgBackRest) restore(ctx context.Context, p plan, target Target, dir string,
	progress Progress,
) (c Copy, err error) {
	parent := filepath.Dir(dir)
	if err := e.room(p.backup, parent); err != nil {
		return c, err
	}
	work, err := e.newScratch(ctx, parent)
	if err != nil {
		return c, err
	}
	tablespaces := tablespacesOf(dir)
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tablespaces))
		}
		err = errors.Join(err, work.remove())
	}()
	if err := work.belongs(filepath.Base(tablespaces)); err != nil {
		return c, err
	}
	if err := e.fetch(ctx, p, work.dir, tablespaces, progress); err != nil {
		return c, err
	}
	r, said, err := e.replay(ctx, p, target, work.dir)
	if err != nil {
		return c, err
	}
	facts, err := e.o.Inspect(ctx, e.o.Address(r.socket(), restoredPort))
	if err := errors.Join(err, r.stop()); err != nil {
		return c, fmt.Errorf("%w: what was restored does not verify: %w", ErrDamaged, err)
	}
	// They were for this replay, and name files of the scratch, which is removed.
	if err := dropSettings(work.path(dataName), "recovery_target", "restore_command"); err != nil {
		return c, err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is empty
		return c, err
	}
	c = (&stanza{Cipher: "none"}).copyOf(p.backup)
	c.Seq, c.Chain, c.Documents, c.Schema, c.Note = facts.Seq, facts.Chain, facts.Documents, facts.Schema,
		strings.TrimPrefix(said, "; ")
	c.At = facts.At
	return c, errors.Join(os.Rename(work.path(dataName), dir), syncDir(parent))
}

// archiveTimeout is how long a drill waits for the WAL of its restore point.
const archiveTimeout = 2 * time.Minute

// Drill implements [Engine]: the newest backup is restored into scratch and replayed to a restore point made just
// before; its log is verified link by link and has to hold every change that the live one held then; a sample of its
// documents is compared with the live ones; PostgreSQL's own programs look over its tables, indexes and pages.
func (e *PgBackRest) Drill(ctx context.Context, progress Progress) (Drill, error) {
	x := beginDrill()
	work, err := e.scratch(ctx)
	if err != nil {
		return x.d, err
	}
	d := &restDrill{exercise: x, e: e, work: work.dir}
	d.run(ctx, progress)
	if err := errors.Join(d.server.stop(), work.remove()); err != nil {
		x.err = errors.Join(x.err, err)
	}
	return x.end(e.o.Dir)
}

// restDrill is a drill with pgBackRest in progress.
type restDrill struct {
	*exercise
	e      *PgBackRest
	work   string
	plan   plan
	least  knowledge.Seq // which the restore must contain
	server *restored
	facts  Facts
}

func (d *restDrill) run(ctx context.Context, progress Progress) {
	e := d.e
	d.step("find the newest backup", func() (string, error) {
		list, err := e.plans(ctx, Target{})
		if err != nil {
			return "", err
		}
		d.plan, d.d.Copy = list[0], list[0].backup.Label
		d.d.RPO = Seconds(d.began.Sub(d.plan.wal.at).Seconds())
		return d.d.Copy, e.room(d.plan.backup, d.work)
	})
	d.step("note a restore point", func() (string, error) { return d.mark(ctx) })
	began := time.Now()
	d.step("restore", func() (string, error) {
		return fmt.Sprintf("%d MiB", d.plan.backup.Info.Size>>20),
			e.fetch(ctx, d.plan, d.work, filepath.Join(d.work, spaceName), progress)
	})
	d.step("replay", func() (string, error) {
		var err error
		d.server, _, err = e.replay(ctx, d.plan, Target{}, d.work)
		return "up to " + or(d.plan.target, "the end of the archive"), err
	})
	d.step("verify the log of changes", func() (string, error) { return d.verify(ctx) })
	d.d.RTO = Seconds(time.Since(began).Seconds())
	d.step("compare with the live documents", func() (string, error) { return d.compare(ctx) })
	d.step("find its end in the live log", func() (string, error) {
		if e.o.Cluster == nil {
			return nothingLive, nil
		}
		return sameHistory(ctx, e.o.Cluster, d.facts.Seq, d.facts.Chain)
	})
	d.step("look over tables and indexes", func() (string, error) { return d.amcheck(ctx) })
	d.step("stop", func() (string, error) { return "in good order", d.server.stop() })
	d.step("look over pages", func() (string, error) { return d.checksums(ctx) })
}

// mark creates a restore point and waits until its WAL is in the archive. A time as the target would fail falsely on a
// database without writes.
func (d *restDrill) mark(ctx context.Context) (string, error) {
	c := d.e.o.Cluster
	if c == nil {
		return "there is no cluster to note it at; everything in the archive is replayed", nil
	}
	last, err := c.Changes(ctx, knowledge.ChangeQuery{Newest: true, Limit: 1})
	if err != nil {
		return "", err
	}
	if len(last) > 0 {
		d.least = last[0].Seq
	}
	name := "tenet-drill-" + d.began.UTC().Format(nameLayout)
	segment, err := c.RestorePoint(ctx, name)
	if u, ok := errors.AsType[*store.UnavailableError](err); ok && u.Halt {
		return "", fmt.Errorf("%w; as a superuser, %s", err, Rights)
	}
	if err != nil {
		return "", err
	}
	wait, cancel := context.WithTimeout(ctx, archiveTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		a, err := c.Archiving(wait)
		switch {
		case wait.Err() != nil && ctx.Err() == nil:
			return "", fmt.Errorf("WAL segment %s was not archived within %s: PostgreSQL's log says why", segment,
				archiveTimeout)
		case err != nil:
			return "", err
		case a.LastSegment >= segment && !strings.HasSuffix(a.LastSegment, ".history"):
			d.plan.kind, d.plan.target = "name", name
			return fmt.Sprintf("%s, in WAL segment %s", name, segment), nil
		case a.FailedAt.After(d.began):
			return "", fmt.Errorf("archiving of WAL segment %s fails: PostgreSQL's log says why", a.FailedSegment)
		}
		select {
		case <-wait.Done():
		case <-tick.C:
		}
	}
}

func (d *restDrill) address() string { return d.e.o.Address(d.server.socket(), restoredPort) }

func (d *restDrill) verify(ctx context.Context) (string, error) {
	var err error
	if d.facts, err = d.e.o.Inspect(ctx, d.address()); err != nil {
		return "", fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if d.facts.Seq < d.least {
		return "", fmt.Errorf("%w: its log ends with change %d, and the database had %d when the restore point "+
			"was noted", ErrDamaged, d.facts.Seq, d.least)
	}
	return knowledge.Count(d.facts.Seq, "change", "changes") + " verified", nil
}

func (d *restDrill) compare(ctx context.Context) (_ string, err error) {
	if d.e.o.Cluster == nil {
		return nothingLive, nil
	}
	r, done, err := d.e.o.Open(ctx, d.address())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, done()) }()
	return sample(ctx, r, d.e.o.Cluster)
}

// amcheck makes PostgreSQL compare every table with its indexes.
func (d *restDrill) amcheck(ctx context.Context) (string, error) {
	if d.e.o.Cluster == nil || !d.server.has("pg_amcheck") {
		return "left out: it takes pg_amcheck, and a cluster that tells its superuser", nil
	}
	a, err := d.e.o.Cluster.Archiving(ctx)
	if err != nil {
		return "", err
	}
	err = d.server.run(ctx, "pg_amcheck", "--host="+d.server.socket(), "--port="+strconv.Itoa(restoredPort),
		"--username="+a.Superuser,
		"--database="+a.Database, "--heapallindexed", "--install-missing", "--exclude-schema=pg_catalog",
		"--exclude-schema=information_schema")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return "every table fits its indexes", nil
}

// checksums makes PostgreSQL read every page of the stopped cluster.
func (d *restDrill) checksums(ctx context.Context) (string, error) {
	if !d.server.has("pg_checksums") {
		return "left out: pg_checksums is not installed", nil
	}
	err := d.server.run(ctx, "pg_checksums", "--check", "--pgdata="+filepath.Join(d.work, dataName))
	switch {
	case err == nil:
		return "every page has its checksum", nil
	case strings.Contains(err.Error(), "not enabled"):
		return "left out: the cluster has no checksums (pg_checksums --enable, while it is stopped)", nil
	}
	return "", fmt.Errorf("%w: %w", ErrDamaged, err)
}
