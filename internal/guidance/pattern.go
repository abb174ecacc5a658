package guidance

import (
	"strings"

	"tenet/internal/knowledge"
)

// A pattern is one glob without braces, with the documents whose scope includes it.
type pattern struct {
	text  string
	depth uint8 // number of literal folders at its beginning: more is more specific
	// sure patterns match every path that the lookup finds: anywhere below their folder, or directly in it if here is
	// set.
	sure, here bool
	docs       []int32
	dense      bitset // the same as docs, if there are many
}

// A folder holds the patterns that begin with one literal folder, by the last name of the paths that they match.
type folder struct {
	base map[string][]int32 // by the whole last name
	ext  map[string][]int32 // by its extension
	any  []int32            // patterns that can't be looked up
}

// place says under which key a pattern is found in the index.
type place struct {
	dir        string
	base, ext  string // at most one of them is set
	depth      uint8
	sure, here bool
}

func isMeta(part string) bool { return strings.ContainsAny(part, `*?[\`) }

// placeOf returns the place of a pattern of [knowledge.Glob].
func placeOf(text string) place {
	parts := strings.Split(text, "/")
	n := 0
	for n < len(parts)-1 && !isMeta(parts[n]) {
		n++
	}
	p := place{dir: strings.Join(parts[:n], "/"), depth: uint8(min(n, 250))}
	rest, last := parts[n:], parts[len(parts)-1]
	deep := len(rest) == 2 && rest[0] == "**"
	p.here = len(rest) == 1
	ext, dotted := "", false
	if i := strings.LastIndexByte(last, '.'); i >= 0 && !isMeta(last[i+1:]) {
		ext, dotted = last[i+1:], true
	}
	switch {
	case !isMeta(last):
		p.base, p.sure = last, deep || p.here
		if p.here { // a whole path: nothing is more specific
			p.depth = uint8(min(n+1, 250))
		}
	case last == "*":
		p.sure = deep || p.here
	case dotted && ext != "":
		p.ext = ext
		p.sure = last == "*."+ext && (deep || p.here)
	}
	return p
}

// find calls fn with every pattern that matches a path.
func (s *segment) find(clean string, fn func(p *pattern)) {
	base, ext := clean[strings.LastIndexByte(clean, '/')+1:], ""
	if i := strings.LastIndexByte(base, '.'); i >= 0 {
		ext = base[i+1:]
	}
	parent := max(len(clean)-len(base)-1, 0)
	try := func(list []int32, dir int) {
		for _, i := range list {
			p := &s.patterns[i]
			if p.sure && (!p.here || dir == parent) || !p.sure && knowledge.MatchPattern(p.text, clean) {
				fn(p)
			}
		}
	}
	for dir := 0; ; {
		if f := s.folders[clean[:dir]]; f != nil {
			try(f.base[base], dir)
			if ext != "" {
				try(f.ext[ext], dir)
			}
			try(f.any, dir)
		}
		if dir == parent {
			return
		}
		from := dir
		if from > 0 {
			from++
		}
		dir = from + strings.IndexByte(clean[from:], '/')
	}
}
