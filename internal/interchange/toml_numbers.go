package interchange

import (
	"bytes"
	"slices"

	"github.com/pelletier/go-toml/v2/unstable"
)

// spelledMark begins a text that stood in TOML as a number. No text of a file holds it.
const spelledMark = "\x00"

// spelled returns a TOML text in which each number and each time is a text, so that they stay as they stood.
func spelled(text []byte) []byte {
	var p unstable.Parser
	p.Reset(text)
	var out bytes.Buffer
	done := 0
	for p.NextExpression() {
		var found []unstable.Range
		numbersIn(p.Expression(), func(n *unstable.Node) { found = append(found, p.Range(n.Data)) })
		slices.SortFunc(found, func(a, b unstable.Range) int { return int(a.Offset) - int(b.Offset) })
		for _, r := range found {
			from, to := int(r.Offset), int(r.Offset+r.Length)
			out.Write(text[done:from])
			out.WriteString(`"\u0000` + string(text[from:to]) + `"`)
			done = to
		}
	}
	out.Write(text[done:])
	return out.Bytes()
}

// numbersIn calls fn with every number and time of an expression.
func numbersIn(n *unstable.Node, fn func(*unstable.Node)) {
	switch n.Kind {
	case unstable.Integer, unstable.Float, unstable.LocalDate, unstable.LocalTime, unstable.LocalDateTime,
		unstable.DateTime:
		fn(n)
	default:
		for it := n.Children(); it.Next(); {
			numbersIn(it.Node(), fn)
		}
	}
}
