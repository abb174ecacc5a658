package knowledge

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// pasted is the number of words besides those in quotation marks from which on a question may be a pasted message.
const pasted = 8

// CleanQuestion returns a question without what a terminal or a page adds to a copied text: colours, control
// characters, marks of direction and spaces without width. A question is not stored, so they can't mislead anybody.
func CleanQuestion(text string) string {
	if strings.IndexFunc(text, addedByCopying) < 0 || !utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		if n := colour(text[i:]); n > 0 {
			i += n
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		switch i += size; {
		case !addedByCopying(r):
			b.WriteRune(r)
		case unicode.IsControl(r):
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// addedByCopying reports whether a character is none of a text that somebody typed.
func addedByCopying(r rune) bool {
	switch r {
	case '\n', '\t', '\r', 0: // nobody copies a NUL: it stays a fault
		return false
	case 0x061c, 0x200b, 0x200e, 0x200f, 0x2060, 0xfeff:
		return true
	}
	return unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// colour returns the length of the control sequence of a terminal at the beginning of a text, 0 for none.
func colour(text string) int {
	rest, ok := strings.CutPrefix(text, "\x1b[")
	if !ok {
		return 0
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '?' })
	if end < 0 {
		return len(text)
	}
	_, size := utf8.DecodeRuneInString(rest[end:])
	return len(text) - len(rest) + end + size
}

// asPasted takes the quotation marks off single words of a long text, and takes -it and -n for flags. There they come
// from a message or command that was pasted, and are not meant as conditions.
func asPasted(parts []part) {
	asCommand(parts)
	plain := 0
	for i := range parts {
		if parts[i].plain() {
			plain++
		}
	}
	if plain < pasted {
		if plain >= wordy { // a short message begins with what it is
			parts[0].faint = strings.HasSuffix(parts[0].text, ":") && labels(parts)
		}
		return
	}
	for i := range parts {
		p := &parts[i]
		if p.phrase && !p.not && p.field == "" && strings.IndexFunc(strings.TrimSpace(p.text), unicode.IsSpace) < 0 {
			p.phrase, p.prefix = false, false
		} else if p.not && !p.phrase && p.field == "" && len(p.text) <= 2 {
			p.not, p.text = false, "-"+p.text
		}
	}
	for i := range parts {
		for k := range frameAt(parts[i:]) {
			parts[i+k].faint = true
		}
		parts[i].faint = parts[i].faint || labels(parts[i:]) || addresses(parts[i].text)
	}
}

// asCommand takes what follows the name of a command for its flags: -k of curl -k, and -race of go test -race.
func asCommand(parts []part) {
	command, gotool, known := false, false, shellWords()
	for i := range parts {
		p := &parts[i]
		switch {
		case p.plain():
			command = command || known.commands[p.text]
			gotool = gotool || i > 0 && parts[i-1].text == "go" && known.goTools[p.text]
		case !p.not || p.phrase || p.field != "":
		case command && (len(p.text) == 1 || known.flagPairs[p.text]), gotool && (len(p.text) == 1 || known.goFlags[flagName(p.text)]):
			p.not, p.text = false, "-"+p.text
		}
	}
}

// flagName returns the name of a flag that is given with its value: tags of tags=integration.
func flagName(text string) string {
	name, _, _ := strings.Cut(text, "=")
	return name
}

// A shell knows the words by which a question shows a command.
type shell struct {
	commands  map[string]bool // names of programs that are no words of other questions
	flagPairs map[string]bool // two flags of one letter each
	goTools   map[string]bool
	goFlags   map[string]bool
}

//nolint:gochecknoglobals // made once, never written again
var shellWords = sync.OnceValue(func() *shell {
	return &shell{
		commands: wordSet(`ansible apt-get awk bash brew cargo chmod chown clang cmake cp curl docker dotnet egrep gcc gcloud
git gofmt gradle grep gzip helm jq journalctl kubectl ls mv mvn mysql npm npx openssl pg_dump pip pip3 pnpm podman psql
pytest python3 rg rm rsync rustc scp sed ssh sudo systemctl tar terraform tsc unzip wget xargs yarn zsh`),
		flagPairs: wordSet(`it la rf ti xf`),
		goTools:   wordSet(`build clean fix fmt generate get install list mod run test tool vet work`),
		goFlags: wordSet(`bench benchmem buildmode buildvcs count cover coverprofile cpu cpuprofile exec failfast fuzz
fuzztime gcflags json ldflags mod msan parallel race run short shuffle skip tags timeout trimpath vet`),
	}
})

// addresses reports whether a word is a place in a network or in memory: 127.0.0.1:5432, 0xc0000b4010.
func addresses(word string) bool {
	word = strings.Trim(word, "()[],;+.")
	if hex, ok := strings.CutPrefix(word, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdefABCDEF") == ""
	}
	_, err := netip.ParseAddrPort(strings.TrimRight(word, ":"))
	return err == nil
}

// maxFrame is the number of words of a line of a stack trace that may stand before the place in the source.
const maxFrame = 6

// frameAt returns how many parts at the beginning of a list are a line of a stack trace, 0 for none. It says where a
// program failed, in that program's own names, and not why.
func frameAt(parts []part) int {
	switch parts[0].text {
	case "at", "from", "in": // at Object.<anonymous> (/app/index.js:7:9), at Orders.Load() in Orders.cs:line 12
		for i := range parts[:min(maxFrame, len(parts))] {
			switch {
			case i > 0 && parts[i].text == parts[0].text: // the next line
				return 0
			case inSource(parts[i].text):
				return i + 1
			case strings.HasSuffix(parts[i].text, ":line"):
				return min(i+2, len(parts))
			}
		}
	case "File": // File "/app/main.py", line 3, in load
		if len(parts) > 5 && parts[0].plain() && slices.ContainsFunc(parts[1:4], func(p part) bool {
			return p.text == "line"
		}) {
			return 6
		}
	case "goroutine": // goroutine 18 [chan receive, 2 minutes]:
		if len(parts) > 2 && digits(parts[1].text) && strings.HasPrefix(parts[2].text, "[") {
			end := slices.IndexFunc(parts[:min(maxFrame, len(parts))], func(p part) bool {
				return strings.HasSuffix(p.text, "]:")
			})
			return end + 1
		}
	}
	if len(parts) > 1 && strings.HasSuffix(parts[0].text, ")") && inSource(parts[1].text) { // main.load(0x2) main.go:12
		return 2
	}
	return 0
}

// labels reports whether the first part is a word that programs write before a message, whatever it is about: Error: or
// the first word of fatal error:.
func labels(parts []part) bool {
	word := strings.TrimRight(parts[0].text, ":!]")
	before := len(word) < len(parts[0].text) || len(parts) > 1 && strings.HasSuffix(parts[1].text, ":")
	return parts[0].plain() && before && messageLabels[strings.ToLower(strings.TrimLeft(word, "["))]
}

//nolint:gochecknoglobals // made once, never written again
var messageLabels = wordSet(`alert caused code context critical debug detail details err error errors exception fail failed failure fatal hint info
location message note notice panic reason state statement status trace uncaught unhandled warn warning`)

// inQuotes returns what stands in single quotation marks or backticks, without the punctuation after them; "" for a
// word without any.
func inQuotes(word string) string {
	word = strings.TrimRight(word, ".,;:!?)")
	if n := len(word); n > 2 && (word[0] == '\'' || word[0] == '`') && word[n-1] == word[0] {
		return word[1 : n-1]
	}
	return ""
}

// innerCapital reports whether a word has a capital letter after a small one, as TodoList has.
func innerCapital(word string) bool {
	for i := 1; i < len(word); i++ {
		if isLower(word[i-1]) && isUpper(word[i]) {
			return true
		}
	}
	return false
}

// inSource reports whether a word of a message is a line of a file, as in /app/index.js:14:7 or main.go:12. Such names
// are those of the program that failed.
func inSource(word string) bool {
	word = strings.Trim(word, "()[],;")
	name, end := word, len(word)
	for at := strings.LastIndexByte(name, ':'); at > 0 && digits(name[at+1:]); at = strings.LastIndexByte(name, ':') {
		name = name[:at]
	}
	dot := strings.LastIndexByte(name, '.')
	if strings.HasPrefix(name, "node:") {
		return len(name) < end
	}
	return len(name) < end && dot > 0 && dot < len(name)-1 && isLetter(name[dot+1])
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// places reports whether a word is a number of one or two digits: in a pasted message a line, a column or a count.
func places(word string) bool {
	return len(word) < 3 && digits(word)
}

// sign adds a wish for a sign that stands alone and has a name, and reports whether it did: for => the name arrow
// function. In a pasted text signs without quotation marks say nothing.
func (r *questioner) sign(text string) bool {
	quoted := inQuotes(text)
	if quoted != "" {
		text = quoted
	}
	names := signNames[text]
	if len(names) == 0 || r.also == nil || r.q.plain >= pasted && quoted == "" {
		return false
	}
	s := Slot{Word: text, Words: [][]string{{text}}}
	for _, name := range names {
		a := Alternative{Text: name}
		for _, leaf := range leavesOf(name) {
			a.Words = append(a.Words, r.terms(leaf.text, leaf.gram))
		}
		s.Also = append(s.Also, a)
	}
	if at := r.slot(s); at != nil {
		r.q.Wishes = append(r.q.Wishes, Wish{Text: text, Whole: at})
	}
	return true
}

// signNames are the names of operators, which texts use in their place.
//
//nolint:gochecknoglobals // a table
var signNames = map[string][]string{
	"=>":  {"arrow function"},
	"==":  {"equality", "equal"},
	"===": {"equality", "equal"},
	"!=":  {"inequality", "equality"},
	"!==": {"inequality", "equality"},
	"&&":  {"logical and", "logical"},
	"||":  {"logical or", "logical"},
	"??":  {"nullish coalescing", "nullish"},
	"?.":  {"optional chaining"},
	"?:":  {"ternary"},
	"++":  {"increment"},
	"**":  {"exponentiation"},
	"+=":  {"assignment operator"},
	"-=":  {"assignment operator"},
	":=":  {"short variable declaration"},
	"<-":  {"channel"},
	"<>":  {"inequality"},
	"<=>": {"spaceship operator", "comparison"},
	"??=": {"logical assignment", "nullish coalescing"},
	"||=": {"logical assignment"},
	"&&=": {"logical assignment"},
	"...": {"spread", "rest parameter", "variadic"},
	"::":  {"scope resolution", "method reference", "namespace"},
	"|>":  {"pipeline operator", "pipe"},
	">>":  {"shift operator", "bitwise"},
	"<<":  {"shift operator", "bitwise"},
	"${}": {"template literal", "interpolation"},
}
