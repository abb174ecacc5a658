package guidance

import (
	"fmt"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// A Verdict says whether one document holds for one path, and why or why not.
type Verdict struct {
	Key     string   `json:"key"`
	Title   string   `json:"title"`
	Path    string   `json:"path"`
	Holds   bool     `json:"holds"`
	Why     string   `json:"why"` // one sentence
	Because []Reason `json:"because"`
	Globs   []Tried  `json:"globs"`
}

// A Tried is a glob of a document's scope, and whether it matches the path.
type Tried struct {
	Glob    string `json:"glob"`
	Exclude bool   `json:"exclude"`
	Matches bool   `json:"matches"`
	Fault   string `json:"fault,omitempty"` // why the glob can't be read
}

// Explain says whether a document holds for the one path of a checked query.
func Explain(d knowledge.Document, q *Query) Verdict {
	v := Verdict{Key: d.Key().String(), Title: d.Text().Title, Path: q.Paths[0], Because: []Reason{}, Globs: []Tried{}}
	e := describe(d)
	switch {
	case !slices.Contains(Kinds(), d.Key().Kind):
		v.Why = fmt.Sprintf("a %s holds nowhere: only rules, practices and templates do", d.Key().Kind)
		return v
	case !d.Active():
		v.Why = "it is retired"
		return v
	case e == nil:
		v.Why = "its status is " + d.(*knowledge.Rule).Status + ": only an ACTIVE rule holds" // nothing else has one
		return v
	}
	for _, text := range e.scope.Globs {
		t := Tried{Glob: text}
		if g, err := knowledge.ParseGlob(text); err != nil {
			t.Fault = err.Error()
		} else {
			t.Exclude, t.Matches = g.Exclude, g.Match(v.Path)
		}
		v.Globs = append(v.Globs, t)
	}
	s := &snapshot{base: newSegment([]*doc{e}), recent: newSegment(nil)}
	m := s.base.match(q, nil, nil)
	for class, b := range m.classes {
		if b.has(0) {
			v.Holds, v.Because = true, because(e, class, q)
			v.Why = Why(v.Because)
			return v
		}
	}
	v.Why = whyNot(e, q, &v)
	return v
}

// whyNot says why an active document does not hold.
func whyNot(e *doc, q *Query, v *Verdict) string {
	switch {
	case q.Target != "" && len(e.scope.Targets) > 0 && !slices.Contains(e.scope.Targets, q.Target):
		return "it is meant for " + strings.Join(e.scope.Targets, ", ") + ", and " + q.Target + " asks"
	case e.scope.Activation == "model":
		return "its activation is model: it holds where its title and text fit the task, and no path decides that; " +
			"`tenet guidance " + v.Path + " --task TASK --explain` tells whether they do"
	case e.scope.Activation == "manual":
		return "its activation is manual: it holds only where somebody asks for it by name"
	}
	excluded, includes := "", 0
	for _, t := range v.Globs {
		if t.Exclude && t.Matches {
			excluded = t.Glob
		}
		if !t.Exclude {
			includes++
		}
	}
	switch {
	case excluded != "":
		return "its glob " + excluded + " excludes the path"
	case includes > 0:
		return "none of its globs matches the path"
	case len(e.scope.Languages) > 0:
		return "it is for " + strings.Join(e.scope.Languages, ", ") + ", and the path is not"
	}
	return "its activation is glob and it has no glob that includes anything: it holds nowhere"
}
