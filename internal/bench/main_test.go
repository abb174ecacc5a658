//go:build bench

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tenet/internal/pgtest"
)

var (
	reportFlag = flag.String("report", "", "file to write the report to; standard output when empty")
	sizeFlag   = flag.Int("size", 100_000, "documents in the large store")
	hugeFlag   = flag.Int("huge", 0, "documents in the huge database of which a mirror is made; none when 0")
)

// roleEnv makes the test binary be something else: the handler that a tenet is compared with.
const roleEnv = "TENET_BENCH_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "pgx":
		servePgx(os.Args[1])
		return
	case "bare":
		serveBare(os.Args[1], os.Args[2])
		return
	case plainRole:
		servePlain(os.Args[1])
		return
	}
	os.Exit(pgtest.Main(m))
}

// A process is a server under measurement.
type process struct {
	url, token string
	cmd        *exec.Cmd
	extra      func() []int // further processes whose work is its work
}

// build compiles the program once.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "tenet")
	cmd := exec.Command("go", "build", "-o", bin, "tenet/cmd/tenet")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build tenet: %v\n%s", err, out)
	}
	return bin
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startTenet starts a tenet and waits until it answers.
func startTenet(t *testing.T, bin, dir string, args ...string) *process {
	t.Helper()
	addr := freeAddr(t)
	p := &process{url: "http://" + addr}
	p.start(t, "/readyz", exec.Command(bin, append([]string{
		"serve", "--listen", addr, "--data-dir", dir,
		"--log-level", "error",
	}, args...)...))
	data, err := os.ReadFile(filepath.Join(dir, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	p.token = strings.TrimSpace(string(data))
	return p
}

func (p *process) start(t *testing.T, ready string, cmd *exec.Cmd) {
	t.Helper()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.cmd = cmd
	t.Cleanup(p.stop)
	pgtest.Await(t, cmd.Path+" answers: "+log.String(), func() bool {
		resp, err := http.Get(p.url + ready)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// level waits until a tenet beside PostgreSQL has a whole mirror: building it costs processor time that no request
// asked for.
func (p *process) level(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Minute)
	for {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/api/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+p.token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		status := decode[struct {
			Details struct {
				Outage struct{ Mirror struct{ Ready bool } }
			}
		}](t, data)
		switch {
		case status.Details.Outage.Mirror.Ready:
			return
		case time.Now().After(deadline):
			t.Fatalf("no mirror after ten minutes: %s", data)
		}
		wait(t, 200*time.Millisecond)
	}
}

func (p *process) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
}

// ticks is what /proc counts processor time in, a second.
const ticks = 100

// cpu returns the processor time that a process and its helpers have used.
func (p *process) cpu(t *testing.T) time.Duration {
	t.Helper()
	total := cpuOf(p.cmd.Process.Pid, false)
	if p.extra != nil {
		for _, pid := range p.extra() {
			total += cpuOf(pid, true)
		}
	}
	return total
}

// cpuOf reads a process's own time, with that of its children that have ended where asked.
func cpuOf(pid int, children bool) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+2:]))
	n := 0
	last := 13 // utime, stime
	if children {
		last = 15 // cutime, cstime
	}
	for _, f := range fields[11:last] {
		v, _ := strconv.Atoi(f)
		n += v
	}
	return time.Duration(n) * time.Second / ticks
}

// postgresPIDs returns the processes of the server whose data directory is dir.
func postgresPIDs(dir string) []int {
	data, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return nil
	}
	first, _, _ := strings.Cut(string(data), "\n")
	master, _ := strconv.Atoi(first)
	pids := []int{master}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", master, master))
	for _, f := range strings.Fields(string(children)) {
		pid, _ := strconv.Atoi(f)
		pids = append(pids, pid)
	}
	return pids
}

// A load is what came of asking a server many times.
type load struct {
	n, failed int
	cpu       time.Duration // of the server, for one request
	p50, p99  time.Duration
	most      time.Duration
	perSecond float64
}

// ask sends requests over conns connections for about d, the paths taken in turn.
func ask(t *testing.T, p *process, conns int, d time.Duration, paths []string) load {
	t.Helper()
	return askFor(t, p, conns, d, question{paths: paths, status: http.StatusOK})
}

func askFor(t *testing.T, p *process, conns int, d time.Duration, q question) load {
	t.Helper()
	client := &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: conns, DisableCompression: true},
		Timeout:   30 * time.Second,
	}
	defer client.CloseIdleConnections()
	var next, failed atomic.Int64
	times := make([][]time.Duration, conns)
	one := func(i int64) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
			p.url+q.paths[(q.from+int(i))%len(q.paths)], nil)
		if err != nil {
			return err
		}
		if p.token != "" {
			req.Header.Set("Authorization", "Bearer "+p.token)
		}
		for _, h := range q.headers {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Set(name, value)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != q.status {
			said, _ := io.ReadAll(io.LimitReader(resp.Body, 400))
			return fmt.Errorf("%s: %s: %s", req.URL, resp.Status, said)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := one(0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	before, began := p.cpu(t), time.Now()
	var wg sync.WaitGroup
	for c := range conns {
		wg.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				if err := one(next.Add(1)); err != nil && failed.Add(1) == 1 {
					t.Logf("the first of the requests that failed: %v", err)
				}
				times[c] = append(times[c], time.Since(start))
			}
		})
	}
	wg.Wait()
	took, used := time.Since(began), p.cpu(t)-before
	all := slices.Concat(times...)
	slices.Sort(all)
	return load{
		n: len(all), failed: int(failed.Load()), cpu: used / time.Duration(len(all)), p50: all[len(all)/2],
		p99:  all[len(all)*99/100],
		most: all[len(all)-1], perSecond: float64(len(all)) / took.Seconds(),
	}
}

// alternate measures two servers in turn, A B A B, and returns the better half of each: what disturbs one run does not
// favour one side.
func alternate(t *testing.T, a, b *process, conns int, d time.Duration, pathsA, pathsB []string) (load, load) {
	t.Helper()
	better := func(x, y load) load {
		if x.cpu < y.cpu {
			return x
		}
		return y
	}
	a1, b1 := ask(t, a, conns, d, pathsA), ask(t, b, conns, d, pathsB)
	a2, b2 := ask(t, a, conns, d, pathsA), ask(t, b, conns, d, pathsB)
	return better(a1, a2), better(b1, b2)
}

// A report is what docs/benchmarks.md says.
type report struct {
	b      strings.Builder
	before string // the report that is to be replaced
}

func (r *report) line(format string, args ...any) { fmt.Fprintf(&r.b, format+"\n", args...) }

func (r *report) write(t *testing.T) {
	t.Helper()
	if *reportFlag == "" {
		fmt.Println(r.b.String())
		return
	}
	if err := os.WriteFile(*reportFlag, []byte(r.b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func machine() string {
	cpu := "unknown processor"
	data, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(data), "\n") {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			cpu = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
			break
		}
	}
	return fmt.Sprintf("%d cores (%s), %s %s/%s", runtime.NumCPU(), cpu, runtime.Version(), runtime.GOOS,
		runtime.GOARCH)
}

// verdict says whether a figure keeps its bound.
func verdict(figure, bound float64) string {
	if figure <= bound {
		return fmt.Sprintf("at most %g: met", bound)
	}
	return fmt.Sprintf("at most %g: **not met**", bound)
}

// repeat ends a section with the command that measures it again.
func (r *report) repeat(section string) {
	r.line("\nAgain: `go test -tags bench -count=1 -timeout 0 -run '^TestReport$/^%s$' ./internal/bench`\n", section)
}

func us(d time.Duration) string { return fmt.Sprintf("%.0f us", float64(d.Nanoseconds())/1000) }

func ms(d time.Duration) string        { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }
func ratio(a, b time.Duration) float64 { return float64(a) / math.Max(float64(b), 1) }

func decode[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
