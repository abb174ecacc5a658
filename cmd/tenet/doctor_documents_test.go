package main

import (
	"crypto/sha256"
	"database/sql" //nolint:depguard // somebody writes past the engine
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tenet/internal/pgtest"
)

// A pastTenet is what somebody writes into a database past tenet, on either engine, and what is said of it.
type pastTenet struct {
	name             string
	postgres, sqlite string
	says             []string // the report has all of these, the document first
}

const badVariable = `'{"name":"x","title":"x","type":"colour","default":null,"options":[],"required":false,` +
	`"description":"","pattern":""}'`

func writtenPast() []pastTenet {
	set := func(path, value string) string {
		return "UPDATE rules SET document = json_set(document, '" + path + "', " + value + ") WHERE rule_id = 'SEC-001'"
	}
	// in parts, so that nothing takes this file for one
	key := "-----BEGIN RSA PRIVATE" + " KEY----- " + strings.Repeat("Ab9/", 20)
	return []pastTenet{
		{
			"an activation", `UPDATE rules SET scope = jsonb_set(scope, '{activation}', '"sometimes"') WHERE ` +
				`rule_id = 'SEC-001'`,
			set("$.scope.activation", "'sometimes'"),
			[]string{"rule/SEC-001: /scope/activation", `"sometimes"`, "want one of always, glob, model, manual"},
		},
		{
			"a type of a variable", "UPDATE templates SET variables = jsonb_build_array(" + badVariable +
				"::jsonb) WHERE template_id = 'past'",
			"UPDATE templates SET document = json_set(document, '$.variables', json_array(json(" + badVariable +
				"))) WHERE template_id = 'past'",
			[]string{"template/past: /variables/0/type", `"colour"`, "want one of text, multiline"},
		},
		{
			"a direction character", `UPDATE rules SET description = U&'left \202E right' WHERE rule_id = 'SEC-001'`,
			set("$.description", "'left ' || char(0x202e) || ' right'"),
			[]string{"rule/SEC-001: /description", "invisible direction character U+202E"},
		},
		{
			"an empty title", "UPDATE rules SET title = '  ' WHERE rule_id = 'SEC-001'", set("$.title", "'  '"),
			[]string{"rule/SEC-001: /title", "missing: want one line of text"},
		},
		{
			"a private key", "UPDATE rules SET description = '" + key + "' WHERE rule_id = 'SEC-001'",
			set("$.description", "'"+key+"'"),
			[]string{"rule/SEC-001: /description", "looks like a private key"},
		},
		{
			"a twin of a token", `INSERT INTO principals (principal_id, name, role, token_hash) SELECT i, i, ` +
				`'viewer', repeat('ab', 32) FROM unnest('{ann,bob}'::text[]) i`,
			`INSERT INTO principals (principal_id, rank, document) SELECT i, 1, json_object('principal_id', i, 'name',
				i, 'role', 'viewer', 'token_hash',
				replace(hex(zeroblob(32)), '00', 'ab'), 'token_prefix', '', 'expiry', NULL, 'agent', json('false'),
				'disabled', json('false'), 'created_by', 'x',
				'created_at', '2026-01-31T12:00:00.000000Z', 'updated_by', 'x', 'updated_at',
				'2026-01-31T12:00:00.000000Z', 'version', 1)
				FROM (SELECT 'ann' AS i UNION ALL SELECT 'bob')`,
			[]string{"principal/bob: /token_hash", "principal/ann"},
		},
	}
}

// seededPast fills a database with the starter set and a template.
func seededPast(t *testing.T, dir string, flags ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "past.yaml")
	if err := os.WriteFile(file, []byte("template_id: past\ncategory: security\nname: Past\ntemplate_content: "+
		"\"{{x}}\"\nvariables: [{name: x}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"seed"}, {"put", file}, {"doctor", "documents"}} {
		if code, said := command(t, dir, append(args, flags...)...); code != exitOK {
			t.Fatalf("%v: %d\n%s", args, code, said)
		}
	}
}

// namedOnce checks that of all documents only one is named, with what it says.
func namedOnce(t *testing.T, w *pastTenet, code int, said string) {
	t.Helper()
	lines := regexp.MustCompile(`(?m)^[a-z]+/[^:]+: /.*$`).FindAllString(said, -1)
	if code != exitFailed || len(lines) != 1 {
		t.Errorf("code %d and %d documents named, want %d and one:\n%s", code, len(lines), exitFailed, said)
	}
	for _, part := range w.says {
		if !strings.Contains(said, part) {
			t.Errorf("it does not say %q:\n%s", part, said)
		}
	}
}

// restored exports what somebody has written past tenet, and imports it: refused first, taken with the flag, and named
// then too.
func restored(t *testing.T, w *pastTenet, dir string, from, to []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "past.jsonl")
	code, said := command(t, dir, append([]string{"export", file}, from...)...)
	if code != exitOK {
		t.Fatalf("%d\n%s", code, said)
	}
	into := filepath.Join(t.TempDir(), "into")
	twin := w.name == "a twin of a token" // each of the two is as it should be
	fault := w.says[len(w.says)-1]
	if code, said := command(t, into, append([]string{"import", file}, to...)...); (code == exitOK) != twin ||
		!twin && !strings.Contains(said, fault) {
		t.Fatalf("an import: %d\n%s", code, said)
	}
	code, said = command(t, into, append([]string{"import", file, "--accept-invalid"}, to...)...)
	if code != exitOK || !twin && (!strings.Contains(said, fault) ||
		!strings.Contains(said, "1 document was restored that the server would refuse")) {
		t.Fatalf("with --accept-invalid: %d\n%s", code, said)
	}
	code, said = command(t, into, append([]string{"doctor", "documents"}, to...)...)
	namedOnce(t, w, code, said)
	if code, said := command(t, into, append([]string{"doctor", "changes"}, to...)...); code != exitOK {
		t.Errorf("the log of what was restored: %d\n%s", code, said)
	}
}

func TestWhatIsWrittenPastTenetIsNamed(t *testing.T) {
	for _, w := range writtenPast() {
		t.Run(w.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			seededPast(t, dir)
			db, err := sql.Open("sqlite", filepath.Join(dir, "tenet.db"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(w.sqlite); err != nil {
				t.Fatal(err)
			}
			db.Close()
			code, said := command(t, dir, "doctor", "documents")
			namedOnce(t, &w, code, said)
		})
	}
}

// pastTheCheck writes into a PostgreSQL what that refuses of a person, as somebody does who has switched the check off
// first.
func pastTheCheck(t *testing.T, url, sql string) {
	t.Helper()
	if _, err := pgtest.Connect(t, url).Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "23514") {
		t.Errorf("%s: %v; want it refused", sql, err)
	}
	table := strings.Fields(strings.TrimPrefix(strings.TrimPrefix(sql, "UPDATE "), "INSERT INTO "))[0]
	pgtest.Exec(t, url, "ALTER TABLE "+table+" DISABLE TRIGGER tenet_valid")
	pgtest.Exec(t, url, sql)
	pgtest.Exec(t, url, "ALTER TABLE "+table+" ENABLE ALWAYS TRIGGER tenet_valid")
}

func TestWhatIsWrittenPastTenetIntoPostgreSQLIsRefusedOrNamedAndCanBeRestored(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	for _, w := range writtenPast() {
		t.Run(w.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			url := pgtest.Template(t, "past", func(url string) error {
				seededPast(t, filepath.Join(t.TempDir(), "data"), "--database-url", url)
				return nil
			})
			pastTheCheck(t, url, w.postgres)
			code, said := command(t, dir, "doctor", "documents", "--database-url", url)
			namedOnce(t, &w, code, said)
			from := []string{"--database-url", url}
			restored(t, &w, dir, from, nil)
			restored(t, &w, dir, from, []string{"--database-url", pgtest.URL(t)})
		})
	}
}

func TestARunningTenetLooksAtItsDocuments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	url := pgtest.URL(t)
	p := serveProcess(t, dir, url)
	if said := p.command(t, "doctor", "documents"); !strings.Contains(said, "as tenet would take") {
		t.Fatalf("of what tenet has written itself:\n%s", said)
	}
	i := slices.IndexFunc(writtenPast(), func(w pastTenet) bool { return w.name == "an empty title" })
	w := writtenPast()[i]
	pastTheCheck(t, url, w.postgres)
	code, said := command(t, dir, "doctor", "documents")
	namedOnce(t, &w, code, said)
	code, said = command(t, dir, "import", filepath.Join(t.TempDir(), "nothing.jsonl"), "--accept-invalid")
	if code != exitUsage || !strings.Contains(said, "--accept-invalid is for a restore into the database itself") {
		t.Errorf("--accept-invalid through a running tenet: %d\n%s", code, said)
	}
	p.end(t)
}

// TestAnExportIsComparedWithItsSum changes the last line of an export so that nothing in it shows it.
func TestAnExportIsComparedWithItsSum(t *testing.T) {
	dir := t.TempDir()
	from, file := filepath.Join(dir, "from"), filepath.Join(dir, "e.jsonl")
	seededPast(t, from)
	_, said := command(t, from, "export", file)
	sum := regexp.MustCompile(`SHA-256 ([0-9a-f]{64}): note it elsewhere`).FindStringSubmatch(said)
	if sum == nil {
		t.Fatalf("an export shows no SHA-256:\n%s", said)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(whole), "\n"), "\n")
	last := len(lines) - 2
	left := sha256.Sum256([]byte(strings.Join(lines[:last], "\n") + "\n"))
	cut := append(slices.Clone(lines[:last]), fmt.Sprintf(`{"end":true,"lines":%d,"sum":"%x"}`, last-1, left[:6]))
	if err := os.WriteFile(file, []byte(strings.Join(cut, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := command(t, filepath.Join(dir, "unaware"), "import", file); code != exitOK {
		t.Fatalf("the forger was found without the sum, so that this test shows nothing: %d\n%s", code, said)
	}
	into := filepath.Join(dir, "into")
	code, said := command(t, into, "import", file, "--sha256", sum[1])
	if code != exitFailed || !strings.Contains(said, "is another file than was exported") {
		t.Errorf("a forged export: %d\n%s", code, said)
	}
	if _, err := os.Stat(filepath.Join(into, "tenet.db")); err == nil {
		t.Error("a forged export has made a database")
	}
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := command(t, into, "import", file, "--sha256", sum[1]); code != exitOK {
		t.Errorf("the export itself: %d\n%s", code, said)
	}
	if code, said := command(t, into, "import", file, "--sha256", "12"); code != exitUsage ||
		!strings.Contains(said, "64 hex digits") {
		t.Errorf("a sum that is none: %d\n%s", code, said)
	}
}
