package interchange

import (
	"cmp"
	"errors"
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"
)

// xmlReader returns who reads the rules below an outermost element; nil for one that holds none.
func xmlReader(root string) func(*file, *xmlNode) []foundRule {
	switch root {
	case "profile":
		return sonarRules
	case "ruleset":
		return rulesetRules
	case "module":
		return checkstyleRules
	case "RuleSet":
		return analyzerRules
	case "Benchmark":
		return benchmarkRules
	case "MessageCollection":
		return spotBugsRules
	case "lint":
		return androidRules
	}
	return nil
}

// noRulesIn says what a file of a linter with this outermost element is, where it holds no rules; "" for another.
func noRulesIn(root string) string {
	switch root {
	case "FindBugsFilter", "suppressions", "SmellBaseline":
		return "it says what a linter does not look at, and is no list of rules"
	case "FindbugsPlugin":
		return "it lists SpotBugs' patterns by name alone: their texts stand in messages.xml"
	case "import-control":
		return "it says what may import what, and is no list of rules"
	case "checkstyle", "pmd", "pmd-cpd", "BugCollection", "issues", "testsuites", "testsuite":
		return "it is the report of a run: findings are no rules"
	}
	return ""
}

// xmlRules reads the rules of an XML file.
func (r *reader) xmlRules(f *file) ([]Entry, error) {
	name := xmlRoot(f.text)
	read := xmlReader(name)
	if why := noRulesIn(name); why != "" {
		return nil, nothing("%s", why)
	}
	if read == nil {
		return nil, nothing("XML that describes no rules: want a profile of SonarQube, rules of PMD, " +
			"PHP_CodeSniffer or CodeNarc, a configuration of Checkstyle, messages of SpotBugs, lint.xml of Android, " +
			"a rule set of .NET, or an XCCDF benchmark")
	}
	root, err := parseXML(f.text)
	if err != nil {
		return nil, err
	}
	found := read(f, root)
	if len(found) == 0 {
		return nil, nothing("XML without rules of its own: want at least one below <%s>", root.name)
	}
	return r.foundEntries(f, found, false), nil
}

// newXMLRule returns a rule that stands at an element.
func newXMLRule(tool string, n *xmlNode) foundRule {
	return foundRule{values: map[string]any{"tool": tool}, line: n.line, listed: true}
}

// settled returns the settings of a rule as a list in Markdown, "" for none.
func settled(settings [][2]string) string {
	var b strings.Builder
	for _, s := range settings {
		fmt.Fprintf(&b, "\n- %s: %s", s[0], s[1])
	}
	return b.String()
}

// standIn describes a rule that says nothing of itself, by its tool, its name and its settings.
func (y *foundRule) standIn(tool, name string, settings [][2]string) {
	if y.text == "" {
		y.text = fmt.Sprintf("%s's rule %s holds.", tool, name)
		y.notes = append(y.notes, "no description: its name and its settings stand for it")
	}
	if s := settled(settings); s != "" {
		y.text += "\n" + s
	}
}

// sonarRules reads a quality profile of SonarQube.
func sonarRules(_ *file, root *xmlNode) []foundRule {
	var out []foundRule
	profile, language := root.child("name"), languagesOf([]string{root.child("language")})
	for _, list := range root.all("rules") {
		for _, n := range list.all("rule") {
			y := newXMLRule("SonarQube", n)
			y.values["profile"] = profile
			key := n.child("key")
			y.ident = strings.Trim(n.child("repositoryKey")+":"+key, ":")
			y.title = cmp.Or(n.child("name"), y.ident)
			y.text = cmp.Or(n.child("description"), fmt.Sprintf("SonarQube's rule %s holds in the profile %s.",
				y.ident, profile))
			y.severity, y.languages = n.child("priority"), language
			if kind := n.child("type"); kind != "" {
				y.values["type"] = kind
				y.tags = []string{strings.ToLower(kind)}
			}
			var settings [][2]string
			for _, p := range n.all("parameters") {
				for _, one := range p.all("parameter") {
					settings = append(settings, [2]string{one.child("key"), one.child("value")})
				}
			}
			y.standIn("SonarQube", y.ident, settings)
			if key == "" {
				y.err = errors.New("a rule without a key")
			}
			out = append(out, y)
		}
	}
	return out
}

// rulesetRules reads a rule set of PMD, of PHP_CodeSniffer or of CodeNarc, which all call it by one name.
func rulesetRules(f *file, root *xmlNode) []foundRule {
	var out []foundRule
	for _, n := range root.kids {
		switch {
		case n.name == "ruleset-ref" || n.name == "rule" && wholeSet(n.attr("ref")):
			f.note("line %d: it takes all rules of %s, which are not in the file: passed over", n.line,
				shortQuote(n.attr("ref")+n.attr("path")))
		case n.name == "rule":
			out = append(out, rulesetRule(n))
		}
	}
	return out
}

// wholeSet reports whether a reference names many rules: a file of PMD's, or a standard or a part of one of
// PHP_CodeSniffer.
func wholeSet(ref string) bool {
	if strings.Contains(ref, "/") || strings.HasSuffix(ref, ".xml") {
		return strings.HasSuffix(ref, ".xml")
	}
	return ref != "" && strings.Count(ref, ".") < 2
}

func rulesetRule(n *xmlNode) foundRule {
	tool, ref := "PMD", n.attr("ref")
	class := n.attr("class")
	switch {
	case ref != "" && !strings.Contains(ref, "/"):
		tool = "PHP_CodeSniffer"
	case ref == "" && n.attr("name") == "":
		tool = "CodeNarc"
	}
	y := newXMLRule(tool, n)
	for k, v := range n.attrs {
		if k != "message" {
			y.values[k] = v
		}
	}
	y.ident = cmp.Or(n.attr("name"), ref[strings.LastIndexByte(ref, '/')+1:], class[strings.LastIndexByte(class, '.')+1:])
	y.title = y.ident
	y.text, y.action = cmp.Or(n.child("description"), n.attr("message"), n.child("message")), cmp.Or(n.attr("message"), n.child("message"))
	if y.action == y.text {
		y.action = ""
	}
	settings := propertiesOf(n)
	for _, s := range settings {
		if tool == "CodeNarc" && s[0] == "priority" {
			y.severity = word(s[1], "error", "warning", "info")
		}
	}
	y.severity = cmp.Or(word(n.child("priority"), "blocker", "error", "warning", "info", "info"), n.child("type"), y.severity)
	y.off = n.child("severity") == "0"
	switch {
	case n.attr("language") != "":
		y.languages = languagesOf([]string{n.attr("language")})
	case tool == "PMD" && strings.Count(ref, "/") == 3:
		y.languages = languagesOf([]string{strings.Split(ref, "/")[1]}) // category/java/design.xml/Name
	case tool == "PHP_CodeSniffer":
		y.languages = []string{"php"}
	case tool == "CodeNarc":
		y.languages = []string{"groovy"}
	}
	var outside []any
	for _, one := range n.all("exclude-pattern") {
		outside = append(outside, one.text)
	}
	if len(outside) > 0 {
		y.notes = append(y.notes, "its exclude-pattern is a regular expression and no path pattern: kept in extra")
		y.values["exclude-pattern"] = outside
	}
	y.standIn(tool, y.ident, settings)
	parts := []string{y.text}
	for _, one := range n.all("example") {
		parts = append(parts, "```\n"+strings.Trim(one.text, "\n")+"\n```")
	}
	y.text = strings.Join(parts, "\n\n")
	if y.ident == "" {
		y.err = errors.New("a rule without a name, a ref or a class")
	}
	return y
}

// word returns the word for a number that counts from 1, "" for another text.
func word(number string, words ...string) string {
	for i, w := range words {
		if number == fmt.Sprint(i+1) {
			return w
		}
	}
	return ""
}

// propertiesOf returns the properties of a rule, with their values in an attribute or below them.
func propertiesOf(n *xmlNode) [][2]string {
	var out [][2]string
	for _, list := range append(n.all("properties"), n) {
		for _, p := range list.all("property") {
			value := p.attr("value")
			if value == "" {
				value = p.words()
			}
			out = append(out, [2]string{p.attr("name"), strings.Join(strings.Fields(value), " ")})
		}
	}
	return out
}

// checkstyleRules reads a configuration of Checkstyle: modules within modules, which hand down their severity.
func checkstyleRules(f *file, root *xmlNode) []foundRule {
	return checkstyleModules(f, root, "", false)
}

func checkstyleModules(f *file, n *xmlNode, inherited string, inTree bool) []foundRule {
	var out []foundRule
	severity := cmp.Or(propertyOf(n, "severity"), inherited)
	for _, one := range n.all("module") {
		name := one.attr("name")
		name = strings.TrimSuffix(name[strings.LastIndexByte(name, '.')+1:], "Check")
		switch {
		case name == "TreeWalker":
			out = append(out, checkstyleModules(f, one, severity, true)...)
		case strings.HasSuffix(name, "Filter") || strings.HasSuffix(name, "Holder") ||
			strings.HasSuffix(name, "Filters"):
			f.note("line %d: %s says what is not looked at, and is no rule: passed over", one.line, shortQuote(name))
		default:
			out = append(out, checkstyleRule(one, name, severity, inTree))
		}
	}
	return out
}

// checkstyleRule reads one module. One that looks for a regular expression may stand there many times, and is named
// with that where it has no id.
func checkstyleRule(n *xmlNode, name, severity string, inTree bool) foundRule {
	y := newXMLRule("Checkstyle", n)
	y.ident = name
	if format := propertyOf(n, "format"); format != "" && strings.HasPrefix(name, "Regexp") {
		y.ident += " " + format
	}
	y.ident = cmp.Or(propertyOf(n, "id"), y.ident)
	y.title = y.ident
	y.severity = cmp.Or(propertyOf(n, "severity"), severity)
	if strings.EqualFold(y.severity, "ignore") {
		y.severity, y.off = "", true
	}
	if inTree {
		y.languages = []string{"java"}
	}
	var messages []string
	said := map[string]bool{}
	for _, m := range n.all("message") {
		if s := m.attr("value"); !said[s] {
			messages, said[s] = append(messages, s), true
		}
	}
	y.text = cmp.Or(strings.Join(messages, "\n\n"), propertyOf(n, "message"))
	settings := propertiesOf(n)
	settings = slices.DeleteFunc(settings, func(s [2]string) bool {
		return slices.Contains([]string{"id", "severity", "message"}, s[0])
	})
	y.standIn("Checkstyle", name, settings)
	if name == "" {
		y.err = errors.New("a module without a name")
	}
	return y
}

func propertyOf(n *xmlNode, name string) string {
	for _, s := range propertiesOf(n) {
		if s[0] == name {
			return s[1]
		}
	}
	return ""
}

// analyzerRules reads a rule set of .NET's analyzers.
func analyzerRules(f *file, root *xmlNode) []foundRule {
	var out []foundRule
	for _, n := range root.all("Include") {
		f.note("line %d: what it includes is not read: %s", n.line, shortQuote(n.attr("Path")))
	}
	for _, list := range root.all("Rules") {
		for _, n := range list.all("Rule") {
			y := newXMLRule(".NET", n)
			y.values["analyzer"] = list.attr("AnalyzerId")
			y.ident, y.title = n.attr("Id"), n.attr("Id")
			switch action := n.attr("Action"); strings.ToLower(action) {
			case "none":
				y.off = true
			case "hidden":
				y.severity = "info"
			default:
				y.severity = action
			}
			y.standIn(cmp.Or(list.attr("AnalyzerId"), "The analyzer"), y.ident, nil)
			if y.ident == "" {
				y.err = errors.New("a rule without an Id")
			}
			out = append(out, y)
		}
	}
	return out
}

// spotBugsRules reads the texts of SpotBugs' patterns, its own or those of a plugin.
func spotBugsRules(_ *file, root *xmlNode) []foundRule {
	var out []foundRule
	for _, n := range root.all("BugPattern") {
		y := newXMLRule("SpotBugs", n)
		y.ident, y.title = n.attr("type"), cmp.Or(n.child("ShortDescription"), n.attr("type"))
		y.text, y.languages = cmp.Or(n.child("Details"), n.child("LongDescription")), []string{"java"}
		y.standIn("SpotBugs", y.ident, nil)
		if y.ident == "" {
			y.err = errors.New("a BugPattern without a type")
		}
		out = append(out, y)
	}
	return out
}

// androidRules reads the severities that a lint.xml gives to the checks of Android.
func androidRules(f *file, root *xmlNode) []foundRule {
	var out []foundRule
	for _, n := range root.all("issue") {
		y := newXMLRule("Android Lint", n)
		y.ident, y.title = n.attr("id"), n.attr("id")
		switch y.severity = strings.ToLower(n.attr("severity")); y.severity {
		case "ignore":
			y.severity, y.off = "", true
		case "fatal":
			y.severity = "critical"
		case "informational":
			y.severity = "info"
		}
		if len(n.kids) > 0 {
			f.note("line %d: where %s does not look is not read", n.line, shortQuote(y.ident))
		}
		y.standIn("Android Lint", y.ident, nil)
		if y.ident == "" {
			y.err = errors.New("an issue without an id")
		}
		out = append(out, y)
	}
	return out
}

var discussion = compiled(`(?s)<VulnDiscussion>(.*?)</VulnDiscussion>`)

// benchmarkRules reads an XCCDF benchmark, as security guides for systems are published; its groups lie within groups.
func benchmarkRules(_ *file, root *xmlNode) []foundRule {
	var out []foundRule
	var walk func(n *xmlNode, group string)
	walk = func(n *xmlNode, group string) {
		for _, g := range n.all("Group") {
			walk(g, cmp.Or(g.child("title"), group))
		}
		for _, one := range n.all("Rule") {
			out = append(out, benchmarkRule(one, group))
		}
	}
	walk(root, "")
	return out
}

func benchmarkRule(n *xmlNode, group string) foundRule {
	y := newXMLRule("XCCDF", n)
	maps.Copy(y.values, map[string]any{"group": group, "version": n.child("version")})
	maps.DeleteFunc(y.values, func(_ string, v any) bool { return v == "" })
	y.ident, y.title = n.attr("id"), n.child("title")
	y.text = n.child("description")
	if m := discussion().FindStringSubmatch(html.UnescapeString(y.text)); m != nil {
		y.text = strings.TrimSpace(m[1])
	}
	if why := n.child("rationale"); why != "" {
		y.text = strings.TrimSpace(y.text + "\n\n" + why)
	}
	y.action, y.severity, y.off = n.child("fixtext"), n.attr("severity"), n.attr("selected") == "false"
	if strings.EqualFold(y.severity, "unknown") {
		y.severity = ""
	}
	if y.title == "" && y.text == "" {
		y.err = fmt.Errorf("%s has neither a title nor a description", y.called())
	}
	return y
}
