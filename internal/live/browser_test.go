package live

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
)

// A browser is a Chromium without a window, steered over its DevTools protocol.
type browser struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // of the one test that the browser lives for
	conn    *websocket.Conn
	session string // of the page
	calls   int
}

// openBrowser opens a page, or skips where there is no Chromium; in CI it fails there.
func openBrowser(t *testing.T, page string) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "there is no chromium on the PATH: the page in docs/examples/live.html is not tried out")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+dir, "--remote-debugging-port=0", "about:blank")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
		// Its helpers may still be writing.
		eventually(t, "the browser's directory is removed", func() bool { return os.RemoveAll(dir) == nil })
	})
	var port, socket string
	eventually(t, "the browser listens", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "DevToolsActivePort"))
		lines := strings.Split(string(text), "\n")
		if len(lines) < 2 || lines[1] == "" {
			return false
		}
		port, socket = lines[0], lines[1]
		return true
	})
	b := &browser{t: t, ctx: ctx}
	if b.conn, _, err = websocket.Dial(ctx, "ws://127.0.0.1:"+port+socket, nil); err != nil { //nolint:bodyclose // it has none
		t.Fatal(err)
	}
	b.conn.SetReadLimit(8 << 20)
	t.Cleanup(func() { b.conn.CloseNow() })
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": page}, &target)
	var session struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.session = session.SessionID
	return b
}

// call calls a method of the protocol.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.calls++
	request := map[string]any{"id": b.calls, "method": method, "params": params}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	text, err := json.Marshal(request)
	if err == nil {
		err = b.conn.Write(b.ctx, websocket.MessageText, text)
	}
	for err == nil {
		var answer struct {
			ID     int
			Error  *struct{ Message string }
			Result json.RawMessage
		}
		if _, text, err = b.conn.Read(b.ctx); err != nil {
			break
		}
		if err = json.Unmarshal(text, &answer); err != nil || answer.ID != b.calls {
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
	b.t.Fatalf("%s: %v", method, err)
}

// eval returns the value of an expression on the page, as text.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &got)
	if got.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, got.ExceptionDetails)
	}
	return fmt.Sprint(got.Result.Value)
}

// logIn fills in the form, once the page has understood itself.
func (b *browser) logIn() {
	b.t.Helper()
	eventually(b.t, "the page is there", func() bool { return b.eval("!!document.forms[0]?.onsubmit") == "true" })
	b.eval("document.querySelector('input').value = 'viewer'; document.forms[0].requestSubmit()")
}

func TestTheExamplePageFollowsInABrowser(t *testing.T) {
	log := newLog(t)
	log.rules(5)
	r := newRig(t, log, Options{})
	b := openBrowser(t, r.server.URL+"/example")
	b.logIn()
	state := func() string { return b.eval("document.querySelector('output').value") }
	eventually(t, "the page follows", func() bool { return state() == "normal" })

	shown := func() string {
		return b.eval("[...document.querySelectorAll('li')].reverse().map(li => li.textContent.split(' ')[0]).join(' ')")
	}
	log.rules(3)
	eventually(t, "three changes are shown", func() bool { return shown() == "6 7 8" })
	if got := b.eval("document.querySelector('li').textContent"); got != "8 put rule/R-8 version 1 by tester" {
		t.Errorf("the page shows %q", got)
	}
	for _, w := range r.hub.wires() {
		w.Cut()
	}
	eventually(t, "the page says that it is cut off", func() bool { return state() == "not connected" })
	log.rules(3)
	eventually(t, "it has come back and missed nothing", func() bool { return shown() == "6 7 8 9 10 11" })
	b.eval("location.reload()")
	eventually(t, "the page is there again", func() bool { return b.eval("document.querySelectorAll('li').length") == "0" })
	log.rules(1)
	b.logIn()
	eventually(t, "a page that was loaded again goes on where it was", func() bool { return shown() == "12" })
	r.stop()
	eventually(t, "it hears the goodbye", func() bool { return state() == "not connected" })
}
