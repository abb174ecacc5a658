package interchange

import (
	"path"
	"strings"
)

// A Names gives files names that no file system takes for another's: macOS and Windows do not tell letters' case apart,
// and Windows keeps some names for itself. The zero value is ready.
type Names struct{ taken map[string]bool }

// Free returns the path of a file, or another one where that is taken or can't be. Documents are named in the order of
// their ids; what a file holds says its id, so the name does not matter when it is read.
func (n *Names) Free(p string) string {
	if n.taken == nil {
		n.taken = map[string]bool{}
	}
	dir, base := path.Split(p)
	if device().MatchString(base) {
		base = "_" + base
	}
	ext := path.Ext(base)
	name := strings.TrimSuffix(base, ext)
	for i := 0; n.taken[strings.ToLower(dir+base)]; i++ {
		base = name + "-" + shortHash(p+strings.Repeat("'", i)) + ext
	}
	n.taken[strings.ToLower(dir+base)] = true
	return dir + base
}

// device is a name that Windows keeps for itself, whatever its ending.
var device = compiled(`(?i)^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])(?:\.|$)`)
