package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/needs"
)

// elsewhere says which examples of docs/cli.md are not run by TestTheExamplesOfTheManualRun, and why.
func elsewhere() map[string]string {
	return map[string]string{
		`postgres|^tenet doctor (journal|mirror|query)|--(key-file|backup-key-file|incr|machine|to 2026)`: "PostgreSQL; pages_postgres_test.go",
		`^tenet conflicts (show|resolve)`:                 "an outage; TestThePageAboutOutagesRuns",
		`^tenet serve( --listen.*)?$|TENET_DATABASE_URL=`: "a server, which every test starts",
		`https://`:       "a network; import_https_test.go and mcp.txtar",
		`^source |fpath`: "the reader's own shell; complete_test.go",
		`^tenet (migrate|move)|tenet migrate down`: "a server that stands still; postgres/*.txtar",
		`^tenet mcp (headers)?$`:                   "an assistant that starts it; mcp.txtar",
	}
}

// TestTheExamplesOfTheManualRun runs the examples of docs/cli.md as they stand, in the order of the page and beside
// what they speak of: a work tree, files, packs, labels, backups and proposals. Ids and positions that nobody can
// foresee are replaced.
func TestTheExamplesOfTheManualRun(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	for _, name := range []string{"git", "jq", "less"} {
		needs.Program(t, name, "Debian: apt-get install "+name)
	}
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	m := newManual(t)
	ran := 0
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSpace(line)
			if m.elsewhere(line) {
				continue
			}
			ran++
			line = m.prepare(t, line)
			var said strings.Builder
			cmd := m.command(line)
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Run(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, said.String())
			}
		}
	}
	if ran < 140 {
		t.Errorf("only %d examples were run: the page is read wrongly", ran)
	}
	for pattern, used := range m.others {
		if !used {
			t.Errorf("no example is %s: take it out of those that are not run", pattern)
		}
	}
}

// A manual runs the examples of docs/cli.md.
type manual struct {
	*shell
	others map[string]bool // patterns of examples that are not run, and whether one was met
	bea    string          // somebody else's token
	copies string          // where backups are
}

func newManual(t *testing.T) *manual {
	t.Helper()
	m := &manual{shell: beside(t, t.TempDir()), others: map[string]bool{}}
	m.env = append(m.env, "TENET_TOKEN="+m.token)
	for pattern := range elsewhere() {
		m.others[pattern] = false
	}
	bin := t.TempDir()
	put(t, filepath.Join(bin, "code"), "#!/bin/sh\nexit 0\n")
	if err := os.Chmod(filepath.Join(bin, "code"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i, e := range m.env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			m.env[i] = "PATH=" + bin + ":" + path
		}
	}
	m.env = append(m.env, "EDITOR=true", "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t",
		"GIT_COMMITTER_EMAIL=t@example.com")
	for name, text := range manualFiles() {
		m.given(t, name, text)
	}
	m.copies = filepath.Join(t.TempDir(), "copies")
	m.must(t, "tenet backup setup --backup-dir "+m.copies+" --write")
	m.p.end(t)
	m.p = serveProcess(t, m.p.dir, "")
	for i, e := range m.env {
		if strings.HasPrefix(e, "ADDRESS=") {
			m.env[i] = "ADDRESS=" + m.p.address(t)
		}
	}
	for _, line := range []string{
		"git init -q -b main", "git add -A", "git commit -q -m first", "git update-ref refs/remotes/origin/main HEAD",
		"tar -czf rules.tar.gz -C handbook-1 .", "rm -r handbook-1", "mkdir -p ~/.config/fish/completions",
		"tenet put world.yaml --create-category", "tenet backup run",
		"tenet patch template/commit-message --set tags=[]",
		"tenet patch template/commit-message --set 'tags=[\"git\"]'", "tenet patch rule/SEC-001 --set priority=7",
		"tenet patch rule/SEC-001 --set priority=8",
		"tenet label set production", "tenet label set staging", "tenet token create ada --role viewer --quiet",
	} {
		m.must(t, line)
	}
	m.bea = strings.TrimSpace(m.must(t, "tenet token create bea --role maintainer --quiet"))
	m.archive(t, "OLD-1")
	m.archive(t, "OLD-2")
	return m
}

// manualFiles are the files that the examples speak of.
func manualFiles() map[string]string {
	const rule = "rule_id: MINE-1\ncategory: security\ntitle: Mine\ndescription: A rule.\n"
	return map[string]string{
		".tenet.yaml":         "repository: acme.pay\ntargets: [claude, cursor]\n",
		"src/app.ts":          "export {};\n",
		"cmd/pay/main.go":     "package main\n",
		"docs/index.md":       "# Index\n",
		"AGENTS.md":           "# Agents\n\nBe kind.\n",
		".cursor/rules/a.mdc": "---\nalwaysApply: true\n---\nNo print.\n",
		"handbook-1/a.md":     "---\nseverity: HIGH\n---\n# A\n\nText.\n",
		"rules.yaml":          rule, "rule.yaml": rule, "patch.yaml": "tags: [small]\n",
		"new-rules.json": `[{"rule_id":"MINE-2","category":"security","title":"Mine","description":"A rule."}]`,
		"values.yaml":    "what: Bound the size of uploads\nwhy: x\n", "why.md": "A large one stops the server.\n",
		"world.yaml": "- {pack_id: frontend, name: Front ends, select: {categories: [web]}}\n" +
			"- {pack_id: backend, name: Back ends, select: {ids: [SEC-001, GO-001, practice/small-pull-requests]}}\n" +
			"- {repository_id: acme.pay, name: Payments, packs: [backend]}\n" +
			"- {practice_id: old, category: security, title: Old, description: x}\n" +
			"- {rule_id: LEG-1, category: security, title: Legacy, description: x, tags: [legacy]}\n" +
			"- {rule_id: GONE-1, category: security, title: To be purged, description: x}\n",
	}
}

// elsewhere reports whether another test runs an example.
func (m *manual) elsewhere(line string) bool {
	for pattern := range m.others {
		if regexp.MustCompile(pattern).MatchString(line) {
			m.others[pattern] = true
			return true
		}
	}
	return false
}

// prepare makes what an example speaks of, and returns the example with the ids that it has here.
func (m *manual) prepare(t *testing.T, line string) string {
	t.Helper()
	name := func(s string) bool { return strings.HasPrefix(line, "tenet "+s) }
	switch {
	case name("archive"), strings.HasSuffix(line, "--archived"):
		line = strings.ReplaceAll(line, "SEC-001", "OLD-1")
		if !name("archive restore") {
			line = strings.ReplaceAll(line, "OLD-1", "OLD-2")
		}
	case name("doctor changes --head"), name("doctor audit --head"):
		line = regexp.MustCompile(`\d+-[0-9a-f]{64}`).ReplaceAllString(line, m.head(t, line))
	case name("export --format markdown"), name("export --format csv"):
		m.must(t, "rm -rf handbook rules.csv")
	case name("import rules.csv"):
		m.given(t, "rules.csv", "Rule,Text,severity\nUse tabs,They are short,high\n")
	case name("import backup.jsonl"): // into an instance of its own
		line = "TENET_TOKEN= " + line + " --data-dir " + filepath.Join(t.TempDir(), "new")
	case line == "tenet label set production":
		line = "tenet label set canary"
	case name("label compare 4"), strings.Contains(line, " 48211"):
		line = strings.ReplaceAll(line, "48211", itoa(int64(m.seq(t))))
	case name("patch rule/SEC-001 --set 'tags"):
		line = strings.ReplaceAll(line, "--if-version 3", "--if-version "+
			strings.TrimSpace(m.must(t, "tenet get rule/SEC-001 -o json | jq .version")))
	case name("purge"):
		line = strings.ReplaceAll(line, "SEC-001", "GONE-1")
	case name("restore rule"):
		m.must(t, "tenet retire rule/SEC-001 --quiet || true")
	case name("restore --source"):
		m.must(t, "tenet source remove handbook --yes")
	case name("retire"):
		m.must(t, "tenet restore rule/SEC-001 --quiet || true")
	case name("review"):
		line = m.proposal(t, line)
	case name("scrub"):
		line = strings.ReplaceAll(line, "/srv/staging/data", filepath.Join(t.TempDir(), "data"))
	case name("backup setup"):
		line = strings.ReplaceAll(line, "/mnt/backup/tenet", m.copies)
	case name("backup restore"):
		line = strings.ReplaceAll(line, "/var/lib/tenet-restored", filepath.Join(t.TempDir(), "restored"))
	case name("token rotate"):
		line = strings.ReplaceAll(line, "ci-payments", "bea")
	case name("undo"):
		line = m.batch(t, line)
	case name("watch"):
		if !strings.Contains(line, "--after") { // else it waits for somebody to change something
			line += " --after 0"
		}
		line += " --count 1" // behind `head` it would end with the next change only
	}
	return line
}

// head returns the head of the log or of the audit, as a person notes it.
func (m *manual) head(t *testing.T, line string) string {
	t.Helper()
	what := strings.Fields(line)[2]
	head := regexp.MustCompile(`\d+-[0-9a-f]{64}`).FindString(m.must(t, "tenet doctor "+what))
	if head == "" {
		t.Fatalf("tenet doctor %s tells no head", what)
	}
	return head
}

// seq returns the newest change.
func (m *manual) seq(t *testing.T) knowledge.Seq {
	t.Helper()
	list, err := m.p.client(t).Changes(t.Context(), knowledge.ChangeQuery{Newest: true, Limit: 1})
	if err != nil || len(list) == 0 {
		t.Fatalf("the newest change: %v, %v", list, err)
	}
	return list[0].Seq
}

// proposal makes a proposal, and decides on it as far as an example needs.
func (m *manual) proposal(t *testing.T, line string) string {
	t.Helper()
	out := m.must(t, "tenet propose rule/SEC-003 --set priority="+itoa(int64(m.seq(t))))
	id := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).FindString(out)
	if id == "" {
		t.Fatalf("tenet propose says %q", out)
	}
	m.given(t, "bea.token", m.bea+"\n")
	if strings.HasPrefix(line, "tenet review apply") {
		m.must(t, "tenet review approve "+id+" --token-file bea.token")
	}
	for _, verb := range []string{"approve", "ask", "reject"} { // somebody else does
		if strings.HasPrefix(line, "tenet review "+verb+" ") {
			line = "TENET_TOKEN= " + line + " --token-file bea.token"
		}
	}
	return regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).ReplaceAllString(line, id)
}

// batch makes a batch for an example that takes it back, and names it as far as the example does.
func (m *manual) batch(t *testing.T, line string) string {
	t.Helper()
	r, err := m.p.client(t).Apply(t.Context(), knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "admin", Ops: []knowledge.Op{{
			Verb: knowledge.VerbPatch, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "SEC-004"},
			Patch: []byte(`{"priority":` + itoa(int64(m.seq(t))) + `}`),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	id := r.Batch.String()
	given := strings.Fields(line)[2]
	return strings.ReplaceAll(line, given, id[len(id)-len(given):])
}
