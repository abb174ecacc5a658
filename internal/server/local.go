package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/coherence"
	"tenet/internal/knowledge"
	"tenet/internal/labels"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/unchanged"
)

// A Local is the database of a server that is not running, opened by a command on the same machine. A user that can
// read and write the files of the database, or has the password of PostgreSQL, may do everything. A command run by an
// agent has the rights of agents.
type Local struct {
	store.Store
	engine    engine
	home      *home // nil on a PostgreSQL: it needs no directory
	actor     string
	agent     bool
	caller    *access.Caller
	secret    access.Classification
	seeded    SeedReport
	labels    *labels.Copies // nil until a command asks for one
	labelsDir string
}

// OpenLocal opens the database that the options name, without a listener. A new embedded database gets the starter set.
// The error is an [*OwnedError] if a server runs on the data directory.
func OpenLocal(ctx context.Context, o Options) (_ *Local, err error) {
	o = o.withDefaults()
	l := &Local{actor: localActor()}
	if l.home, err = openHome(o); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && l.home != nil {
			err = errors.Join(err, l.home.close())
		}
	}()
	if o.DatabaseURL != "" {
		// The directory is not used: a server may be started on it meanwhile.
		if err := l.home.close(); err != nil {
			return nil, err
		}
		l.home = nil
	}
	if err := o.embedded(); err != nil {
		return nil, err
	}
	if l.engine, err = openDirect(ctx, o); err != nil {
		return nil, err
	}
	if o.Agent != "" {
		l.actor, l.agent = agentActor(o.Agent), true
	}
	caller := &access.Caller{ID: l.actor, Name: l.actor, Role: knowledge.RoleAdmin, Agent: o.Agent != "", Local: true}
	l.caller, l.secret = caller, o.Policy.Confidential
	under := coherence.New(unchanged.New(l.engine)).WithSight(l.secret.Sees(l.engine))
	l.Store = &asCaller{access.New(under, nil, nil).WithPolicy(o.Policy), caller}
	if l.seeded, err = firstSeed(ctx, l.engine, o); err != nil {
		return nil, errors.Join(err, l.engine.Close())
	}
	return l, nil
}

// HasDatabase reports whether there is a database to open, or should be: the options name a PostgreSQL, or the data
// directory has a database, has lost it, or belongs to an instance with PostgreSQL.
func HasDatabase(o Options) bool {
	return o.DatabaseURL != "" || hasFile(o, databaseFile) || hasFile(o, JournalFile) ||
		hasFile(o, databaseFile+movedSuffix) || o.lost() != nil
}

// lost returns an error where a server has run on an embedded database that is not there any more. A new one would be
// filled with the starter set and get another admin token, as if nothing had been lost. Both traces are needed: a token
// alone may have been put there by a person. An instance that has left its PostgreSQL has files of that time.
func (o Options) lost() error {
	if o.DatabaseURL != "" || hasFile(o, databaseFile) || !hasFile(o, TokenFile) || !hasFile(o, sqlite.OwnerFile) {
		return nil
	}
	for _, other := range []string{JournalFile, instanceFile, databaseFile + movedSuffix} {
		if hasFile(o, other) {
			return nil
		}
	}
	return fmt.Errorf("there is no %s in %s, and %s tells of a server that ran there: put the file back, or restore a backup "+
		"into a new directory; to start again with nothing, remove %[3]s too", databaseFile, o.DataDir,
		filepath.Join(o.DataDir, TokenFile))
}

// embedded returns an error if the options name no PostgreSQL and the directory belongs to an instance with one. An
// embedded database that lies there is of before: what is written into it would be read by nobody.
func (o Options) embedded() error {
	moved := databaseFile + movedSuffix
	why := ""
	switch {
	case o.DatabaseURL != "" || o.Before:
	case hasFile(o, JournalFile):
		why = "name its PostgreSQL with --database-url, or start its server and speak to that; to leave the PostgreSQL " +
			"for good, see that tenet doctor journal shows nothing that waits, and move " + mirrorFile + " and " +
			JournalFile + " away"
	case hasFile(o, moved) && !hasFile(o, databaseFile):
		why = "its database was moved there: name the PostgreSQL with --database-url; to go back to what " + moved +
			" holds, rename it to " + databaseFile
	}
	if why == "" {
		return nil
	}
	return &store.UnavailableError{Halt: true, NotDone: true, Reason: "the data directory " + o.DataDir +
		" belongs to an instance with PostgreSQL: " + why}
}

// movedSuffix is behind the name of an embedded database whose documents were moved to a PostgreSQL.
const movedSuffix = ".moved"

// MovedPath returns the path that an embedded database gets when its documents were moved to a PostgreSQL.
func MovedPath(o Options) string { return DatabasePath(o) + movedSuffix }

func hasFile(o Options, name string) bool {
	_, err := os.Stat(filepath.Join(o.DataDir, name))
	return err == nil
}

// firstSeed writes the starter set into a database that never held anything.
func firstSeed(ctx context.Context, e engine, o Options) (SeedReport, error) {
	if o.NoSeed {
		return SeedReport{}, nil
	}
	tail, err := store.Tail(ctx, e)
	if err != nil || tail != 0 {
		return SeedReport{}, err
	}
	return Seed(ctx, e)
}

// Actor returns who writes: the user of this machine.
func (l *Local) Actor() string { return l.actor }

// Place says in words which database it is.
func (l *Local) Place() string { return l.engine.place() }

// Stat tells how large the database is, or how its connections stand.
func (l *Local) Stat(ctx context.Context) (map[string]any, error) { return l.engine.stat(ctx) }

// Archived returns a page of the archive.
func (l *Local) Archived(ctx context.Context, q store.ArchiveQuery) ([]store.Archived, error) {
	return l.secret.Archived(l.engine, l.engine.archive()).Archived(access.WithCaller(ctx, l.caller), q)
}

// Audit returns entries of the audit, the newest first.
func (l *Local) Audit(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	return l.engine.auditBook().Entries(ctx, q)
}

// VerifyAudit checks the audit, and returns where it ends.
func (l *Local) VerifyAudit(ctx context.Context) (store.AuditHead, error) {
	return l.engine.auditBook().Verify(ctx, nil)
}

// Seeded tells what of the starter set was written when the database was opened.
func (l *Local) Seeded() SeedReport { return l.seeded }

// Reindex rebuilds the search index, and the rows by tag and language.
func (l *Local) Reindex(ctx context.Context, progress func(done int)) error {
	return reindex(ctx, l.engine, progress)
}

// VerifyChanges checks the log of changes, with the documents in it.
func (l *Local) VerifyChanges(ctx context.Context, progress func(done, last knowledge.Seq)) error {
	return l.engine.VerifyChanges(ctx, progress)
}

// Render returns the text of a template with values in place of its variables, and counts that as a use.
func (l *Local) Render(ctx context.Context, key knowledge.Key, values map[string]any) (*api.RenderAnswer, error) {
	rec, err := l.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	d, err := rec.Document()
	if err != nil {
		return nil, err
	}
	t, ok := d.(*knowledge.Template)
	if !ok {
		return nil, fmt.Errorf("%s is no template", key)
	}
	text, err := t.Render(values)
	if err != nil {
		return nil, err
	}
	return &api.RenderAnswer{Text: text, Version: rec.Version, Notes: t.Left()},
		l.engine.AddUses(ctx, map[string]int64{t.TemplateID: 1})
}

// Close closes the database and lets go of the directory.
func (l *Local) Close() error {
	err := errors.Join(l.closeLabels(), l.engine.Close())
	if l.home != nil {
		err = errors.Join(err, l.home.close())
	}
	return err
}

func localActor() string {
	u, err := user.Current()
	if err != nil || u.Username == "" || knowledge.TextFault(u.Username) != "" ||
		len(u.Username) > knowledge.MaxTitle-len("local:") {
		return "local"
	}
	return "local:" + u.Username
}

// agentActor returns who an agent is that names itself.
func agentActor(name string) string { return "agent:" + name }

// BackedUp returns the database as backups see it.
func (l *Local) BackedUp() BackedUp { return liveOf(l.engine) }
