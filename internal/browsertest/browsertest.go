// Package browsertest opens pages in a Chromium without a window, for tests.
package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tenet/internal/awaittest"
	"tenet/internal/needs"
)

// patience bounds everything that a test waits for.
const patience = time.Minute

// answerLimit is how many bytes the browser may say at once.
const answerLimit = 8 << 20

// A Page is open in a browser of its own, steered over its DevTools protocol. One goroutine uses it.
type Page struct {
	t       testing.TB
	conn    *websocket.Conn
	session string
	calls   int
}

// Open opens a page until the test ends. Where there is no Chromium the test is skipped; in CI it fails.
func Open(t testing.TB, url string) *Page {
	t.Helper()
	program := needs.Program(t, "chromium", "Debian: apt-get install chromium")
	dir := t.TempDir()
	// Without the flags about the background it would look for hosts far away.
	cmd := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-quic",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+dir,
		"--remote-debugging-port=0", "about:blank")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		// Its helpers may still be writing.
		await(t, "the browser's directory is removed", func() bool { return os.RemoveAll(dir) == nil })
	})
	p := &Page{t: t}
	p.attach(devTools(t, dir), url)
	return p
}

// devTools returns the address at which a browser is steered.
func devTools(t testing.TB, dir string) string {
	t.Helper()
	var address string
	await(t, "the browser listens", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "DevToolsActivePort"))
		port, path, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		address = "ws://127.0.0.1:" + port + path
		return path != ""
	})
	return address
}

func (p *Page) attach(address, url string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	if p.conn, _, err = websocket.Dial(ctx, address, nil); err != nil {
		p.t.Fatal(err)
	}
	p.conn.SetReadLimit(answerLimit)
	p.t.Cleanup(func() { p.conn.CloseNow() })
	var target struct{ TargetID string }
	p.call("Target.createTarget", map[string]any{"url": url}, &target)
	var session struct{ SessionID string }
	p.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	p.session = session.SessionID
}

// call calls a method of the protocol.
func (p *Page) call(method string, params, result any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.calls++
	request := map[string]any{"id": p.calls, "method": method, "params": params}
	if p.session != "" {
		request["sessionId"] = p.session
	}
	text, err := json.Marshal(request)
	if err == nil {
		err = p.conn.Write(ctx, websocket.MessageText, text)
	}
	for err == nil {
		var answer struct {
			ID     int
			Error  *struct{ Message string }
			Result json.RawMessage
		}
		if _, text, err = p.conn.Read(ctx); err != nil {
			break
		}
		if err = json.Unmarshal(text, &answer); err != nil || answer.ID != p.calls {
			continue // an event
		}
		if answer.Error != nil {
			err = fmt.Errorf("the browser says: %s", answer.Error.Message)
			break
		}
		if err = json.Unmarshal(answer.Result, result); err == nil {
			return
		}
	}
	p.t.Fatalf("%s: %v", method, err)
}

// Eval returns the value of an expression on the page, as text.
func (p *Page) Eval(expression string) string {
	p.t.Helper()
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	p.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &got)
	if got.ExceptionDetails != nil {
		p.t.Fatalf("%s: %s", expression, got.ExceptionDetails)
	}
	return fmt.Sprint(got.Result.Value)
}

// Await waits until an expression on the page has a value.
func (p *Page) Await(expression, want string) {
	p.t.Helper()
	var got string
	if !awaittest.Until(patience, func() bool { got = p.Eval(expression); return got == want }) {
		p.t.Fatalf("%s is still %q after %s, want %q", expression, got, patience, want)
	}
}

// await waits until something holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	if !awaittest.Until(patience, holds) {
		t.Fatalf("still not so after %s: %s", patience, what)
	}
}
