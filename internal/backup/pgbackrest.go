package backup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Cluster is a running PostgreSQL cluster to back up.
type Cluster interface {
	store.Reader
	Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error)
	// RestorePoint creates a named restore point, switches to a new WAL segment, and returns the segment with the name.
	RestorePoint(ctx context.Context, name string) (segment string, err error)
	// Archiving returns where the cluster is and the state of its WAL archiving.
	Archiving(ctx context.Context) (Archiving, error)
	// SwitchArchivingOn sets the archive command; PostgreSQL may have to be restarted for it.
	SwitchArchivingOn(ctx context.Context, command string) error
}

// Archiving is the state of a cluster's WAL archiving, and where the cluster is.
type Archiving struct {
	Mode, Command, Level string // archive_mode, archive_command and wal_level
	LastSegment          string // the last one archived
	LastAt               time.Time
	FailedSegment        string // the last one whose archiving failed
	FailedAt             time.Time
	SegmentBytes         int64
	DataDir, SocketDir   string // "" if the role may not see it
	Port                 int
	User, Database       string // of the asking connection
	Superuser            string // the bootstrap superuser
}

// PgBackRestOptions configure a [PgBackRest].
type PgBackRestOptions struct {
	Config  string // pgBackRest's configuration file
	Stanza  string // the cluster's name in it
	Dir     string // of temporary files and of the last drill's result
	Account Account
	// Cluster is the cluster to back up; nil if it can't be reached, for an engine that only reads backups.
	Cluster Cluster
	// Address returns the address of the restored database, on a socket's directory and a port.
	Address func(socketDir string, port int) string
	// Inspect verifies the log of a restored database, and returns its facts.
	Inspect func(ctx context.Context, address string) (Facts, error)
	// Open opens a restored database for reading.
	Open func(ctx context.Context, address string) (store.Reader, func() error, error)
	// MaxAge is the largest age of the newest full backup before a check reports a fault; 26 h if 0.
	MaxAge time.Duration
	// MaxWAL is the largest age of the newest archived WAL; 15 min if 0.
	MaxWAL  time.Duration
	Free    func(dir string) (uint64, bool) // free bytes on a directory's disk; nil if unknown
	Program string                          // version of this program
}

// A PgBackRest keeps backups of a PostgreSQL cluster with the program pgBackRest, which must be installed. It ignores
// exit codes of pgBackRest that are known to be 0 for a damaged repository.
type PgBackRest struct{ o PgBackRestOptions }

var _ Engine = (*PgBackRest)(nil)

// PgBackRestName is the name of the engine.
const PgBackRestName = "pgbackrest"

// NewPgBackRest returns the engine.
func NewPgBackRest(o PgBackRestOptions) *PgBackRest {
	if o.MaxAge == 0 {
		o.MaxAge = 26 * time.Hour
	}
	if o.MaxWAL == 0 {
		o.MaxWAL = 15 * time.Minute
	}
	return &PgBackRest{o}
}

// command prepares a call of pgBackRest with a configuration.
func (e *PgBackRest) command(ctx context.Context, config string, args ...string) *exec.Cmd {
	all := append([]string{"--config=" + config, "--stanza=" + e.o.Stanza}, args...)
	c := exec.CommandContext(ctx, "pgbackrest", all...) //nolint:gosec // the operator's own settings
	c.Dir, c.Env = "/", append(os.Environ(), "LC_ALL=C")
	c.Cancel = func() error { return c.Process.Signal(interrupt) }
	c.WaitDelay = stopTimeout
	e.o.Account.lend(c)
	return c
}

// call runs pgBackRest and returns what it printed.
func (e *PgBackRest) call(ctx context.Context, args ...string) ([]byte, error) {
	c := e.command(ctx, e.o.Config, append(args, "--log-level-console=off", "--log-level-stderr=error")...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return nil, e.failure(ctx, args, err, errs.String())
	}
	return out.Bytes(), nil
}

var percent = compiled(`, (\d+)(?:\.\d+)?%\)`)

// follow runs pgBackRest and passes on the percentage that it prints for each file.
func (e *PgBackRest) follow(ctx context.Context, config string, progress Progress, args ...string) error {
	c := e.command(ctx, config, append(args, "--log-level-console=detail", "--log-level-stderr=error",
		"--log-level-file=off")...)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return e.failure(ctx, args, err, "")
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := percent().FindSubmatch(lines.Bytes()); m != nil && progress != nil {
			n, _ := strconv.ParseInt(string(m[1]), 10, 64)
			progress(n, 100)
		}
	}
	_, _ = io.Copy(io.Discard, out) // after a line that is too long to scan
	if err := c.Wait(); err != nil {
		return e.failure(ctx, args, err, errs.String())
	}
	return nil
}

// Exit codes of pgBackRest for a damaged repository: a wrong checksum, a missing file, errors of cryptography and
// format.
const (
	exitChecksum = 26
	exitFormat   = 29
	exitMissing  = 55
	exitCrypto   = 95
)

// exitQuery is pgBackRest's exit code for a refused statement.
const exitQuery = 57

// deniedFile is how pgBackRest, asked in the locale C, ends a message about a file that the system keeps from it.
const deniedFile = "[13] Permission denied"

// Rights are the rights that the backup role needs, as statements for a superuser in the backed-up database.
const Rights = "GRANT pg_read_all_settings TO the role, and GRANT EXECUTE ON FUNCTION pg_backup_start(text, " +
	"boolean), pg_backup_stop(boolean), " +
	"pg_switch_wal(), pg_create_restore_point(text) TO it"

// failure returns the error of a failed call: pgBackRest's message, without its hints about options.
func (e *PgBackRest) failure(ctx context.Context, args []string, err error, said string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("the program pgbackrest is not installed (Debian: apt-get install pgbackrest): %w", err)
	}
	if text := strings.TrimSpace(said); text != "" {
		err = errors.New(readable(text))
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w", exit)
	}
	err = fmt.Errorf("pgbackrest %s: %w", args[0], err)
	if codeOf(said) == exitQuery && strings.Contains(said, "permission denied") {
		return fmt.Errorf("%w; as a superuser, %s", err, Rights)
	}
	if help := e.o.Account.lacks(); help != "" && strings.Contains(said, deniedFile) {
		return fmt.Errorf("%w; %s", err, help)
	}
	if code := codeOf(said); slices.Contains([]int{exitChecksum, exitFormat, exitMissing, exitCrypto}, code) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

var errorCode = compiled(`ERROR: \[(\d+)\]`)

func codeOf(said string) int {
	m := errorCode().FindStringSubmatch(said)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// printable returns pgBackRest's output as valid JSON: with a wrong passphrase it prints garbage.
func printable(out []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, out)
}

// readable removes unprintable characters: with a wrong passphrase pgBackRest prints garbage.
func readable(text string) string {
	const most = 600
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0xFFFD || r > 0x24F {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// stanza is the output of `pgbackrest info`.
type stanza struct {
	Status struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"status"`
	Repo []struct {
		Status struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"status"`
	} `json:"repo"`
	DB []struct {
		ID      int    `json:"id"`
		Version string `json:"version"`
	} `json:"db"`
	Archive []struct {
		ID string `json:"id"`
	} `json:"archive"`
	Backup []restBackup `json:"backup"`
	Cipher string       `json:"cipher"`
}

// restBackup is a backup in the output of `pgbackrest info`.
type restBackup struct {
	Label      string            `json:"label"`
	Type       string            `json:"type"`
	Error      bool              `json:"error"`
	Annotation map[string]string `json:"annotation"`
	Archive    struct {
		Start string `json:"start"`
		Stop  string `json:"stop"`
	} `json:"archive"`
	Info struct {
		Size       int64 `json:"size"`
		Repository struct {
			Delta int64 `json:"delta"`
		} `json:"repository"`
	} `json:"info"`
	Timestamp struct {
		Start int64 `json:"start"`
		Stop  int64 `json:"stop"`
	} `json:"timestamp"`
}

// Statuses of a stanza.
const (
	statusOK        = 0
	statusNoStanza  = 1
	statusNoBackups = 2
	statusNoData    = 3
)

// info runs `pgbackrest info`. Its exit code is 0 even for an unreadable repository: only the status counts.
func (e *PgBackRest) info(ctx context.Context) (*stanza, error) {
	if _, err := os.Stat(e.o.Config); err != nil {
		return nil, fmt.Errorf("pgBackRest is not set up: `tenet backup setup --write` makes its configuration: %w",
			err)
	}
	out, err := e.call(ctx, "info", "--output=json")
	if err != nil {
		return nil, err
	}
	var list []stanza
	if err := json.Unmarshal(printable(out), &list); err != nil {
		return nil, fmt.Errorf("pgbackrest info answers with something else than JSON: %w", err)
	}
	if len(list) == 0 {
		return &stanza{}, nil
	}
	s := &list[0]
	switch s.Status.Code {
	case statusOK, statusNoStanza, statusNoBackups, statusNoData:
		return s, nil
	}
	message := s.Status.Message
	for _, r := range s.Repo {
		if r.Status.Code != statusOK {
			message = r.Status.Message
		}
	}
	return s, fmt.Errorf("%w: the repository can't be read: is the passphrase in %s the one that it was made with? "+
		"pgBackRest says: %s",
		ErrDamaged, e.o.Config, readable(message))
}

// The names of a backup's annotations.
const (
	noteSeq     = "tenet-seq"
	noteProgram = "tenet-program"
)

// copyOf returns a backup as a [Copy]. Seq is the newest change when it began: writes go on meanwhile.
func (s *stanza) copyOf(b *restBackup) Copy {
	seq, _ := strconv.ParseInt(b.Annotation[noteSeq], 10, 64)
	return Copy{
		Name: b.Label, Engine: PgBackRestName, Type: b.Type, At: knowledge.At(time.Unix(b.Timestamp.Stop, 0)),
		Seq:     knowledge.Seq(seq),
		Program: b.Annotation[noteProgram], Bytes: b.Info.Repository.Delta, Encrypted: s.Cipher != "none" &&
			s.Cipher != "",
		TookMilli: (b.Timestamp.Stop - b.Timestamp.Start) * 1000,
	}
}

// List implements [Engine].
func (e *PgBackRest) List(ctx context.Context) ([]Copy, error) {
	s, err := e.info(ctx)
	if err != nil {
		return nil, err
	}
	if len(s.Backup) == 0 { // or its index is gone
		strays, err := e.strays(ctx, s)
		if err == nil && len(strays) > 0 {
			err = fmt.Errorf("%w: %s", ErrDamaged, strings.Join(strays, "; "))
		}
		if err != nil {
			return nil, err
		}
	}
	list := make([]Copy, 0, len(s.Backup))
	for i := range slices.Backward(s.Backup) {
		list = append(list, s.copyOf(&s.Backup[i]))
	}
	return list, nil
}

// Full implements [Engine].
func (e *PgBackRest) Full(ctx context.Context, progress Progress) (Copy, error) {
	return e.make(ctx, "full", progress)
}

// Incremental implements [Engine].
func (e *PgBackRest) Incremental(ctx context.Context, progress Progress) (Copy, error) {
	return e.make(ctx, "incr", progress)
}

func (e *PgBackRest) make(ctx context.Context, kind string, progress Progress) (Copy, error) {
	if err := e.sweep(ctx, e.o.Dir); err != nil {
		return Copy{}, err
	}
	before, err := e.info(ctx)
	if err != nil {
		return Copy{}, err
	}
	if before.Status.Code == statusNoStanza {
		if _, err := e.call(ctx, "stanza-create"); err != nil {
			return Copy{}, err
		}
	}
	args := []string{"backup", "--type=" + kind, "--annotation=" + noteProgram + "=" + e.o.Program}
	if e.o.Program == "" {
		args = args[:2]
	}
	if e.o.Cluster != nil {
		last, err := e.o.Cluster.Changes(ctx, knowledge.ChangeQuery{Newest: true, Limit: 1})
		if err != nil {
			return Copy{}, err
		}
		if len(last) > 0 {
			args = append(args, fmt.Sprintf("--annotation=%s=%d", noteSeq, last[0].Seq))
		}
	}
	if err := e.follow(ctx, e.o.Config, progress, args...); err != nil {
		return Copy{}, err
	}
	list, err := e.List(ctx)
	if err != nil {
		return Copy{}, err
	}
	if len(list) == 0 || slices.ContainsFunc(
		before.Backup, func(b restBackup) bool { return b.Label == list[0].Name }) {
		return Copy{}, errors.New("pgbackrest backup said that all is well, and no backup is there: see " +
			"PostgreSQL's log")
	}
	return list[0], nil
}

// Expire implements [Engine]: what is kept stands in pgBackRest's configuration, as repo1-retention-full.
func (e *PgBackRest) Expire(ctx context.Context) ([]Copy, error) {
	before, err := e.List(ctx)
	if err != nil || len(before) == 0 {
		return []Copy{}, err
	}
	if _, err := e.call(ctx, "expire"); err != nil {
		return nil, err
	}
	after, err := e.List(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(before, func(c Copy) bool {
		return slices.ContainsFunc(after, func(k Copy) bool { return k.Name == c.Name })
	}), nil
}

// LastDrill implements [Engine].
func (e *PgBackRest) LastDrill() (*Drill, error) { return readDrill(e.o.Dir) }

// scratch creates a scratch for a drill. It first stops and removes what killed processes left.
func (e *PgBackRest) scratch(ctx context.Context) (*scratch, error) {
	if err := ownDir(e.o.Dir, e.o.Account); err != nil {
		return nil, fmt.Errorf("make the backup directory: %w", err)
	}
	return e.newScratch(ctx, e.o.Dir)
}

func (e *PgBackRest) newScratch(ctx context.Context, parent string) (*scratch, error) {
	if err := e.sweep(ctx, parent); err != nil {
		return nil, err
	}
	return newScratch(parent, e.o.Account)
}

// sweep stops and removes what killed processes left in a directory.
func (e *PgBackRest) sweep(ctx context.Context, parent string) error {
	return sweep(parent, func(dir string) error {
		endServer(ctx, e.o.Account, dir)
		return nil
	})
}
