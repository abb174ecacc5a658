package main

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tenet/internal/needs"
	"tenet/internal/pgtest"
)

// A section is a part of a page below one heading.
type section struct{ heading, text string }

// sectionsOf cuts a page below docs/operations into its parts.
func sectionsOf(t *testing.T, page string) (list []section) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations", page))
	if err != nil {
		t.Fatal(err)
	}
	within := false // a block, where # begins a comment
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			within = !within
		}
		if strings.HasPrefix(line, "#") && !within {
			list = append(list, section{heading: strings.TrimSpace(strings.TrimLeft(line, "#"))})
		} else if len(list) > 0 {
			list[len(list)-1].text += line
		}
	}
	return list
}

// settled waits until the server is in a mode.
func (h *host) settled(mode string) {
	h.t.Helper()
	pgtest.Await(h.t, "the mode "+mode, func() bool {
		return strings.Contains(h.run("tenet status --output json || true"), `"mode": "`+mode+`"`)
	})
}

// TestThePageAboutRunningRunsOnPostgreSQL runs what docs/operations/run.md says of PostgreSQL, on a server of its own:
// the roles, both kinds of backups with their restores, and the dump of a managed one. Its other commands run beside
// the embedded database.
func TestThePageAboutRunningRunsOnPostgreSQL(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	for _, name := range []string{"psql", "pg_dump", "pg_restore", "createdb", "dropdb"} {
		needs.Program(t, name, "Debian: apt-get install postgresql-client")
	}
	h := newHostOn(t, pgtest.Options{Dir: pgtest.InMemory(), Durable: true})
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	h.cwd = t.TempDir()
	if err := os.Symlink(filepath.Join(root, "deploy"), filepath.Join(h.cwd, "deploy")); err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(h.pg.URL("tenet"))
	if err != nil {
		t.Fatal(err)
	}
	h.set("PGHOST", server.Hostname())
	h.set("PGPORT", server.Port())
	h.set("PGUSER", "postgres")
	h.run("createdb tenet")
	as := func(role string) string { return strings.Replace(server.String(), "postgres@", role+"@", 1) }
	disk, copies := pgtest.MakeDir(h.pg, "disk-of-copies"), pgtest.MakeDir(h.pg, "proofs")
	h.set("TENET_DATABASE_URL", as("tenet_app"))
	h.set("TENET_MIGRATE", "false")
	config := h.value("TENET_BACKUP_CONFIG")
	h.set("TENET_BACKUP_CONFIG", "") // no backups are kept at first
	words := strings.NewReplacer(
		"TENET_DATABASE_URL=postgres://tenet_owner@...", "TENET_DATABASE_URL="+as("tenet_owner"),
		"TENET_DATABASE_URL=postgres://tenet_app@... tenet serve --migrate=false", "systemctl start tenet",
		"/var/run/postgresql", filepath.Dir(h.pg.DataDir()), "/mnt/backup/tenet.dump",
		filepath.Join(h.cwd, "tenet.dump"),
		"/mnt/backup/tenet", filepath.Join(disk, "tenet"), "/etc/tenet/backup.key", h.value("KEY"),
		"2026-01-31T12:00:00Z", "$WHEN", "/var/lib/postgresql/15/restored", "$RESTORED")
	ran := 0
	for _, part := range sectionsOf(t, "run.md") {
		if !strings.Contains(part.heading, "PostgreSQL") {
			continue
		}
		if strings.Contains(part.text, "tenet backup run") { // by a role that may
			h.set("TENET_DATABASE_URL", h.pg.URL("tenet"))
			h.set("TENET_BACKUP_CONFIG", config)
			if strings.Contains(part.text, "basebackup") {
				h.set("TENET_DATA_DIR", filepath.Join(t.TempDir(), "data"))
				h.set("TENET_BACKUP_CONFIG", "")
				h.run("systemctl stop tenet") // it is of another data directory
				h.dir = h.value("TENET_DATA_DIR")
				disk = pgtest.MakeDir(h.pg, "disk-of-base-backups")
				words = strings.NewReplacer("/mnt/backup/tenet", filepath.Join(disk, "tenet"),
					"/etc/tenet/backup.key", h.value("KEY"))
			}
		}
		for _, block := range blocks(part.text) {
			ran++
			block = words.Replace(block)
			for line := range strings.Lines(block) { // each restore into a place of its own, and the second to a moment
				if strings.Contains(line, "$RESTORED") {
					h.set("RESTORED", filepath.Join(copies, itoa(int64(ran))+itoa(int64(len(line)))))
				}
				if strings.Contains(line, "$WHEN") {
					h.archived()
				}
				h.run(line)
				if strings.HasPrefix(line, "tenet backup run") {
					h.set("WHEN", h.now())
				}
			}
		}
	}
	if ran < 5 {
		t.Errorf("only %d blocks of commands were found: the page is read wrongly", ran)
	}
}

// now returns the time as PostgreSQL has it.
func (h *host) now() string {
	h.t.Helper()
	return strings.TrimSpace(h.run(`psql -At -d tenet -c "SELECT to_char(now() AT TIME ZONE 'UTC', ` +
		`'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"`))
}

// TestThePageAboutOutagesRuns runs docs/operations/outage.md, after an outage in which five writes were made that no
// longer fit.
func TestThePageAboutOutagesRuns(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	for _, name := range []string{"sqlite3", "jq", "psql", "pg_dump"} {
		needs.Program(t, name, "Debian: apt-get install sqlite3 jq postgresql-client")
	}
	h := newHost(t)
	h.cwd = t.TempDir()
	h.run(install)
	h.set("TENET_TOKEN_OF_IMPORTER", strings.TrimSpace(h.run("tenet token create importer --role maintainer --quiet")))
	pgtest.Await(t, "the mirror to be complete", func() bool {
		return strings.Contains(h.run("tenet status --output json"), `"state": "ready"`)
	})
	h.outage()
	parts := map[string]string{}
	for _, part := range sectionsOf(t, "outage.md") {
		if len(blocks(part.text)) > 0 {
			parts[part.heading] = part.text
		}
	}
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "moved")
	words := strings.NewReplacer("/var/lib/tenet-app1", moved, "/var/lib/tenet", h.dir, "app1", machine,
		"/mnt/backup/tenet", h.value("BACKUPS"))
	for _, part := range []struct {
		heading string
		follow  func(block string)
	}{
		{"Conflicts", h.decide},
		{"Read the files by hand", h.byHand},
		{"The journal's disk", func(block string) { h.moves(block, moved) }},
		{"Another PostgreSQL", h.another},
	} {
		found := blocks(parts[part.heading])
		if len(found) == 0 {
			t.Errorf("outage.md has no commands below %q", part.heading)
		}
		for _, block := range found {
			part.follow(words.Replace(block))
		}
		delete(parts, part.heading)
	}
	for heading := range parts {
		t.Errorf("outage.md has commands below %q, which no test runs", heading)
	}
}

// outage takes PostgreSQL away, writes meanwhile, and lets somebody else write the same documents at PostgreSQL.
func (h *host) outage() {
	h.t.Helper()
	h.run("systemctl stop postgresql")
	h.settled("degraded")
	for _, id := range []string{"SEC-001", "SEC-002", "SEC-003", "SEC-005"} {
		h.run("tenet patch rule/" + id + " --set priority=31")
	}
	h.run(`TENET_TOKEN="$TENET_TOKEN_OF_IMPORTER" tenet patch rule/SEC-004 --set priority=31`)
	h.want("tenet jobs run backup.machine", "done")
	h.run("systemctl stop tenet\nsystemctl start postgresql")
	elsewhere := h.t.TempDir()
	for _, id := range []string{"SEC-001", "SEC-002", "SEC-003", "SEC-004", "SEC-005"} {
		h.run("tenet patch rule/" + id + " --set priority=77 --data-dir " + elsewhere)
	}
	h.run("systemctl start tenet")
	h.settled("normal")
	h.want("tenet conflicts list", "SEC-001", "SEC-002", "SEC-003", "SEC-004", "SEC-005")
}

// A waitingConflict is one that nobody has decided.
type waitingConflict struct {
	ID, Actor string
	Document  string `json:"document_id"`
}

// waiting returns the conflicts that nobody has decided, by what they would write.
func (h *host) waiting() []waitingConflict {
	h.t.Helper()
	var list struct{ Conflicts []waitingConflict }
	if err := json.Unmarshal([]byte(h.run("tenet conflicts list --output json")), &list); err != nil {
		h.t.Fatalf("tenet conflicts list prints no list: %v", err)
	}
	slices.SortFunc(list.Conflicts, func(a, b waitingConflict) int { return strings.Compare(a.Document, b.Document) })
	return list.Conflicts
}

// decide runs the commands about conflicts, one conflict after the other.
func (h *host) decide(block string) {
	h.t.Helper()
	for line := range strings.Lines(block) {
		for _, c := range h.waiting() {
			if c.Actor == "importer" {
				continue
			}
			seen := strings.TrimSpace(h.run("tenet conflicts show " + c.ID + " -o json | jq -r .seen"))
			line = strings.NewReplacer("018f4a3e", c.ID, "8f1c5a90d2b7e364", seen).Replace(line)
			break
		}
		h.run(line)
	}
	if left := h.waiting(); len(left) != 1 || left[0].Document != "SEC-005" {
		h.t.Errorf("after the page's commands there wait %+v, want the one conflict that it does not decide", left)
	}
	for rule, priority := range map[string]string{"SEC-001": "77", "SEC-002": "31", "SEC-003": "31", "SEC-004": "77"} {
		h.want("tenet get rule/"+rule+" -o yaml", "priority: "+priority)
	}
}

// byHand reads the files with the program of SQLite.
func (h *host) byHand(block string) {
	h.t.Helper()
	h.run(block)
	if got := h.run("cat " + filepath.Join(h.dir, "journal.json")); !strings.Contains(got, `"state":"parked"`) {
		h.t.Errorf("the journal as JSON is\n%s\nwant the parked entry in it", got)
	}
	h.want("cat "+filepath.Join(h.dir, "conflicts.json"), `"theirs":`, "SEC-005")
	h.want("tenet doctor journal --export journal.jsonl", "1")
	h.want("tenet conflicts list --resolved -o json", `"resolution": "ours"`)
}

// moves restores what a lost machine had, and starts a server on that.
func (h *host) moves(block, into string) {
	h.t.Helper()
	h.run("systemctl stop tenet")
	h.set("TENET_BACKUP_CONFIG", "") // a new machine, which has the key
	h.set("TENET_BACKUP_KEY_FILE", h.value("KEY"))
	for line := range strings.Lines(block) {
		if strings.HasPrefix(line, "tenet serve --data-dir "+into) {
			h.dir = into
			h.set("TENET_DATA_DIR", into)
			h.set("TENET_BACKUP_KEY_FILE", "")
			line = "systemctl start tenet"
		}
		h.run(line)
	}
	h.settled("normal")
	h.want("tenet conflicts list", "SEC-005") // it waited when the copy was made
}

// another moves the server to another cluster with the same documents, which it takes on a person's word alone.
func (h *host) another(block string) {
	h.t.Helper()
	second := pgtest.Start(h.t, pgtest.Options{Dir: pgtest.InMemory()})
	h.set("NEW", second.NewDatabase())
	h.run(`systemctl stop tenet; pg_dump "$TENET_DATABASE_URL" | psql -q "$NEW"`)
	h.set("TENET_DATABASE_URL", h.value("NEW"))
	h.run("systemctl start tenet")
	h.settled("diverged")
	h.run(block)
	h.settled("normal")
	h.want("tenet patch rule/SEC-006 --set priority=5", "updated")
}
