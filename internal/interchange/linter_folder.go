package interchange

import (
	"path"
	"slices"
	"strings"
)

// settingsFolder returns the folder that the settings of a linter hold for, "" for the whole work tree: most tools take
// those that lie nearest above a file.
func settingsFolder(p string) string {
	dir := path.Dir(p)
	if dir == "." || !isNearest(strings.ToLower(path.Base(p))) {
		return ""
	}
	for name := range strings.SplitSeq(strings.ToLower(dir), "/") {
		// What lies there is named on a command line, and holds for other folders.
		if strings.HasPrefix(name, ".") || slices.Contains([]string{
			"config", "configs", "configuration", "etc", "lint", "linter", "linters", "linting", "scripts", "tool",
			"tools",
		}, name) || strings.Contains(name, "-config") {
			return ""
		}
	}
	return dir
}

// isNearest reports whether a file of this name holds for the folder that it lies in.
func isNearest(base string) bool {
	for _, begin := range []string{".eslintrc", ".stylelintrc", ".markdownlint", ".rubocop", ".swiftlint"} {
		if strings.HasPrefix(base, begin) {
			return true
		}
	}
	return slices.Contains([]string{
		".editorconfig", "ruff.toml", ".ruff.toml", "pyproject.toml", "analysis_options.yaml", "package.json",
		"cargo.toml", "biome.json", "biome.jsonc",
	}, base)
}
