package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheGuideForAssistants runs docs/for-assistants.md: its files are written, its commands run and its answer
// compared, in the order of the page and in a real git repository.
func TestTheGuideForAssistants(t *testing.T) {
	page, err := os.ReadFile("../../docs/for-assistants.md")
	if err != nil {
		t.Fatal(err)
	}
	var script, files strings.Builder
	script.WriteString("[!exec:git] skip\n[!exec:sh] skip\nenv XDG_CACHE_HOME=$WORK/cache\nenv GIT_AUTHOR_NAME=t " +
		"GIT_AUTHOR_EMAIL=t@example.com\n" +
		"env GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.com\ncd repo\nexec git init -q\n")
	ran := 0
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)( \\S+)?\n(.*?)^```$").FindAllStringSubmatch(string(page),
		-1) {
		name := strings.TrimSpace(m[2])
		switch {
		case name == "answer":
			script.WriteString("stdout '" + regexp.QuoteMeta(strings.TrimSpace(m[3])) + "'\n")
		case name != "":
			script.WriteString("cp $WORK/given/" + name + " " + name + "\n")
			files.WriteString("-- given/" + name + " --\n" + m[3])
		case m[1] == "sh":
			for line := range strings.Lines(m[3]) {
				line = strings.TrimSpace(line)
				ran++
				switch command, input, piped := strings.Cut(line, " < "); {
				case strings.HasSuffix(line, " &"):
					script.WriteString("exec " + strings.TrimSuffix(line, " &") + " &\nready\n")
				case piped:
					script.WriteString("stdin " + input + "\nexec " + command + "\n")
				default:
					script.WriteString("exec " + strings.ReplaceAll(quoteDouble(line), "\n", "") + "\n")
				}
			}
		}
	}
	if ran < 10 {
		t.Fatalf("only %d commands were found: the page is read wrongly", ran)
	}
	script.WriteString("terminate\nwait\n-- repo/main.go --\npackage main\n-- repo/AGENTS.md --\n# By hand\n")
	file := filepath.Join(t.TempDir(), "guide.txtar")
	if err := os.WriteFile(file, []byte(script.String()+files.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	runScripts(t, nil, "", file)
}

// quoteDouble makes the double quotes of a shell single ones, which are the script's. A text in double quotes that
// holds a single one is not used on the page.
func quoteDouble(line string) string {
	return regexp.MustCompile(`"([^"{}]*'?[^"{}]*)"( |$)`).ReplaceAllStringFunc(line, func(q string) string {
		inner, tail, _ := strings.Cut(strings.TrimPrefix(q, `"`), `"`)
		return "'" + strings.ReplaceAll(inner, "'", "''") + "'" + tail
	})
}
