package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names within a temporary directory.
const (
	dataName   = "data"   // of the restored cluster
	socketName = "socket" // the socket's directory
	lockName   = "lock"
	configName = "pgbackrest.conf"
	logName    = "log"
	spaceName  = "tablespaces"
)

// restoredPort is the port of a restored cluster. It only names a file in the socket's directory.
const restoredPort = 5432

// stopTimeout is how long a program may take to stop.
const stopTimeout = 30 * time.Second

// A restored cluster runs on a restored directory, only for this process: it listens on no address, its socket is in a
// temporary directory, and it archives nothing, since that would go into the archive of the original cluster.
type restored struct {
	account Account
	bin     string // directory of PostgreSQL's programs
	work    string // temporary directory with the socket and the log
	data    string
	cmd     *exec.Cmd
	ended   chan error
}

// programs returns the directory of PostgreSQL's programs for the version of a data directory.
func programs(data string) (string, error) {
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION")) //nolint:gosec // of the cluster that we restored
	if err != nil {
		return "", fmt.Errorf("the restored directory is no cluster: %w", err)
	}
	major := strings.TrimSpace(string(text))
	for _, dir := range []string{"/usr/lib/postgresql/" + major + "/bin", "/usr/pgsql-" + major + "/bin"} {
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil { //nolint:gosec // the version is a number, or nothing is there
			return dir, nil
		}
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", fmt.Errorf("the programs of PostgreSQL %s are not on this machine: they are needed to replay its "+
			"WAL; install them, or put them on the PATH", major)
	}
	out, err := exec.Command(path, "--version").Output() //nolint:gosec,noctx // it prints a line
	if err != nil || !strings.Contains(string(out), "(PostgreSQL) "+major) {
		return "", fmt.Errorf("the backup is of PostgreSQL %s, and %s is %s: install the programs of PostgreSQL %s",
			major, path, strings.TrimSpace(string(out)), major)
	}
	return filepath.Dir(path), nil
}

// startRestored starts a restored cluster and waits until it has replayed its WAL up to the target and accepts writes.
func startRestored(ctx context.Context, account Account, work, data string) (*restored, error) {
	bin, err := programs(data)
	if err != nil {
		return nil, err
	}
	r := &restored{account: account, bin: bin, work: work, data: data, ended: make(chan error, 1)}
	if err := ownDir(r.socket(), account); err != nil {
		return nil, err
	}
	// Debian keeps a cluster's configuration outside of its data directory, so that a restored one may have none.
	hba, conf := filepath.Join(work, "pg_hba.conf"), filepath.Join(work, "postgresql.conf")
	for path, text := range map[string]string{
		hba:  "local all all trust\n",
		conf: "# of a restored cluster that is being looked over\n",
	} {
		if err := errors.Join(writeSynced(path, []byte(text)), account.give(path)); err != nil {
			return nil, err
		}
	}
	args := []string{"-D", data}
	for _, setting := range []string{
		"config_file=" + conf, "hba_file=" + hba, "ident_file=" + hba, "listen_addresses=",
		"unix_socket_directories=" + r.socket(),
		"port=" + strconv.Itoa(restoredPort), "unix_socket_permissions=0700", "archive_mode=off", "ssl=off",
		"hot_standby=off", "logging_collector=off", "log_destination=stderr",
		"shared_preload_libraries=", "max_connections=20", "lc_messages=C", "log_line_prefix=", "autovacuum=off",
		"dynamic_shared_memory_type=mmap", "cluster_name=tenet-restored", "primary_conninfo=",
		"synchronous_standby_names=",
	} {
		args = append(args, "-c", setting)
	}
	r.cmd = r.command(ctx, "postgres", args...)
	r.cmd.Cancel = func() error { return r.cmd.Process.Signal(quit) }
	r.cmd.WaitDelay = stopTimeout
	log, err := os.OpenFile(r.log(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	r.cmd.Stdout, r.cmd.Stderr = log, log
	err = errors.Join(r.cmd.Start(), log.Close())
	if err != nil {
		return nil, err
	}
	go func() { r.ended <- r.cmd.Wait() }()
	return r, r.ready(ctx)
}

func (r *restored) socket() string { return filepath.Join(r.work, socketName) }
func (r *restored) log() string    { return filepath.Join(r.work, logName) }

// command prepares one of PostgreSQL's programs.
func (r *restored) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(r.bin, name), args...) //nolint:gosec // PostgreSQL's own
	c.Dir, c.Env = r.work, slices.DeleteFunc(append(os.Environ(), "LC_ALL=C"),
		func(v string) bool { return strings.HasPrefix(v, "PG") })
	r.account.lend(c)
	return c
}

// A replayError means that a restored cluster stopped before the end of its replay.
type replayError struct{ log string }

// Error returns PostgreSQL's message.
func (e *replayError) Error() string {
	return "PostgreSQL ended while it replayed the WAL: " + lastOf(e.log, "FATAL:", "PANIC:")
}

// early reports whether the WAL ended before the target.
func (e *replayError) early() bool {
	return strings.Contains(e.log, "recovery ended before configured recovery target was reached")
}

// lastOf returns the last line that contains one of the words, else the last line.
func lastOf(log string, words ...string) string {
	found := ""
	for line := range strings.Lines(strings.TrimSpace(log)) {
		if found == "" || slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) }) {
			found = strings.TrimSpace(line)
		}
	}
	return found
}

// ready waits until the cluster accepts writes.
func (r *restored) ready(ctx context.Context) error {
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case ended := <-r.ended:
			r.cmd = nil
			if ctx.Err() != nil {
				return ctx.Err()
			}
			log, err := os.ReadFile(r.log())
			return errors.Join(&replayError{string(log)}, ended, err)
		case <-tick.C:
		}
		// The eighth line is the cluster's status. One that waits for promotion has "standby".
		lock, err := os.ReadFile(filepath.Join(r.data, "postmaster.pid"))
		if lines := bytes.Split(lock, []byte("\n")); err == nil && len(lines) > 7 &&
			strings.TrimSpace(string(lines[7])) == "ready" {
			return nil
		}
	}
}

// stop shuts the cluster down cleanly, so that the next start has nothing to recover.
func (r *restored) stop() error {
	if r == nil || r.cmd == nil {
		return nil
	}
	if err := r.cmd.Process.Signal(interrupt); err != nil {
		return err
	}
	err := <-r.ended
	r.cmd = nil
	return err
}

// run runs one of PostgreSQL's programs; the error contains its output.
func (r *restored) run(ctx context.Context, name string, args ...string) error {
	out, err := r.command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, readable(strings.TrimSpace(string(out))))
	}
	return nil
}

// has reports whether a program is installed.
func (r *restored) has(name string) bool {
	_, err := os.Stat(filepath.Join(r.bin, name))
	return err == nil
}
