package interchange

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Bounds of a file of patterns.
const (
	maxIgnoreBytes    = 1 << 20
	maxIgnorePatterns = 10_000
)

// An ignorePattern is a line of a .gitignore, or a pattern of .gitattributes that marks what is not the team's own
// text.
type ignorePattern struct {
	re     *regexp.Regexp // of a path below the file's folder
	not    bool           // it takes back what an earlier one says
	dirs   bool           // it is for folders only
	reason string
}

// An ignorer decides which files of a work tree are skipped. Paths are relative to what is imported; prefix is where
// that lies in the work tree, "" or ending in a slash.
type ignorer struct {
	prefix string
	files  map[string][]ignorePattern // folder in the work tree → patterns, in order
}

func newIgnorer() *ignorer { return &ignorer{files: map[string][]ignorePattern{}} }

// add reads a file of patterns that lies in a folder of the work tree.
func (g *ignorer) add(folder, name string, data []byte) {
	if len(data) > maxIgnoreBytes {
		return
	}
	for i, line := range strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n") {
		if i >= maxIgnorePatterns {
			return
		}
		var p ignorePattern
		var ok bool
		if name == ".gitattributes" {
			p, ok = attributeLine(line)
		} else {
			p, ok = ignoreLine(line)
			p.reason = fmt.Sprintf("%s names it (line %d: %s)", path.Join(folder, name), i+1,
				shortQuote(strings.TrimSpace(line)))
		}
		if ok {
			g.files[folder] = append(g.files[folder], p)
		}
	}
}

// reason says why a path is skipped, or returns "". It must be called for each folder before its content.
func (g *ignorer) reason(p string, dir bool) string {
	at := g.prefix + p
	why := ""
	folders := []string{""}
	for i, c := range at {
		if c == '/' {
			folders = append(folders, at[:i])
		}
	}
	for _, folder := range folders {
		rest := at
		if folder != "" {
			rest = at[len(folder)+1:]
		}
		for _, ip := range g.files[folder] {
			if ip.dirs && !dir || !ip.re.MatchString(rest) {
				continue
			}
			why = ip.reason
			if ip.not {
				why = ""
			}
		}
	}
	return why
}

// ignoreLine reads a line of a .gitignore; false for one that says nothing.
func ignoreLine(line string) (ignorePattern, bool) {
	var p ignorePattern
	for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
		line = line[:len(line)-1]
	}
	if line == "" || line[0] == '#' {
		return p, false
	}
	if line[0] == '!' {
		p.not, line = true, line[1:]
	}
	if rest, ok := strings.CutSuffix(line, "/"); ok {
		p.dirs, line = true, rest
	}
	p.re = ignoreExpression(line)
	return p, p.re != nil
}

// attributeLine reads a line of .gitattributes; false for one that marks nothing as vendored or generated.
func attributeLine(line string) (ignorePattern, bool) {
	fields := strings.Fields(line)
	if len(fields) < 2 || strings.HasPrefix(fields[0], "#") {
		return ignorePattern{}, false
	}
	for _, a := range fields[1:] {
		name, value, _ := strings.Cut(strings.TrimPrefix(a, "-"), "=")
		if name != "linguist-vendored" && name != "linguist-generated" {
			continue
		}
		p := ignorePattern{re: ignoreExpression(strings.TrimSuffix(fields[0], "/"))}
		p.not = strings.HasPrefix(a, "-") || value == "false"
		p.reason = ".gitattributes calls it " + strings.TrimPrefix(name, "linguist-")
		return p, p.re != nil
	}
	return ignorePattern{}, false
}

// ignoreExpression returns a pattern of git's as a regular expression; nil for one that matches nothing.
func ignoreExpression(pattern string) *regexp.Regexp {
	begin := "^"
	if !strings.Contains(strings.TrimSuffix(pattern, "/**"), "/") && !strings.HasSuffix(pattern, "/**") {
		begin = "^(?:.*/)?"
	}
	pattern = strings.TrimPrefix(pattern, "/")
	if pattern == "" {
		return nil
	}
	var b strings.Builder
	b.WriteString(begin)
	for i := 0; i < len(pattern); {
		rest := pattern[i:]
		switch {
		case strings.HasPrefix(rest, "**/") && (i == 0 || pattern[i-1] == '/'):
			b.WriteString("(?:.*/)?")
			i += 3
		case rest == "**" && i > 0 && pattern[i-1] == '/':
			b.WriteString(".+")
			i += 2
		case rest[0] == '*':
			b.WriteString("[^/]*")
			i++
			for i < len(pattern) && pattern[i] == '*' {
				i++
			}
		case rest[0] == '?':
			b.WriteString("[^/]")
			i++
		case rest[0] == '[':
			class, n := ignoreClass(rest)
			b.WriteString(class)
			i += n
		case rest[0] == '\\' && len(rest) > 1:
			b.WriteString(regexp.QuoteMeta(rest[1:2]))
			i += 2
		case rest[0] == '\\':
			return nil // git takes a pattern that ends in a backslash for none
		default:
			b.WriteString(regexp.QuoteMeta(rest[:1]))
			i++
		}
	}
	re, err := regexp.Compile("(?s)" + b.String() + "$")
	if err != nil {
		return nil
	}
	return re
}

// ignoreClass returns a class of characters as regular expressions have it, and its length in the pattern.
func ignoreClass(s string) (string, int) {
	start := 1
	if len(s) > 1 && (s[1] == '!' || s[1] == '^') {
		start = 2
	}
	end := -1
	for i := start; i < len(s); i++ {
		if s[i] == '\\' {
			i++
			continue
		}
		if s[i] == ']' && i > start {
			end = i
			break
		}
	}
	if end < 0 {
		return `[^\s\S]`, len(s) // a class without an end matches nothing
	}
	body := strings.NewReplacer("[", `\[`, "&", `\&`, "~", `\~`).Replace(s[start:end])
	if strings.HasPrefix(body, "]") {
		body = `\` + body
	}
	if start == 2 {
		return "[^/" + body + "]", end + 1
	}
	return "[" + body + "]", end + 1
}

// ignoreFiles are the names of the files with ignore patterns.
func ignoreFiles() []string { return []string{".gitignore", ".gitattributes"} }

// aboveFolder reads what the folders above one say, up to the top of its work tree.
func (g *ignorer) aboveFolder(dir string) {
	top := gitTop(dir)
	if top == "" {
		return
	}
	rel, err := filepath.Rel(top, dir)
	if err != nil {
		return
	}
	if rel = filepath.ToSlash(rel); rel != "." {
		g.prefix = rel + "/"
	}
	if data, err := readSmall(filepath.Join(top, ".git", "info", "exclude")); err == nil {
		g.add("", ".gitignore", data)
	}
	if rel == "." {
		return // the walk reads its own
	}
	folder := ""
	for part := range strings.SplitSeq(rel, "/") {
		for _, name := range ignoreFiles() {
			if data, err := readSmall(filepath.Join(top, filepath.FromSlash(folder), name)); err == nil {
				g.add(folder, name, data)
			}
		}
		folder = path.Join(folder, part)
	}
}

// readSmall reads a regular file of patterns.
func readSmall(name string) ([]byte, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxIgnoreBytes {
		return nil, os.ErrInvalid
	}
	return os.ReadFile(name) //nolint:gosec // it lies in the work tree that the user names
}

// gitTop returns the top of the work tree that a folder lies in, or "".
func gitTop(dir string) string {
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// skippedFolder says why nothing below a folder of this name is read.
func skippedFolder(name string) string {
	switch strings.ToLower(name) {
	case ".git", ".hg", ".svn", ".jj":
		return "version control's own files"
	case "node_modules", "bower_components", "site-packages", ".venv", "venv", ".virtualenv", ".tox", ".nox",
		".bundle", ".yarn",
		".pnpm-store", "jspm_packages", "pods", "carthage":
		return "installed packages"
	case "vendor", "third_party", "third-party", "thirdparty", "vendored":
		return "third parties' files: import it by itself to take it over"
	case "testdata", "fixtures", "__fixtures__", "__snapshots__", "__mocks__":
		return "data of tests: import it by itself to take it over"
	case "dist", "__pycache__", ".next", ".nuxt", ".svelte-kit", ".output", ".turbo", ".cache", ".parcel-cache",
		".gradle", ".terraform",
		".pytest_cache", ".mypy_cache", ".ruff_cache", ".nyc_output", ".eggs", ".dart_tool":
		return "generated files"
	}
	return ""
}

// builtFolder says why nothing is read below a folder that a build makes, or that is a work tree of its own: its name
// alone would not tell, what lies in it or beside it does.
func builtFolder(p string, exists func(string) bool) string {
	// The topmost folder of an archive may be the work tree itself.
	// a submodule, or another branch of the same repository
	if exists(path.Join(p, ".git")) || strings.Contains(p, "/") && exists(path.Join(p, ".git/HEAD")) {
		return "another work tree: import it by itself to take it over"
	}
	if !slices.Contains([]string{"build", "target", "out", "obj", "bin", "coverage", "deriveddata", "generated"},
		strings.ToLower(path.Base(p))) {
		return ""
	}
	if exists(path.Join(p, "CACHEDIR.TAG")) {
		return "generated files"
	}
	for _, name := range []string{
		"package.json", "Cargo.toml", "pom.xml", "build.gradle", "build.gradle.kts", "settings.gradle",
		"settings.gradle.kts", "go.mod",
		"pyproject.toml", "setup.py", "CMakeLists.txt", "Makefile", "composer.json", "mix.exs", "build.sbt",
		"pubspec.yaml", "Package.swift",
		"meson.build", "Gemfile", "deno.json",
	} {
		if exists(path.Join(path.Dir(p), name)) {
			return "generated files (" + name + " lies beside it): import it by itself to take it over"
		}
	}
	return ""
}

// personal reports whether a file is one person's own and not the team's.
func personal(p string) bool {
	base := strings.ToLower(path.Base(p))
	return strings.Contains(base, ".local.") || strings.HasSuffix(base, ".local")
}

const personalReason = "one person's own file (*.local.*): name it to take it over"
