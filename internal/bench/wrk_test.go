//go:build bench

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A question is what a load asks: paths in turn, with headers, until the time is over.
type question struct {
	paths   []string
	headers []string // as "Name: value", besides the token
	from    int      // the index of the path to begin with
	status  int      // of every answer; 200 when 0
}

// wrkPath returns the path of wrk, a load generator that costs little itself; "" when it is not installed.
func wrkPath() string {
	path, err := exec.LookPath("wrk")
	if err != nil {
		return ""
	}
	return path
}

// wrkScript asks for the lines of a file in turn.
const wrkScript = `local list, i = {}, 0
function init(args)
  for line in io.lines(args[1]) do list[#list + 1] = wrk.format(nil, line) end
  i = tonumber(args[2])
end
function request()
  i = i + 1
  return list[(i - 1) % #list + 1]
end
`

// loadConns is how many connections a load uses.
const loadConns = 8

// drive asks a server for about d and returns what it cost, with wrk where there is one.
func drive(t *testing.T, p *process, d time.Duration, q question) load {
	t.Helper()
	if q.status == 0 {
		q.status = 200
	}
	wrk := wrkPath()
	if wrk == "" {
		return askFor(t, p, loadConns, d, q)
	}
	args := []string{"-t1", fmt.Sprintf("-c%d", loadConns), fmt.Sprintf("-d%ds", int(d.Seconds()))}
	if p.token != "" {
		args = append(args, "-H", "Authorization: Bearer "+p.token)
	}
	for _, h := range q.headers {
		args = append(args, "-H", h)
	}
	if len(q.paths) == 1 { // without a script it costs least
		args = append(args, p.url+q.paths[0])
	} else {
		dir := t.TempDir()
		script, list := filepath.Join(dir, "paths.lua"), filepath.Join(dir, "paths")
		for path, text := range map[string]string{script: wrkScript, list: strings.Join(q.paths, "\n") + "\n"} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args = append(args, "-s", script, p.url, "--", list, strconv.Itoa(q.from))
	}
	before := p.cpu(t)
	out, err := exec.CommandContext(t.Context(), wrk, args...).CombinedOutput()
	used := p.cpu(t) - before
	if err != nil {
		t.Fatalf("wrk: %v\n%s", err, out)
	}
	l := load{n: wrkNumber(t, out, `(\d+) requests in `)}
	if l.n == 0 {
		t.Fatalf("nothing was asked\n%s", out)
	}
	l.cpu = used / time.Duration(l.n)
	if q.status < 400 {
		l.failed = wrkNumber(t, out, `Non-2xx or 3xx responses: (\d+)`)
	}
	for _, kind := range []string{"connect", "read", "write", "timeout"} {
		l.failed += wrkNumber(t, out, `Socket errors:.*`+kind+` (\d+)`)
	}
	return l
}

// wrkNumber finds a number in what wrk says, 0 when it says none.
func wrkNumber(t *testing.T, out []byte, pattern string) int {
	t.Helper()
	m := regexp.MustCompile(pattern).FindSubmatch(out)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A contender is a server with what it is asked.
type contender struct {
	p *process
	q question
}

// turns is how often servers that are compared take turns.
const turns = 5

// inTurn measures servers in turn, A B C A B C, and returns the median of each: what disturbs one of its runs does not
// count, and none is judged by its luckiest. A later turn goes on in the list of paths where the one before has ended.
func inTurn(t *testing.T, what string, d time.Duration, list ...contender) []time.Duration {
	t.Helper()
	costs := make([][]time.Duration, len(list))
	for range turns {
		for i := range list {
			l := drive(t, list[i].p, d, list[i].q)
			list[i].q.from += l.n
			if l.failed > 0 {
				t.Errorf("%s: %d of %d requests failed", what, l.failed, l.n)
			}
			costs[i] = append(costs[i], l.cpu)
		}
	}
	medians := make([]time.Duration, len(list))
	for i, c := range costs {
		t.Logf("%s, contender %d: %v", what, i, c)
		slices.Sort(c)
		medians[i] = c[len(c)/2]
	}
	return medians
}

// settle waits until a server has had next to nothing to do for a while.
func settle(t *testing.T, p *process) {
	t.Helper()
	const rest, enough = 50 * time.Millisecond, 5
	for quiet, n := 0, 0; quiet < enough; n++ {
		if n == 120 {
			t.Error("a server that nobody asks does not come to rest: the figures are of more than the requests")
			return
		}
		before := p.cpu(t)
		pause(t, time.Second)
		if quiet++; p.cpu(t)-before > rest {
			quiet = 0
		}
	}
}

func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
