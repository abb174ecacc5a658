package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
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

// guardsSQL finds missing or disabled triggers, and reads the functions.
const guardsSQL = `SELECT 'trigger ' || g.name || ' of ' || t.tab, NULL FROM unnest($1::text[]) t(tab) CROSS
	JOIN unnest($2::text[]) g(name)
	WHERE NOT EXISTS (SELECT FROM pg_trigger x WHERE x.tgrelid = to_regclass(quote_ident(t.tab))
	AND x.tgname = g.name AND x.tgenabled IN ('O', 'A'))
UNION ALL SELECT f.name, coalesce((SELECT p.prosrc FROM pg_proc p JOIN pg_trigger x ON x.tgfoid = p.oid
JOIN pg_class c ON c.oid = x.tgrelid
		WHERE p.proname = f.name AND c.relnamespace = current_schema()::regnamespace LIMIT 1), '')
		FROM unnest($3::text[]) f(name)
UNION ALL SELECT 'session_replication_role', NULL WHERE current_setting('session_replication_role') = 'replica'`

// How often writers check the triggers, and how often while one is missing.
const (
	guardsEvery = time.Hour
	guardsAgain = 2 * time.Second
)

// A watch keeps the result of the last check of the triggers. Writes are refused while one is missing.
type watch struct {
	mu      sync.Mutex // guards the fields below
	next    time.Time  // of the next check
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
	w.missing, w.next = err, time.Now().Add(guardsEvery)
	if missing {
		w.next = time.Now().Add(guardsAgain)
	}
}

// due returns the last result, and whether the caller should check again now.
func (w *watch) due() (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Now().Before(w.next) {
		return false, w.missing
	}
	w.next = time.Now().Add(guardsAgain) // meanwhile other callers use the last result
	return true, w.missing
}

// guarded returns why writes must be refused, or nil.
func guarded(ctx context.Context, s *Store) error {
	due, missing := s.watch.due()
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
	return err
}

func guards(ctx context.Context, s *Store) error {
	schema, err := s.Schema(ctx)
	if err != nil {
		return err
	}
	bodies, err := functions()
	if err != nil {
		return err
	}
	var tables, missing []string
	for _, kind := range knowledge.Kinds() {
		tables = append(tables, tableOf(kind).name)
	}
	err = s.query(ctx, "guards", guardsSQL, []any{tables, guardNames(), guarding()}, func(r pgx.Rows) error {
		var name string
		var body *string
		if err := r.Scan(&name, &body); err != nil {
			return err
		}
		if body == nil {
			missing = append(missing, name)
		} else if schema.Version == schema.Newest && plainBody(*body) != bodies[name] { // other schemas may have other functions
			missing = append(missing, "function "+name+" as the migrations make it")
		}
		return nil
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	slices.Sort(missing)
	return &store.UnavailableError{Halt: true, NotDone: true, Reason: fmt.Sprintf(
		"triggers of the log of changes are missing, changed or disabled in the database, so that writes would "+
			"leave no trace: %s; enable triggers with "+
			"ALTER TABLE ... ENABLE TRIGGER, or restore the schema from a backup, and find out who has changed it",
		strings.Join(missing, ", "))}
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
