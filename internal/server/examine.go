package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Finding is what one check of an install found.
type Finding struct {
	Check string `json:"check"`
	State string `json:"state"` // ok, warning or wrong
	Text  string `json:"text"`
}

// States of a finding.
const (
	FoundOK      = "ok"
	FoundWarning = "warning"
	FoundWrong   = "wrong"
)

// Free space in the data directory's file system that is little, and too little.
const (
	littleSpace  = 1 << 30
	noSpace      = 100 << 20
	clockAllowed = 5 * time.Second
)

// Examine looks at what can be looked at without opening the database: the data directory, the admin token, the disk
// and the clock.
func Examine(o Options, now time.Time) []Finding {
	found := []Finding{examineDir(o.DataDir), examineToken(o.DataDir)}
	if f, ok := examineDisk(o.DataDir); ok {
		found = append(found, f)
	}
	clock := Finding{"clock", FoundOK, "this machine says " + now.UTC().Format(time.RFC3339)}
	if now.Year() < 2026 {
		clock.State, clock.Text = FoundWrong, clock.Text+": set it, or every change gets a wrong time"
	}
	return append(found, clock)
}

func examineDir(dir string) Finding {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Finding{"data directory", FoundWarning, dir + " does not exist yet: the first start makes it"}
	case err != nil:
		return Finding{"data directory", FoundWrong, err.Error()}
	case !info.IsDir():
		return Finding{"data directory", FoundWrong, dir + " is no directory: name another with --data-dir"}
	case !writable(dir):
		return Finding{"data directory", FoundWrong, "this user can't write into " + dir +
			": change its owner, or name another with --data-dir"}
	case info.Mode().Perm()&0o077 != 0:
		return Finding{
			"data directory", FoundWarning,
			fmt.Sprintf("%s has mode %04o: other users may look into it; chmod 700 it", dir, info.Mode().Perm()),
		}
	}
	return Finding{"data directory", FoundOK, dir}
}

func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".examine-*")
	if err != nil {
		return false
	}
	return errors.Join(f.Close(), os.Remove(f.Name())) == nil
}

func examineToken(dir string) Finding {
	path := filepath.Join(dir, TokenFile)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Finding{"admin token", FoundOK, "there is none yet: the first `tenet serve` makes it"}
	case err != nil:
		return Finding{"admin token", FoundWrong, err.Error()}
	case info.Mode().Perm()&0o077 != 0:
		return Finding{
			"admin token", FoundWrong,
			fmt.Sprintf("%s has mode %04o, and others can read it: chmod 600 it, and make a new one if they may have",
				path, info.Mode().Perm()),
		}
	}
	return Finding{"admin token", FoundOK, path + " is readable by its owner only"}
}

func examineDisk(dir string) (Finding, bool) {
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) { // the first start may still have to make it
		if _, err := os.Stat(dir); err == nil {
			break
		}
	}
	free, ok := freeSpace(dir)
	if !ok {
		return Finding{}, false
	}
	f := Finding{"disk", FoundOK, fmt.Sprintf("%d MiB are free", free>>20)}
	switch {
	case free < noSpace:
		f.State, f.Text = FoundWrong, f.Text+": writes may be refused; free some space"
	case free < littleSpace:
		f.State, f.Text = FoundWarning, f.Text+": that is little"
	}
	return f, true
}

// Examine looks at the database: its schema, damage, and whether its newest change lies in the future of this machine's
// clock, and its audit.
func (l *Local) Examine(ctx context.Context) []Finding {
	found := []Finding{l.examineSchema(ctx), l.examineShape(ctx), l.examineTime(ctx), l.examineAudit(ctx)}
	if p, ok := l.engine.(*primary); ok {
		found = append(found, examineExposure(ctx, p))
	}
	if c, ok := l.engine.(interface{ Check(context.Context) error }); ok {
		f := Finding{"damage", FoundOK, "the database file is sound"}
		if err := c.Check(ctx); err != nil {
			f.State, f.Text = FoundWrong, err.Error()
		}
		found = append(found, f)
	}
	return found
}

func (l *Local) examineSchema(ctx context.Context) Finding {
	s, err := l.engine.schema(ctx)
	switch {
	case err != nil:
		return Finding{"schema", FoundWrong, err.Error()}
	case s.Version < s.Newest:
		return Finding{"schema", FoundWarning, fmt.Sprintf("schema %d, and %d is the newest: run `tenet migrate up`",
			s.Version, s.Newest)}
	}
	return Finding{"schema", FoundOK, fmt.Sprintf("schema %d is the newest", s.Version)}
}

func (l *Local) examineShape(ctx context.Context) Finding {
	list, err := l.engine.drift(ctx)
	switch {
	case err != nil:
		return Finding{"shape", FoundWrong, err.Error()}
	case len(list) > 0:
		return Finding{"shape", FoundWarning, driftText(list)}
	}
	return Finding{"shape", FoundOK, "tables, columns, checks, indexes, triggers and functions are those of the " +
		"migrations"}
}

// Drifted begins what is said of a schema that differs from that of the migrations.
const Drifted = "the schema is not what the migrations make: "

// driftText says in words how a schema differs.
func driftText(list []string) string {
	return Drifted + strings.Join(list, "; ")
}

// warnOfDrift writes into the log how the schema of a database differs from that of the migrations, and returns it.
func warnOfDrift(ctx context.Context, log *slog.Logger, e interface {
	drift(ctx context.Context) ([]string, error)
},
) []string {
	list, err := e.drift(ctx)
	switch {
	case err != nil:
		log.LogAttrs(ctx, slog.LevelWarn, "schema could not be compared", slog.String("error", err.Error()))
	case len(list) > 0:
		log.LogAttrs(ctx, slog.LevelWarn, "schema differs from the migrations", slog.Any("differences", list))
	}
	return list
}

// Exposure begins what is said of who may change the log of a PostgreSQL.
const Exposure = "what was logged can be changed, and not by functions of its owner alone: "

func examineExposure(ctx context.Context, p *primary) Finding {
	list, err := p.exposed(ctx)
	switch {
	case err != nil:
		return Finding{"rights", FoundWrong, err.Error()}
	case len(list) > 0:
		return Finding{"rights", FoundWarning, Exposure + strings.Join(list, "; ")}
	}
	return Finding{"rights", FoundOK, "nobody but the owner of the tables may change what was logged"}
}

// warnOfExposure writes into the log who may change what was logged, and returns it as a further part of a text.
func warnOfExposure(ctx context.Context, log *slog.Logger, p *primary) string {
	list, err := p.exposed(ctx)
	if err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "rights on the log could not be read", slog.String("error", err.Error()))
	}
	if len(list) == 0 {
		return ""
	}
	log.LogAttrs(ctx, slog.LevelWarn, "what was logged can be changed by more than functions of its owner",
		slog.Any("who", list))
	return "; " + Exposure + strings.Join(list, "; ")
}

func (l *Local) examineAudit(ctx context.Context) Finding {
	head, err := l.VerifyAudit(ctx)
	if err != nil {
		return Finding{"audit", FoundWrong, err.Error()}
	}
	return Finding{"audit", FoundOK, fmt.Sprintf("the audit verifies up to entry %d", head.Seq)}
}

func (l *Local) examineTime(ctx context.Context) Finding {
	f := Finding{"times", FoundOK, "no change lies in the future"}
	last, err := l.Changes(ctx, knowledge.ChangeQuery{Newest: true, Limit: 1})
	switch {
	case err != nil && !errors.Is(err, store.ErrGone):
		return Finding{"times", FoundWrong, err.Error()}
	case len(last) > 0 && time.Until(last[0].At.Time) > clockAllowed:
		f.State = FoundWarning
		f.Text = fmt.Sprintf("the newest change was made at %s, which this machine's clock has not reached: compare "+
			"the clocks", last[0].At.Format(time.RFC3339))
	}
	return f
}
