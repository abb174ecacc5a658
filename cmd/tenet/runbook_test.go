package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tenet/internal/needs"
	"tenet/internal/pgtest"
)

// A host is a machine as a runbook means it: a PostgreSQL and a server that systemctl starts and stops, backups on
// another disk.
type host struct {
	t     *testing.T
	pg    *pgtest.Server
	env   []string
	dir   string // the server's data directory
	log   string // what it says
	cwd   string // where commands run; "" for a folder of its own each time
	tenet *exec.Cmd
	calls chan call
}

// call is what a runbook asks of systemctl.
type call struct {
	words string
	conn  net.Conn
}

// systemctl hands its words to the test, which alone can start and stop, and waits until that is done.
const systemctl = `#!/bin/bash
exec 3<>"/dev/tcp/127.0.0.1/$SYSTEMCTL_PORT"
echo "$*" >&3
read -r answer <&3
[ "$answer" = done ]
`

func newHost(t *testing.T) *host {
	t.Helper()
	return newHostOn(t, pgtest.Options{Dir: pgtest.InMemory()})
}

func newHostOn(t *testing.T, options pgtest.Options) *host {
	t.Helper()
	needs.Program(t, "pgbackrest", "Debian: apt-get install pgbackrest")
	h := &host{
		t: t, pg: pgtest.Start(t, options), dir: filepath.Join(t.TempDir(), "data"), calls: make(chan call),
		log: filepath.Join(t.TempDir(), "log"),
	}
	bin, key := t.TempDir(), filepath.Join(t.TempDir(), "key")
	for path, text := range map[string]string{
		filepath.Join(bin, "systemctl"): systemctl,
		key:                             "correct horse battery staple\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.listen(listener)
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
		h.stopTenet()
		if log, err := os.ReadFile(h.log); err == nil && t.Failed() {
			t.Logf("the server said:\n%s", log)
		}
	})
	etc := pgtest.MakeDir(h.pg, "etc")
	h.env = append(os.Environ(),
		"PATH="+bin+":"+os.Getenv("PATH"), "SYSTEMCTL_PORT="+fmt.Sprint(listener.Addr().(*net.TCPAddr).Port), // of TCP
		"PGDATA="+h.pg.DataDir(), "BACKUPS="+filepath.Join(pgtest.MakeDir(h.pg, "disk"), "backups"), "KEY="+key,
		"TENET_DATABASE_URL="+h.pg.NewDatabase(), "TENET_DATA_DIR="+h.dir, "TENET_LISTEN=127.0.0.1:0",
		"TENET_BREAKER_RECOVERY=1s",
		"TENET_BACKUP_CONFIG="+filepath.Join(etc, "pgbackrest.conf"), "HOME="+t.TempDir())
	return h
}

func (h *host) listen(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		words, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			_ = conn.Close()
			continue
		}
		h.calls <- call{strings.TrimSpace(words), conn}
	}
}

// run runs commands in a shell that ends with the first that fails, and does what they ask of systemctl. It returns
// what they print.
func (h *host) run(commands string) string {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	cmd.Env, cmd.Dir = h.env, h.cwd
	if h.cwd == "" {
		cmd.Dir = h.t.TempDir()
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case c := <-h.calls:
			h.serve(c)
		case err := <-ended:
			if err != nil {
				h.t.Fatalf("%s\n%v:\n%s", commands, err, out.String())
			}
			return out.String()
		}
	}
}

// serve does what systemctl is asked to.
func (h *host) serve(c call) {
	h.t.Helper()
	defer func() { _ = c.conn.Close() }()
	switch c.words {
	case "stop postgresql":
		if h.pg.Running() {
			h.pg.Stop(pgtest.Fast)
		}
	case "start postgresql":
		h.pg.Start()
	case "restart postgresql":
		h.pg.Restart()
	case "stop tenet", "restart tenet":
		h.stopTenet()
		if c.words == "restart tenet" {
			h.startTenet()
		}
	case "start tenet":
		h.startTenet()
	default:
		h.t.Fatalf("systemctl %s: no runbook is tested with it", c.words)
	}
	if _, err := fmt.Fprintln(c.conn, "done"); err != nil {
		h.t.Error(err)
	}
}

func (h *host) startTenet() {
	h.t.Helper()
	if h.tenet != nil {
		return
	}
	h.tenet = exec.CommandContext(h.t.Context(), "tenet", "serve")
	log, err := os.OpenFile(h.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	h.tenet.Env, h.tenet.Stdout, h.tenet.Stderr = h.env, log, log
	h.tenet.Cancel = func() error { return h.tenet.Process.Signal(syscall.SIGTERM) }
	h.tenet.WaitDelay = time.Minute
	if err := h.tenet.Start(); err != nil {
		h.t.Fatal(err)
	}
	pgtest.Await(h.t, "the server to answer", func() bool {
		data, err := os.ReadFile(filepath.Join(h.dir, "owner.json"))
		var r running
		return err == nil && json.Unmarshal(data, &r) == nil && r.PID == h.tenet.Process.Pid && r.URL != ""
	})
}

func (h *host) stopTenet() {
	if h.tenet == nil {
		return
	}
	_ = h.tenet.Process.Signal(syscall.SIGTERM)
	_ = h.tenet.Wait()
	h.tenet = nil
}

// set sets a name that a runbook uses.
func (h *host) set(name, value string) { h.env = append(h.env, name+"="+value) }

// follow runs a runbook step by step.
func (h *host) follow(page string) {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "runbooks", page))
	if err != nil {
		h.t.Fatal(err)
	}
	steps := blocks(string(text))
	if len(steps) == 0 {
		h.t.Fatalf("%s has no commands", page)
	}
	for _, step := range steps {
		h.run(step)
	}
}

// blocks returns the blocks of commands of a page.
func blocks(text string) (list []string) {
	var block strings.Builder
	within := false
	for line := range strings.Lines(text) {
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "```sh":
			within = true
		case within && trimmed == "```":
			list = append(list, block.String())
			block.Reset()
			within = false
		case within:
			block.WriteString(trimmed + "\n")
		}
	}
	return list
}

// archived waits until everything that was written is in the archive.
func (h *host) archived() {
	h.t.Helper()
	address := h.value("TENET_DATABASE_URL")
	segment := pgtest.Value(h.t, address, "SELECT pg_walfile_name(pg_switch_wal())")
	pgtest.Await(h.t, "the WAL to be archived", func() bool {
		return pgtest.Value(h.t, address, "SELECT last_archived_wal FROM pg_stat_archiver") >= segment
	})
}

// segments fills some segments of WAL. Without something in it none is switched.
func (h *host) segments(n int) {
	for range n {
		pgtest.Exec(h.t, h.value("TENET_DATABASE_URL"), "SELECT pg_create_restore_point('one more segment')")
		h.archived()
	}
}

func (h *host) value(name string) string {
	for _, variable := range slices.Backward(h.env) {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// want looks for words in what commands print.
func (h *host) want(commands string, words ...string) {
	h.t.Helper()
	got := h.run(commands)
	for _, w := range words {
		if !strings.Contains(got, w) {
			h.t.Errorf("%s\nprints:\n%s\nwant %q in it", commands, got, w)
		}
	}
}

// install is what docs/operations/run.md says of a new host with backups.
const install = `
tenet seed
tenet backup setup --backup-dir "$BACKUPS" --backup-key-file "$KEY"
tenet backup setup --backup-dir "$BACKUPS" --backup-key-file "$KEY" --write
systemctl restart postgresql
tenet backup run
systemctl start tenet
`

// TestRunbooks follows the runbooks of the two commonest disasters on one machine, one after the other.
func TestRunbooks(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	h := newHost(t)
	h.want(install, "archive_mode = on", "restart PostgreSQL now", "now names the backups")
	pgtest.Await(t, "the mirror to be complete", func() bool {
		return strings.Contains(h.run("tenet status --output json"), `"state": "ready"`)
	})
	h.run("tenet retire rule/SEC-001")
	h.archived()
	h.set("WHEN", time.Now().UTC().Format(time.RFC3339Nano))
	h.run("tenet retire rule/SEC-002\ntenet history rule/SEC-002") // a history waits until the mirror has followed
	h.segments(4)                                                  // WAL that is left when the database goes back
	pgtest.Exec(t, h.value("TENET_DATABASE_URL"), "DROP TABLE practices CASCADE")
	h.follow("table-dropped.md")
	h.want("tenet get rule/SEC-001 --output yaml", "active: false")
	h.want("tenet list practices", "threat-modelling-per-feature")
	h.want("tenet conflicts list", "rule/SEC-002")
	h.want("tenet jobs run backup.wal", "no WAL is missing")
	h.want("tenet backup check", "whole, the newest")
	h.lackSegment()

	h.run("tenet retire rule/SEC-003")
	h.archived()
	h.pg.Kill()
	h.run(`systemctl stop tenet; rm -rf "$PGDATA" "$TENET_DATA_DIR" "$TENET_BACKUP_CONFIG"`)
	h.follow("host-lost.md")
	h.want("tenet get rule/SEC-003 --output yaml", "active: false")
	h.want("tenet status --output json", `"rto_seconds"`)
}

// lackSegment takes a segment of the new history away that has the place of one of the old, and looks for the fault.
func (h *host) lackSegment() {
	h.t.Helper()
	h.segments(3)
	archive := filepath.Join(h.value("BACKUPS"), "repo", "archive", "tenet", "*", "*")
	segments, err := filepath.Glob(filepath.Join(archive, "00000002????????????????-*"))
	if err != nil || len(segments) < 3 {
		h.t.Fatalf("the new history has the segments %v, %v", segments, err)
	}
	middle := segments[1]
	if old, err := filepath.Glob(filepath.Join(archive, "00000001"+filepath.Base(middle)[8:24]+"-*")); err != nil ||
		len(old) != 1 {
		h.t.Fatalf("in the place of %s the old history has %v, %v", middle, old, err)
	}
	h.run(`mv "` + middle + `" "$PGDATA-segment"`)
	h.want("tenet backup check 2>&1 || true", "WAL segment …"+filepath.Base(middle)[8:24]+" is missing from the archive")
	h.run(`mv "$PGDATA-segment" "` + middle + `"`)
	h.want("tenet backup check", "whole, the newest")
}

// TestSoakRunbooks follows the runbooks of the rarer disasters, and of the alerts.
func TestSoakRunbooks(t *testing.T) {
	if os.Getenv("TENET_SOAK") == "" {
		t.Skip("set TENET_SOAK to a duration to run this")
	}
	h := newHost(t)
	h.run(install)
	h.run(`rm -rf "$BACKUPS"/repo/backup/*`)
	h.follow("repository-lost.md")
	h.want("tenet backup list", "full")
	h.archived()
	h.set("WHEN", time.Now().UTC().Format(time.RFC3339Nano))
	pgtest.Exec(t, h.value("TENET_DATABASE_URL"), "ALTER TABLE rules DROP COLUMN description CASCADE")
	h.follow("bad-migration.md")
	h.want("tenet get rule/SEC-001 --output yaml", "description: ")
	h.follow("alerts.md")
}

// TestSoakRansom takes everything that a hostile host could reach, and leaves the copy that it could not.
func TestSoakRansom(t *testing.T) {
	if os.Getenv("TENET_SOAK") == "" {
		t.Skip("set TENET_SOAK to a duration to run this")
	}
	h := newHost(t)
	h.run(install)
	old := strings.TrimSpace(h.run("tenet token create ana --role admin --quiet"))
	robot := strings.TrimSpace(h.run("tenet token create robot --role maintainer --agent --quiet"))
	h.run("tenet retire rule/SEC-001")
	h.archived()
	h.set("WHEN", time.Now().UTC().Format(time.RFC3339Nano))
	h.run("tenet token create intruder --role admin --quiet; tenet retire rule/SEC-002")
	h.archived()
	// The copy is made by another machine, and the key of it is in a safe.
	h.set("COPY", filepath.Join(pgtest.MakeDir(h.pg, "offline"), "tenet"))
	h.set("COPY_KEY", filepath.Join(t.TempDir(), "key"))
	h.set("TOKENS", filepath.Join(t.TempDir(), "tokens"))
	h.run(`cp -a "$BACKUPS" "$COPY"; cp "$KEY" "$COPY_KEY"`)
	h.pg.Kill()
	h.run(`systemctl stop tenet
find "$BACKUPS" -type f -exec sh -c 'for f; do head -c 4096 /dev/urandom > "$f"; done' _ {} +
rm -rf "$TENET_DATA_DIR" "$TENET_BACKUP_CONFIG" "$KEY" "$PGDATA"/base`)
	// The new machine has a new disk for its backups.
	h.set("BACKUPS", filepath.Join(pgtest.MakeDir(h.pg, "newdisk"), "backups"))
	h.follow("ransom.md")
	h.want("tenet get rule/SEC-001 --output yaml", "active: false")
	h.want("tenet get rule/SEC-002 --output yaml", "active: true")
	if got := h.run("tenet list principals --all --output name"); strings.Contains(got, "intruder") {
		t.Errorf("after the runbook there are the principals\n%s\nwant none that was made after the moment", got)
	}
	data, err := os.ReadFile(filepath.Join(h.dir, "owner.json"))
	var r running
	if err != nil || json.Unmarshal(data, &r) != nil {
		t.Fatalf("the server's address: %s, %v", data, err)
	}
	for _, token := range []string{old, robot} {
		h.want("TENET_URL="+r.URL+" TENET_TOKEN="+token+" tenet list rules 2>&1 || echo refused with $?",
			"refused with 6")
	}
	h.want("TENET_URL="+r.URL+` TENET_TOKEN=$(cat "$TOKENS/ana") tenet list rules --output name`, "rule/SEC-002")
	h.want(`TENET_URL=`+r.URL+` TENET_TOKEN=$(cat "$TOKENS/ana") tenet get principal/robot --output yaml`,
		"agent: true")
}

func TestEveryAlertHasItsRunbook(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "runbooks", "alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	alerts, err := os.ReadFile(filepath.Join("..", "..", "deploy", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`alert: (\w+)`).FindAllSubmatch(alerts, -1)
	if len(names) < 10 {
		t.Fatalf("%d alerts were found", len(names))
	}
	for _, m := range names {
		_, section, found := strings.Cut(string(page), "\n## "+string(m[1])+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		if !found || len(blocks(section)) == 0 {
			t.Errorf("docs/runbooks/alerts.md says nothing of the alert %s, or no command", m[1])
		}
	}
}
