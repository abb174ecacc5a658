package knowledge

import (
	"path"
	"slices"
	"strings"
)

// languageTable names the languages of files by their name or extension, as scopes write them.
//
//nolint:gochecknoglobals // a table, never written
var languageTable = map[string][]string{
	"makefile": {"make"}, "go.mod": {"go"}, "gemfile": {"ruby"}, "rakefile": {"ruby"}, "cmakelists.txt": {"cmake"},
	"dockerfile": {"dockerfile"}, "containerfile": {"dockerfile"}, "jenkinsfile": {"groovy"},
	".bash": {"shell", "bash"}, ".c": {"c"}, ".cc": {"cpp", "c++"}, ".cjs": {"javascript"}, ".clj": {"clojure"},
	".cpp": {"cpp", "c++"},
	".cs":  {"csharp", "c#"}, ".css": {"css"}, ".cts": {"typescript"}, ".cxx": {"cpp", "c++"}, ".dart": {"dart"},
	".erl": {"erlang"},
	".ex":  {"elixir"}, ".exs": {"elixir"}, ".fs": {"fsharp", "f#"}, ".go": {"go"}, ".graphql": {"graphql"},
	".groovy": {"groovy"},
	".h":      {"c", "cpp", "c++"}, ".hpp": {"cpp", "c++"}, ".hs": {"haskell"}, ".html": {"html"}, ".java": {"java"},
	".jl": {"julia"},
	".js": {"javascript"}, ".json": {"json"}, ".jsx": {"javascript", "jsx"}, ".kt": {"kotlin"}, ".kts": {"kotlin"},
	".lua": {"lua"},
	".m":   {"objective-c"}, ".md": {"markdown"}, ".mjs": {"javascript"}, ".mts": {"typescript"}, ".nim": {"nim"},
	".php": {"php"},
	".pl":  {"perl"}, ".proto": {"protobuf"}, ".ps1": {"powershell"}, ".py": {"python"}, ".pyi": {"python"},
	".r": {"r"}, ".rb": {"ruby"},
	".rs": {"rust"}, ".scala": {"scala"}, ".scss": {"scss", "css"}, ".sh": {"shell", "bash"}, ".sql": {"sql"},
	".svelte": {"svelte"},
	".swift":  {"swift"}, ".tf": {"terraform", "hcl"}, ".toml": {"toml"}, ".ts": {"typescript"},
	".tsx": {"typescript", "tsx"},
	".vue": {"vue"}, ".xml": {"xml"}, ".yaml": {"yaml"}, ".yml": {"yaml"}, ".zig": {"zig"}, ".zsh": {"shell", "zsh"},
}

// LanguagesOf returns the languages of a file by its name; none if the name is unknown.
func LanguagesOf(clean string) []string {
	base := strings.ToLower(path.Base(clean))
	if l, ok := languageTable[base]; ok {
		return l
	}
	return languageTable[path.Ext(base)]
}

// NearestLanguage returns the language that was probably meant by a name that no file's language has; "" for none.
func NearestLanguage(name string) string {
	if other := map[string]string{
		"golang": "go", "node": "javascript", "nodejs": "javascript", "python3": "python", "objc": "objective-c",
	}[name]; other != "" {
		return other
	}
	if l := languageTable["."+name]; len(l) > 0 { // js, py
		return l[0]
	}
	return Nearest(name, func(yield func(string) bool) {
		for _, languages := range languageTable {
			for _, l := range languages {
				if !yield(l) {
					return
				}
			}
		}
	})
}

// GlobsOf returns the globs of the files of a language; none for an unknown one.
func GlobsOf(language string) []string {
	var globs []string
	for name, languages := range languageTable {
		if !slices.Contains(languages, language) {
			continue
		}
		if strings.HasPrefix(name, ".") {
			name = "*" + name
		}
		globs = append(globs, "**/"+name)
	}
	slices.Sort(globs)
	return globs
}
