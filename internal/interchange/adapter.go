package interchange

import (
	"path"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// An Adapter says where an assistant keeps its texts, and what their front matter means. Import and sync use the same
// adapter. It is data, taken from the owner's documentation (Source) on a day (Checked).
type Adapter struct {
	Name   string         // of this entry, each once, as in "claude-rules"
	Target string         // the assistant, as a scope's targets name it
	Kind   knowledge.Kind // what a file becomes
	Format Format         // what the import calls its files
	// Paths are patterns of the files' paths, below the work tree's root or below the folder that they hold for: "**"
	// is any number of folders, "*" anything within a name. Letters' case does not matter. The first is where a new
	// file is written.
	Paths []string
	// Place says for which files a text holds that is not at the root of the work tree.
	Place Place
	Means Meaning
	// Arguments says how a text names its arguments.
	Arguments Arguments
	Imports   bool   // "@path" in the text brings another file in
	Named     bool   // the file's own name is the title where the text gives none, before any heading
	Limit     int    // characters that a file may have, 0 for no bound that is documented
	Review    int    // characters of a file that the owner's code reviews read, 0 for all
	Checked   string // when Source was read
	Source    string // the owner's document

	patterns [][]segment // Paths, taken apart
}

// A Place says what a file deeper in the work tree holds for.
type Place string

// Places.
const (
	AtFolder Place = "folder" // it holds for its folder only, also where it says that it always holds
	AtRoot   Place = "root"   // its owner reads it anywhere and takes its patterns from the work tree's root
)

// A Meaning derives the activation of a text from the keys of its front matter: first the mode, then a true Always,
// then patterns, then a description, then the default.
type Meaning struct {
	Default string // activation without any of the keys
	// Mode is the key that names the activation, with what its values mean; Modes lists the value to write first.
	Mode  string
	Modes []Mode
	// Always is the key that is true if a text always holds. Never is the activation if that key is false and no other
	// key decides.
	Always string
	Never  string
	Globs  []string  // keys of path patterns; the first is the one to write
	List   ListStyle // how patterns are written
	Bare   bool      // a pattern without a slash is met at any depth; otherwise it is anchored, as tenet's own
	// Described is the activation of a text with a description and none of the keys above; the default where empty.
	Described string
	Describes string // key of the description
	// NoneWithout is the activation for an empty list of patterns: the owner never loads such a text.
	NoneWithout string
	// Manual is the key that is true if only a person activates the text.
	Manual string
}

// A Mode is a value of a mode's key and the activation that it means; "*" is any value.
type Mode struct{ Value, Activation string }

// A ListStyle says how several patterns are written in one key. Every reader accepts both.
type ListStyle string

// List styles.
const (
	ListYAML   ListStyle = "yaml"   // a YAML list
	ListCommas ListStyle = "commas" // one text, with commas; braces are kept whole
)

// Arguments says how a prompt names its arguments.
type Arguments string

// Argument styles.
const (
	ArgumentsNone   Arguments = ""
	ArgumentsDollar Arguments = "dollar" // $ARGUMENTS, $1, and names that the front matter declares
	ArgumentsNamed  Arguments = "named"  // as dollar, and every name in capitals, as in $FILE
	ArgumentsInput  Arguments = "input"  // ${input:name:hint}
	ArgumentsBraces Arguments = "braces" // {{args}}, {{input}}
)

// Names of adapters that the reader uses.
const (
	adapterIssueForm = "github-issue-form"
	adapterTOML      = "gemini-commands"
)

// activation returns what a value of the mode's key means.
func (m *Meaning) activation(value string) (string, bool) {
	value = strings.ToLower(strings.TrimSpace(value))
	for _, mode := range m.Modes {
		if mode.Value == "*" || strings.ToLower(mode.Value) == value {
			return mode.Activation, true
		}
	}
	return "", false
}

// A segment is a part of a path pattern between two slashes.
type segment struct {
	text string
	wild bool // it holds a "*"
	any  bool // it is "**"
}

// segmentsOf splits a path pattern at its slashes.
func segmentsOf(pattern string) []segment {
	var out []segment
	for s := range strings.SplitSeq(strings.ToLower(pattern), "/") {
		out = append(out, segment{text: s, wild: strings.Contains(s, "*"), any: s == "**"})
	}
	return out
}

// adapterFor returns the adapter of a path and the folder that its file holds for, "" for the whole tree; nil for a
// path that no assistant reads.
func adapterFor(p string) (*Adapter, string) {
	names := strings.Split(strings.ToLower(p), "/")
	for i := range adapters() {
		for _, pattern := range adapters()[i].patterns {
			if n := patternStart(pattern, names); n >= 0 {
				return &adapters()[i], owned(strings.Join(strings.Split(p, "/")[:n], "/"))
			}
		}
	}
	return nil, ""
}

// patternStart returns the number of leading folders that a path has before what the pattern matches, the most that
// there are; -1 when it does not match.
func patternStart(pattern []segment, names []string) int {
	for n := range slices.Backward(names) {
		if matchSegments(pattern, names[n:]) {
			return n
		}
	}
	return -1
}

func matchSegments(pattern []segment, names []string) bool {
	for len(pattern) > 0 {
		p := pattern[0]
		if p.any {
			for n := range len(names) + 1 {
				if matchSegments(pattern[1:], names[n:]) {
					return true
				}
			}
			return false
		}
		if len(names) == 0 || !p.wild && p.text != names[0] {
			return false
		}
		if p.wild {
			if ok, err := path.Match(p.text, names[0]); !ok || err != nil {
				return false
			}
		}
		pattern, names = pattern[1:], names[1:]
	}
	return len(names) == 0
}

// owned returns the folder that a file in dir holds for: an AGENTS.md in a folder such as .github counts for the one
// above.
func owned(dir string) string {
	for dir != "" && dir != "." && strings.HasPrefix(path.Base(dir), ".") {
		dir = path.Dir(dir)
	}
	if dir == "." {
		return ""
	}
	return dir
}
