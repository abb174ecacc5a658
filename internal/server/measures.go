package server

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// A Measure is what one name at /metrics means.
type Measure struct {
	Name   string
	Labels string // separated by commas
	Help   string
}

// Measures returns the metrics at /metrics by name, without those of every Go program.
func (s *Server) Measures() []Measure {
	described := make(chan *prometheus.Desc)
	go func() {
		defer close(described)
		s.parts.metrics.Describe(described)
	}()
	// The library tells a description's parts in no other way than as text.
	form := regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"),.* variableLabels: ` +
		`\{(.*)\}\}$`)
	var list []Measure
	for d := range described {
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			continue
		}
		name, _ := strconv.Unquote(m[1]) // both were quoted by the library
		help, _ := strconv.Unquote(m[2])
		if strings.HasPrefix(name, "tenet_") {
			list = append(list, Measure{name, strings.ReplaceAll(m[3], ",", ", "), help})
		}
	}
	slices.SortFunc(list, func(a, b Measure) int { return strings.Compare(a.Name+a.Labels, b.Name+b.Labels) })
	return slices.Compact(list)
}
