package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Setup is the setup for backups with pgBackRest: its configuration, and lines for postgresql.conf.
type Setup struct {
	Config     string // the text of pgBackRest's configuration
	Command    string // archive_command
	PostgreSQL string // lines for postgresql.conf
	// Statements make the settings of PostgreSQL, also against what a restore has left in postgresql.auto.conf.
	Statements []string
}

// SetupOptions configure a [NewSetup].
type SetupOptions struct {
	Config    string // path of the configuration
	Stanza    string
	Dir       string // of the repository
	Key       Key    // with a passphrase; the repository is not encrypted without one
	Archiving Archiving
	// Reading is for a machine whose PostgreSQL is lost: backups can be listed and restored.
	Reading bool
}

// setupMark is the first line of a configuration that may be replaced.
const setupMark = "# Written by `tenet backup setup`, which replaces it when it is run again with --write."

// NewSetup returns the setup for backups of a cluster with pgBackRest.
func NewSetup(o SetupOptions) (Setup, error) {
	a := o.Archiving
	if err := o.place(); err != nil && !o.Reading {
		return Setup{}, err
	}
	for name, text := range map[string]string{"backup directory": o.Dir, "configuration's path": o.Config} {
		if strings.ContainsAny(text, " \t\n'\"%\\") {
			return Setup{}, fmt.Errorf("the %s %q: pgBackRest and archive_command take no spaces, quotes, "+
				"backslashes and percent signs", name, text)
		}
	}
	if o.Key.Encrypts() && o.Key.phrase == "" {
		return Setup{}, errors.New("pgBackRest encrypts with a passphrase, and the backup key is an age key: name a " +
			"file with a passphrase of 16 characters or more")
	}
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%s=%s\n", name, value) }
	b.WriteString(setupMark + "\n\n[global]\n")
	line("repo1-path", filepath.Join(o.Dir, "repo"))
	line("repo1-retention-full-type", "time")
	line("repo1-retention-full", "14") // days
	if o.Key.phrase != "" {
		line("repo1-cipher-type", "aes-256-cbc")
		line(cipherPass, o.Key.phrase)
	}
	line("compress-type", "zst")
	line("start-fast", "y")
	line("lock-path", filepath.Join(o.Dir, "lock"))
	line("log-level-file", "off") // its messages go to this program, or to PostgreSQL's log
	if o.Reading {
		return Setup{Config: b.String()}, nil
	}
	fmt.Fprintf(&b, "\n[%s]\n", o.Stanza)
	line("pg1-path", a.DataDir)
	line("pg1-port", strconv.Itoa(a.Port))
	if a.SocketDir != "" {
		line("pg1-socket-path", a.SocketDir)
	}
	line("pg1-user", a.User)
	line("pg1-database", a.Database)
	s := Setup{Config: b.String(), Command: fmt.Sprintf("pgbackrest --config=%s --stanza=%s archive-push %%p",
		o.Config, o.Stanza)}
	for _, setting := range []string{
		"archive_mode = on", "archive_command = '" + s.Command + "'", fmt.Sprintf("archive_timeout = %d", ArchiveTimeout),
	} {
		s.PostgreSQL += setting + "\n"
		s.Statements = append(s.Statements, "ALTER SYSTEM SET "+setting)
	}
	return s, nil
}

// LocalUser returns the role as which pgBackRest connects to the cluster: over its socket, as the account. It is the
// role of the program if PostgreSQL lets the account in as that, else the superuser, as with the settings of Debian.
func (a Archiving) LocalUser(ctx context.Context, account Account) (string, error) {
	_, err := newestProgram("psql")
	if _, away := os.Stat(a.DataDir); err != nil || a.SocketDir == "" || errors.Is(away, fs.ErrNotExist) {
		return a.User, nil //nolint:nilerr // nothing can be tried here
	}
	for _, user := range []string{a.User, a.Superuser} {
		if err = a.locally(ctx, account, user, "SELECT 1"); err == nil {
			return user, nil
		}
	}
	return "", fmt.Errorf("pgBackRest connects over PostgreSQL's socket, and pg_hba.conf lets its account in neither as "+
		"%s nor as %s: %w", a.User, a.Superuser, err)
}

// SwitchOnLocally changes the settings of the cluster over its socket, as the superuser: root and PostgreSQL's account
// may do that anyway, and the role of the program may not.
func (a Archiving) SwitchOnLocally(ctx context.Context, account Account, s Setup) error {
	return a.locally(ctx, account, a.Superuser, append(s.Statements, "SELECT pg_reload_conf()")...)
}

// locally executes statements over the socket with psql, run by the account.
func (a Archiving) locally(ctx context.Context, account Account, user string, statements ...string) error {
	program, err := newestProgram("psql")
	if err != nil {
		return err
	}
	args := []string{
		"--no-psqlrc", "--no-password", "--set=ON_ERROR_STOP=1", "--host=" + a.SocketDir, "--port=" +
			strconv.Itoa(a.Port), "--username=" + user, "--dbname=" + a.Database,
	}
	for _, text := range statements {
		args = append(args, "--command="+text)
	}
	c := exec.CommandContext(ctx, program, args...) //nolint:gosec // PostgreSQL's own
	c.Dir, c.Env = "/", append(slices.DeleteFunc(os.Environ(),
		func(v string) bool { return strings.HasPrefix(v, "PG") }), "LC_ALL=C")
	account.lend(c)
	out, err := c.CombinedOutput()
	if err != nil && ctx.Err() == nil {
		err = errors.New(readable(strings.TrimSpace(string(out))))
	}
	return errors.Join(err, ctx.Err())
}

// place returns an error if the cluster's files can't be backed up from here.
func (o SetupOptions) place() error {
	a := o.Archiving
	if a.DataDir == "" {
		return fmt.Errorf("PostgreSQL does not tell the role %s where its data is: GRANT pg_read_all_settings TO "+
			"%s, as a superuser", a.User, a.User)
	}
	if _, err := os.Stat(a.DataDir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: PostgreSQL's data directory %s is not on this machine: run this on the database's "+
			"host, by its account; where nothing can be run there, "+
			"use --backup-engine basebackup; of a managed PostgreSQL the provider's backups, which tenet does not "+
			"check, and a nightly pg_dump", ErrNotSupported, a.DataDir)
	}
	return nil
}

// Shown returns the configuration without the passphrase.
func (s Setup) Shown() string {
	var b strings.Builder
	for line := range strings.Lines(s.Config) {
		if strings.HasPrefix(line, cipherPass+"=") {
			line = cipherPass + "=(the passphrase of the key file)\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

// cipherPass is the name of the passphrase in a configuration.
const cipherPass = "repo1-cipher-pass" //nolint:gosec // a name, no passphrase

// ArchiveTimeout is the archive_timeout of the setup, in seconds: the longest time before a write is archived.
const ArchiveTimeout = 60

// Write writes the configuration, readable only by the account, since it contains the passphrase. It does not replace a
// file that a person wrote.
func (s Setup) Write(ctx context.Context, path, dir string, account Account) error {
	before, err := os.ReadFile(path) //nolint:gosec // the operator names it
	switch {
	case err == nil && !strings.HasPrefix(string(before), setupMark):
		return fmt.Errorf("%s was not written by `tenet backup setup` and is left as it is: move it away, or name "+
			"another with --backup-config", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	for _, d := range []string{dir, filepath.Dir(path)} {
		if err := ownDir(d, account); err != nil {
			return err
		}
	}
	if at := filepath.Dir(path); !account.enters(ctx, at) {
		return fmt.Errorf("%s is closed to the account of PostgreSQL, whose archive_command reads %s: name a file in "+
			"another directory with --backup-config, as in /etc/tenet/pgbackrest.conf", at, filepath.Base(path))
	}
	if err := lendDir(ctx, dir, account); err != nil {
		return err
	}
	if err := writeSynced(path+".part", []byte(s.Config)); err != nil {
		return err
	}
	return errors.Join(account.give(path+".part"), os.Rename(path+".part", path))
}

// lendDir makes sure that the account can write into a directory: an empty one is given to it. Otherwise the first
// backup would fail, at night.
func lendDir(ctx context.Context, dir string, account Account) error {
	if account.writes(ctx, dir) {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		if err := account.give(dir); err != nil {
			return err
		}
	}
	if !account.writes(ctx, dir) {
		return fmt.Errorf("%s can't be written by the account that makes the backups; %s", dir,
			or(account.lacks(), "let it, as with chown and chmod"))
	}
	return nil
}

// ownDir creates a missing directory, with its parents, owned by the account.
func ownDir(dir string, account Account) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := ownDir(parent, account); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return account.give(dir)
}

// scratchConfig returns a configuration for a restore into another place: it has the repository, and nothing of the
// live cluster. With pg1-host in it, a restore would overwrite the cluster on that host. A damaged file is read once
// more, not retried for half a minute.
func scratchConfig(text, stanza, data, lock string) string {
	var b strings.Builder
	keep := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			name := strings.Trim(line, "[]")
			keep = name == stanza || name == "global" || strings.HasPrefix(name, "global:")
			if keep && name != stanza {
				fmt.Fprintf(&b, "%s\n", line)
			} else if keep {
				b.WriteString("[global]\n")
			}
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if keep && ok && (strings.HasPrefix(name, "repo") || strings.HasPrefix(name, "process-max") ||
			strings.HasSuffix(name, "-timeout")) {
			fmt.Fprintf(&b, "%s\n", line)
		}
	}
	fmt.Fprintf(&b, "[global]\nlog-level-file=off\njob-retry=1\nlock-path=%s\n[%s]\npg1-path=%s\n", lock, stanza, data)
	return b.String()
}
