package interchange

import (
	"slices"
	"strings"
	"unicode"

	"tenet/internal/knowledge"
)

var (
	blockOpen  = compiled(`^\s*:{3,}\s*([A-Za-z]+)\b(.*)$`)
	blockClose = compiled(`^\s*:{3,}\s*$`)
	leadIn     = compiled(`(?i)\b(in)?correct\b|\bexamples?\b|\bgood\b|\bbad\b|\b(in)?valid\b`)
)

// blockKind says whether a word names what to do (1), what not to do (-1), or nothing of the kind (0).
func blockKind(word string) int {
	switch strings.ToLower(word) {
	case "correct", "good", "valid", "do", "compliant", "right", "passing":
		return 1
	case "incorrect", "bad", "invalid", "dont", "noncompliant", "non-compliant", "wrong", "failing", "avoid":
		return -1
	}
	return 0
}

// headingKind is blockKind for a heading such as "✅ Good example" or "Don't".
func headingKind(text string) int {
	words := strings.FieldsFunc(strings.ToLower(text),
		func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' && r != '’' && r != '-' })
	words = slices.DeleteFunc(words, func(w string) bool {
		return slices.Contains([]string{
			"example", "examples", "code", "of", "for", "this", "rule", "pattern",
			"patterns",
		}, w)
	})
	if len(words) != 1 {
		return 0
	}
	return blockKind(strings.NewReplacer("'", "", "’", "").Replace(words[0]))
}

// hasBlocks reports whether a page shows what is right and what is wrong: in blocks, or below headings that say so.
func hasBlocks(body string) bool {
	var f fence
	under := 0
	var good, bad bool
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		opening := f.size == 0
		if f.inside(line) {
			good, bad = good || opening && under > 0, bad || opening && under < 0
			continue
		}
		if m := blockOpen().FindStringSubmatch(line); m != nil && blockKind(m[1]) != 0 {
			return true
		}
		if level, text := heading(line); level > 0 {
			under = headingKind(text)
		}
	}
	return good && bad
}

// rulePage makes a rule of a page that shows correct and incorrect code.
func (r *reader) rulePage(f *file, fm *frontMatter, body string) *knowledge.Rule {
	d := &knowledge.Rule{IsActive: true, RuleID: r.pathID(knowledge.KindRule, f)}
	summary := fm.peek("description")
	title := titleOf(f, fm, body, summary)
	r.ruleFields(f, d, fm)
	d.Scope = r.scopeOf(f, FormatRulePage, fm, summary)
	p := page{f: f, lines: strings.Split(body, "\n")}
	text := p.split()
	d.Examples, d.AntiPatterns = p.good, p.bad
	d.Title, text = fitTitle(f, title, text, fm)
	if text == "" {
		text = summary
	}
	d.Description = described(f, text, d.Title)
	r.common(f, &d.Common, fm, fm.peek("rule_type"))
	return d
}

// A page is a rule page, split into text and examples.
type page struct {
	f         *file
	lines     []string
	out       []pageLine
	good, bad []knowledge.Example
}

// A pageLine is a line that stays in the text, or the place where an example was taken out.
type pageLine struct {
	text  string
	level int // of a heading, 0 for others
	cut   bool
}

// split takes the examples out of the page and returns the text that remains.
func (p *page) split() string {
	var f fence
	under, level := 0, 0
	head, nearest := "", ""
	byHeading := hasBothHeadings(p.lines)
	for i := 0; i < len(p.lines); i++ {
		line := p.lines[i]
		opening := f.size == 0
		if f.inside(line) {
			if opening && byHeading && under != 0 {
				i = p.fenced(i, under, head)
				f.size = 0
				continue
			}
			p.out = append(p.out, pageLine{text: line})
			continue
		}
		if m := blockOpen().FindStringSubmatch(line); m != nil && blockKind(m[1]) != 0 {
			i = p.block(i, blockKind(m[1]), strings.TrimSpace(m[2]), nearest)
			continue
		}
		l, text := heading(line)
		if l > 0 {
			nearest = text
		}
		if l > 0 && (l <= level || headingKind(text) != 0) {
			under, level, head = headingKind(text), l, text
		}
		p.out = append(p.out, pageLine{text: line, level: l})
	}
	return p.rest()
}

func hasBothHeadings(lines []string) bool {
	var f fence
	var good, bad bool
	for _, line := range lines {
		if f.inside(line) {
			continue
		}
		if l, text := heading(line); l > 0 {
			good, bad = good || headingKind(text) > 0, bad || headingKind(text) < 0
		}
	}
	return good && bad
}

// fenced takes out the fenced code that begins at line i, and returns its last line.
func (p *page) fenced(i, kind int, title string) int {
	e, last := readFence(p.lines, i)
	e.Title, _ = shorten(title)
	p.add(kind, e)
	p.out = append(p.out, pageLine{cut: true})
	return last
}

// block takes out the ::: block that begins at line i of a section, and returns its last line.
func (p *page) block(i, kind int, options, section string) int {
	title := p.leadIn()
	if title == "" {
		title, _ = shorten(section)
	}
	var notes []string
	var found []knowledge.Example
	last, closed := i+1, false
	for ; last < len(p.lines); last++ {
		line := p.lines[last]
		if blockClose().MatchString(line) {
			closed = true
			break
		}
		if f := (fence{}); f.inside(line) {
			e, end := readFence(p.lines, last)
			found, last = append(found, e), end
			continue
		}
		notes = append(notes, line)
	}
	if !closed {
		p.f.note("line of text %d: the ::: block has no end: taken to end with the page", i+1)
	}
	note := trimBlankLines(strings.Join(notes, "\n"))
	if len(found) == 0 && note != "" {
		found, note = []knowledge.Example{{Code: note}}, ""
	}
	if options != "" {
		note = strings.TrimSpace(note + "\n\nOptions: " + options)
	}
	for j, e := range found {
		e.Title = title
		if j == 0 {
			e.Note = note
		}
		p.add(kind, e)
	}
	if len(found) == 0 {
		p.f.note("line of text %d: the ::: block is empty", i+1)
	}
	p.out = append(p.out, pageLine{cut: true})
	return last
}

func (p *page) add(kind int, e knowledge.Example) {
	switch {
	case e.Code == "" && e.Note == "":
	case kind > 0:
		p.good = append(p.good, e)
	default:
		p.bad = append(p.bad, e)
	}
}

// leadIn takes back the sentence that introduces the block, as in "Examples of incorrect code for this rule:".
func (p *page) leadIn() string {
	end := len(p.out)
	for end > 0 && !p.out[end-1].cut && strings.TrimSpace(p.out[end-1].text) == "" {
		end--
	}
	start := end
	for start > 0 && !p.out[start-1].cut && p.out[start-1].level == 0 && strings.TrimSpace(p.out[start-1].text) != "" {
		start--
	}
	var b strings.Builder
	for _, l := range p.out[start:end] {
		b.WriteString(l.text + " ")
	}
	text := plain(b.String())
	title, cut := shorten(strings.TrimSuffix(text, ":"))
	if cut || !leadIn().MatchString(text) || !strings.HasSuffix(text, ":") {
		return ""
	}
	p.out = p.out[:start]
	return title
}

// rest returns the text that remains: without headings below which nothing was left, without rows of empty lines.
func (p *page) rest() string {
	for i := len(p.out) - 1; i >= 0; i-- {
		if p.out[i].level == 0 {
			continue
		}
		cut := false
		j := i + 1
		for ; j < len(p.out) && (p.out[j].level == 0 || p.out[j].level > p.out[i].level); j++ {
			if !p.out[j].cut && strings.TrimSpace(p.out[j].text) != "" {
				break
			}
			cut = cut || p.out[j].cut
		}
		if cut && (j == len(p.out) || p.out[j].level > 0 && p.out[j].level <= p.out[i].level) {
			p.out[i] = pageLine{cut: true}
		}
	}
	var b strings.Builder
	var f fence
	blank := false
	for _, l := range p.out {
		if l.cut || !f.inside(l.text) && strings.TrimSpace(l.text) == "" {
			blank = true
			continue
		}
		if blank && b.Len() > 0 {
			b.WriteByte('\n')
		}
		blank = false
		b.WriteString(l.text + "\n")
	}
	return trimBlankLines(b.String())
}

// readFence reads the fenced code that begins at line i: its example and its last line.
func readFence(lines []string, i int) (e knowledge.Example, last int) {
	var f fence
	f.inside(lines[i])
	info := strings.TrimLeft(lines[i], " \t")
	info = strings.TrimSpace(strings.TrimLeft(info, string(f.mark)))
	e.Language, _, _ = strings.Cut(info, " ")
	e.Language = strings.Trim(e.Language, "{}")
	last = i + 1
	for ; last < len(lines); last++ {
		f.inside(lines[last])
		if f.size == 0 {
			break
		}
	}
	e.Code = strings.Join(lines[i+1:min(last, len(lines))], "\n")
	return e, min(last, len(lines)-1)
}
