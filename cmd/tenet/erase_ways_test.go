package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tenet/internal/pgtest"
	"tenet/internal/store/storetest"
)

// TestAPersonWhoWroteByEveryWayIsErased lets a person write by every way in that a running server has: commands, REST
// and an assistant; and be refused, read, run jobs and check in. It erases them, and looks in every file, table, page
// and new backup.
func TestAPersonWhoWroteByEveryWayIsErased(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	t.Run("embedded", func(t *testing.T) { erasedByEveryWay(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { erasedByEveryWay(t, pgtest.URL(t)) })
}

// A writer is a person who uses a running server.
type writer struct {
	t           *testing.T
	p           *process
	token, file string
}

// tenet runs a command as the person, and returns what it printed.
func (w *writer) tenet(want int, stdin string, args ...string) string {
	w.t.Helper()
	cmd := exec.Command("tenet", append(args, "--data-dir", w.p.dir, "--token-file", w.file)...)
	cmd.Dir, cmd.Stdin = w.t.TempDir(), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		w.t.Fatalf("tenet %s: %v, want %d\n%s", strings.Join(args, " "), err, want, out)
	}
	return string(out)
}

// rest asks the server as the person.
func (w *writer) rest(want int, method, path, body string, header ...string) string {
	w.t.Helper()
	status, said := fetchBody(w.t, method, "http://"+w.p.address(w.t)+path, w.token, body, append(header, "Content-Type",
		"application/json")...)
	if status != want {
		w.t.Fatalf("%s %s: %d, want %d\n%s", method, path, status, want, said)
	}
	return said
}

// mcp calls a tool as the person's assistant does.
func (w *writer) mcp(tool, arguments string) {
	w.t.Helper()
	const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",` +
		`"capabilities":{},"clientInfo":{"name":"x","version":"1"}}}` + "\n" +
		`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n"
	said := w.tenet(exitOK, hello+`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"`+tool+
		`","arguments":`+arguments+"}}\n", "mcp")
	if !strings.Contains(said, `"id":2`) || strings.Contains(said, `"isError":true`) {
		w.t.Fatalf("%s says %s", tool, said)
	}
}

func erasedByEveryWay(t *testing.T, databaseURL string) {
	work := t.TempDir()
	backups := filepath.Join(work, "backups")
	flags := []string{"--audit-reads", "all"}
	if databaseURL == "" {
		flags = append(flags, "--backup-dir", backups)
	}
	p := serveProcess(t, filepath.Join(work, "data"), databaseURL, flags...)
	if databaseURL != "" {
		waitNormal(t, p.dir)
	}
	p.command(t, "token", "create", "ines.vogel", "--name", storetest.ErasedName, "--role", "admin", "-q")
	root := &writer{t: t, p: p, file: filepath.Join(p.dir, "admin.token")}
	ines := &writer{t: t, p: p, file: filepath.Join(work, "ines.token")}
	ines.token = strings.TrimSpace(p.command(t, "token", "rotate", storetest.Erased, "-q"))
	put(t, ines.file, ines.token)
	text, err := os.ReadFile(root.file)
	if err != nil {
		t.Fatal(err)
	}
	root.token = strings.TrimSpace(string(text))
	everyWay(t, root, ines)

	said := root.tenet(exitOK, "", "erase", "principal", storetest.Erased, "--yes")
	for _, table := range []string{
		"audit", "batches", "categories", "changes", "job_", "labels", "messages", "packs", "principals", "proposals",
		"repositories", "rules", "standings", "violations",
	} {
		if !strings.Contains(said, "\n  "+table) {
			t.Errorf("no way has written the person into %s, so that nothing is proven of it:\n%s", table, said)
		}
	}
	for _, page := range []string{"/api/v1/audit?limit=500", "/api/v1/changes?limit=1000", "/api/v1/fleet", "/metrics"} {
		if list := storetest.Named(root.rest(http.StatusOK, "GET", page, "")); len(list) > 0 {
			t.Errorf("%s names the person: %.2000s", page, list)
		}
	}
	if databaseURL != "" {
		namedInTables(t, databaseURL)
	} else {
		p.command(t, "backup", "run")
		root.tenet(exitOK, "", "backup", "restore", "--backup-dir", backups, "--into", filepath.Join(work, "restored"))
	}
	root.tenet(exitOK, "", "doctor", "changes")
	p.end(t)
	for _, dir := range []string{p.dir, filepath.Join(work, "restored")} {
		if !exists(dir) {
			continue
		}
		if list := storetest.NamedInFiles(t, dir); len(list) > 0 {
			t.Errorf("the person is still in\n%s", strings.Join(list, "\n"))
		}
	}
}

// namedInTables looks for the person in every table of a PostgreSQL.
func namedInTables(t *testing.T, url string) {
	t.Helper()
	tables := pgtest.Value(t, url, "SELECT string_agg(oid::regclass::text, ' ') FROM pg_class WHERE relnamespace = "+
		"'public'::regnamespace AND relkind IN ('r', 'p')")
	for table := range strings.FieldsSeq(tables) {
		rows := pgtest.Value(t, url, "SELECT coalesce(string_agg(t::text, E'\n'), '') FROM "+table+" t WHERE t::text ~ '"+
			regexp.QuoteMeta(storetest.Erased)+"|"+storetest.ErasedName+"'")
		if rows != "" {
			t.Errorf("table %s names the person:\n%.3000s", table, rows)
		}
	}
}

// everyWay writes as a person by every way.
func everyWay(t *testing.T, root, ines *writer) {
	t.Helper()
	const id = storetest.Erased
	said := "said by " + id + ", who is " + storetest.ErasedName
	// commands
	ines.tenet(exitOK, `{"pack_id":"hers","name":"Hers","select":{"ids":["GO-003"]}}`, "put", "-", "-m", said)
	ines.tenet(exitOK, `{"repository_id":"pay","name":"Pay","owner":"`+storetest.ErasedName+`","exemptions":[{"rule":`+
		`"GO-001","reason":"old","until":"2030-01-01T00:00:00Z","by":"`+id+`"}]}`, "put", "-", "-m", said)
	ines.tenet(exitOK, "", "label", "set", "hers", "-m", said, "--hold", "rule/GO-002=1")
	ines.tenet(exitOK, "", "patch", "rule/GO-001", "--set", "priority=7", "-m", said)
	ines.tenet(exitOK, "", "label", "move", "hers", "now", "-m", said)
	batch := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)
	undo := batch.FindString(ines.tenet(exitOK, "", "patch", "rule/GO-003", "--set", "priority=9", "-o", "json"))
	ines.tenet(exitOK, "", "undo", batch.FindString(ines.tenet(exitOK, "", "history", "rule/GO-003", "-o", "json")+undo),
		"-y", "-m", said)
	ines.tenet(exitOK, "", "report", "GO-001", "--path", "a.go", "--message", "bad")
	file := filepath.Join(t.TempDir(), "AGENTS.md")
	put(t, file, "# Rules\n\n- Never write to the log by hand.\n")
	ines.tenet(exitOK, "", "import", file, "--source", "hers", "-m", said)
	ines.tenet(exitOK, "", "source", "remove", "hers", "-y", "-m", said)
	ines.tenet(exitOK, "", "retire", "rule/GO-004", "-y", "-m", said)
	ines.tenet(exitOK, "", "restore", "rule/GO-004", "-m", said)
	ines.tenet(exitOK, "", "purge", "practice/small-pull-requests", "-y", "-m", said)
	ines.tenet(exitOK, "", "guidance", "a.go", "--task", "what "+id+" has asked")
	ines.tenet(exitOK, "", "search", `"`+id+`"`)
	ines.tenet(exitOK, "", "export", "-")
	ines.tenet(exitOK, "", "token", "create", "bot", "--agent", "-m", said)
	ines.tenet(exitOK, "", "jobs", "run", "log.verify")
	ines.tenet(exitOK, "", "jobs", "pause", "log.verify")
	// proposals: hers, and those of others that she reviews
	ines.tenet(exitOK, "", "propose", "rule/GO-002", "--set", "priority=3")
	proposal := batch.FindString(root.tenet(exitOK, "", "propose", "rule/GO-002", "--set", "priority=4", "-o", "json"))
	for _, verb := range []string{"comment", "ask", "approve"} {
		ines.tenet(exitOK, "", "review", verb, proposal, "--comment", "words")
	}
	ines.tenet(exitOK, "", "review", "apply", proposal)
	// REST
	ines.rest(http.StatusCreated, "POST", "/api/v1/violations", `{"rule_id":"GO-001","message":"m","path":"b.go",`+
		`"status":"waived",`+
		`"waiver_reason":"because","waiver_expiry":"2030-01-01T00:00:00Z"}`, "Idempotency-Key", "made-by-"+id)
	ines.rest(http.StatusOK, "POST", "/api/v1/batches", `{"actor":"`+id+`","ops":[{"verb":"patch","kind":"rule",`+
		`"id":"GO-005",`+
		`"patch":{"priority":2}}]}`, "Idempotency-Key", id)
	ines.rest(http.StatusOK, "GET", "/api/v1/search?q=%22Ines+Vogel%22", "")
	root.tenet(exitOK, "", "guidance", "b.go", "--task", "what "+storetest.ErasedName+" and "+id+" wish")
	ines.rest(http.StatusNotFound, "GET", "/api/v1/rules/"+id, "")
	ines.rest(http.StatusOK, "GET", "/api/v1/rules?tag="+id, "")
	ines.rest(http.StatusOK, "POST", "/api/v1/fleet/pay", `{"at":"2026-01-01T00:00:00Z","via":"sync","branch":"main",`+
		`"commit":"c",`+
		`"program":"1","seq":1,"takes":"x"}`)
	fetch(t, "GET", "http://"+root.p.address(t)+"/api/v1/rules/"+id+"?reader="+id, "tenet_wrong", "User-Agent", id)
	// an assistant
	ines.mcp("report_violation", `{"rule":"GO-001","path":"c.go","message":"m"}`)
	ines.mcp("propose", `{"title":"T","ops":[{"verb":"patch","key":"rule/GO-002","patch":{"priority":8}}]}`)
	ines.mcp("search", `{"query":"`+id+`"}`)
}
