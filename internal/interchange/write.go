package interchange

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// A Text is the text of a document for an assistant.
type Text struct {
	Key         knowledge.Key
	Description string // one line that says when it matters
	Body        string // Markdown
	Scope       knowledge.Scope
}

// A NarrowError says that a format can't express when a text holds. Sync never writes a wider scope instead.
type NarrowError struct{ Why string }

// Error implements error.
func (e *NarrowError) Error() string { return e.Why }

func narrow(format string, args ...any) error { return &NarrowError{fmt.Sprintf(format, args...)} }

// maxSkillDescription is how long the description of a skill may be, in characters.
const maxSkillDescription = 1024

// Write returns the file of a text in the assistant's own form, under a name of ours; the error is a [*NarrowError]
// where the form can't say when it holds. The marker stands below the front matter.
func (a *Adapter) Write(t *Text, marker string) (File, error) {
	head, err := a.head(t)
	if err != nil {
		return File{}, err
	}
	var b strings.Builder
	if len(head) > 0 {
		b.WriteString("---\n" + strings.Join(head, "\n") + "\n---\n\n")
	}
	b.WriteString(marker + "\n\n" + strings.TrimSpace(t.Body) + "\n")
	if n := len([]rune(b.String())); a.Limit > 0 && n > a.Limit {
		return File{}, narrow("it has %d characters, and a file of %s at most %d", n, a.Target, a.Limit)
	}
	return File{Path: a.own(t.Key), Data: []byte(b.String())}, nil
}

// OwnPrefix begins the names of files that are ours.
const OwnPrefix = "tenet-"

// own returns the path of the file of a document.
func (a *Adapter) own(key knowledge.Key) string {
	dir, last := a.Folder()
	name := OwnPrefix + key.ID
	if key.Kind != knowledge.KindRule {
		name = OwnPrefix + string(key.Kind) + "-" + key.ID
	}
	if last == "SKILL.md" {
		return path.Join(dir, SkillName(key), last)
	}
	return path.Join(dir, name+strings.TrimPrefix(last, "*"))
}

// SkillName returns the name that a document has as a skill: small letters, digits, and single hyphens between them.
func SkillName(key knowledge.Key) string {
	name := key.ID
	if key.Kind != knowledge.KindRule {
		name = string(key.Kind) + "-" + name
	}
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '.' || r == '_' || r == '-' })
	return OwnPrefix + strings.Join(words, "-")
}

// Skill returns the file of a text as a skill, and leaves in t the description that it holds; the error is a
// [*NarrowError] where the form can't say it.
func Skill(t *Text, marker string) (File, error) {
	i := slices.IndexFunc(adapters(), func(a Adapter) bool { return a.Format == FormatSkill })
	f, err := adapters()[i].Write(t, marker)
	t.Description = strings.Join(strings.Fields(t.Description), " ")
	return f, err
}

// Folder returns where a new file is written, and the pattern of its name.
func (a *Adapter) Folder() (dir, name string) {
	dir, name = path.Split(a.Paths[0])
	return strings.TrimSuffix(strings.TrimSuffix(dir, "/"), "/**"), name
}

// Shared reports whether the assistant has one file for everything, and not a folder of them.
func (a *Adapter) Shared() bool { return !strings.Contains(a.Paths[0], "*") }

// head returns the lines of the front matter.
func (a *Adapter) head(t *Text) ([]string, error) {
	m := &a.Means
	var lines []string
	describe := func() { lines = append(lines, m.description(t)...) }
	if a.Format == FormatSkill {
		return a.skillHead(t)
	}
	activation := t.Scope.Activation
	if activation == glob || len(t.Scope.Globs) > 0 && activation != always && activation != manual {
		activation = glob
	}
	mode, moded := m.mode(activation)
	if moded {
		lines = append(lines, m.Mode+": "+mode)
	}
	switch activation {
	case always:
		switch {
		case moded:
		case m.Always != "":
			describe()
			lines = append(lines, m.Always+": true")
		case m.Default == always:
		case len(m.Globs) > 0 && m.Mode == "":
			lines = append(lines, m.Globs[0]+": "+quoted("**"))
		default:
			return nil, narrow("%s has no way to say that it always holds", a.Target)
		}
	case glob:
		patterns, err := m.patterns(t.Scope)
		if err != nil {
			return nil, err
		}
		if len(m.Globs) == 0 || m.Mode != "" && !moded {
			return nil, narrow("%s has no path patterns", a.Target)
		}
		if m.Always != "" {
			lines = append(lines, m.Always+": false")
		}
		lines = append(lines, m.list(patterns))
	case model:
		switch {
		case moded:
			describe()
		case m.Describes != "" && (m.Described == model || m.Never == model):
			describe()
			if m.Always != "" && m.Never != manual { // there a false one would come before the description
				lines = append(lines, m.Always+": false")
			}
		default:
			return nil, narrow("%s has no way to let the model decide", a.Target)
		}
	default:
		return nil, narrow("a person takes it up by hand")
	}
	return lines, nil
}

// skillHead returns the lines of the front matter of a skill.
func (a *Adapter) skillHead(t *Text) ([]string, error) {
	name := path.Base(path.Dir(a.own(t.Key)))
	if len(name) > 64 {
		return nil, narrow("its name has %d characters, and a skill's at most 64", len(name))
	}
	t.Description = shortened(t.Description, maxSkillDescription)
	return append([]string{"name: " + name}, a.Means.description(t)...), nil
}

// description returns the line with the description, none if the format has no key for it.
func (m *Meaning) description(t *Text) []string {
	if m.Describes == "" {
		return nil
	}
	return []string{m.Describes + ": " + quoted(t.Description)}
}

// mode returns the value of the mode's key for an activation.
func (m *Meaning) mode(activation string) (string, bool) {
	for _, mode := range m.Modes {
		if mode.Activation == activation && mode.Value != "*" {
			return mode.Value, true
		}
	}
	return "", false
}

// patterns translates a scope's globs. What would match more than it says is an error.
func (m *Meaning) patterns(s knowledge.Scope) ([]string, error) {
	var out []string
	texts := slices.Clone(s.Globs)
	if len(texts) == 0 {
		for _, l := range s.Languages {
			texts = append(texts, knowledge.GlobsOf(l)...)
		}
	}
	for _, text := range texts {
		g, err := knowledge.ParseGlob(text)
		if err != nil {
			return nil, narrow("its pattern %q can't be read", text)
		}
		if g.Exclude {
			return nil, narrow("it excludes %s, which this form can't", strings.TrimPrefix(text, "!"))
		}
		for _, p := range g.Patterns {
			switch {
			case m.Bare && !strings.Contains(p, "/"):
				return nil, narrow("its pattern %q means the root only, and here any folder", p)
			case strings.ContainsAny(p, ",\"'\\"):
				return nil, narrow("its pattern %q holds a sign that this form can't", p)
			}
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, narrow("it names no path pattern")
	}
	return out, nil
}

// list writes patterns behind their key.
func (m *Meaning) list(patterns []string) string {
	key := m.Globs[0]
	if m.List == ListCommas {
		return key + ": " + quoted(strings.Join(patterns, ","))
	}
	for i, p := range patterns {
		patterns[i] = quoted(p)
	}
	return key + ": [" + strings.Join(patterns, ", ") + "]"
}

// quoted returns a text as YAML in double quotes: no value is read as anything else.
func quoted(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func shortened(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
