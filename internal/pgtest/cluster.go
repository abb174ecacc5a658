package pgtest

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tenet/internal/needs"
)

// clusterScript ends what a [Cluster] has started and removes its directory, as soon as its standard input ends.
//
//go:embed cluster.sh
var clusterScript string

// A Cluster is three hosts with etcd, Patroni and PostgreSQL each, as deploy/ha sets them up: the hosts db1, db2 and
// db3 are 127.0.0.1,
// 127.0.0.2 and 127.0.0.3 here. Its methods fail the test when they do not succeed.
type Cluster struct {
	t            testing.TB
	installation installation
	root         string
	move         *strings.Replacer // from the paths and addresses of the recipe to those of the test
	port         int               // of PostgreSQL on each host
	authority    *Authority
	pids         io.Writer            // the processes to end with the test, a line each
	patroni      map[string]*exec.Cmd // by host
	ended        map[*exec.Cmd]chan struct{}
}

// Hosts of a [Cluster].
func (c *Cluster) Hosts() []string { return []string{"db1", "db2", "db3"} }

// StartCluster starts a cluster by the files in the directory recipe, with certificates of the authority, and waits
// until it has a leader and two standbys, one of them synchronous. The test is skipped where etcd, Patroni or
// pgBackRest are missing, or fails where the environment has CI set.
func StartCluster(t testing.TB, recipe string, a *Authority) *Cluster {
	t.Helper()
	for _, program := range []string{"etcd", "patroni", "patronictl", "pgbackrest"} {
		needs.Program(t, program, "Debian: apt-get install patroni etcd-server etcd-client pgbackrest")
	}
	found, err := findInstallation()
	if err != nil {
		giveUp(t, err)
	}
	c := &Cluster{
		t: t, installation: found, authority: a, patroni: map[string]*exec.Cmd{},
		ended: map[*exec.Cmd]chan struct{}{},
	}
	root, err := os.MkdirTemp(InMemory(), "pgtest-") //nolint:usetesting // the account may not enter t.TempDir
	c.must(errors.Join(err, found.give(root)))
	c.root = root
	c.watch()
	ports := make([]string, 4)
	for i := range ports {
		port, err := freePort()
		c.must(err)
		ports[i] = strconv.Itoa(port)
		c.port = port // that of the last
	}
	c.move = strings.NewReplacer(
		"10.0.1.0/24", "127.0.0.0/24", // tenets are on this machine too
		"10.0.0.", "127.0.0.",
		":8008", ":"+ports[0], ":2379", ":"+ports[1], ":2380", ":"+ports[2], ":5432", ":"+ports[3], "pg1-port=5432",
		"pg1-port="+ports[3],
		"/etc/patroni", filepath.Join(root, "HOST", "etc"), "/var/lib/postgresql/15/tenet",
		filepath.Join(root, "HOST", "data"),
		"/var/lib/postgresql", filepath.Join(root, "HOST"), "/var/run/postgresql", filepath.Join(root, "HOST", "run"),
		"/var/lib/etcd", filepath.Join(root, "HOST"), "/mnt/backup/tenet", filepath.Join(root, "backup"),
		"/tmp/pgbackrest", filepath.Join(root, "HOST", "lock"),
		"/usr/lib/postgresql/15/bin", found.bin,
		"peer", "trust", // the test may run as another account
	)
	a.Host(c.Hosts())
	c.mkdir(filepath.Join(root, "backup"))
	for n, host := range c.Hosts() {
		c.install(recipe, host, n+1)
	}
	for _, host := range c.Hosts() {
		c.startEtcd(host)
	}
	for _, host := range c.Hosts() {
		c.Start(host)
	}
	c.Whole()
	return c
}

// install writes the files of a host.
func (c *Cluster) install(recipe, host string, n int) {
	for _, dir := range []string{"", "etc", "etc/tls", "run", "lock"} {
		c.mkdir(filepath.Join(c.root, host, dir))
	}
	for name, to := range map[string]string{
		"patroni.yml": "etc/tenet.yml", "pgbackrest.conf": "etc/pgbackrest.conf",
		"etcd.env": "etc/etcd.env",
	} {
		text, err := os.ReadFile(filepath.Join(recipe, name))
		c.must(err)
		c.write(filepath.Join(c.root, host, to), c.at(host, n, string(text)))
	}
	for _, name := range []string{
		"ca.crt", "host.crt", "host.key", "replication.crt", "replication.key", "rewind.crt",
		"rewind.key",
	} {
		text, err := os.ReadFile(c.authority.Path(name))
		c.must(err)
		c.write(filepath.Join(c.root, host, "etc", "tls", name), string(text))
	}
}

// at makes the file of the host db1 that of another one: its name, and the addresses that are its own, which stand
// alone in their lines.
func (c *Cluster) at(host string, n int, text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "10.0.0.2") && !strings.HasPrefix(line, "#") {
			line = strings.ReplaceAll(line, "10.0.0.1:", fmt.Sprintf("10.0.0.%d:", n))
			line = strings.Replace(line, "db1", host, 1)
		}
		out.WriteString(line)
	}
	return strings.ReplaceAll(c.move.Replace(out.String()), "HOST", host)
}

func (c *Cluster) startEtcd(host string) {
	text, err := os.ReadFile(filepath.Join(c.root, host, "etc", "etcd.env"))
	c.must(err)
	var env []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			env = append(env, line)
		}
	}
	c.launch(host, "etcd.log", env, "etcd")
}

// launch starts a program of a host, which the test's end ends.
func (c *Cluster) launch(host, log string, env []string, program string, args ...string) *exec.Cmd {
	out, err := os.OpenFile(filepath.Join(c.root, host, log), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	c.must(err)
	defer func() { _ = out.Close() }()
	cmd := c.command(context.Background(), host, program, args...)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = out, out
	c.must(cmd.Start())
	_, err = fmt.Fprintln(c.pids, cmd.Process.Pid)
	c.must(err)
	ended := make(chan struct{})
	c.ended[cmd] = ended
	go func() {
		defer close(ended)
		_ = cmd.Wait()
		_, _ = fmt.Fprintln(c.pids, -cmd.Process.Pid)
	}()
	return cmd
}

// command prepares a program that runs as the servers' account, on a host.
func (c *Cluster) command(ctx context.Context, host, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = filepath.Join(c.root, host)
	cmd.Env = append(append(os.Environ(), libraries(c.installation.bin)...), "LC_ALL=C.UTF-8", "HOME="+cmd.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.installation.owner}
	return cmd
}

// Start starts Patroni on a host, which starts PostgreSQL.
func (c *Cluster) Start(host string) {
	c.t.Helper()
	c.patroni[host] = c.launch(host, "patroni.log", nil, "patroni", filepath.Join(c.root, host, "etc", "tenet.yml"))
}

// Kill sends SIGKILL to Patroni and to all of PostgreSQL on a host, as if the machine had lost them. Etcd stays.
func (c *Cluster) Kill(host string) {
	c.t.Helper()
	cmd := c.patroni[host]
	c.must(cmd.Process.Kill())
	<-c.ended[cmd]
	text, err := os.ReadFile(filepath.Join(c.root, host, "data", "postmaster.pid"))
	c.must(err)
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	c.must(err)
	all, err := freeze(pid)
	c.must(err)
	for pid := range all {
		c.must(send(pid, syscall.SIGKILL))
	}
	c.must(until("the killed processes to be gone", func(context.Context) (bool, error) {
		alive, err := anyAlive(all)
		return !alive, err
	}))
}

// A ClusterMember is a host as patronictl lists it.
type ClusterMember struct {
	Host  string `json:"Member"`
	Role  string `json:"Role"`
	State string `json:"State"`
}

// Members lists the hosts as the cluster sees them; nothing while it can't be asked.
func (c *Cluster) Members() (list []ClusterMember) {
	out, err := c.ctl("list", "--format", "json")
	if err != nil || json.Unmarshal(out, &list) != nil {
		return nil
	}
	return list
}

func (c *Cluster) ctl(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.command(ctx, "db1", "patronictl", append([]string{"-c", filepath.Join(c.root, "db1", "etc", "tenet.yml")},
		args...)...).Output()
}

// find returns the host with a role, "" for none.
func (c *Cluster) find(role string) string {
	list := c.Members()
	if n := slices.IndexFunc(list, func(m ClusterMember) bool { return m.Role == role && up(m) }); n >= 0 {
		return list[n].Host
	}
	return ""
}

func up(m ClusterMember) bool { return m.State == "running" || m.State == "streaming" }

// Leader waits for a leader and returns its host.
func (c *Cluster) Leader() (host string) {
	c.t.Helper()
	c.await("a leader", func() bool { host = c.find("Leader"); return host != "" })
	return host
}

// Whole waits until there are a leader and two standbys, one of them synchronous.
func (c *Cluster) Whole() {
	c.t.Helper()
	c.await("a leader and two standbys, one of them synchronous", func() bool {
		running := 0
		for _, m := range c.Members() {
			if up(m) {
				running++
			}
		}
		return running == 3 && c.find("Leader") != "" && c.find("Sync Standby") != ""
	})
}

// clusterPatience is how long a cluster may take for a step.
const clusterPatience = 5 * time.Minute

func (c *Cluster) await(what string, condition func() bool) {
	c.t.Helper()
	for end := time.Now().Add(clusterPatience); !condition(); {
		if time.Now().After(end) {
			c.t.Fatalf("waited %v in vain for %s: %+v", clusterPatience, what, c.Members())
		}
	}
}

// Switchover makes the synchronous standby the leader.
func (c *Cluster) Switchover() {
	c.t.Helper()
	from, to := c.Leader(), c.find("Sync Standby")
	if out, err := c.ctl("switchover", "--master", from, "--candidate", to, "--force"); err != nil {
		c.t.Fatalf("switch over from %s to %s: %v: %s", from, to, err, out)
	}
	c.await("the switchover", func() bool { return c.find("Leader") == to })
}

// SQL runs a script on the leader, in a database, as the superuser.
func (c *Cluster) SQL(database, script string) string {
	c.t.Helper()
	host := c.Leader()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := c.command(ctx, host, filepath.Join(c.installation.bin, "psql"), "-h", filepath.Join(c.root, host, "run"),
		"-p", strconv.Itoa(c.port),
		"-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-qAt", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("psql: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// PgBackRest runs pgBackRest on a host.
func (c *Cluster) PgBackRest(host string, args ...string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clusterPatience)
	defer cancel()
	args = append([]string{"--config=" + filepath.Join(c.root, host, "etc", "pgbackrest.conf"), "--stanza=tenet"},
		args...)
	if out, err := c.command(ctx, host, "pgbackrest", args...).CombinedOutput(); err != nil {
		c.t.Fatalf("pgbackrest %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// URL returns the address of a database that names all hosts, for a role with a password and a certificate of the
// authority.
func (c *Cluster) URL(role, password, database string) string {
	query := c.authority.Query(nil)
	query.Set("sslcert", c.authority.Path(role+".crt"))
	query.Set("sslkey", c.authority.Path(role+".key"))
	query.Set("target_session_attrs", "read-write")
	hosts := make([]string, len(c.Hosts()))
	for i := range hosts {
		hosts[i] = fmt.Sprintf("127.0.0.%d:%d", i+1, c.port)
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password), Host: strings.Join(hosts, ","),
		Path: "/" + database, RawQuery: query.Encode(),
	}
	return u.String()
}

// watch starts the process that ends the cluster with the test, however that ends.
func (c *Cluster) watch() {
	cmd := exec.Command("/bin/sh", "-c", clusterScript, "pgtest-cluster", c.root)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	c.must(errors.Join(err, cmd.Start()))
	c.pids = pipe
	c.t.Cleanup(func() {
		if c.t.Failed() {
			for _, host := range c.Hosts() {
				text, _ := os.ReadFile(filepath.Join(c.root, host, "patroni.log"))
				c.t.Logf("the end of what Patroni said on %s:\n%s", host, text[max(0, len(text)-3000):])
			}
		}
		_ = pipe.Close()
		if err := cmd.Wait(); err != nil {
			c.t.Errorf("end the cluster: %v", err)
		}
		for _, ended := range c.ended {
			<-ended
		}
	})
}

func (c *Cluster) mkdir(dir string) {
	c.must(errors.Join(os.Mkdir(dir, 0o700), c.installation.give(dir)))
}

func (c *Cluster) write(path, text string) {
	c.must(errors.Join(os.WriteFile(path, []byte(text), 0o600), c.installation.give(path)))
}

func (c *Cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("a cluster of Patroni: %v", err)
	}
}
