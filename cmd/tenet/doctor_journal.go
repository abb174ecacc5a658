package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"tenet/internal/journal"
	"tenet/internal/knowledge"
	"tenet/internal/server"
	"tenet/internal/store"
)

type journalSettings struct {
	Export string `name:"export" by:"flag" doc:"A new file for the whole batches, as JSON lines; - for standard output"`
}

func addDoctorJournal(a *app, group *cobra.Command) {
	var s journalSettings
	a.command(group, &cobra.Command{
		Use:   "journal",
		Short: "Show or export what waits in the journal of this machine",
		Long: `Reads the journal in the data directory: the writes that were acknowledged while PostgreSQL was down,
and wait for it or, as conflicts, for a person. It only reads, needs neither a running tenet nor PostgreSQL, and does
no harm beside a running one. Each batch is compared with its checksum: a damaged one is named, and the command fails.

With --export every batch comes as one line of JSON with all its documents: what to keep before the disk is given up,
and what to write by hand if the machine is.`,
		Example: `  tenet doctor journal
  tenet doctor journal --export journal.jsonl`,
	}, &s, func(ctx context.Context, _ []string) error { return doctorJournal(ctx, a, s.Export) })
}

func doctorJournal(ctx context.Context, a *app, export string) error {
	path := filepath.Join(a.DataDir, server.JournalFile)
	lines := []*journal.Line{}
	keep := func(l *journal.Line) error { lines = append(lines, l); return nil }
	if export != "" {
		return exportJournal(ctx, a, path, export)
	}
	if err := journal.Read(ctx, path, keep); err != nil {
		return noJournal(a.DataDir, err)
	}
	t := &table{
		head: []string{"SEQ", "BATCH", "STATE", "BY", "SINCE (UTC)", "OPS", "FIRST DOCUMENT", "WHY"}, wide: 7, wrap: true,
	}
	damaged := 0
	for _, l := range lines {
		first := ""
		if len(l.Ops) > 0 {
			first = string(l.Ops[0].Verb) + " " + l.Ops[0].Key.String()
		}
		if l.Damaged {
			damaged++
		}
		t.add(itoa(l.Seq), l.Batch.String(), l.State, l.Actor, moment(l.At), strconv.Itoa(len(l.Ops)), first, l.Why)
	}
	if len(lines) == 0 {
		a.say("nothing waits in %s", path)
		if a.Output == "table" {
			return nil
		}
	}
	err := a.printTable(struct {
		Batches []*journal.Line `json:"batches"`
	}{lines}, t)
	if err == nil && damaged > 0 {
		err = fmt.Errorf("%s in %s: the disk may be failing; what can still be read is shown, and a person decides",
			plural(int64(damaged), "damaged batch", "damaged batches"), path)
	}
	return err
}

// exportJournal writes a journal to a new file, for its owner's eyes only, or to standard output.
func exportJournal(ctx context.Context, a *app, path, dest string) error {
	n, waiting := 0, 0
	err := a.exportLines(dest, func(enc *json.Encoder) error {
		err := journal.Read(ctx, path, func(l *journal.Line) error {
			n++
			if l.State == knowledge.BatchQueued {
				waiting++
			}
			return enc.Encode(l)
		})
		if err != nil {
			return noJournal(a.DataDir, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.say("%s written to %s: %d wait for PostgreSQL, %d for a person", plural(int64(n), "batch", "batches"), dest,
		waiting, n-waiting)
	return nil
}

// noJournal says what it means when there is none.
func noJournal(dir string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return usageError("there is no journal in %s: no server has worked on a PostgreSQL from there, or it is "+
			"another directory", dir)
	}
	return fmt.Errorf("read the journal: %w", err)
}
