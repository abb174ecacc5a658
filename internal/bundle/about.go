package bundle

import (
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// An About says which files a document may be about, so that a caller with a few paths reads only part of the bundle.
// It may include too many files but never too few; guidance and checks decide what really holds.
type About struct {
	All       bool     `json:"all,omitempty"`
	Globs     []string `json:"globs,omitempty"`
	Languages []string `json:"languages,omitempty"`
}

// aboutOf returns the files of a document's scope and those of its checks.
func aboutOf(d knowledge.Document) *About {
	a := &About{}
	var scope knowledge.Scope
	switch d := d.(type) {
	case *knowledge.Rule:
		scope = d.Scope
		for i := range d.Checks {
			if c := &d.Checks[i]; len(c.Globs) > 0 {
				a.add(c.Globs, nil)
			} else {
				a.add(scope.Globs, scope.Languages)
			}
		}
	case *knowledge.Practice:
		scope = d.Scope
	case *knowledge.Template:
		scope = d.Scope
	}
	switch scope.Activation {
	case "always":
		a.All = true
	case "glob":
		a.add(scope.Globs, scope.Languages)
	}
	if a.All {
		a.Globs, a.Languages = nil, nil
	}
	return a
}

// add adds the files of globs and languages: all files if both are empty.
func (a *About) add(texts, languages []string) {
	a.Languages = append(a.Languages, languages...)
	included := len(texts) == 0 && len(languages) > 0
	for _, text := range texts {
		g, err := knowledge.ParseGlob(text)
		if err != nil {
			a.All = true // a glob that can't be parsed counts for all files
		} else if !g.Exclude {
			included = true
			a.Globs = append(a.Globs, text)
		}
	}
	a.All = a.All || !included
}

// A file is a path that [knowledge.CleanPath] returned, and its languages.
type file struct {
	clean     string
	languages []string
}

// fits reports whether a document may be about a file.
func (a *About) fits(f file) bool {
	if a.All || slices.ContainsFunc(a.Languages, func(l string) bool { return slices.Contains(f.languages, l) }) {
		return true
	}
	return slices.ContainsFunc(a.Globs, func(text string) bool {
		if !strings.HasPrefix(f.clean, plainFolder(text)) {
			return false // most globs need no parsing to say so
		}
		g, err := knowledge.ParseGlob(text)
		return err != nil || g.Match(f.clean)
	})
}

// plainFolder returns the folder, with its slash, that all paths of a glob begin with, as far as that can be seen
// without parsing it.
func plainFolder(glob string) string {
	if strings.HasPrefix(glob, ".") || strings.HasPrefix(glob, "/") || strings.Contains(glob, "//") ||
		strings.Contains(glob, "/.") {
		return "" // it may be written otherwise than paths are
	}
	if i := strings.IndexAny(glob, `*?[]{}\!`); i >= 0 {
		glob = glob[:i]
	}
	return glob[:strings.LastIndexByte(glob, '/')+1]
}
