package interchange

import (
	"strings"
	"testing"
)

func TestExportedNamesSurviveEveryFileSystem(t *testing.T) {
	for _, ext := range []string{".md", ".yaml"} {
		t.Run(ext, func(t *testing.T) { testNames(t, ext) })
	}
	var again Names
	if got := again.Free("rules/SEC-001.md"); got != "rules/SEC-001.md" {
		t.Errorf("a name that nothing speaks against becomes %s", got)
	}
}

func testNames(t *testing.T, ext string) {
	var n Names
	seen := map[string]bool{}
	for _, id := range []string{
		"NET-1", "Net-1", "net-1", "con", "CON", "aux", "com1", "lpt9.x", "nul.md", "console", "com10", "_con", "a.",
		".b", "prn", "_con.x", "con.x",
	} {
		got := n.Free("rules/" + id + ext)
		base := strings.TrimPrefix(got, "rules/")
		switch {
		case seen[strings.ToLower(got)]:
			t.Errorf("%s is named %s, which is taken on a file system that ignores case", id, got)
		case device().MatchString(base):
			t.Errorf("%s is named %s, which Windows keeps for itself", id, got)
		case !strings.HasSuffix(base, ext) || strings.Contains(base, "/"):
			t.Errorf("%s is named %s", id, got)
		}
		seen[strings.ToLower(got)] = true
	}
}
