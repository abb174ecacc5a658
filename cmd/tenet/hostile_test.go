package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/pgtest"
	"tenet/internal/server"
	"tenet/internal/store"
)

// What a polite caller may be held up beside hostile ones, and what they may cost.
const (
	politeP99  = 2 * time.Second
	hostileRSS = 512 << 20 // more than before they came
)

// A hostile is one kind of hostile caller: what it does again and again, until the context ends, on several goroutines
// at once. It counts what it has done.
type hostile struct {
	name    string
	role    string // of its token; each kind is a principal of its own
	callers int
	want    int // the status of its answer where nobody else calls; 0 for a kind that reads none
	act     func(ctx context.Context, e *enemy, n int) (status int, err error)
}

// An enemy is what hostile callers know: where the server is, and a token.
type enemy struct{ at, token string }

// ask sends a request and reads its answer.
func (e *enemy) ask(ctx context.Context, method, path, token, body string, header ...string) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+e.at+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if path == "/mcp" && bytes.Contains(text, []byte(`"error":`)) {
		return http.StatusBadRequest, err // which assistants are told with 200
	}
	return a.StatusCode, err
}

// hold opens a connection, says something on it, reads no more than the status of an answer, and neither reads nor
// writes any more until the server has enough of it, or half a minute later.
func (e *enemy) hold(ctx context.Context, text string) (status int, err error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.at)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10)
	}
	if _, err := io.WriteString(c, text); err != nil {
		return 0, err
	}
	gone, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	defer context.AfterFunc(gone, func() { _ = c.SetReadDeadline(time.Now()) })()
	line := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(c, line); err == nil {
		status, _ = strconv.Atoi(string(line[len("HTTP/1.1 "):]))
		<-gone.Done()
	}
	return status, nil
}

func hostiles() []hostile {
	head := func(e *enemy, rest string) string {
		return "POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " +
			e.token + "\r\nContent-Length: 33554432\r\n" + rest
	}
	get := func(path, token string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	}
	text := strings.Repeat("Large text of a draft. ", 20_000)
	return []hostile{
		{
			"heads without a body", "contributor", 60, 0,
			func(ctx context.Context, e *enemy, _ int) (int, error) { return e.hold(ctx, head(e, "\r\n")) },
		},
		{"half-sent bodies", "contributor", 60, 0, func(ctx context.Context, e *enemy, _ int) (int, error) {
			return e.hold(ctx, head(e, "\r\n")+`{"ops":[`)
		}},
		{"half-sent heads of strangers", "viewer", 60, 0, func(ctx context.Context, e *enemy, _ int) (int, error) {
			return e.hold(ctx, "GET /api/v1/rules HTTP/1.1\r\nHost:")
		}},
		{"slow readers", "viewer", 20, http.StatusOK, func(ctx context.Context, e *enemy, _ int) (int, error) {
			return e.hold(ctx, strings.Repeat(get("/api/v1/rules?limit=200&active=any", e.token), 20))
		}},
		{
			"large drafts", "contributor", 4, http.StatusCreated,
			func(ctx context.Context, e *enemy, n int) (int, error) {
				return e.ask(ctx, http.MethodPost, "/api/v1/rules", e.token,
					fmt.Sprintf(`{"rule_id":"LOOP-%d","category":"security","title":"Loop","status":"DRAFT",`+
						`"description":%q}`, n, text))
			},
		},
		{"expensive searches", "viewer", 4, http.StatusOK, func(ctx context.Context, e *enemy, n int) (int, error) {
			words := []string{
				`"text of a draft"`, "a* OR s* OR t*", "title:loop -draft",
				"large text of a draft use the and not with for",
			}
			return e.ask(ctx, http.MethodGet, fmt.Sprintf("/api/v1/search?limit=100&facets=true&view=full&q=%s",
				url.QueryEscape(words[n%len(words)])), e.token, "", "Cache-Control", "no-cache")
		}},
		{
			"refused tokens", "viewer", 4, http.StatusUnauthorized,
			func(ctx context.Context, e *enemy, n int) (int, error) {
				return e.ask(ctx, http.MethodGet, "/api/v1/rules", fmt.Sprintf("tenet_%043d", n), "")
			},
		},
		{
			"live listeners that do not read", "viewer", 40, http.StatusOK,
			func(ctx context.Context, e *enemy, _ int) (int, error) {
				return e.hold(ctx, strings.Replace(get("/api/v1/live?after=0", e.token), "Host: x\r\n",
					"Host: x\r\nAccept: text/event-stream\r\n", 1))
			},
		},
		{"assistants in a loop", "viewer", 4, http.StatusOK, func(ctx context.Context, e *enemy, n int) (int, error) {
			return e.ask(ctx, http.MethodPost, "/mcp", e.token,
				fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call",`+
					`"params":{"name":"search","arguments":{"query":"draft `+
					`text"},"_meta":{"io.modelcontextprotocol/protocolVersion":`+
					`"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, n),
				"Accept", "application/json, text/event-stream", "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method",
				"tools/call",
				"Mcp-Name", "search")
		}},
	}
}

// hostileWork are hostile callers of the doors that reckon, each with a question that costs as much as one may.
func hostileWork() []hostile {
	line := strings.Repeat(`password = \"x\" // TODO \n`, 20_000)
	paths := make([]string, 100)
	for i := range paths {
		paths[i] = fmt.Sprintf("%q", fmt.Sprintf("services/s%d/cmd/main.go", i))
	}
	return []hostile{
		{"large checks", "viewer", 4, http.StatusOK, func(ctx context.Context, e *enemy, _ int) (int, error) {
			return e.ask(ctx, http.MethodPost, "/api/v1/check", e.token,
				`{"files":[{"path":"cmd/main.go","content":"`+line+`"}]}`)
		}},
		{
			"guidance for many files", "viewer", 4, http.StatusOK,
			func(ctx context.Context, e *enemy, n int) (int, error) {
				return e.ask(ctx, http.MethodPost, "/api/v1/guidance", e.token,
					fmt.Sprintf(`{"paths":[%s],"task":"%s %d"}`, strings.Join(paths, ","), strings.Repeat("refund ", 200), n))
			},
		},
		{"the whole log", "viewer", 4, http.StatusOK, func(ctx context.Context, e *enemy, _ int) (int, error) {
			return e.ask(ctx, http.MethodGet, "/api/v1/changes?limit=1000", e.token, "")
		}},
		{
			"proposals in a loop", "contributor", 4, http.StatusCreated,
			func(ctx context.Context, e *enemy, n int) (int, error) {
				return e.ask(ctx, http.MethodPost, "/api/v1/proposals", e.token, fmt.Sprintf(
					`{"title":"Loop %d","ops":[{"verb":"patch","kind":"rule","id":"SEC-002","if_version":1,`+
						`"patch":{"priority":10}}]}`, n))
			},
		},
		{"tried imports", "contributor", 4, http.StatusOK, func(ctx context.Context, e *enemy, n int) (int, error) {
			ops := make([]string, 500)
			for i := range ops {
				ops[i] = fmt.Sprintf(`{"verb":"put","kind":"rule","document":{"rule_id":"TRY-%d-%d","category":"security",`+
					`"title":"Tried","description":"Text","status":"DRAFT"}}`, n, i)
			}
			return e.ask(ctx, http.MethodPost, "/api/v1/batches?dry_run=true", e.token,
				`{"ops":[`+strings.Join(ops, ",")+`]}`)
		}},
		{
			"those who may not", "viewer", 4, http.StatusForbidden,
			func(ctx context.Context, e *enemy, n int) (int, error) {
				doors := []string{"/api/v1/audit", "/api/v1/jobs", "/api/v1/principals"}
				return e.ask(ctx, http.MethodGet, doors[n%len(doors)], e.token, "")
			},
		},
	}
}

// besideHostile runs every kind of hostile caller beside a polite one for some time, each of them with a pause between
// two calls, and holds the polite one's answers and the process's memory within bounds.
func besideHostile(t *testing.T, address string, d, pause time.Duration) {
	t.Helper()
	p := serveProcess(t, filepath.Join(t.TempDir(), "data"), address, "--requests-each", "32", "--quota",
		"contributor=30,64", "--cache-hot", "16", "--cache-warm", "0")
	admin := strings.TrimSpace(read(t, filepath.Join(p.dir, server.TokenFile)))
	kinds := append(hostiles(), hostileWork()...)
	enemies := make([]*enemy, len(kinds))
	for i, kind := range kinds {
		token := p.command(t, "token", "create", fmt.Sprintf("hostile-%d", i), "--role", kind.role, "--quiet")
		enemies[i] = &enemy{p.address(t), strings.TrimSpace(token)}
	}
	var first sync.WaitGroup
	for i, kind := range kinds {
		if kind.want == 0 {
			continue
		}
		// In the crowd it may be refused every time; one of each is answered, or it is not what is tried.
		first.Go(func() {
			if status, err := kind.act(t.Context(), enemies[i], 0); status != kind.want {
				t.Errorf("%s: answered with %d (%v) where nobody else calls, not with %d", kind.name, status, err,
					kind.want)
			}
		})
	}
	first.Wait()
	before := memory(t, p.cmd.Process.Pid)
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	var callers sync.WaitGroup
	counts := make([]atomic.Int64, len(kinds))
	for i, kind := range kinds {
		e := enemies[i]
		for c := range kind.callers {
			callers.Go(func() {
				for n := c; ctx.Err() == nil; n += kind.callers {
					if _, err := kind.act(ctx, e, n); err == nil || ctx.Err() != nil {
						counts[i].Add(1)
					}
					store.Pause(ctx, pause)
				}
			})
		}
	}
	took, most := politeCalls(ctx, t, p, admin)
	stop()
	callers.Wait()
	done := map[string]int64{}
	for i, kind := range kinds {
		if done[kind.name] = counts[i].Load(); done[kind.name] == 0 {
			t.Errorf("%s: none came through", kind.name)
		}
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("%s: %d polite calls, p50 %s, p99 %s, longest %s; memory grew by %d MiB at most", d, len(took),
		took[len(took)/2], p99, took[len(took)-1], (most-before)>>20)
	t.Logf("hostile: %v", done)
	if p99 > politeP99 && pause == 0 { // of few calls on a busy machine it says nothing
		t.Errorf("the polite caller's p99 is %s, of %s at most", p99, politeP99)
	}
	if grown := most - before; grown > hostileRSS {
		t.Errorf("memory grew by %d MiB, of %d at most", grown>>20, hostileRSS>>20)
	}
	p.end(t)
}

// politeCalls reads, searches and writes, one call after the other, and returns how long each took and the most memory
// that the process had.
func politeCalls(ctx context.Context, t *testing.T, p *process, admin string) (took []time.Duration, most int) {
	t.Helper()
	at := p.address(t)
	paths := []string{
		"/api/v1/rules?limit=20", "/api/v1/rules/SEC-001", "/api/v1/search?q=sql+parameters",
		"/api/v1/changes?limit=20", "/api/v1/practices?limit=20",
	}
	for n := 0; ctx.Err() == nil || n < 100; n++ {
		method, path := http.MethodGet, paths[n%len(paths)]
		if n%10 == 9 {
			method, path = http.MethodDelete, "/api/v1/rules/SEC-001" // a write, of which each changes something
			if n%20 == 19 {
				method, path = http.MethodPost, path+"/restore"
			}
		}
		began := time.Now()
		status, body := fetch(t, method, "http://"+at+path, admin)
		took = append(took, time.Since(began))
		if status != http.StatusOK {
			t.Fatalf("call %d of the polite one: %s %s: %d %s", n, method, path, status, body)
		}
		if n%50 == 0 {
			most = max(most, memory(t, p.cmd.Process.Pid))
		}
	}
	return took, max(most, memory(t, p.cmd.Process.Pid))
}

// TestHostileCallersOfEveryKindSlowNobody leaves a processor to other tests.
func TestHostileCallersOfEveryKindSlowNobody(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	besideHostile(t, "", 5*time.Second, 250*time.Millisecond)
}

// TestSoakBesideHostileCallers does so without a pause, for as long as TENET_SOAK says, on each engine.
func TestSoakBesideHostileCallers(t *testing.T) {
	d, err := time.ParseDuration(os.Getenv("TENET_SOAK"))
	if err != nil {
		t.Skip("set TENET_SOAK to a duration to run this for long")
	}
	t.Run("embedded", func(t *testing.T) { besideHostile(t, "", d, 0) })
	t.Run("PostgreSQL", func(t *testing.T) { besideHostile(t, pgtest.URL(t), d, 0) })
}
