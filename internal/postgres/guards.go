package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// The log is maintained by triggers and their functions. Without one of them a write would leave no version, no author
// or no change, and nothing else would reveal it.

// guardNames returns the triggers on the table of every kind.
func guardNames() []string {
	return []string{
		"tenet_insert", "tenet_update", "tenet_id", "tenet_delete", "tenet_truncate", "tenet_log_made",
		"tenet_log_changed",
	}
}

// guarding returns the functions that the triggers run.
func guarding() []string {
	return []string{"tenet_stamp", "tenet_stamp_more", "tenet_same_id", "tenet_keep", "tenet_log"}
}

// guardsSQL reads the lines of all triggers, as [ShapeSQL] does, and the bodies of the functions that the log's
// triggers run; and finds what alters writes: rules, row security, and a session without triggers.
const guardsSQL = `WITH here AS (SELECT c.oid, c.relname, c.relrowsecurity FROM pg_class c WHERE c.relnamespace =
	current_schema()::regnamespace AND (c.relname = ANY ($1::text[]) OR c.relname IN ('changes', 'batches', 'purges'))
), ran AS (SELECT t.tgname, t.tgtype, p.proname, p.prosrc, ` + triggerLine + ` AS line FROM here h
	JOIN pg_trigger t ON t.tgrelid = h.oid AND NOT t.tgisinternal JOIN pg_proc p ON p.oid = t.tgfoid
) SELECT line, NULL FROM ran
UNION ALL SELECT DISTINCT proname, prosrc FROM ran WHERE tgname = ANY ($2::text[])
UNION ALL SELECT 'rule ' || r.rulename || ' of ' || h.relname, NULL FROM here h JOIN pg_rewrite r ON r.ev_class = h.oid
UNION ALL SELECT 'row security of ' || h.relname, NULL FROM here h WHERE h.relrowsecurity
UNION ALL SELECT 'session_replication_role', NULL WHERE current_setting('session_replication_role') = 'replica'`

// How often writers check the triggers; and how often while one is missing, and for a replay: what happened to the
// database while it was away nobody has seen.
const (
	guardsEvery = time.Minute
	guardsAgain = 2 * time.Second
)

// A watch keeps the result of the last check of the triggers. Writes are refused while one is missing.
type watch struct {
	mu      sync.Mutex // guards the fields below
	next    time.Time  // of the next check
	last    time.Time  // check
	dialed  time.Time  // when the newest connection was made
	missing error
}

// note records the result of a check. A check that could not be made changes nothing.
func (w *watch) note(err error) {
	u, missing := errors.AsType[*store.UnavailableError](err)
	if err != nil && (!missing || !u.Halt) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missing, w.last, w.next = err, time.Now(), time.Now().Add(guardsEvery)
	if missing {
		w.next = time.Now().Add(guardsAgain)
	}
}

// connected notes a new connection: the server may have been away.
func (w *watch) connected() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialed = time.Now()
}

// due returns the last result, and whether the caller should check again now.
func (w *watch) due(replayed bool) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if replayed && (time.Since(w.last) > guardsAgain || w.last.Before(w.dialed)) {
		return true, w.missing
	}
	if time.Now().Before(w.next) {
		return false, w.missing
	}
	w.next = time.Now().Add(guardsAgain) // meanwhile other callers use the last result
	return true, w.missing
}

// guarded returns why writes must be refused, or nil.
func guarded(ctx context.Context, s *Store, replayed bool) error {
	due, missing := s.watch.due(replayed)
	if !due {
		return missing
	}
	err := s.Guards(ctx)
	if u, ok := errors.AsType[*store.UnavailableError](err); ok && u.Halt {
		return err
	}
	return nil // the write itself will report the problem
}

// Guards returns an [*store.UnavailableError] that names the missing or changed triggers and functions of the log.
// Writes get the same error until a later check finds all of them.
func (s *Store) Guards(ctx context.Context) error {
	err := guards(ctx, s)
	s.watch.note(err)
	if u, ok := errors.AsType[*store.UnavailableError](err); ok && u.Halt {
		replan(s)
	}
	return err
}

// replan makes all sessions new ones. A session that has planned a write while a rule did away with it keeps to that
// plan when the rule is gone: a plan that does nothing names no table whose change would end it.
func replan(s *Store) { s.pool.Reset() }

func guards(ctx context.Context, s *Store) error {
	schema, err := s.Schema(ctx)
	if err != nil {
		return err
	}
	bodies, err := functions()
	if err != nil {
		return err
	}
	f := finding{newest: schema.Version == schema.Newest, bodies: bodies, made: madeTriggers(), seen: map[string]bool{}}
	var tables []string
	for _, kind := range knowledge.Kinds() {
		tables = append(tables, tableOf(kind).name)
	}
	err = s.query(ctx, "guards", guardsSQL, []any{tables, guardNames()}, func(r pgx.Rows) error {
		var line string
		var body *string
		err := r.Scan(&line, &body)
		f.look(line, body)
		return err
	})
	if err != nil {
		return err
	}
	wrong := f.all(tables)
	if len(wrong) == 0 {
		return nil
	}
	return &store.UnavailableError{Halt: true, NotDone: true, Reason: fmt.Sprintf(
		"triggers of the log of changes are missing, changed or disabled in the database, or something else alters "+
			"writes, so that they would leave no trace: %s; enable triggers with ALTER TABLE ... ENABLE TRIGGER, drop what "+
			"is not of the migrations, or restore the schema from a backup, and find out who has changed it",
		strings.Join(wrong, ", "))}
}

// A finding collects what is wrong with the guards of the log.
type finding struct {
	newest bool              // the schema: others may have other functions, and triggers of other conditions
	bodies map[string]string // of the functions, as the migrations make them
	made   map[string]string // the triggers, as the migrations make them
	seen   map[string]bool   // triggers and functions that are there
	wrong  []string
}

// look takes in a line of [guardsSQL].
func (f *finding) look(line string, body *string) {
	rest, trigger := strings.CutPrefix(line, "trigger ")
	name, what, _ := strings.Cut(rest, ": ")
	state, what, _ := strings.Cut(what, ", ")
	_, wanted, ours := strings.Cut(f.made[name], ", ")
	guard := slices.ContainsFunc(guardNames(), func(g string) bool { return strings.HasPrefix(name, g+" of ") })
	switch {
	case body != nil:
		if f.seen[line] = true; f.newest && plainBody(*body) != f.bodies[line] {
			f.wrong = append(f.wrong, "function "+line+" is not as the migrations make it")
		}
	case !trigger:
		f.wrong = append(f.wrong, line+" is not of the migrations")
	case state == "off" || guard && f.newest && what != wanted: // told as missing, since it does not guard
	case ours || guard || !f.newest:
		f.seen[name] = true
	case before(what):
		f.wrong = append(f.wrong, "trigger "+name+" is not of the migrations")
	}
}

// before reports whether a trigger runs before a write, which it may alter: see pg_trigger.tgtype.
func before(what string) bool {
	number := strings.TrimPrefix(what, "type ")
	if i := strings.IndexAny(number, " ,"); i >= 0 {
		number = number[:i]
	}
	n, err := strconv.Atoi(number)
	return err != nil || n&2 != 0
}

// all returns everything that is wrong, with what is missing.
func (f *finding) all(tables []string) []string {
	for _, table := range tables {
		for _, name := range guardNames() {
			if name += " of " + table; !f.seen[name] {
				f.wrong = append(f.wrong, "trigger "+name)
			}
		}
	}
	for _, name := range guarding() {
		if !f.seen[name] {
			f.wrong = append(f.wrong, "function "+name)
		}
	}
	slices.Sort(f.wrong)
	return f.wrong
}

// madeTriggers returns the triggers that the migrations make, as in "always, type 7, runs tenet_stamp(rule)" by
// "tenet_insert of rules".
func madeTriggers() map[string]string {
	made := map[string]string{}
	for line := range strings.Lines(shapeText) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "trigger "); ok {
			name, what, _ := strings.Cut(rest, ": ")
			made[name] = what
		}
	}
	return made
}

var functionText = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)CREATE (?:OR REPLACE )?FUNCTION (\w+)\([^\n]*?AS \$\$(.*?)\$\$`)
})

// functions returns the bodies of the database's functions as the migrations create them.
func functions() (map[string]string, error) {
	bodies := map[string]string{}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		for _, m := range functionText().FindAllStringSubmatch(up, -1) {
			bodies[m[1]] = plainBody(m[2])
		}
	}
	maps.DeleteFunc(bodies, func(name, _ string) bool { return !slices.Contains(guarding(), name) })
	return bodies, nil
}

// plainBody returns a function's text without comments and empty lines, which goose may leave out.
func plainBody(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
