package interchange

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"tenet/internal/knowledge"
)

// maxXMLElements bounds what is read of one XML file.
const maxXMLElements = 200_000

// An xmlNode is an element of an XML file. Namespaces are left out.
type xmlNode struct {
	name  string
	attrs map[string]string
	text  string // the text right below it, without the spaces around it
	kids  []*xmlNode
	line  int
}

// attr returns an attribute, "" for none.
func (n *xmlNode) attr(name string) string { return strings.TrimSpace(n.attrs[name]) }

// all returns the elements of a name right below one.
func (n *xmlNode) all(name string) []*xmlNode {
	var out []*xmlNode
	for _, k := range n.kids {
		if k.name == name {
			out = append(out, k)
		}
	}
	return out
}

// child returns the text of the first element of a name right below one, "" for none.
func (n *xmlNode) child(name string) string {
	for _, k := range n.kids {
		if k.name == name {
			return k.words()
		}
	}
	return ""
}

// words returns the text of an element and of all below it.
func (n *xmlNode) words() string {
	if len(n.kids) == 0 {
		return n.text
	}
	parts := []string{n.text}
	for _, k := range n.kids {
		parts = append(parts, k.words())
	}
	return strings.TrimSpace(strings.Join(parts, "\n"))
}

// xmlDecoder reads a text that is UTF-8 by now, whatever its first line says of itself.
func xmlDecoder(text string) *xml.Decoder {
	dec := xml.NewDecoder(strings.NewReader(text))
	dec.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		switch strings.ToLower(charset) {
		case "utf-8", "us-ascii", "utf-16", "utf-16le", "utf-16be", "iso-8859-1", "latin1", "windows-1252":
			return in, nil
		}
		return nil, errors.New("not UTF-8: save it as UTF-8")
	}
	return dec
}

// xmlRoot returns the name of the outermost element, "" for a text that has none.
func xmlRoot(text string) string {
	dec := xmlDecoder(text)
	for {
		t, err := dec.Token()
		if err != nil {
			return ""
		}
		if start, ok := t.(xml.StartElement); ok {
			return start.Name.Local
		}
	}
}

// parseXML returns the outermost element of a text, with all below it.
func parseXML(text string) (*xmlNode, error) {
	dec := xmlDecoder(text)
	var open []*xmlNode
	var texts [][]byte // of the open elements
	count := 0
	for {
		line, _ := dec.InputPos()
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("not XML: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if count++; count > maxXMLElements || len(open) >= knowledge.MaxDepth {
				return nil, fmt.Errorf("line %d: more than %d elements, or more than %d within each other", line,
					maxXMLElements, knowledge.MaxDepth)
			}
			n := &xmlNode{name: t.Name.Local, attrs: map[string]string{}, line: line}
			for _, a := range t.Attr {
				n.attrs[a.Name.Local] = a.Value
			}
			if len(open) > 0 {
				up := open[len(open)-1]
				up.kids = append(up.kids, n)
			}
			open, texts = append(open, n), append(texts, nil)
		case xml.CharData:
			if len(open) > 0 {
				texts[len(texts)-1] = append(texts[len(texts)-1], t...)
			}
		case xml.EndElement:
			n := open[len(open)-1]
			n.text = strings.TrimSpace(string(texts[len(texts)-1]))
			open, texts = open[:len(open)-1], texts[:len(texts)-1]
			if len(open) == 0 {
				return n, nil
			}
		}
	}
}
