// Package check finds where files break rules, by the checks of the rules, and keeps reports of the findings.
//
// The findings are a pure function of the rules and the files: the same on a server, in a hook at the edit, and in CI,
// with or without a server.
package check

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenet/internal/knowledge"
)

// Bounds of one run.
const (
	MaxFile     = 4 << 20 // bytes; of larger files the path alone is checked
	MaxFindings = 1000    // in total
	maxOfOne    = 50      // of one check in one file
	maxNamed    = 5       // mandatory rules that are named with a file that was skipped
	// places of one check in one file that are compared with earlier findings; more are reported as [Skipped].
	maxLooked = 20_000
	maxKnown  = 200_000 // earlier findings; those beyond count as new
)

// A File is a file to check.
type File struct {
	Path    string // from the repository's root
	Content []byte
	Was     string // of a file before a change: the path that it had then; "" for the same
	// Fault is why its text could not be read; "" if it was. Then only its path is checked.
	Fault string
	// Lines are the numbers of the lines that count, from 1, ascending; nil for all. A finding about a whole file
	// always counts.
	Lines []int
}

// A Finding is one place where a file breaks a rule.
type Finding struct {
	Rule        string    `json:"rule" doc:"The rule's id" example:"SEC-001"`
	Version     int64     `json:"version" doc:"The version of the rule"`
	Check       string    `json:"check" doc:"The check that found it"`
	Title       string    `json:"title" doc:"The rule's title"`
	Path        string    `json:"path" doc:"The file"`
	Line        int       `json:"line" doc:"The line, from 1; 0 when it is about the whole file"`
	Column      int       `json:"column" doc:"The column it begins in, from 1; 0 when it is about the whole file"`
	Severity    string    `json:"severity" doc:"The rule's severity" enum:"CRITICAL,ERROR,WARNING,INFO"`
	Enforcement string    `json:"enforcement" doc:"How strictly the rule holds" enum:"mandatory,recommended,optional"`
	Message     string    `json:"message" doc:"What is wrong there"`
	Fix         string    `json:"fix,omitempty" doc:"What to do about it"`
	Fingerprint string    `json:"fingerprint" doc:"The same for the same finding, also when lines above it come and go"`
	Exempt      *Exempted `json:"exempt,omitempty" doc:"Why it does not count"`
}

// An Exempted is the reason why a finding does not count, and until when.
type Exempted struct {
	Reason string         `json:"reason" doc:"Why"`
	Until  knowledge.Time `json:"until" doc:"When it counts again"`
	By     string         `json:"by,omitempty" doc:"Who granted it"`
}

// Outcomes of a run.
const (
	Allow = "allow" // no findings that count
	Warn  = "warn"  // findings, none of them mandatory
	Deny  = "deny"  // a mandatory finding
)

// A Result is the result of a run.
type Result struct {
	Decision string    `json:"decision" doc:"allow, warn, or deny: a mandatory rule is broken" enum:"allow,warn,deny"`
	Findings []Finding `json:"findings" doc:"What was found, by file and line"`
	Files    int       `json:"files" doc:"How many files were looked at"`
	Rules    int       `json:"rules" doc:"How many rules have checks"`
	Skipped  []Skipped `json:"skipped" doc:"Files that were not looked at"`
	More     bool      `json:"more" doc:"True when there is more than an answer holds"`
	looked   map[string]bool
	broken   map[string]bool // rules with findings, exempted ones included
	stood    map[string]bool // the fingerprints of findings that were there before and count
	moved    []moved         // those of them whose file had another name before
	soft     []int           // the findings that deny nothing, and are dropped first for one that does
}

// moved is a finding that its file brought along to a new name.
type moved struct {
	Finding
	was string // the fingerprint that it had before
}

// Outcomes returns the rules that were checked in at least one file: followed ones, violated ones, and those violated
// only where that is exempted.
func (r *Result) Outcomes() (followed, violated, exempted []string) {
	for _, id := range slices.Sorted(maps.Keys(r.looked)) {
		counts, found := r.broken[id]
		switch {
		case counts:
			violated = append(violated, id)
		case found:
			exempted = append(exempted, id)
		default:
			followed = append(followed, id)
		}
	}
	return followed, violated, exempted
}

// A Set is a set of rules, prepared to check files.
type Set struct {
	rules []rule
	now   time.Time
	ends  []exemption
	size  int
}

// Size returns about how many bytes the set takes, most of them for its patterns.
func (s *Set) Size() int { return s.size }

// What a rule and a pattern take in memory, about: a pattern's program grows with its text.
const (
	ruleSize        = 1 << 10
	patternSize     = 8 << 10
	patternByteSize = 100
)

type rule struct {
	*knowledge.Rule
	checks []one
	scope  globs
}

type one struct {
	*knowledge.Check
	re    *regexp.Regexp
	globs globs
}

type exemption struct {
	*knowledge.Exemption
	globs globs
}

// globs are parsed path patterns; without any, every path matches.
type globs []knowledge.Glob

func globsOf(texts []string) globs {
	var list globs
	for _, t := range texts {
		if g, err := knowledge.ParseGlob(t); err == nil { // stored globs are valid
			list = append(list, g)
		}
	}
	return list
}

// includes reports whether a pattern includes paths, instead of all of them excluding some.
func (g globs) includes() bool {
	return slices.ContainsFunc(g, func(one knowledge.Glob) bool { return !one.Exclude })
}

func (g globs) match(path string) bool {
	in := !g.includes()
	for i := range g {
		switch {
		case !g[i].Match(path):
		case g[i].Exclude:
			return false
		default:
			in = true
		}
	}
	return in
}

// NewSet prepares rules. It omits rules without checks and rules that are not in force. Exemptions count until they
// expire.
func NewSet(rules []*knowledge.Rule, exemptions []knowledge.Exemption, now time.Time) *Set {
	s := &Set{now: now}
	for _, r := range rules {
		if !r.IsActive || r.Status != knowledge.StatusActive || len(r.Checks) == 0 {
			continue
		}
		ready := rule{Rule: r, scope: globsOf(r.Scope.Globs)}
		s.size += ruleSize
		for i := range r.Checks {
			c := &r.Checks[i]
			if re, err := regexp.Compile(anyLineEnd("(?m)" + c.Pattern)); err == nil { // stored patterns are valid
				ready.checks = append(ready.checks, one{c, re, globsOf(c.Globs)})
				s.size += patternSize + patternByteSize*len(c.Pattern)
			}
		}
		s.rules = append(s.rules, ready)
	}
	slices.SortFunc(s.rules, func(a, b rule) int { return strings.Compare(a.RuleID, b.RuleID) })
	for i := range exemptions {
		s.ends = append(s.ends, exemption{&exemptions[i], globsOf(exemptions[i].Paths)})
	}
	return s
}

// Run checks files.
func (s *Set) Run(files []File) *Result { return s.run(slices.Values(files), nil, forever) }

// forever never ends a run: for runs without a deadline.
func forever() bool { return false }

// RunSince checks files, and omits findings that the earlier files had.
func (s *Set) RunSince(files, before []File) *Result {
	return s.runSince(slices.Values(files), slices.Values(before), forever)
}

// Stream is [Set.RunSince] for files that are not in memory all at once; without earlier files (nil) it is [Set.Run].
func (s *Set) Stream(files, before iter.Seq[File]) *Result {
	if before == nil {
		return s.run(files, nil, forever)
	}
	return s.runSince(files, before, forever)
}

// runSince is RunSince until over returns true; the result is then invalid.
func (s *Set) runSince(files, before iter.Seq[File], over func() bool) *Result {
	known := map[string]string{}
	for file := range before {
		f := &file
		clean, err := knowledge.CleanPath(f.Path)
		if err != nil {
			continue
		}
		was := clean
		if f.Was != "" {
			if was, err = knowledge.CleanPath(f.Was); err != nil {
				continue
			}
		}
		s.each(was, f, func(rl *rule, c *one) { // what held there, under the name that it has now
			c.findings(rl, was, clean, f, maxLooked, func(one *Finding, before string) bool {
				if len(known) < maxKnown {
					known[one.Fingerprint] = before
				}
				return len(known) < maxKnown && !over()
			})
		})
	}
	return s.run(files, known, over)
}

// run checks files. known has the fingerprints of earlier findings, with those that they had under an earlier name.
func (s *Set) run(files iter.Seq[File], known map[string]string, over func() bool) *Result {
	r := &Result{
		Decision: Allow, Findings: []Finding{}, Skipped: []Skipped{}, Rules: len(s.rules),
		looked: map[string]bool{}, broken: map[string]bool{}, stood: map[string]bool{},
	}
	for file := range files {
		f := &file
		clean, err := knowledge.CleanPath(f.Path)
		switch {
		case err != nil:
			r.Skipped = append(r.Skipped, Skipped{f.Path, err.Error()})
			continue
		case s.unread(r, clean, f):
		default:
			r.Files++
		}
		s.file(r, clean, f, known, over)
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return r
}

// take adds a finding to the outcome and, if there is room, to the list. In a full list it replaces one that denies
// nothing.
func (r *Result) take(f *Finding) {
	r.broken[f.Rule] = r.broken[f.Rule] || f.Exempt == nil
	denies := f.Exempt == nil && f.Enforcement == "mandatory"
	switch {
	case denies:
		r.Decision = Deny
	case f.Exempt == nil && r.Decision == Allow:
		r.Decision = Warn
	}
	if len(r.Findings) < MaxFindings {
		if !denies {
			r.soft = append(r.soft, len(r.Findings))
		}
		r.Findings = append(r.Findings, *f)
		return
	}
	r.More = true
	if n := len(r.soft); denies && n > 0 {
		r.Findings[r.soft[n-1]] = *f
		r.soft = r.soft[:n-1]
	}
}

// each calls fn with the checks that apply to a file: of a binary or too large one those of its path alone.
func (s *Set) each(clean string, f *File, fn func(*rule, *one)) {
	closed := f.Fault != "" || len(f.Content) > MaxFile || isBinary(f.Content)
	for i := range s.rules {
		rl := &s.rules[i]
		for j := range rl.checks {
			if c := &rl.checks[j]; rl.covers(c, clean) && (!closed || c.Kind == knowledge.CheckPath) {
				fn(rl, c)
			}
		}
	}
}

// file checks a file. It omits known findings before it cuts the list, so that they can't hide new ones.
func (s *Set) file(r *Result, clean string, f *File, known map[string]string, over func() bool) {
	most := maxOfOne + 1
	if known != nil {
		most = maxLooked
	}
	s.each(clean, f, func(rl *rule, c *one) {
		r.looked[rl.RuleID] = true
		if over() {
			return
		}
		fresh, looked := 0, 0
		all := c.findings(rl, clean, clean, f, most, func(one *Finding, _ string) bool {
			looked++
			if before, ok := known[one.Fingerprint]; ok {
				s.stands(r, one, before)
				return !over()
			}
			if fresh++; fresh > maxOfOne {
				return false
			}
			s.exempt(one)
			r.take(one)
			return true
		})
		r.More = r.More || !all
		if known != nil && looked == maxLooked && !all {
			r.Skipped = append(r.Skipped, Skipped{clean, "rule/" + rl.RuleID + " matches in more than " +
				strconv.Itoa(maxLooked) +
				" places: what is new beyond them was not looked for"})
		}
	})
}

// stands notes a finding that was there before, if it counts.
func (s *Set) stands(r *Result, f *Finding, before string) {
	if s.exempt(f); f.Exempt != nil {
		return
	}
	r.stood[f.Fingerprint] = true
	if before != f.Fingerprint {
		r.moved = append(r.moved, moved{*f, before})
	}
}

// covers reports whether a check applies to a path: by its own patterns, else by the rule's scope.
func (r *rule) covers(c *one, clean string) bool {
	if len(c.globs) > 0 {
		return c.globs.match(clean)
	}
	if !r.scope.match(clean) {
		return false
	}
	if len(r.Scope.Languages) == 0 || r.scope.includes() {
		return true // languages count without a glob that includes
	}
	return slices.ContainsFunc(knowledge.LanguagesOf(clean),
		func(l string) bool { return slices.Contains(r.Scope.Languages, l) })
}

// names reports whether a check says which files it is for, instead of being for all.
func (r *rule) names(c *one) bool { return len(c.globs)+len(r.scope)+len(r.Scope.Languages) > 0 }

// places calls yield with the offset and line of each match, until yield returns false; offset -1 is the whole file.
func (c *one) places(clean string, f *File, yield func(at, line int) bool) {
	switch c.Kind {
	case knowledge.CheckPath:
		if c.re.MatchString(clean) {
			yield(-1, 0)
		}
	case knowledge.CheckRequire:
		if !c.re.Match(f.Content) {
			yield(-1, 0)
		}
	case knowledge.CheckForbid:
		line, counted, last := 1, 0, -1
		for at := 0; at <= len(f.Content); {
			m := c.re.FindIndex(f.Content[at:])
			if m == nil {
				return
			}
			from, to := at+m[0], at+m[1]
			line, counted = line+bytes.Count(f.Content[counted:from], []byte{'\n'}), from
			end := line + bytes.Count(f.Content[from:max(from, to-1)], []byte{'\n'})
			at = max(to, at+1)
			if !f.counts(line, end) {
				continue
			}
			if line != last && !yield(from, line) {
				return
			}
			// A line is one place, however often it matches: searching its rest could take as long for each match.
			last = line
			next := bytes.IndexByte(f.Content[from:], '\n')
			if next < 0 {
				return
			}
			at = max(to, from+next+1)
		}
	}
}

// counts reports whether one of the lines from first to last counts.
func (f *File) counts(first, last int) bool {
	if f.Lines == nil {
		return true
	}
	i, _ := slices.BinarySearch(f.Lines, first)
	return i < len(f.Lines) && f.Lines[i] <= last
}

// findings calls yield with the findings of a check in a file, at most so many, until yield returns false. They are
// looked for at the path was, and named by clean; before is the fingerprint that was gave them. all means that there
// are no more.
func (c *one) findings(
	r *rule, was, clean string, f *File, most int, yield func(one *Finding, before string) bool,
) (all bool) {
	all = true
	alike := map[string]int{} // findings with equal lines are numbered to tell them apart
	n := 0
	c.places(was, f, func(at, line int) bool {
		if n++; n > most {
			all = false
			return false
		}
		out, text := c.finding(r, clean, f, at, line)
		nth := ""
		if k := alike[text]; k > 0 {
			nth = "-" + strconv.Itoa(k+1)
		}
		alike[text]++
		out.Fingerprint = c.fingerprint(r, clean, text) + nth
		before := out.Fingerprint
		if was != clean {
			before = c.fingerprint(r, was, text) + nth
		}
		all = yield(&out, before)
		return all
	})
	return all
}

// finding returns what was found at an offset, without its fingerprint, and the text of the line.
func (c *one) finding(r *rule, clean string, f *File, at, number int) (out Finding, line string) {
	out = Finding{
		Rule: r.RuleID, Version: r.Version, Check: c.ID, Title: r.Title, Path: clean, Severity: r.Severity,
		Enforcement: r.Enforcement,
		Message:     c.Message, Fix: c.Fix,
	}
	if out.Message == "" {
		out.Message = r.Title
	}
	if at >= 0 {
		start := bytes.LastIndexByte(f.Content[:at], '\n') + 1
		end := bytes.IndexByte(f.Content[at:], '\n')
		if end < 0 {
			end = len(f.Content) - at
		}
		line = strings.Join(strings.Fields(string(f.Content[start:at+end])), " ")
		out.Line, out.Column = number, 1+len([]rune(string(f.Content[start:at])))
	}
	return out, line
}

func (c *one) fingerprint(r *rule, path, line string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{r.RuleID, c.ID, path, line}, "\x00")))
	return hex.EncodeToString(sum[:12])
}

// exempt marks a finding that is exempted.
func (s *Set) exempt(f *Finding) {
	for i := range s.ends {
		e := &s.ends[i]
		if e.Rule == f.Rule && !e.Ended(s.now) && e.globs.match(f.Path) {
			f.Exempt = &Exempted{e.Reason, e.Until, e.By}
			return
		}
	}
}
