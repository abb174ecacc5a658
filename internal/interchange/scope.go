package interchange

import (
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// meaningOf returns what the front matter of a file means: by where it lies, else by its format.
func meaningOf(f *file, format Format) (m Meaning, folder string) {
	a, folder := adapterFor(f.path)
	if a != nil {
		if a.Place == AtRoot {
			folder = ""
		}
		return a.Means, folder
	}
	switch format {
	case FormatCursor:
		return byCursor(), ""
	case FormatCopilot:
		return byApplyTo(), ""
	default:
	}
	m = Meaning{Default: model, Always: "alwaysApply", Globs: []string{"globs", "applyTo", "paths"}}
	if format == FormatMarkdown {
		m.Globs = m.Globs[:2] // paths is a word with many meanings
	}
	return m, ""
}

// scopeOf says when a document holds, as its owner's documents have it.
func (r *reader) scopeOf(f *file, format Format, fm *frontMatter, summary string) knowledge.Scope {
	m, folder := meaningOf(f, format)
	var s knowledge.Scope
	for _, l := range fm.list("languages") {
		s.Languages = append(s.Languages, strings.ToLower(l))
	}
	if format != FormatMarkdown && format != FormatSkill {
		for _, t := range fm.list("targets") {
			if t != "*" {
				s.Targets = append(s.Targets, t)
			}
		}
	}
	empty := false
	for _, key := range m.Globs {
		had := fm.has(key)
		globs := globsFor(f, fm, key, &m, folder)
		empty = empty || had && len(globs) == 0
		for _, g := range globs {
			if !slices.Contains(s.Globs, g) {
				s.Globs = append(s.Globs, g)
			}
		}
	}
	s.Activation = m.when(f, fm, summary, len(s.Globs) > 0, empty)
	if by, ok := r.imported[f.path]; ok && s.Activation != always {
		f.note("%s brings it in, so it holds where that does", by.by)
		s.Activation, folder = always, by.folder
	}
	within(&s, folder)
	return s
}

// when returns the activation that the keys of a front matter mean.
func (m *Meaning) when(f *file, fm *frontMatter, summary string, globs, empty bool) string {
	if m.Describes != "" && m.Describes != "description" {
		summary = orElse(fm.peek(m.Describes), summary)
	}
	if m.Mode != "" && fm.has(m.Mode) {
		value := fm.peekFold(m.Mode)
		switch act, known := m.activation(value); {
		case !known && value != "":
			f.note("%s is %q, which is none that is known: it is taken up by hand only", m.Mode, shortQuote(value))
			return manual
		case !known:
		case act == glob && !globs:
			f.note("%s is %q and there is no pattern: it is taken up by hand only", m.Mode, shortQuote(value))
			return manual
		default:
			return act
		}
	}
	never := false
	if m.Always != "" && fm.has(m.Always) {
		if fm.truth(m.Always) {
			return always
		}
		never = true
	}
	switch {
	case m.Manual != "" && fm.has(m.Manual) && fm.truth(m.Manual):
		return manual
	case globs:
		return glob
	case empty && m.NoneWithout != "":
		return m.NoneWithout
	case never && m.Never == model && summary == "":
		return manual
	case never && m.Never != "":
		return m.Never
	case summary != "" && m.Described != "":
		return m.Described
	}
	return m.Default
}

// globsFor takes a key as path patterns in tenet's dialect, which is anchored at the work tree's root. Where that is
// not how they were written, the key stays in extra as it stood. A pattern that can't be read is left out and named:
// without it the document holds for less, never for more.
func globsFor(f *file, fm *frontMatter, key string, m *Meaning, folder string) []string {
	k := fm.keyFold(key)
	original := fm.values[k]
	out := []string{}
	changed := false
	for _, g := range fm.globs(key) {
		at := anchored(g, m.Bare, folder)
		if _, err := knowledge.ParseGlob(at); err != nil {
			f.note("%s: the pattern %q is left out: %s", k, shortQuote(g), err)
			changed = true
			continue
		}
		changed = changed || at != g
		out = append(out, at)
	}
	if changed {
		fm.values[k] = original
	}
	return out
}

// anchored returns a pattern as one from the work tree's root: a bare one at any depth where its owner has it so, and
// below the folder that the file holds for. A pattern that names that folder already is taken from the root.
func anchored(g string, bare bool, folder string) string {
	not := ""
	if rest, ok := strings.CutPrefix(g, "!"); ok {
		not, g = "!", rest
	}
	if bare && !strings.Contains(g, "/") {
		g = "**/" + g
	}
	if folder != "" {
		for strings.HasPrefix(g, "./") || strings.HasPrefix(g, "/") {
			g = strings.TrimPrefix(strings.TrimPrefix(g, "."), "/")
		}
		if !strings.HasPrefix(g, folder+"/") && g != folder {
			g = globEscape(folder) + "/" + g
		}
	}
	return not + g
}

// within narrows a scope to a folder.
func within(s *knowledge.Scope, folder string) {
	if folder == "" {
		return
	}
	whole := globEscape(folder) + "/**"
	switch s.Activation {
	case always:
		s.Activation, s.Globs = glob, []string{whole}
	case model:
		if len(s.Globs) == 0 {
			s.Globs = []string{whole}
		}
	}
}

// globEscape returns a path as a pattern that matches it alone.
func globEscape(p string) string {
	if !strings.ContainsAny(p, `*?[]{}\!`) {
		return p
	}
	var b strings.Builder
	for _, r := range p {
		if strings.ContainsRune(`*?[]{}\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
