package interchange

import (
	"regexp"
	"sync"
)

// compiled returns a regular expression that is compiled when it is first asked for. Most runs of the program are short
// and ask for few of them.
func compiled(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
