//go:build bench

package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// assistants measures what an assistant waits for at an edit: a hook, and the tools that it calls before.
func (r *report) assistants(t *testing.T, e *env) {
	r.line("## Assistants\n")
	dir := t.TempDir()
	p := startTenet(t, e.bin, dir)
	r.tools(t, p)
	r.hooks(t, e.bin, p)
	r.repeat("assistants")
}

// A call is one request, as often as it is asked.
type call struct {
	method, path, body string
	headers            map[string]string
}

// send sends the request, and reads the answer into a buffer that all calls use: an answer of many bytes must not cost
// the caller more memory than one of few, whose collection would then be measured.
func (c *call) send(p *process, client *http.Client, text *bytes.Buffer) (int, error) {
	req, err := http.NewRequest(c.method, p.url+c.path, strings.NewReader(c.body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	for name, value := range c.headers {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text.Reset()
	_, err = text.ReadFrom(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || bytes.Contains(text.Bytes(), []byte(`"isError":true`)) ||
		bytes.Contains(text.Bytes(), []byte(`"error":{`))) {
		err = fmt.Errorf("%s %s: %s: %.300s", c.method, c.path, resp.Status, text)
	}
	return text.Len(), err
}

// tool is a call of a tool over the protocol without sessions.
func tool(name string, arguments any) (*call, error) {
	meta := map[string]any{
		"io.modelcontextprotocol/protocolVersion":    "2026-07-28",
		"io.modelcontextprotocol/clientCapabilities": map[string]any{},
		"io.modelcontextprotocol/clientInfo":         map[string]string{"name": "bench", "version": "1"},
	}
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{
			"name":      name,
			"arguments": arguments, "_meta": meta,
		},
	})
	return &call{http.MethodPost, "/mcp", string(body), map[string]string{
		"Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28",
		"Mcp-Method": "tools/call", "Mcp-Name": name,
	}}, err
}

// openSession opens a session of the older protocol, and returns the headers of its requests.
func openSession(t *testing.T, p *process) map[string]string {
	t.Helper()
	headers := map[string]string{
		"Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2025-11-25",
		"Authorization": "Bearer " + p.token, "Content-Type": "application/json",
	}
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},` +
			`"clientInfo":{"name":"bench","version":"1"}}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
	} {
		req, err := http.NewRequest(http.MethodPost, p.url+"/mcp", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range headers {
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if id := resp.Header.Get("Mcp-Session-Id"); id != "" {
			headers["Mcp-Session-Id"] = id
		}
	}
	return headers
}

// inSession is a call of a tool within a session.
func inSession(headers map[string]string, name string, arguments any) (*call, error) {
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call",
		"params": map[string]any{"name": name, "arguments": arguments},
	})
	return &call{http.MethodPost, "/mcp", string(body), headers}, err
}

// calls is how often each call is asked: of fewer, the 99th percentile would be that of the machine.
const calls = 5000

// byTurns asks several calls one after the other, again and again, and returns how long each took in order of size.
func byTurns(t *testing.T, p *process, list ...*call) (times [][]time.Duration, size []int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	times, size = make([][]time.Duration, len(list)), make([]int, len(list))
	var answer bytes.Buffer
	for n := range calls + calls/10 {
		for i, c := range list {
			began := time.Now()
			bytes, err := c.send(p, client, &answer)
			if err != nil {
				t.Fatal(err)
			}
			if n >= calls/10 { // before that it gets warm
				times[i], size[i] = append(times[i], time.Since(began)), bytes
			}
		}
	}
	for i := range times {
		slices.Sort(times[i])
	}
	return times, size
}

func (r *report) tools(t *testing.T, p *process) {
	t.Helper()
	r.line("Tools over the Model Context Protocol beside the same question over REST, one caller, in turn call by "+
		"call, %d of each, of the starter set, in both eras of the protocol.\n", calls)
	session := openSession(t, p)
	r.line("| question | bytes, REST | bytes, MCP | REST p50 | MCP p50 | REST p99 | MCP p99 | ratio of p50 | ratio " +
		"of p99 | bound of the last |")
	r.line("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, q := range []struct {
		tool      string
		arguments any
		rest      *call
	}{
		{
			"get_guidance",
			map[string]any{"paths": []string{"cmd/pay/main.go"}, "task": "add a refund endpoint"},
			&call{
				method: http.MethodPost, path: "/api/v1/guidance",
				body: `{"paths":["cmd/pay/main.go"],"task":"add a refund endpoint"}`,
			},
		},
		{
			"search",
			map[string]any{"query": "wrap errors", "limit": 10},
			&call{method: http.MethodGet, path: "/api/v1/search?q=wrap+errors&limit=10"},
		},
	} {
		c, err := tool(q.tool, q.arguments)
		if err != nil {
			t.Fatal(err)
		}
		old, err := inSession(session, q.tool, q.arguments)
		if err != nil {
			t.Fatal(err)
		}
		times, size := byTurns(t, p, q.rest, c, old)
		at := func(i, percent int) time.Duration { return times[i][len(times[i])*percent/100] }
		for i, era := range []string{"2026-07-28", "2025-11-25"} {
			i++
			over := ratio(at(i, 99), at(0, 99))
			r.line("| `%s`, %s | %d | %d | %s | %s | %s | %s | %.2f | %.2f | %s |", q.tool, era, size[0], size[i],
				us(at(0, 50)), us(at(i, 50)), us(at(0, 99)), us(at(i, 99)),
				ratio(at(i, 50), at(0, 50)), over, verdict(over, 1.5))
		}
	}
	r.line("")
}

// Of the rules of a work tree: all, those that hold for the file that is edited, and edits.
const (
	rulesOfTree = 1000
	rulesOfFile = 50
	edits       = 100
)

// hooks starts a hook for each edit and waits for its end.
func (r *report) hooks(t *testing.T, bin string, p *process) {
	t.Helper()
	tree := t.TempDir()
	env := append(os.Environ(), "TENET_URL="+p.url, "TENET_TOKEN="+p.token, "XDG_CACHE_HOME="+t.TempDir())
	run := func(input string, args ...string) (said string, took, cpu time.Duration) {
		cmd := exec.Command(bin, args...)
		cmd.Dir, cmd.Env, cmd.Stdin = tree, env, strings.NewReader(input)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		began := time.Now()
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %v\n%s%s", args, err, &out, &errs)
		}
		return out.String(), time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	var rules strings.Builder
	for i := range rulesOfTree {
		glob := fmt.Sprintf("services/s%d/**/*.ts", i)
		if i < rulesOfFile {
			glob = "**/*.go"
		}
		fmt.Fprintf(&rules, `{"rule_id":"BENCH-%d","category":"documentation","title":"Rule `+
			`%d","description":%q,"enforcement":"mandatory",`+
			`"scope":{"activation":"glob","globs":[%q]},"checks":[{"id":"c","kind":"forbid",`+
			`"pattern":"forbidden_%d\\(","message":"No."}]}`+"\n",
			i, i, strings.Repeat("A sentence that says what the rule asks for, and why. ", 12), glob, i)
	}
	file := filepath.Join(tree, "rules.jsonl")
	for name, text := range map[string]string{
		file:                               rules.String(),
		filepath.Join(tree, ".tenet.yaml"): "packs: [bench]\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run("", "import", file, "--quiet")
	run(`{"pack_id":"bench","name":"Bench","select":{"categories":["documentation"]}}`, "put", "-")
	run("", "check", ".tenet.yaml")
	event := func(session int, text string) string {
		return fmt.Sprintf(`{"session_id":"s%d","cwd":%q,"tool_name":"Write","tool_input":{"file_path":"pay.go",`+
			`"content":%q}}`, session, tree, text)
	}
	r.line("A hook as a whole process, from its start to its end, the median of %d, in a work tree that takes %d "+
		"rules with checks, of which %d concern the edited file. It asks no tenet.\n",
		edits, rulesOfTree, rulesOfFile)
	r.line("| edit | processor time | of `tenet version` | ratio | p50 | p99 | bound of p50 in ms |")
	r.line("| --- | --- | --- | --- | --- | --- | --- |")
	for _, c := range []struct {
		name, text, want string
		session          func(n int) int
	}{
		{"let through, and what holds is told", "package pay\n", "additionalContext", func(n int) int { return n }},
		{"let through, told before", "package pay\n", "", func(int) int { return 0 }},
		{"denied", "package pay\n\nvar x = forbidden_7(1)\n", `"deny"`, func(int) int { return 0 }},
	} {
		var waits, used, least []time.Duration
		for n := range edits {
			out, took, cpu := run(event(c.session(n), c.text), "hook", "--tool", "claude")
			if !strings.Contains(out, c.want) || c.want == "" && out != "" {
				t.Fatalf("%s: %q", c.name, out)
			}
			_, _, idle := run("", "version")
			waits, used, least = append(waits, took), append(used, cpu), append(least, idle)
		}
		for _, list := range [][]time.Duration{waits, used, least} {
			slices.Sort(list)
		}
		half := edits / 2
		r.line("| %s | %s | %s | %.2f | %s | %s | %s |", c.name, ms(used[half]), ms(least[half]),
			ratio(used[half], least[half]), ms(waits[half]),
			ms(waits[edits*99/100]), verdict(float64(waits[half].Microseconds())/1000, 50))
	}
}
