package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/backup"
	"tenet/internal/server"
)

// backupSettings are what the server and the backup commands must agree on.
type backupSettings struct{ server.Backups }

type backupSetupSettings struct {
	backupSettings
	Write bool `name:"write" by:"flag" doc:"Put it in place: the lines into the settings file, of a PostgreSQL also pgBackRest's configuration and PostgreSQL's settings"`
}

type backupRunSettings struct {
	backupSettings
	Full bool `name:"full" by:"flag" doc:"Make a full backup, as is done without a flag"`
	Incr bool `name:"incr" by:"flag" doc:"Back up what has changed since the last backup"`
}

type listBackupsSettings struct {
	backupSettings
	Machine string `name:"machine" by:"flag" doc:"List the copies of what a machine with a server on a PostgreSQL alone has, by its host name: its journal and its admin token"`
}

type restoreSettings struct {
	backupSettings
	Machine   string `name:"machine" by:"flag" doc:"Restore what a machine with a server on a PostgreSQL alone had, by its host name: its journal and its admin token"`
	To        string `name:"to" default:"latest" by:"flag" doc:"What to restore: latest, the name of a backup, a time, or point:NAME for a restore point of PostgreSQL; of an embedded database the newest backup that is not younger than a time"`
	Into      string `name:"into" by:"flag" doc:"Data directory to restore into; it must be empty or not there"`
	AsItWas   bool   `name:"as-it-was" by:"flag" doc:"Do not erase or purge again: only to see what a backup holds"`
	AcceptGap bool   `name:"accept-gap" by:"flag" doc:"Restore up to a gap in the WAL, instead of refusing to"`
}

func addBackup(a *app) {
	group := &cobra.Command{
		Use:   "backup",
		Short: "Make, check and prove backups",
		Long: `Makes backups of the database, checks them, and proves them by restoring them. These commands work beside a running tenet, and
without one. A running tenet makes backups by itself where --backup-dir names a directory: of an embedded database every 15 minutes; of a
PostgreSQL, with the program pgBackRest, once a day, and everything that is written in between is archived all the time.

With PostgreSQL, run them on its host, as the account that PostgreSQL runs under, or as root. See docs/operations/run.md.`,
	}
	a.root.AddCommand(group)
	setup := &backupSetup{a: a}
	a.command(group, &cobra.Command{
		Use: "setup", Short: "Show what to set for backups",
		Long: `Shows what backups need, and with --write puts it in place: the lines of the settings file; of a PostgreSQL also pgBackRest's
configuration and the lines of postgresql.conf. It can be run again, as after a restore.`,
		Example: `  tenet backup setup --backup-dir /mnt/backup/tenet
  tenet backup setup --backup-dir /mnt/backup/tenet --backup-key-file /etc/tenet/backup.key --write`,
	}, &setup.s, func(ctx context.Context, _ []string) error { return setup.do(ctx) })
	var run backupRunSettings
	a.command(group, &cobra.Command{
		Use: "run", Short: "Make a backup now", Long: `Makes a backup now: at the running tenet, else straight from the database.`,
		Example: "  tenet backup run\n  tenet backup run --incr",
	}, &run, func(ctx context.Context, _ []string) error { return runBackup(ctx, a, &run) })
	var list listBackupsSettings
	a.command(group, &cobra.Command{
		Use: "list", Short: "List the backups", Long: `Lists the backups, the newest first.`, Annotations: printsLists(),
		Example: "  tenet backup list\n  tenet backup list --machine app1",
	}, &list, func(ctx context.Context, _ []string) error { return listBackups(ctx, a, &list) })
	for _, c := range []struct {
		name, short, long string
		do                func(ctx context.Context, a *app, s *backupSettings) error
	}{
		{
			"check", "Look whether the backups are whole",
			"Reads every backup and compares it with its manifest; of a PostgreSQL it also looks for WAL that is missing, and whether PostgreSQL\n" +
				"archives. The exit code is 1 when something is wrong.", checkBackups,
		},
		{
			"drill", "Prove the newest backup by restoring it",
			"Restores the newest backup beside everything else, verifies its log, compares it with the database, and measures how long a\n" +
				"restore takes and how much would have been lost. The exit code is 1 when the backup is not proven.", drillBackup,
		},
		{"expire", "Remove the backups that are no longer kept", "Removes the backups that are no longer kept: all of a day are, then one an hour for a week, then one a day for 30 days. Of a\n" +
			"PostgreSQL those of 14 days are kept, or what repo1-retention-full in pgBackRest's configuration says.", expireBackups},
	} {
		s := new(backupSettings)
		a.command(group, &cobra.Command{Use: c.name, Short: c.short, Long: c.long, Example: "  tenet backup " + c.name},
			s, func(ctx context.Context, _ []string) error { return c.do(ctx, a, s) })
	}
	addRestore(a, group)
}

func addRestore(a *app, group *cobra.Command) {
	var restore restoreSettings
	a.command(group, &cobra.Command{
		Use: "restore", Short: "Put a backup into a new data directory",
		Long: `Puts a backup into a data directory that is empty or not there, and verifies it before the directory
appears. It never writes over anything. What was written after the backup is not in it: the log ends where the backup
does. Who was erased since, and what was purged, is erased and purged again from an embedded database; a PostgreSQL is
brought up to that by the first tenet that starts on it.`,
		Example: `  tenet backup restore --into /var/lib/tenet-restored
  tenet backup restore --to 2026-01-31T12:00:00Z --into /var/lib/tenet-restored`,
	}, &restore, func(ctx context.Context, _ []string) error { return restoreBackup(ctx, a, &restore) })
}

// openBackups returns the engine over the copies, and what is backed up where live says so and it can be reached; done
// closes it.
func openBackups(ctx context.Context, a *app, s *backupSettings, machine string,
	live bool,
) (e backup.Engine, done func(), err error) {
	o := a.localOptions()
	o.Backups = s.Backups
	var db server.BackedUp
	done = func() {}
	if live && o.DatabaseURL != "" {
		if open, end, err := server.OpenCluster(ctx, o); err == nil {
			db, done = open, func() { _ = end() }
		} else {
			a.say("PostgreSQL can't be reached, so that only the backups themselves are looked at: %s", err)
		}
	}
	if e, err = server.OpenBackups(o, db); machine != "" {
		e, err = server.OpenMachineBackups(o, machine, nil)
	}
	if err != nil {
		done()
		return nil, nil, usageError("%s", err)
	}
	return e, done, nil
}

func runBackup(ctx context.Context, a *app, s *backupRunSettings) error {
	if s.Full && s.Incr {
		return usageError("--full and --incr: want one of them")
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	if d.remote != nil {
		a.close(d)
		if s.Incr && a.DatabaseURL != "" {
			return runJob(ctx, a, "backup.incr", true)
		}
		if !s.Incr {
			return runJob(ctx, a, "backup.full", true)
		}
	}
	defer a.close(d)
	e, err := backupsOf(a, &s.backupSettings, d)
	if err != nil {
		return err
	}
	do := e.Full
	if s.Incr {
		do = e.Incremental
	}
	bar := a.progress("backing up", -1)
	c, err := do(ctx, func(done, _ int64) { bar.set(int(done)) })
	bar.done()
	if err != nil {
		return err
	}
	return a.print(c, func(w io.Writer, _ screen) error {
		_, err := fmt.Fprintf(w, "backup %s: up to change %d, %s\n", c.Name, c.Seq, bytesText(c.Bytes))
		return err
	})
}

// backupsOf returns the engine of the backups of a database that is open.
func backupsOf(a *app, s *backupSettings, d *door) (backup.Engine, error) {
	o := a.localOptions()
	o.Backups = s.Backups
	var db server.BackedUp
	if d.local != nil {
		db = d.local.BackedUp()
	}
	e, err := server.OpenBackups(o, db)
	if err != nil {
		return nil, usageError("%s", err)
	}
	return e, nil
}

// bytesText is a size for a person.
func bytesText(n int64) string {
	const unit = 1 << 20
	if n < unit {
		return fmt.Sprintf("%d KiB", (n+1023)>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/unit)
}

func listBackups(ctx context.Context, a *app, s *listBackupsSettings) error {
	e, done, err := openBackups(ctx, a, &s.backupSettings, s.Machine, false)
	if err != nil {
		return err
	}
	defer done()
	list, err := e.List(ctx)
	if err != nil {
		return err
	}
	t := &table{head: []string{"BACKUP", "TYPE", "MADE (UTC)", "CHANGE", "DOCUMENTS", "SIZE", "ENCRYPTED", "TOOK"}}
	for _, c := range list {
		documents := ""
		if c.Documents != nil { // of a PostgreSQL only a restore knows
			n := int64(0)
			for _, m := range c.Documents {
				n += m
			}
			documents = itoa(n)
		}
		encrypted := "no"
		if c.Encrypted {
			encrypted = "yes"
		}
		t.add(c.Name, c.Type, moment(c.At), itoa(int64(c.Seq)), documents, bytesText(c.Bytes), encrypted,
			(time.Duration(c.TookMilli) * time.Millisecond).String())
	}
	t.none = "no backups in " + s.Dir
	return a.printTable(struct {
		Backups []backup.Copy `json:"backups"`
	}{list}, t)
}

func checkBackups(ctx context.Context, a *app, s *backupSettings) error {
	e, done, err := openBackups(ctx, a, s, "", true)
	if err != nil {
		return err
	}
	defer done()
	r, err := e.Check(ctx)
	if err != nil {
		return err
	}
	if err := a.print(r, func(w io.Writer, _ screen) error {
		var b strings.Builder
		for _, f := range r.Faults {
			b.WriteString(f + "\n")
		}
		if len(r.Faults) == 0 {
			fmt.Fprintf(&b, "%s whole, the newest of %s UTC; only a drill proves that one restores\n",
				plural(int64(r.Copies), "backup is", "backups are"), moment(r.Newest))
		}
		_, err := io.WriteString(w, b.String())
		return err
	}); err != nil {
		return err
	}
	if len(r.Faults) > 0 {
		return fmt.Errorf("%s in the backups of %s", plural(len(r.Faults), "fault", "faults"), s.Dir)
	}
	return nil
}

func drillBackup(ctx context.Context, a *app, s *backupSettings) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	if d.remote != nil {
		a.close(d)
		return runJob(ctx, a, "backup.drill", true)
	}
	defer a.close(d)
	e, err := backupsOf(a, s, d)
	if err != nil {
		return err
	}
	bar := a.progress("restoring", -1)
	drill, err := e.Drill(ctx, func(done, _ int64) { bar.set(int(done)) })
	bar.done()
	if err != nil {
		return fmt.Errorf("the backup is not proven: %w", err)
	}
	return a.print(drill, func(w io.Writer, sc screen) error {
		t := &table{head: []string{"STEP", "TOOK", "RESULT"}, wide: 2, wrap: true}
		for _, step := range drill.Steps {
			t.add(step.Name, step.Took.Duration().Round(time.Millisecond).String(), step.Text)
		}
		if err := t.write(w, sc); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "backup %s is proven: back in %s, and at most %s of writes would have been lost\n",
			drill.Copy, drill.RTO.Duration().Round(time.Millisecond), drill.RPO.Duration().Round(time.Second))
		return err
	})
}

func expireBackups(ctx context.Context, a *app, s *backupSettings) error {
	e, done, err := openBackups(ctx, a, s, "", false)
	if err != nil {
		return err
	}
	defer done()
	old, err := e.Expire(ctx)
	if err != nil {
		return err
	}
	return a.print(old, func(w io.Writer, _ screen) error {
		var b strings.Builder
		for _, c := range old {
			fmt.Fprintf(&b, "backup %s removed\n", c.Name)
		}
		if len(old) == 0 {
			b.WriteString("every backup is still kept\n")
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
}

// engineOfEmbedded is the name of the engine of an embedded database's backups.
const engineOfEmbedded = "sqlite"

// restoreBackup puts a backup into a new data directory.
func restoreBackup(ctx context.Context, a *app, s *restoreSettings) error {
	if s.Into == "" {
		return usageError("name the data directory to restore into with --into; it must be empty or not there")
	}
	target, err := backup.ParseTarget(s.To)
	if err != nil {
		return usageError("--to %s", err)
	}
	target.AcceptGap = s.AcceptGap
	if s.Machine == "" && !s.AsItWas {
		target.Finish = func(ctx context.Context, dir string) error {
			o := a.localOptions()
			o.Backups = s.Backups
			if err := server.ReapplyRestored(ctx, o, dir); err != nil {
				return fmt.Errorf("nothing is restored, since it may name people who were erased since, or hold what "+
					"was purged: %w; --as-it-was restores it all the same, to look at", err)
			}
			return nil
		}
	}
	e, done, err := openBackups(ctx, a, &s.backupSettings, s.Machine, false)
	if err != nil {
		return err
	}
	defer done()
	bar := a.progress("restoring", -1)
	c, err := e.Restore(ctx, target, s.Into, func(done, _ int64) { bar.set(int(done)) })
	bar.done()
	if err != nil {
		return err
	}
	if s.Machine == "" && c.Engine == engineOfEmbedded {
		if err := server.LookIntoRestored(ctx, s.Into); err != nil {
			a.say("warning: %s", err)
		}
	}
	return a.print(c, func(w io.Writer, _ screen) error {
		_, err := io.WriteString(w, restoredText(&c, s))
		return err
	})
}

// restoredText says what was restored, and what to do with it.
func restoredText(c *backup.Copy, s *restoreSettings) string {
	text := fmt.Sprintf("backup %s, of %s UTC, is in %s and verified up to change %d\nstart it with: tenet "+
		"serve --data-dir %s\nsettings are no part of a backup: put your tenet.yaml there, or this one makes no "+
		"backups\n",
		c.Name, moment(c.At), s.Into, c.Seq, s.Into)
	if s.Machine != "" {
		text = fmt.Sprintf("the journal and the admin token of %s, of %s UTC, are in %s\nstart a server on it "+
			"with the same --database-url: what waits is brought to it\n",
			s.Machine, moment(c.At), s.Into)
	}
	if c.Engine == backup.BaseBackupName {
		text = fmt.Sprintf("backup %s, of %s UTC, is in %s and verified up to change %d\nstart PostgreSQL on it\n",
			c.Name, moment(c.At), s.Into, c.Seq)
	}
	if c.Engine == backup.PgBackRestName {
		text = fmt.Sprintf("backup %s and the WAL after it are in %s and verified up to change %d, of %s UTC\n",
			c.Name, s.Into, c.Seq, moment(c.At))
		if c.Note != "" {
			text += "note: " + c.Note + "\n"
		}
		text += "start PostgreSQL on it; it archives nothing before `tenet backup setup --write` and a restart " +
			"of PostgreSQL\n"
	}
	return text
}
