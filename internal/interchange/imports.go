package interchange

import (
	"path"
	"slices"
	"strings"
)

// A bringer is a file that includes another one, with the folder that it holds for.
type bringer struct{ by, folder string }

// maxHops is the depth to which an assistant follows includes.
const maxHops = 5

var (
	importMark = compiled(`(?:^|[\s(])@([^\s()` + "`" + `]+)`)
	importLine = compiled(`^\s*(?:[-*+]\s+)?@([^\s()` + "`" + `]+)\s*$`)
	codeSpan   = compiled("`[^`]*`")

	kiroReference = compiled(`#\[\[file:([^\]]+)\]\]`)
)

// importsOf returns the paths that a text includes with "@path", as written; those in code are only text.
func importsOf(text string) []string {
	_, body := splitFrontMatter(text)
	var out []string
	var f fence
	for line := range strings.Lines(body) {
		if f.inside(strings.TrimSuffix(line, "\n")) {
			continue
		}
		for _, m := range importMark().FindAllStringSubmatch(codeSpan().ReplaceAllString(line, "``"), -1) {
			p := strings.TrimRight(m[1], importEnd)
			if p != "" && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// withoutImports returns a text without the lines that only include a file, and with the includes within its other
// lines as plain names of files, where take says so of a path.
func withoutImports(body string, take func(p string) bool) string {
	var out strings.Builder
	var f fence
	for line := range strings.Lines(body) {
		if !f.inside(strings.TrimSuffix(line, "\n")) {
			if m := importLine().FindStringSubmatch(line); m == nil {
				line = withoutAt(line, take)
			} else if take(m[1]) {
				continue
			}
		}
		out.WriteString(line)
	}
	return trimBlankLines(out.String())
}

// withoutAt returns a line without the @ before the files that it includes, outside of code.
func withoutAt(line string, take func(p string) bool) string {
	if !strings.Contains(line, "@") {
		return line
	}
	masked := codeSpan().ReplaceAllStringFunc(line, func(code string) string { return strings.Repeat("`", len(code)) })
	var out strings.Builder
	from := 0
	for _, m := range importMark().FindAllStringSubmatchIndex(masked, -1) {
		if p := strings.TrimRight(line[m[2]:m[3]], importEnd); p != "" && take(p) {
			out.WriteString(line[from : m[2]-1])
			from = m[2]
		}
	}
	return out.String() + line[from:]
}

// importEnd are the signs behind an include that belong to the sentence.
const importEnd = ".,;:!?\"'*_"

// ownTexts returns a text without including what is imported too: it is a document of its own, and in
// another repository the include would mean another file or none.
func (r *reader) ownTexts(f *file, body string) string {
	if a, _ := adapterFor(f.path); a == nil || !a.Imports || r.s.single {
		return body
	}
	known := map[string]bool{} // a text may name one file on every line
	return withoutImports(body, func(p string) bool {
		if taken, asked := known[p]; asked {
			return taken
		}
		at, ok := resolve(f.path, p)
		taken := ok && takes(r, at)
		known[p] = taken
		if !taken && looksLikePath(p) && r.missing(f.path, p) == "" {
			f.note("@%s is not imported: it stays as it is", shortQuote(p))
		}
		return taken
	})
}

// takes reports whether a text that is included becomes a document of its own.
func takes(r *reader, at string) bool {
	format := nameFormat(at)
	switch path.Ext(strings.ToLower(at)) {
	case ".md", ".mdc", ".mdx", ".markdown":
	default:
		return false
	}
	wanted := r.s.o.Format
	if !r.paths[at] || format == skipName || r.overridden(at) || wanted != "" && !fits(format, wanted) {
		return false
	}
	data, err := r.s.tree.read(at)
	if err != nil {
		return false
	}
	text, err := cleanText(data)
	if err != nil {
		return false
	}
	_, body := splitFrontMatter(text)
	return strings.TrimSpace(body) != "" && pointer(body) == ""
}

// BroughtIn returns the assistants that read a file of a work tree only because their own files include it, by its
// path, each with the file that includes it. The function read returns a file's text. Besides those at the top of the
// tree, files names those that may include others.
func BroughtIn(files []string, read func(p string) (string, bool)) map[string]map[string]string {
	type hop struct {
		path, target string
		depth        int
	}
	var todo []hop
	for i := range adapters() {
		a := &adapters()[i]
		for _, p := range a.Paths {
			if a.Imports && !strings.Contains(p, "*") {
				todo = append(todo, hop{p, a.Target, 0})
			}
		}
	}
	for _, p := range files {
		if a, _ := adapterFor(p); a != nil && a.Imports {
			todo = append(todo, hop{p, a.Target, 0})
		}
	}
	out := map[string]map[string]string{}
	for ; len(todo) > 0; todo = todo[1:] {
		h := todo[0]
		text, ok := read(h.path)
		if !ok {
			continue
		}
		for _, p := range importsOf(text) {
			at, inside := resolve(h.path, p)
			if !inside || out[at][h.target] != "" {
				continue
			}
			if out[at] == nil {
				out[at] = map[string]string{}
			}
			out[at][h.target] = h.path
			if h.depth < maxHops {
				todo = append(todo, hop{at, h.target, h.depth + 1})
			}
		}
	}
	return out
}

// looksLikePath tells an import from a mention of a person or a package.
func looksLikePath(p string) bool {
	switch path.Ext(strings.ToLower(p)) {
	case ".md", ".mdc", ".mdx", ".markdown", ".txt":
		return true
	}
	return strings.HasPrefix(p, "./") || strings.HasPrefix(p, "../") || strings.HasPrefix(p, "~/") ||
		strings.HasPrefix(p, "/")
}

// findImports follows the includes of assistants' files. An included plain text holds for the same files as the file
// that includes it, and is not a text of its own.
func (r *reader) findImports() {
	type hop struct {
		path   string
		folder string
		depth  int
	}
	var todo []hop
	for _, t := range r.s.tree.files() {
		if !r.paths[t.path] {
			continue
		}
		if a, folder := adapterFor(t.path); a != nil && a.Imports && !r.s.single {
			todo = append(todo, hop{t.path, folder, 0})
		}
	}
	for len(todo) > 0 {
		h := todo[0]
		todo = todo[1:]
		data, err := r.s.tree.read(h.path)
		if err != nil {
			continue // said where the file itself is read
		}
		text, err := cleanText(data)
		if err != nil {
			continue
		}
		for _, p := range importsOf(text) {
			at, ok := resolve(h.path, p)
			if !ok || !r.paths[at] {
				continue
			}
			if a, _ := adapterFor(at); a != nil {
				continue // its own owner's documents say when it holds
			}
			if was, known := r.imported[at]; known && (was.folder == "" || was.folder == h.folder) {
				continue
			}
			r.imported[at] = bringer{by: h.path, folder: h.folder}
			if h.depth < maxHops {
				todo = append(todo, hop{at, h.folder, h.depth + 1})
			}
		}
	}
}

// resolve returns the path in the tree that an import of a file names; false for one that lies elsewhere.
func resolve(from, p string) (string, bool) {
	if strings.HasPrefix(p, "~") || strings.HasPrefix(p, "/") {
		return "", false
	}
	at := path.Join(path.Dir(from), p)
	return at, at != ".." && !strings.HasPrefix(at, "../")
}

// noteImports adds a note for each include that is missing.
func (r *reader) noteImports(f *file, body string) {
	a, folder := adapterFor(f.path)
	if a != nil && a.Target == "kiro" {
		noteReferences(r, f, body, folder)
	}
	if a == nil || !a.Imports {
		return
	}
	for _, p := range importsOf(body) {
		if why := r.missing(f.path, p); why != "" {
			f.note("@%s %s", shortQuote(p), why)
		}
	}
}

// noteReferences adds a note for each file that a steering file of Kiro brings in, by its path in the work tree, and
// that is not there.
func noteReferences(r *reader, f *file, body, folder string) {
	for _, m := range kiroReference().FindAllStringSubmatch(body, -1) {
		p := strings.TrimSpace(m[1])
		at := path.Join(folder, p)
		if !r.s.single && r.s.covers(at) && !r.known[at] {
			f.note("#[[file:%s]] is not there", shortQuote(p))
		}
	}
}

// missing says why an include can't be read, or returns "".
func (r *reader) missing(from, p string) string {
	if !looksLikePath(p) {
		return ""
	}
	at, inside := resolve(from, p)
	switch {
	case strings.HasPrefix(p, "~"):
		return "is a file of one person: it is not brought in"
	case !inside:
		return "leads out of what is imported: it is not brought in"
	case r.s.single || !r.s.covers(at):
		return "" // nobody looked
	case !r.known[at]:
		return "is not there"
	}
	return ""
}
