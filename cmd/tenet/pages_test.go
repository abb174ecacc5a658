package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/needs"
	"tenet/internal/store/storetest"
)

// A shell runs lines of a page as a reader does: in a folder and a home of its own, beside a server that runs.
type shell struct {
	dir   string
	env   []string
	token string // the admin's
	p     *process
}

// beside starts a server in the home of a reader.
func beside(t *testing.T, dir string) *shell {
	t.Helper()
	for _, name := range []string{"sh", "curl", "tar"} {
		needs.Program(t, name, "Debian: apt-get install "+name)
	}
	home := t.TempDir()
	data := filepath.Join(home, ".local", "share", "tenet")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	p := serveProcess(t, data, "")
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{dir: dir, env: []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "XDG_CACHE_HOME=" + t.TempDir(), "ADDRESS=" + p.address(t),
	}, token: strings.TrimSpace(string(token)), p: p}
	return s
}

// run runs a line and returns what it prints; of one that follows changes, and so has no end, the first line.
func (s *shell) run(line string) (string, error) {
	if strings.HasPrefix(line, "curl -N") || strings.HasPrefix(line, "tenet watch") {
		return s.begin(line)
	}
	out, err := s.command(line).Output()
	return string(out), err
}

// begin returns the first line of what a line prints, and ends it then: whoever only reads less, as head does, is not
// missed before something more is to be printed.
func (s *shell) begin(line string) (string, error) {
	cmd := s.command("exec " + line)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	first, err := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	return first, err
}

// command returns a line as a command, with the address of the server that runs in place of the usual one.
func (s *shell) command(line string) *exec.Cmd {
	line = strings.ReplaceAll(line, "go run ./cmd/tenet ", "tenet ")
	line = regexp.MustCompile(`(localhost|127\.0\.0\.1):8420`).ReplaceAllString(line, "$$ADDRESS")
	line = regexp.MustCompile(`'((?:http://)?\$ADDRESS[^']*)'`).ReplaceAllString(line, `"$1"`)
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// sameSession returns a text without what differs from run to run: times, ids of batches, positions, scores, and how
// wide columns are.
func sameSession(text string) string {
	for _, mask := range []struct{ what, with string }{
		{`[0-9a-f]{8}-[0-9a-f-]{27}`, "BATCH"},
		{`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`, "TIME"},
		{`--cursor \S+`, "--cursor C"},
		{`\b\d+\.\d+\b`, "SCORE"},
		{`\b\d{2,}\b`, "SEQ"},
		{` +`, " "},
		{` \n`, "\n"},
	} {
		text = regexp.MustCompile(mask.what).ReplaceAllString(text, mask.with)
	}
	return strings.TrimSpace(text)
}

// TestTheReadmeShowsWhatHappens runs the session at the head of README.md and compares what it shows; -update writes it
// anew.
func TestTheReadmeShowsWhatHappens(t *testing.T) {
	const name = "../../README.md"
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindSubmatchIndex(page)
	if block == nil {
		t.Fatal("README.md shows no session")
	}
	s := beside(t, t.TempDir())
	var session strings.Builder
	for i, part := range strings.Split("\n"+string(page[block[2]:block[3]]), "\n$ ")[1:] {
		line, shown, _ := strings.Cut(part, "\n")
		out, err := s.command(line).CombinedOutput() // as on a terminal
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		got := string(out)
		same := sameSession(got) == sameSession(shown)
		// Of one long line the rest is left out.
		if begin, cut := strings.CutSuffix(strings.TrimSpace(shown), "…"); cut && !strings.Contains(begin, "\n") {
			same = strings.HasPrefix(sameSession(got), sameSession(begin))
			got = got[:min(len(got), len(strings.TrimSpace(begin)))] + " …"
		}
		if !same {
			t.Logf("%s shows\n%s\nand not\n%s", line, got, shown)
			if !*update {
				t.Errorf("%s shows something else; -update writes it anew", line)
			}
			shown = got
		}
		if i > 0 {
			session.WriteString("\n")
		}
		session.WriteString("$ " + line + "\n" + strings.TrimSpace(shown) + "\n")
	}
	if *update {
		text := string(page[:block[2]]) + session.String() + string(page[block[3]:])
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// testedElsewhere names the test of each page whose commands need more than a shell beside a server.
func testedElsewhere() map[string]string {
	return map[string]string{
		"docs/cli.md":                          "TestTheExamplesOfTheManualRun",
		"docs/for-assistants.md":               "TestTheGuideForAssistants",
		"docs/operations/ha.md":                "TestSoakHighAvailability", // Patroni on three hosts
		"docs/operations/outage.md":            "TestThePageAboutOutagesRuns",
		"docs/runbooks/alerts.md":              "TestSoakRunbooks",
		"docs/runbooks/bad-migration.md":       "TestSoakRunbooks",
		"docs/runbooks/host-lost.md":           "TestRunbooks",
		"docs/runbooks/ransom.md":              "TestSoakRansom",
		"docs/runbooks/repository-lost.md":     "TestSoakRunbooks",
		"docs/runbooks/table-dropped.md":       "TestRunbooks",
		"docs/runbooks/wrong-person-erased.md": "TestRunbookOfTheWrongPerson",
	}
}

// TestTheCommandsOfEveryPageAreRun finds pages with commands that no test runs, and tests of pages that are gone.
func TestTheCommandsOfEveryPageAreRun(t *testing.T) {
	root := "../.."
	var tests strings.Builder
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	tested := testedElsewhere()
	for page := range runPages(root) {
		tested[page] = "TestTheCommandsOfThePagesRun"
	}
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "deploy/*.md", "deploy/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	for _, name := range pages {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		page := filepath.ToSlash(strings.TrimPrefix(name, root+string(filepath.Separator)))
		test, named := tested[page]
		switch holds := regexp.MustCompile("(?m)^```sh$").Match(text); {
		case holds && !named:
			t.Errorf("%s has commands, and no test runs them", page)
		case holds && !strings.Contains(tests.String(), "\nfunc "+test+"("):
			t.Errorf("the commands of %s are said to be run by %s, which is not there", page, test)
		}
		if delete(tested, page); named && !bytes.Contains(text, []byte("```sh")) {
			t.Errorf("%s has no commands", page)
		}
	}
	for page := range tested {
		t.Errorf("%s is not there", page)
	}
}

// runPages returns what makes the lines of each page fit a folder of a test's own: "" for one that is not run.
func runPages(root string) map[string]func(t *testing.T, s *shell, line string) string {
	return map[string]func(t *testing.T, s *shell, line string) string{
		"CONTRIBUTING.md": func(_ *testing.T, s *shell, line string) string {
			s.dir = root
			if target, ok := strings.CutPrefix(line, "make "); ok {
				return "make --dry-run " + target // they are run by whoever contributes, and by CI
			}
			return "" // a clone of this one, and a server, which runs already
		},
		"README.md": func(_ *testing.T, s *shell, line string) string {
			s.dir = root // "from a clone"
			if strings.Contains(line, " serve") || strings.HasPrefix(line, "make ") ||
				strings.HasPrefix(line, "install ") {
				return "" // it runs already; the program is built and installed by its own checks
			}
			return line
		},
		"docs/import.md": func(t *testing.T, s *shell, line string) string {
			t.Helper()
			if strings.Contains(line, "https://") {
				return "" // that wants a network
			}
			s.given(t, "AGENTS.md", "# Agents\n\nBe kind.\n")
			s.given(t, ".cursor/rules/a.mdc", "---\nalwaysApply: true\n---\nNo print.\n")
			for _, name := range []string{"playbook", "playbook-2"} {
				s.given(t, name+"/rules/"+name+".md", "---\nseverity: HIGH\n---\n# "+name+"\n\nText.\n")
				if out, err := exec.Command("tar", "-czf", filepath.Join(s.dir, name+".tar.gz"), "-C", s.dir,
					name).CombinedOutput(); err != nil {
					t.Fatalf("tar: %v\n%s", err, out)
				}
			}
			return line
		},
		"docs/packs.md": func(t *testing.T, s *shell, line string) string {
			t.Helper()
			if !strings.Contains(line, " ID") {
				return line
			}
			out, err := s.run("tenet list proposals -o name")
			if err != nil {
				t.Fatal(err)
			}
			_, id, _ := strings.Cut(strings.TrimSpace(out), "/")
			if strings.Contains(line, "approve") { // somebody else
				s.given(t, "bea.token", s.must(t, "tenet token create bea --role maintainer --quiet"))
				line += " --token-file bea.token"
			}
			return strings.ReplaceAll(line, " ID", " "+id)
		},
		"docs/api/live.md":       asSubscriber,
		"docs/mcp.md":            func(_ *testing.T, _ *shell, line string) string { return line },
		"docs/rest.md":           func(_ *testing.T, _ *shell, line string) string { return line },
		"docs/operations/run.md": asOperator(),
	}
}

// TestTheCommandsOfThePagesRun runs the commands of pages as they stand, each beside what its page says is there.
func TestTheCommandsOfThePagesRun(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for page, prepare := range runPages(root) {
		t.Run(page, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, page))
			if err != nil {
				t.Fatal(err)
			}
			s := beside(t, t.TempDir())
			s.env = append(s.env, "TENET_TOKEN="+s.token)
			ran := 0
			for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
				for line := range strings.Lines(m[1]) {
					line, _, _ = strings.Cut(strings.TrimSpace(line), "  #")
					if line = prepare(t, s, strings.TrimSpace(line)); line == "" {
						continue
					}
					ran++
					s.must(t, line)
				}
			}
			if ran == 0 {
				t.Error("no command was found: the page is read wrongly")
			}
		})
	}
}

// asSubscriber prepares the page about live changes; the page in a browser has a test of its own.
func asSubscriber(t *testing.T, s *shell, line string) string {
	t.Helper()
	name, value, _ := strings.Cut(line, "=")
	switch {
	case strings.Contains(line, " serve "), strings.HasPrefix(line, "python3"):
		return ""
	case name == "tenet", name == "at": // for the lines behind it
		s.env = append(s.env, name+"="+strings.TrimSpace(s.must(t, "echo "+value)))
		return ""
	}
	return strings.Replace(line, "wait=30", "wait=1", 1) // nothing will happen
}

// asOperator returns what prepares the page about running a server: the server with the embedded database, in folders
// of the test's own. What PostgreSQL, pgBackRest or systemd do there has tests of its own.
func asOperator() func(t *testing.T, s *shell, line string) string {
	others := regexp.MustCompile(
		`^(psql|pg_|createdb|dropdb|systemctl|TENET_DATABASE_URL=)|postgres|--backup-(key-file|engine)|` +
			`tenet serve|--to 20`)
	ready := false
	return func(t *testing.T, s *shell, line string) string {
		t.Helper()
		line = strings.NewReplacer("/mnt/backup/tenet", filepath.Join(s.dir, "copies"),
			"/var/lib/tenet-restored", "restored", "tenet-2026-11-24.jsonl", "tenet-$(date +%F).jsonl").Replace(line)
		switch {
		case others.MatchString(line):
			return ""
		case strings.HasPrefix(line, "dir="): // for the lines behind it
			// the owner of files needs none
			s.env = append(s.env, "dir="+filepath.Join(t.TempDir(), "new"), "TENET_TOKEN=")
			return ""
		case strings.HasPrefix(line, "tenet backup setup"):
			s.must(t, line)
			s.p.end(t) // "then restart the server"
			s.p = serveProcess(t, s.p.dir, "")
			ready = true
			return ""
		case strings.HasPrefix(line, "tenet erase") && strings.HasSuffix(line, "--dry-run"):
			s.must(t, "tenet token create ada --role viewer --quiet")
		case strings.HasPrefix(line, "tenet get rule/OLD-1"):
			s.archive(t, "OLD-1")
		case strings.HasPrefix(line, "tenet backup") && !ready:
			t.Fatalf("%s: the page has set up no backups before", line)
		case strings.Contains(line, "--into restored") && s.restored():
			return "" // the same with PostgreSQL
		}
		return line
	}
}

// archive leaves a rule in the archive, as after two years.
func (s *shell) archive(t *testing.T, id string) {
	t.Helper()
	rule := storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Category = id, "old" })
	store := s.p.client(t)
	for _, ops := range [][]knowledge.Op{
		{knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "old" }), 0), knowledge.Put(rule, 0)},
		{{Verb: knowledge.VerbRetire, Key: rule.Key()}},
		{{Verb: knowledge.VerbArchive, Key: rule.Key()}},
	} {
		if _, err := store.Apply(t.Context(), storetest.Batch(ops...)); err != nil {
			t.Fatal(err)
		}
	}
}

// restored reports whether a backup was restored already.
func (s *shell) restored() bool {
	_, err := os.Stat(filepath.Join(s.dir, "restored"))
	return err == nil
}

// given writes a file that a page speaks of.
func (s *shell) given(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, path, text)
}

// must runs a line that has to succeed.
func (s *shell) must(t *testing.T, line string) string {
	t.Helper()
	out, err := s.run(line)
	if err != nil {
		said := ""
		if ended, ok := errors.AsType[*exec.ExitError](err); ok {
			said = string(ended.Stderr)
		}
		t.Fatalf("%s: %v\n%s%s", line, err, out, said)
	}
	return out
}
