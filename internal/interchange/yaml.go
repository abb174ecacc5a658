package interchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"tenet/internal/knowledge"
)

// maxYAMLNodes bounds what aliases of a YAML text may unfold to.
const maxYAMLNodes = 200_000

// parseYAML returns the values of a YAML text, one for each of its documents, as JSON has them: maps, lists, strings,
// booleans, nil, and [json.Number] with the digits that stood there.
func parseYAML(text string) ([]yamlValue, error) {
	dec := yaml.NewDecoder(strings.NewReader(text))
	var out []yamlValue
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, yamlFault(text, err)
		}
		budget := maxYAMLNodes
		v, err := fromYAML(&n, 0, &budget)
		if err != nil {
			return nil, err
		}
		line := n.Line
		if len(n.Content) > 0 {
			line = n.Content[0].Line
		}
		if len(out) >= knowledge.MaxBatchOps {
			return nil, fmt.Errorf("more than %d YAML documents in one file", knowledge.MaxBatchOps)
		}
		out = append(out, yamlValue{value: v, line: line, node: &n})
	}
}

// A yamlValue is one document of a YAML text.
type yamlValue struct {
	value any
	line  int
	node  *yaml.Node
}

func fromYAML(n *yaml.Node, depth int, budget *int) (any, error) {
	*budget--
	if *budget < 0 {
		return nil, errors.New("the YAML unfolds to too much")
	}
	if depth > knowledge.MaxDepth {
		return nil, fmt.Errorf("line %d: nested deeper than %d levels", n.Line, knowledge.MaxDepth)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil, nil // an empty document is null
		}
		return fromYAML(n.Content[0], depth, budget)
	case yaml.AliasNode:
		return fromYAML(n.Alias, depth+1, budget)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, err := fromYAML(c, depth+1, budget)
			if err != nil {
				return nil, err
			}
			if _, isBool := v.(bool); isBool && !json.Valid([]byte(c.Value)) {
				v = c.Value // TRUE in a list is a word, such as a tag
			}
			list[i] = v
		}
		return list, nil
	case yaml.MappingNode:
		return fromMapping(n, depth, budget)
	case yaml.ScalarNode:
		return fromScalar(n), nil
	}
	return nil, nil // nothing stands there: null
}

func fromMapping(n *yaml.Node, depth int, budget *int) (any, error) {
	m := make(map[string]any, len(n.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		for k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a key that is no text", k.Line)
		}
		if k.ShortTag() == "!!merge" {
			merged = append(merged, n.Content[i+1])
			continue
		}
		if _, twice := m[k.Value]; twice {
			return nil, fmt.Errorf("line %d: key %q stands there twice", k.Line, k.Value)
		}
		v, err := fromYAML(n.Content[i+1], depth+1, budget)
		if err != nil {
			return nil, err
		}
		m[k.Value] = v
	}
	for _, from := range merged {
		if err := mergeInto(m, from, depth, budget); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// mergeInto adds to a mapping what "<<" names: one mapping, or a list of them, of which the first counts most. What
// stands in the mapping itself counts more.
func mergeInto(m map[string]any, from *yaml.Node, depth int, budget *int) error {
	v, err := fromYAML(from, depth+1, budget)
	if err != nil {
		return err
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, one := range list {
		values, ok := one.(map[string]any)
		if !ok {
			return fmt.Errorf("line %d: \"<<\" wants a mapping, or a list of mappings", from.Line)
		}
		for k, v := range values {
			if _, there := m[k]; !there {
				m[k] = v
			}
		}
	}
	return nil
}

func fromScalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if n.Decode(&b) == nil {
			return b
		}
	case "!!int", "!!float":
		// A number that JSON would write otherwise (007, 1_000, 0x10) stays the text that stood there.
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value)
		}
	}
	return n.Value
}
