package interchange

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"
)

// EncodeYAML writes a node for people to read. The library puts a text with an emoji, or with spaces at the end of a
// line, on one line in quotes with escapes, although a block holds both: while it writes, characters of the private use
// area stand for them. Where that does not read back as it was, the library has its way.
func EncodeYAML(w io.Writer, n *yaml.Node) error {
	s := standInsFor(n)
	if len(s.of) > 0 {
		text, err := encodedYAML(s.node(n))
		if err != nil {
			return err
		}
		text = s.back(text)
		if readsAs(text, n) {
			_, err = w.Write(text)
			return err
		}
	}
	text, err := encodedYAML(n)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func encodedYAML(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return b.Bytes(), nil
}

// standIns are the characters that stand for others.
type standIns struct{ of map[rune]rune }

// standInsFor finds a character that stands nowhere in a node for each that needs one; none where they do not suffice.
func standInsFor(n *yaml.Node) standIns {
	met := map[rune]bool{}
	eachScalar(n, func(n *yaml.Node) {
		for _, r := range n.Value {
			if r >= 0xe000 {
				met[r] = true
			}
		}
		if endsInSpace(n) {
			met[' '] = true
		}
	})
	s := standIns{of: map[rune]rune{}}
	free := rune(0xe000)
	for r := range met {
		if r != ' ' && r <= 0xffff {
			continue
		}
		for met[free] {
			free++
		}
		if free > 0xf8ff {
			return standIns{}
		}
		s.of[r] = free
		free++
	}
	return s
}

// endsInSpace reports whether a text that is to be a block has a line that ends in a space.
func endsInSpace(n *yaml.Node) bool {
	return n.Style == yaml.LiteralStyle && (strings.Contains(n.Value, " \n") || strings.HasSuffix(n.Value, " "))
}

func eachScalar(n *yaml.Node, do func(*yaml.Node)) {
	if n.Kind == yaml.ScalarNode {
		do(n)
	}
	for _, c := range n.Content {
		eachScalar(c, do)
	}
}

// node returns a copy of a node with the stand-ins.
func (s standIns) node(n *yaml.Node) *yaml.Node {
	out := *n
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out.Content[i] = s.node(c)
	}
	if n.Kind != yaml.ScalarNode {
		return &out
	}
	runes := []rune(n.Value)
	spaces := endsInSpace(n)
	for i, r := range runes {
		last := i+1 == len(runes) || runes[i+1] == '\n'
		if with, ok := s.of[r]; ok && (r != ' ' || spaces && last) {
			runes[i] = with
		}
	}
	out.Value = string(runes)
	return &out
}

// back returns a text with what the stand-ins stand for.
func (s standIns) back(text []byte) []byte {
	was := make(map[rune]rune, len(s.of))
	for r, with := range s.of {
		was[with] = r
	}
	return bytes.Map(func(r rune) rune {
		if of, ok := was[r]; ok {
			return of
		}
		return r
	}, text)
}

// readsAs reports whether a text is YAML of the same values.
func readsAs(text []byte, n *yaml.Node) bool {
	var got yaml.Node
	return yaml.Unmarshal(text, &got) == nil && len(got.Content) == 1 && sameYAML(got.Content[0], n)
}

func sameYAML(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || len(a.Content) != len(b.Content) ||
		a.Kind == yaml.ScalarNode && b.Tag != "" && a.ShortTag() != b.ShortTag() {
		return false
	}
	for i := range a.Content {
		if !sameYAML(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
