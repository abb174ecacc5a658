package tenet_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// A word is one that stays out of comments and messages, with what to say instead. ARCHITECTURE.md has the glossary.
type word struct {
	pattern string // a regular expression, matched in comments and in string literals, whatever the case of letters
	instead string
	except  string // a regular expression for uses that are right; "" for none
}

// unplain returns the words that stay out.
func unplain() []word {
	return []word{
		{
			pattern: `\b(made|makes?|making|built|builds?|begins?|began|begun|made new) anew\b`,
			instead: "rebuild, or start again",
		},
		{
			pattern: `\b(the|a|this|each|one|every) tenet\b`, instead: "the server, or instance",
			except: `\btenet (server|program|token)\b`,
		},
		{pattern: `\bmeasures (are|of|for|that)\b`, instead: "metrics"},
		{pattern: `\bwhoever\b|\bwhosoever\b`, instead: "the caller, or another noun"},
		{pattern: `\bwho (asks?|asked|reads?|writes?|calls?|waits?) (may|can|must|has|have|gets?|hears?|sees?|finds?)\b`, instead: "a caller, a writer, or another noun"},
		{pattern: `\bafresh\b`, instead: "again"},
		{pattern: `\b(guards|guard) (what follows|what is below|all below)\b`, instead: "guards the fields below"},
		{pattern: `\bwhat follows the (log|feed)\b`, instead: "a follower of the log"},
		{
			pattern: `\b(primary|database|store|postgresql) (is|was|goes|went) away\b`,
			instead: "is down, or can't be reached",
		},
		{pattern: `\b(caller|client|peer) (is gone|has gone|went away|goes away)\b`, instead: "disconnected"},
		{pattern: `\blog (is|was) gone\b`, instead: "trimmed"},
		{pattern: `\bbears? (it|its|that|a failure|a fault)\b`, instead: "handles, survives"},
		{pattern: `\btokens? (dies?|ends?|is over)\b|\bworthless\b`, instead: "expires, revoke"},
		{pattern: `\bdocuments? in use\b`, instead: "active"},
		{pattern: `\bof chance\b|\bby chance\b`, instead: "random"},
		{pattern: `\bbehind (the|its) end\b`, instead: "beyond the end", except: `falls? behind`},
		{pattern: `\bas it should be\b`, instead: "normal, healthy"},
		{pattern: `\bin the words (in which|of)\b`, instead: "the message of"},
		{pattern: `\bwork that comes round\b`, instead: "scheduled jobs"},
		{pattern: `\bmaster\b`, instead: "primary"},
		{pattern: `\boutbox\b`, instead: "journal"},
		{pattern: `\b(hears?|is told) of\b`, instead: "is called for, gets, or receives"},
		{pattern: `\bnobody when (it is )?nil\b`, instead: "may be nil"},
		{pattern: `\bpast the program\b`, instead: "outside of the program"},
		{pattern: `\b(get|gets|put|puts|stand|stands) in line\b`, instead: "queue"},
		{pattern: `\bthe taker of\b`, instead: "the sink, the caller, or another noun"},
		{pattern: `\bwhat (may|can) be said\b`, instead: "describes"},
		{pattern: `\bwhat guards\b`, instead: "the triggers, or another noun"},
		{ // a number that may be 1; a limit never is
			pattern: `%d (more |other |old )?(addresses|answers|approvals|backups|batches|calls|changes|copies|days|` +
				`documents|entries|exemptions|faults|files|hits|indexes|mentions|months|notes|people|principals|replicas|repositories|rules|runs|` +
				`segments|separators|statements|tokens|violations|writes)\b`,
			instead: "knowledge.Count",
			except:  `\b(most|to|than|least) %d|as many as|\bnames?d? %d|holds %d|: want|\bpart of %d`,
		},
	}
}

// plain returns the packages whose comments and messages are in plain English. The list only grows.
func plain() []string {
	return []string{
		"cmd/tenet", "internal/access", "internal/api", "internal/backup", "internal/bundle", "internal/cache",
		"internal/check",
		"internal/client", "internal/coherence", "internal/erasure", "internal/failover", "internal/guidance",
		"internal/hook", "internal/httpapi", "internal/interchange", "internal/journal", "internal/knowledge",
		"internal/labels",
		"internal/live", "internal/mcp", "internal/observe", "internal/postgres", "internal/server",
		"internal/settings", "internal/sqlite", "internal/store", "internal/treesync", "internal/upkeep",
		"internal/worktree",
	}
}

// A lexicon finds words in the comments and string literals of Go files.
type lexicon []struct {
	word
	match, allowed *regexp.Regexp
}

func newLexicon(words []word) (l lexicon) {
	for _, w := range words {
		allowed := (*regexp.Regexp)(nil)
		if w.except != "" {
			allowed = regexp.MustCompile(`(?i)` + w.except)
		}
		l = append(l, struct {
			word
			match, allowed *regexp.Regexp
		}{w, regexp.MustCompile(`(?i)` + w.pattern), allowed})
	}
	return l
}

// faults returns the words of a text that stay out, each with what to say instead.
func (l lexicon) faults(text string) (list []string) {
	text = strings.Join(strings.Fields(strings.NewReplacer("//", " ", `" + "`, "").Replace(text)), " ")
	for _, w := range l {
		found := w.match.FindString(text)
		if found == "" || w.allowed != nil && w.allowed.MatchString(text) {
			continue
		}
		list = append(list, fmt.Sprintf("%q: say %s", found, w.instead))
	}
	return list
}

// file returns the faults of a Go file, each with its place.
func (l lexicon) file(fsys fs.FS, name string) ([]string, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var list []string
	look := func(at token.Pos, text string) {
		for _, fault := range l.faults(text) {
			list = append(list, set.Position(at).String()+": "+fault)
		}
	}
	for _, group := range f.Comments {
		look(group.Pos(), group.Text())
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			look(lit.Pos(), lit.Value)
		}
		return true
	})
	return list, nil
}

func TestPlainPackagesStayInPlainEnglish(t *testing.T) {
	fsys, l := os.DirFS("."), newLexicon(unplain())
	for _, dir := range plain() {
		files, err := fs.Glob(fsys, dir+"/*.go")
		if err != nil || len(files) == 0 {
			t.Errorf("%s: %d files, %v", dir, len(files), err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			faults, err := l.file(fsys, name)
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range faults {
				t.Error(fault)
			}
		}
	}
}

func TestTheLexiconFindsWords(t *testing.T) {
	fsys := fstest.MapFS{"a/a.go": {Data: []byte(`// Package a is made
// anew by a tenet.
package a

// The tenet server is fine.
const text = "the database is away"
`)}}
	faults, err := newLexicon(unplain()).file(fsys, "a/a.go")
	if err != nil || len(faults) != 3 {
		t.Errorf("found %q, %v; want three faults", faults, err)
	}
}
