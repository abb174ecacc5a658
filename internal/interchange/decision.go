package interchange

import (
	"path"
	"slices"
	"strings"
)

// decisionOf returns the first sentence of what the record of a decision decides, or else of its context; "" for a text
// that is none. Such a record begins with its date and its status, which say nothing about it.
func decisionOf(body string) string {
	sections := sectionsOf(body)
	decision, decides := sections["decision"]
	if !decides {
		decision, decides = sections["decision outcome"]
	}
	context, explains := sections["context"]
	if !explains {
		context, explains = sections["context and problem statement"]
	}
	_, stands := sections["status"]
	if both := decides && explains; !both && (!stands || !decides && !explains) {
		return ""
	}
	sentence := firstSentence(firstParagraph(decision))
	if sentence == "" || strings.HasSuffix(sentence, ":") { // a list follows
		sentence = orElse(firstSentence(firstParagraph(context)), sentence)
	}
	return sentence
}

var (
	statusLine = compiled(`(?i)^\s*(?:[-*+|]\s*)?status\s*[:|]\s*([^|]+)`)
	noForce    = compiled(`(?i)^(?:superseded|replaced by|deprecated|obsolete|rejected|withdrawn|proposed|draft)\b|` +
		`\bsuperseded by\b`)
)

// notInForce returns the status of the record of a decision that does not hold now: it was superseded, turned down, or
// nobody has decided it yet. It returns "" for any other text.
func notInForce(at string, fm *frontMatter, body string) string {
	sections := sectionsOf(body)
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { _, ok := sections[n]; return ok })
	}
	decides, explains := has("decision", "decision outcome"), has("context", "context and problem statement")
	if !decides && (!explains || !has("status")) && !slices.ContainsFunc(strings.Split(path.Dir(at), "/"), holdsDecisions) {
		return ""
	}
	said := []string{fm.peekFold("status")}
	for line := range strings.Lines(body) {
		line = plain(strings.TrimSpace(line))
		if level, _ := heading(line); level > 1 {
			break
		}
		if m := statusLine().FindStringSubmatch(line); m != nil {
			said = append(said, m[1])
		}
	}
	for line := range strings.Lines(sections["status"]) {
		said = append(said, plain(strings.TrimLeft(line, " \t-*+")))
	}
	for _, status := range said {
		if status = strings.TrimSpace(status); noForce().MatchString(status) {
			return status
		}
	}
	return ""
}

// holdsDecisions reports whether a folder is by its name one of records of decisions.
func holdsDecisions(folder string) bool {
	return slices.Contains([]string{"adr", "adrs", "decisions", "decision-records", "architecture-decisions"},
		strings.ToLower(folder))
}

// sectionsOf returns the text below each heading of a text, up to the next one of its level or a higher one, by the
// words of the heading in lower case; the first of several.
func sectionsOf(body string) map[string]string {
	type section struct {
		name        string
		level, from int
	}
	var open []section
	out := map[string]string{}
	end := func(level, at int) {
		open = slices.DeleteFunc(open, func(s section) bool {
			if s.level >= level {
				out[s.name] = body[s.from:at]
			}
			return s.level >= level
		})
	}
	var f fence
	at := 0
	for line := range strings.Lines(body) {
		level, words := 0, ""
		if !f.inside(strings.TrimSuffix(line, "\n")) {
			level, words = heading(strings.TrimSuffix(line, "\n"))
		}
		if level > 0 {
			end(level, at)
		}
		at += len(line)
		if name := strings.ToLower(words); level > 0 {
			if _, there := out[name]; !there {
				out[name] = ""
				open = append(open, section{name, level, at})
			}
		}
	}
	end(0, at)
	return out
}

// firstSentence returns a text up to the end of its first sentence.
func firstSentence(text string) string {
	for i := range len(text) - 1 {
		if strings.ContainsRune(".!?", rune(text[i])) && text[i+1] == ' ' && startsSentence(text[i+2:]) {
			return text[:i+1]
		}
	}
	return text
}

// startsSentence reports whether a text begins with no small letter or digit, as what follows "e.g." does.
func startsSentence(text string) bool {
	return text != "" && (text[0] < 'a' || text[0] > 'z') && (text[0] < '0' || text[0] > '9')
}
