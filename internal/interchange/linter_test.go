package interchange

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

// ruleSeen is what a test looks at of a rule.
type ruleSeen struct {
	ID, Title, Severity string
	Scope               string
	Off                 bool
}

func rulesSeen(t *testing.T, it Item) []ruleSeen {
	t.Helper()
	var out []ruleSeen
	for _, e := range it.Entries {
		d, ok := e.Doc.(*knowledge.Rule)
		if !ok {
			out = append(out, ruleSeen{ID: "refused", Title: e.Place + ": " + e.Err.Error()})
			continue
		}
		out = append(out, ruleSeen{
			d.RuleID, d.Title, d.Severity, strings.Join(append(d.Scope.Languages, d.Scope.Globs...), " "), !d.IsActive,
		})
	}
	return out
}

func TestRulesOfLintersAndPolicyEngines(t *testing.T) {
	for name, tc := range map[string]struct {
		path, text string
		want       []ruleSeen
	}{
		"semgrep": {
			"scan.yaml", "rules:\n  - id: no-exec\n    languages: [py, generic]\n    severity: ERROR\n    message: " +
				"No exec.\n    pattern: exec(...)\n" +
				"    paths: {include: ['*.py'], exclude: [tests/]}\n    metadata: {category: security}\n",
			[]ruleSeen{{"team-scan-no-exec", "no-exec", "ERROR", "python **/*.py !**/tests/**", false}},
		},
		"ast-grep, a document for each": {
			"tree.yml", "id: no-log\nlanguage: TypeScript\nseverity: hint\nmessage: No log.\nfiles: [src/**]\nrule: " +
				"{pattern: x}\n---\n" +
				"id: no-debug\nlanguage: ts\nseverity: 'off'\nmessage: No debugger.\nrule: {pattern: y}\n",
			[]ruleSeen{
				{"team-tree-no-log", "no-log", "INFO", "typescript src/**", false},
				{"team-tree-no-debug", "no-debug", "WARNING", "typescript", true},
			},
		},
		"RuboCop": {
			"cops.yml", "AllCops: {TargetRubyVersion: 3.3}\nLayout/Width:\n  Description: At most 120.\n  Severity: " +
				"refactor\n  Exclude: ['db/**']\n" +
				"Style/Header: {Enabled: false, Description: Every file.}\nRails/Deep/Name:\n  Max: 3\n",
			[]ruleSeen{
				{"team-cops-layout-width", "Layout/Width", "INFO", "ruby ** !db/**", false},
				{"team-cops-style-header", "Style/Header", "WARNING", "ruby", true},
				{"team-cops-rails-deep-name", "Rails/Deep/Name", "WARNING", "ruby", false},
			},
		},
		"Kyverno": {
			"policy.yaml", "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata:\n  name: disallow-latest\n  " +
				"annotations:\n" +
				"    policies.kyverno.io/title: Disallow latest\n    policies.kyverno.io/severity: high\n    " +
				"policies.kyverno.io/description: Tags change.\n" +
				"spec:\n  validationFailureAction: Enforce\n  rules:\n    - name: a\n      validate: {message: Use " +
				"a tag.}\n",
			[]ruleSeen{{"team-policy-disallow-latest", "Disallow latest", "ERROR", "", false}},
		},
		"Gatekeeper": {
			"t.yaml", "apiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\nmetadata:\n  name: " +
				"k8sowner\n  annotations: {description: Wants an owner.}\n",
			[]ruleSeen{{"team-t-k8sowner", "K8sowner", "WARNING", "", false}},
		},
		"nuclei": {
			"open.yaml", "id: open-panel\ninfo:\n  name: Open panel\n  author: a\n  severity: critical\n  " +
				"description: It is open.\nhttp: []\n",
			[]ruleSeen{{"team-open-open-panel", "Open panel", "CRITICAL", "", false}},
		},
		"Falco": {
			"falco.yaml", "- required_engine_version: 10\n- macro: m\n  condition: a\n- list: l\n  items: [a]\n- " +
				"rule: Shell in container\n  desc: A shell.\n" +
				"  condition: c\n  priority: NOTICE\n- rule: Gone\n  desc: x\n  condition: c\n  priority: ALERT\n  " +
				"enabled: false\n",
			[]ruleSeen{
				{"team-falco-shell-in-container", "Shell in container", "INFO", "", false},
				{"team-falco-gone", "Gone", "CRITICAL", "", true},
			},
		},
		"Spectral": {
			".spectral.yaml", "extends: spectral:oas\nrules:\n  path-case:\n    description: Paths are kebab.\n    " +
				"message: no\n    severity: 0\n    given: $\n    then: {}\n" +
				"  info-contact: off\n",
			[]ruleSeen{
				{"team-spectral-path-case", "path-case", "ERROR", "", false},
				{"team-spectral-info-contact", "info-contact", "WARNING", "", true},
			},
		},
		"Vale": {
			"styles/House/PassiveVoice.yml", "extends: existence\nmessage: Say who does it.\nlevel: " +
				"suggestion\ntokens: [was]\n",
			[]ruleSeen{{"team-styles-house-passivevoice", "Passive voice", "INFO", "", false}},
		},
		"ESLint as YAML": {
			".eslintrc.yml", "rules:\n  no-console: warn\n  max-len: [2, {code: 120}]\n  semi: 0\n",
			[]ruleSeen{
				{"team-eslintrc-no-console", "no-console", "WARNING", "", false},
				{"team-eslintrc-max-len", "max-len", "ERROR", "", false},
				{"team-eslintrc-semi", "semi", "WARNING", "", true},
			},
		},
		"SwiftLint": {
			".swiftlint.yml", "custom_rules:\n  no_print:\n    name: No print\n    message: Use the log.\n    " +
				"regex: print\n    severity: error\n",
			[]ruleSeen{{"team-swiftlint-no_print", "No print", "ERROR", "", false}},
		},
		"Sigma": {
			"s.yml", "title: Odd login\nid: 5f1f\nstatus: test\ndescription: An odd login.\nlevel: " +
				"medium\nlogsource: {}\ndetection: {}\n",
			[]ruleSeen{{"team-s-5f1f", "Odd login", "WARNING", "", false}},
		},
		"RuboCop with an empty entry": {
			"c.yml", "Style/A:\nStyle/B: {Description: Say so.}\n",
			[]ruleSeen{
				{"team-c-style-a", "Style/A", "WARNING", "ruby", false},
				{"team-c-style-b", "Style/B", "WARNING", "ruby", false},
			},
		},
		"Kyverno's policies in CEL": {
			"p.yaml", "apiVersion: policies.kyverno.io/v1\nkind: ValidatingPolicy\nmetadata: {name: a}\nspec: " +
				"{validations: [{message: Say so.}]}\n---\n" +
				"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b}\n",
			[]ruleSeen{{"team-p-a", "A", "WARNING", "", false}},
		},
		"a constraint of Gatekeeper": {
			"c.yaml", "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: K8sOwner\nmetadata: {name: " +
				"ns-owner}\nspec: {enforcementAction: warn}\n",
			[]ruleSeen{{"team-c-ns-owner", "Ns owner", "WARNING", "", false}},
		},
		"Falco, a rule that is switched off further down": {
			"f.yaml", "- rule: A\n  desc: a\n  condition: c\n  priority: ERROR\n- rule: A\n  enabled: false\n- " +
				"rule: Of another file\n  enabled: false\n",
			[]ruleSeen{{"team-f-a", "A", "ERROR", "", true}},
		},
		"Checkov": {
			"c.yaml", "metadata: {id: CKV2_X_1, name: Encrypt it, severity: HIGH}\ndefinition: {cond_type: " +
				"attribute}\n",
			[]ruleSeen{{"team-c-ckv2_x_1", "Encrypt it", "ERROR", "", false}},
		},
		"ESLint's overrides": {
			".eslintrc.yml", "rules: {semi: error}\noverrides:\n  - files: ['*.ts']\n    excludedFiles: [gen/**]\n  " +
				"  rules:\n      semi: off\n  - files: [a]\n",
			[]ruleSeen{
				{"team-eslintrc-semi", "semi", "ERROR", "", false}, {
					"team-eslintrc-semi-.ts", "semi", "WARNING",
					"**/*.ts !gen/**", true,
				},
			},
		},
		"yamllint": {
			".yamllint.yml", "extends: default\nrules:\n  truthy: disable\n  line-length: {max: 120, level: " +
				"warning}\n  braces: enable\n",
			[]ruleSeen{
				{"team-yamllint-truthy", "truthy", "WARNING", "", true},
				{"team-yamllint-line-length", "line-length", "WARNING", "", false},
				{"team-yamllint-braces", "braces", "WARNING", "", false},
			},
		},
		"stylelint": {
			".stylelintrc.yml", "rules:\n  indentation: [2, {severity: error}]\n  color-named: never\n  unit-case: " +
				"null\n  depth: 3\n",
			[]ruleSeen{
				{"team-stylelintrc-indentation", "indentation", "ERROR", "", false},
				{"team-stylelintrc-color-named", "color-named", "WARNING", "", false},
				{"team-stylelintrc-unit-case", "unit-case", "WARNING", "", true},
				{"team-stylelintrc-depth", "depth", "WARNING", "", false},
			},
		},
		"a map from ids to rules": {
			"m.yaml", "version: 1\nSEC-2:\n  title: Two\n  severity: high\nSEC-1:\n  description: One.\n  " +
				"severity: low\n",
			[]ruleSeen{{"team-m-sec-2", "Two", "ERROR", "", false}, {"team-m-sec-1", "SEC-1", "INFO", "", false}},
		},
		"a list below another word": {
			"p.yaml", "policies:\n  - {id: P-1, title: One, severity: high}\n",
			[]ruleSeen{{"team-p-p-1", "One", "ERROR", "", false}},
		},
		"keys that are merged": {
			"a.yaml", "base: &b {severity: high, languages: [go], message: Base.}\nrules:\n  - &one\n    <<: *b\n   " +
				" id: A-1\n" +
				"  - {<<: [*one, *b], id: A-2, severity: low}\n",
			[]ruleSeen{{"team-a-a-1", "A-1", "ERROR", "go", false}, {"team-a-a-2", "A-2", "INFO", "go", false}},
		},
		"ids that differ in case alone": {
			"n.yaml", "- {id: NET-1, message: a, severity: low}\n- {id: net-1, message: b, severity: low}\n- {id: " +
				"Net-1, message: c, severity: low}\n",
			[]ruleSeen{
				{"team-n-net-1-09b4c9e3", "NET-1", "INFO", "", false},
				{"team-n-net-1", "net-1", "INFO", "", false},
				{"team-n-net-1-a378e135", "Net-1", "INFO", "", false},
			},
		},
		"one entry without a text": {
			"r.yaml", "rules:\n  - {id: A-1, title: First, severity: LOW}\n  - {id: A-2, severity: LOW}\n",
			[]ruleSeen{
				{"team-r-a-1", "First", "INFO", "", false},
				{"refused", "line 3: rule A-2 has neither a title nor a description or message", "", "", false},
			},
		},
		"one entry that is no map": {
			"r.yaml", "- {id: A-1, title: First, severity: LOW}\n- A-2\n",
			[]ruleSeen{
				{"team-r-a-1", "First", "INFO", "", false},
				{"refused", "line 2: an entry of the list is no rule: want a title and a description", "", "", false},
			},
		},
		"one id twice": {
			"r.yaml", "- {id: A-1, title: First, severity: LOW}\n- {id: A-1, title: Second, severity: LOW}\n",
			[]ruleSeen{
				{"team-r-a-1", "First", "INFO", "", false},
				{
					"refused", `line 2: the id "A-1" stands there twice, first in line 1: each rule needs one of ` +
						`its own`,
					"", "", false,
				},
			},
		},
		"a document beside that is half a rule": {
			"r.yaml", "id: A-1\ntitle: First\ndescription: x\n---\nid: A-2\nseverity: LOW\n",
			[]ruleSeen{
				{"team-r-a-1", "First", "WARNING", "", false},
				{"refused", "line 5: rule A-2 has neither a title nor a description or message", "", "", false},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			it := readItems(t, map[string]string{tc.path: tc.text})[tc.path]
			if it.Err != nil || it.Skipped != "" {
				t.Fatalf("it is refused (%v) or skipped (%q)", it.Err, it.Skipped)
			}
			if diff := cmp.Diff(tc.want, rulesSeen(t, it)); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

func TestYAMLThatIsNoRuleIsPassedOver(t *testing.T) {
	for path, text := range map[string]string{
		".github/workflows/ci.yml": "name: CI\non: push\njobs: {build: {runs-on: ubuntu-latest, steps: [{name: a, " +
			"id: b}]}}\n",
		"compose.yaml": "services: {db: {image: postgres}}\n",
		"role.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: " +
			"r}\nrules:\n  - {apiGroups: [''], resources: [pods], verbs: [get]}\n",
		"chart.yaml": "apiVersion: v2\nname: x\ndescription: A chart.\nversion: 1.0.0\n",
		"api.yaml":   "openapi: 3.1.0\ninfo: {title: x, version: '1', description: y}\npaths: {}\n",
		"action.yml": "name: Act\ndescription: It acts.\nruns: {using: node20}\n",
		"alerts.yaml": "groups:\n  - name: a\n    rules: [{alert: A, expr: up == 0, labels: {severity: " +
			"page}}]\n",
		"broken-chart.yaml": "{{- if .Values.on }}\nid: x\nseverity: high\n{{- end }}\n",
	} {
		if it := readItems(t, map[string]string{path: text})[path]; it.Skipped == "" {
			t.Errorf("%s: %v %v, want it passed over", path, it.Err, rulesSeen(t, it))
		}
	}
	const broken = "rules:\n  - id: A-1\n    severity: LOW\n   title: x\n"
	if it := readItems(t, map[string]string{"rules.yaml": broken})["rules.yaml"]; it.Err == nil {
		t.Errorf("a file of rules that is not YAML is passed over: %q", it.Skipped)
	}
}

func TestARuleStaysTheSameDocumentWhateverStandsBesideIt(t *testing.T) {
	one := "rules:\n  - {id: NET-1, title: Set a deadline, severity: HIGH, description: x}\n"
	for name, files := range map[string][2]string{
		"a list that grows": {one, one +
			"  - {id: NET-2, title: Close bodies, severity: LOW, description: x}\n"},
		"a list that grows in front": {one, strings.Replace(one, "  - ",
			"  - {id: NET-0, title: New, severity: LOW, description: x}\n  - ", 1)},
		"a title that changes": {one, strings.Replace(one, "Set a deadline", "Deadlines", 1) +
			"  - {id: NET-2, title: B, severity: LOW, description: x}\n"},
		"documents": {
			"id: NET-1\ntitle: Set a deadline\ndescription: x\n",
			"id: NET-1\ntitle: Set a deadline\ndescription: x\n---\nid: NET-2\ntitle: B\ndescription: x\n",
		},
		"a list without ids": {
			"- {title: Set a deadline, severity: LOW}\n",
			"- {title: Set a deadline, severity: LOW}\n- {title: Other, severity: LOW}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := named(t, "team")
			m := newMemory()
			write(t, dir, map[string]string{"net.yaml": files[0]})
			m.run(t, dir, ReadOptions{}, PlanOptions{Imported: m.imported, Prune: true})
			write(t, dir, map[string]string{"net.yaml": files[1]})
			p := m.run(t, dir, ReadOptions{}, PlanOptions{Imported: m.imported, Prune: true})
			if n := p.Count(); n[Created] != 1 || n[Pruned] != 0 || n[Refused] != 0 {
				t.Errorf("the second import comes to %v, want one created and nothing pruned", n)
			}
		})
	}
}

// An earlier tenet named the only rule of a file by its path alone.
func TestARuleIsKnownAgainUnderAnIDOfOld(t *testing.T) {
	dir := named(t, "team")
	m := newMemory()
	write(t, dir, map[string]string{"net.yaml": "rules:\n  - {id: NET-1, title: Set a deadline, severity: HIGH, " +
		"description: x}\n"})
	p := m.plan(t, dir, ReadOptions{}, PlanOptions{Imported: m.imported})
	for _, st := range p.Steps() {
		if st.Key.Kind != knowledge.KindRule {
			m.put(t, st.doc, "ann")
			continue
		}
		d, err := renamed(st.doc, "team-net")
		if err != nil {
			t.Fatal(err)
		}
		o, _ := originOf(d)
		o.entry = ""
		o.put(d)
		m.put(t, d, "ann")
	}
	p = m.run(t, dir, ReadOptions{}, PlanOptions{Imported: m.imported, Prune: true})
	if n := p.Count(); n[Unchanged] != 1 || len(n) != 1 {
		t.Errorf("the import of the same file comes to %v, want it unchanged", n)
	}
}

func TestASwitchInTheFileRetiresAndRestores(t *testing.T) {
	dir := named(t, "team")
	m := newMemory()
	cop := func(on string) map[string]string {
		return map[string]string{"cops.yml": "Style/Header:\n  Description: Every file.\n  Enabled: " + on + "\n"}
	}
	for _, on := range []string{"true", "false", "true", "false"} {
		write(t, dir, cop(on))
		m.run(t, dir, ReadOptions{}, PlanOptions{Imported: m.imported})
		if got := m.doc(t, "rule/team-cops-style-header").Active(); got != (on == "true") {
			t.Errorf("with Enabled %s the rule is in use: %v", on, got)
		}
	}
	d := m.doc(t, "rule/team-cops-style-header")
	d.SetActive(true)
	m.put(t, d, "ann")
	if n := m.run(t, dir, ReadOptions{}, PlanOptions{Imported: m.imported}).Count(); n[Changed]+n[Refused] > 0 {
		t.Errorf("what a person restored is changed again by the same file: %v", n)
	}
}

func TestRulesOfLintersInOtherFormats(t *testing.T) {
	for name, tc := range map[string]struct {
		path, text string
		want       []ruleSeen
	}{
		"detekt": {
			"detekt.yml", "build: {maxIssues: 0}\ncomplexity:\n  active: true\n  LongMethod: {active: true, " +
				"threshold: 60}\n" +
				"style:\n  MagicNumber: {active: false, excludes: ['**/test/**']}\n",
			[]ruleSeen{
				{"team-detekt-longmethod", "LongMethod", "WARNING", "kotlin", false},
				{"team-detekt-magicnumber", "MagicNumber", "WARNING", "kotlin ** !**/test/**", true},
			},
		},
		"golangci-lint": {
			".golangci.yml", "version: '2'\nlinters:\n  enable: [errcheck]\n  disable: [lll]\n",
			[]ruleSeen{
				{"team-golangci-errcheck", "errcheck", "WARNING", "go", false},
				{"team-golangci-lll", "lll", "WARNING", "go", true},
			},
		},
		"hadolint": {
			".hadolint.yaml", "ignored: [DL3008]\noverride:\n  error: [DL3001]\n",
			[]ruleSeen{
				{"team-hadolint-dl3001", "DL3001", "ERROR", "dockerfile", false}, {
					"team-hadolint-dl3008", "DL3008",
					"WARNING", "dockerfile", true,
				},
			},
		},
		"Continue": {
			".continue/rules/a.yaml", "name: Ours\nschema: v1\nrules:\n  - name: No print\n    rule: Never print.\n " +
				"   globs: '**/*.py'\n",
			[]ruleSeen{{"team-continue-rules-a-no-print", "No print", "WARNING", "**/*.py", false}},
		},
		"CodeRabbit": {
			".coderabbit.yaml", "reviews:\n  path_instructions:\n    - path: src/**\n      instructions: Use strict " +
				"types.\n    - path: docs/**\n",
			[]ruleSeen{
				{"team-coderabbit-src", "In src/", "WARNING", "src/**", false},
				{"refused", "line 5: docs/** wants a path and instructions", "", "", false},
			},
		},
		"rules without a severity that look for something": {
			".sourcery.yaml", "rules:\n  - id: no-exit\n    description: Do not exit.\n    pattern: exit()\n",
			[]ruleSeen{{"team-sourcery-no-exit", "no-exit", "WARNING", "", false}},
		},
		"gitleaks": {
			"gitleaks.toml", "title = 'x'\n[[rules]]\nid = 'house-key'\ndescription = 'A key of ours'\nregex = " +
				"'HK[0-9]+'\n[[rules]]\nid = 'other'\n",
			[]ruleSeen{
				{"team-gitleaks-house-key", "house-key", "WARNING", "", false},
				{"refused", "rule 2: rule other has neither a title nor a description or message", "", "", false},
			},
		},
		"lints of Cargo": {
			"Cargo.toml", "[package]\nname = 'x'\n[workspace.lints.clippy]\nunwrap_used = 'deny'\npedantic = { " +
				"level = 'allow', priority = -1 }\n",
			[]ruleSeen{
				{"team-cargo-clippy-pedantic", "pedantic", "WARNING", "rust", true}, {
					"team-cargo-clippy-unwrap_used",
					"unwrap_used", "ERROR", "rust", false,
				},
			},
		},
		"SARIF": {
			"scan.sarif", `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"scan","rules":[
			{"id":"S1","shortDescription":{"text":"No exec"},"fullDescription":{"text":"Never."},"defaultConfiguration":{"level":"error"}},
			{"id":"S2","name":"Second","defaultConfiguration":{"level":"none"}},{"name":"Third"}]}},"results":[]},
			{"tool":{"driver":{"name":"scan","rules":[{"id":"S1"}]}}}]}`,
			[]ruleSeen{
				{"team-scan-s1", "No exec", "ERROR", "", false},
				{"team-scan-s2", "Second", "WARNING", "", true},
				{"refused", "rule 3 of scan: a rule without an id", "", "", false},
			},
		},
		"ESLint": {
			".eslintrc.json", "{\n  // ours\n  \"extends\": \"x\",\n  \"rules\": {\"no-console\": \"error\", " +
				"\"semi\": [1, \"always\"], \"eqeqeq\": 0}\n}",
			[]ruleSeen{
				{"team-eslintrc-no-console", "no-console", "ERROR", "", false},
				{"team-eslintrc-semi", "semi", "WARNING", "", false},
				{"team-eslintrc-eqeqeq", "eqeqeq", "WARNING", "", true},
			},
		},
		"ESLint with comments of all kinds": {
			".eslintrc", "{ /* ours\n*/ \"rules\": {\"a//b\": 2, // why\n \"semi\": [1, \"/*\",],\n}, }",
			[]ruleSeen{{"team-eslintrc-a-b", "a//b", "ERROR", "", false}, {
				"team-eslintrc-semi", "semi", "WARNING", "",
				false,
			}},
		},
		"markdownlint": {
			".markdownlint.jsonc", "{\"default\": true, \"MD013\": {\"line_length\": 120}, // wide\n \"MD033\": false}",
			[]ruleSeen{{"team-markdownlint-md013", "MD013", "WARNING", "", false}, {
				"team-markdownlint-md033", "MD033",
				"WARNING", "", true,
			}},
		},
		"a list": {
			"l.json", `[{"id": "J-1", "severity": "high", "message": "One."}, {"id": "J-2", "severity": "low", ` +
				`"message": "Two."}, {"id": "J-3"}]`,
			[]ruleSeen{
				{"team-l-j-1", "J-1", "ERROR", "", false},
				{"team-l-j-2", "J-2", "INFO", "", false},
				{"refused", "line 1: rule J-3 has neither a title nor a description or message", "", "", false},
			},
		},
		"one rule": {
			"o.json", `{"id": "J-1", "severity": "high", "title": "One", "description": "x"}`,
			[]ruleSeen{{"team-o-j-1", "One", "ERROR", "", false}},
		},
		"JSON lines": {
			"l.jsonl", "{\"id\": \"L-1\", \"severity\": \"high\", \"message\": \"One.\"}\n\n{\"id\": \"L-2\"}\n",
			[]ruleSeen{
				{"team-l-l-1", "L-1", "ERROR", "", false},
				{"refused", "line 3: rule L-2 has neither a title nor a description or message", "", "", false},
			},
		},
		"ESLint without an ending": {
			".eslintrc", `{"rules": {"no-var": "warn"}}`,
			[]ruleSeen{{"team-eslintrc-no-var", "no-var", "WARNING", "", false}},
		},
		"Spectral": {
			".spectral.json", `{"rules": {"a": {"description": "D", "severity": "hint", "given": "$", "then": {}}}}`,
			[]ruleSeen{{"team-spectral-a", "a", "INFO", "", false}},
		},
		"semgrep": {
			"s.json", `{"rules": [{"id": "x", "message": "M", "severity": "INFO", "languages": ["go"]}]}`,
			[]ruleSeen{{"team-s-x", "x", "INFO", "go", false}},
		},
		"SonarQube's answer": {
			"sonar.json", `{"total": 1, "rules": [{"key": "java:S1", "name": "Close it", "severity": "MAJOR", ` +
				`"htmlDesc": "<p>x</p>", "lang": "java"}]}`,
			[]ruleSeen{{"team-sonar-java-s1", "Close it", "ERROR", "java", false}},
		},
		"markdownlint-cli2": {
			".markdownlint-cli2.jsonc", "{ // ours\n\"config\": {\"default\": true, \"MD013\": false}, \"globs\": " +
				"[\"*.md\"] }",
			[]ruleSeen{{"team-markdownlint-cli2-md013", "MD013", "WARNING", "", true}},
		},
		"PMD": {
			"pmd.xml", "<?xml version='1.0'?>\n<ruleset name='x'>\n<rule " +
				"ref='category/java/bestpractices.xml/Unused'><priority>2</priority></rule>\n" +
				"<rule ref='category/java/design.xml'><exclude name='y'/></rule>\n<rule name='NoExit' " +
				"language='java' message='No.'>" +
				"<description>It ends the host.</description><priority>1</priority></rule><rule/></ruleset>",
			[]ruleSeen{
				{"team-pmd-unused", "Unused", "ERROR", "java", false},
				{"team-pmd-noexit", "NoExit", "CRITICAL", "java", false},
				{"refused", "line 5: a rule without a name, a ref or a class", "", "", false},
			},
		},
		"PHP_CodeSniffer": {
			"phpcs.xml", "<ruleset><rule ref='PSR12'/><rule " +
				"ref='Generic.Files.LineLength'><type>warning</type></rule>" +
				"<rule ref='Generic.PHP.NoEval'><severity>0</severity></rule></ruleset>",
			[]ruleSeen{
				{"team-phpcs-generic.files.linelength", "Generic.Files.LineLength", "WARNING", "php", false},
				{"team-phpcs-generic.php.noeval", "Generic.PHP.NoEval", "WARNING", "php", true},
			},
		},
		"CodeNarc": {
			"narc.xml", "<ruleset><rule class='org.codenarc.rule.basic.EmptyIf'><property name='priority' " +
				"value='1'/></rule></ruleset>",
			[]ruleSeen{{"team-narc-emptyif", "EmptyIf", "ERROR", "groovy", false}},
		},
		"Checkstyle": {
			"checkstyle.xml", "<!DOCTYPE module PUBLIC 'x' 'https://example.org/x.dtd'>\n<module " +
				"name='Checker'><property name='severity' value='info'/>" +
				"<module name='FileTabCharacter'/><module name='SuppressionFilter'/><module " +
				"name='TreeWalker'><module name='LineLengthCheck'>" +
				"<property name='severity' value='error'/><property name='max' value='120'/></module><module " +
				"name='RegexpSingleline'>" +
				"<property name='id' value='noOut'/><property name='severity' value='ignore'/><message key='k' " +
				"value='Log.'/></module></module></module>",
			[]ruleSeen{
				{"team-checkstyle-filetabcharacter", "FileTabCharacter", "INFO", "", false},
				{"team-checkstyle-linelength", "LineLength", "ERROR", "java", false},
				{"team-checkstyle-noout", "noOut", "WARNING", "java", true},
			},
		},
		"a rule set of .NET": {
			"a.ruleset", "<RuleSet Name='x'><Rules AnalyzerId='a'><Rule Id='CA1' Action='Error'/><Rule Id='CA2' " +
				"Action='None'/></Rules></RuleSet>",
			[]ruleSeen{{"team-a-ca1", "CA1", "ERROR", "", false}, {"team-a-ca2", "CA2", "WARNING", "", true}},
		},
		"an XCCDF benchmark": {
			"guide.xml", "<Benchmark xmlns='http://checklists.nist.gov/xccdf/1.1'><Group id='g'><Rule id='SV-1' " +
				"severity='high'><title>Lock root</title>" +
				"<description>&lt;VulnDiscussion&gt;Locked.&lt;/VulnDiscussion&gt;</description></Rule></Group></Benchmark>",
			[]ruleSeen{{"team-guide-sv-1", "Lock root", "ERROR", "", false}},
		},
		"a profile of SonarQube": {
			"profile.xml",
			"<?xml version='1.0' encoding='UTF-8'?><profile><name>Ours</name><language>java</language><rules><rule>" +
				"<repositoryKey>java</repositoryKey><key>S100</key><priority>MINOR</priority><parameters><parameter><key>f</key><value>1</value></parameter></parameters>" +
				"</rule></rules></profile>",
			[]ruleSeen{{"team-profile-java-s100", "java:S100", "WARNING", "java", false}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			it := readItems(t, map[string]string{tc.path: tc.text})[tc.path]
			if it.Err != nil || it.Skipped != "" {
				t.Fatalf("it is refused (%v) or skipped (%q)", it.Err, it.Skipped)
			}
			if diff := cmp.Diff(tc.want, rulesSeen(t, it)); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
	for path, text := range map[string]string{
		"package.json":  `{"name":"x","version":"1.0.0","description":"y","scripts":{}}`,
		"tsconfig.json": "{\n // x\n \"compilerOptions\": {}\n}",
		"renovate.json": `{"packageRules":[{"matchPackageNames":["a"]}]}`, "pom.xml": "<project/>",
		"page.xml":  "<a><b></a>",
		"empty.xml": "<ruleset><description>x</description></ruleset>", "broken.xml": "<ruleset><rule></ruleset>",
		"pyproject.toml": "[project]\nname = 'x'\ndescription = 'y'\n",
		"hugo.toml":      "title = 'x'\nid = 'a'\ndescription = 'y'\n", "b.toml": "a = ",
		"eslint.config.mjs": "export default [];",
		"firestore.json":    `{"rules": "firestore.rules"}`,
		"empty.sarif":       `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"s"}}}]}`,
	} {
		if it := readItems(t, map[string]string{path: text})[path]; it.Skipped == "" && it.Err == nil {
			t.Errorf("%s becomes %v, want it passed over", path, rulesSeen(t, it))
		}
	}
}

func TestATableOfRules(t *testing.T) {
	const text = "Rule ID,Title,Description,Severity,Language,Owner\nA-1,First,\"One, two\",HIGH,\"go, " +
		"py\",ann\nA-2,,,LOW,,\n,Third,Text,,,\nA-1,Again,x,LOW,,\n"
	it := readItems(t, map[string]string{"rules.csv": text})["rules.csv"]
	want := []ruleSeen{
		{"team-rules-a-1", "First", "ERROR", "go python", false},
		{"refused", "line 3: rule A-2 has neither a title nor a description", "", "", false},
		{"team-rules-third", "Third", "WARNING", "", false},
		{
			"refused", `line 5: the id "A-1" stands there twice, first in line 2: each rule needs one of its own`, "",
			"",
			false,
		},
	}
	if diff := cmp.Diff(want, rulesSeen(t, it)); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if got := it.Entries[0].Doc.(*knowledge.Rule).Extra["Owner"]; got != "ann" {
		t.Errorf("a column without a field is kept as %v, want ann", got)
	}
	for name, text := range map[string]string{
		"map.csv":  "Rule No,Rule Name,Requirement,Criticality\nR1,No print,Never print,High\n",
		"pipe.csv": "ID|Title|Description|Severity\nR1|No print|Never, print|High\n",
		"sep.csv":  "sep=;\nid;title;description;severity\nR1;No print;Never, print;high\n",
	} {
		want := []ruleSeen{{"team-" + strings.TrimSuffix(name, ".csv") + "-r1", "No print", "ERROR", "", false}}
		it := readItems(t, map[string]string{name: text})[name]
		if diff := cmp.Diff(want, rulesSeen(t, it)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	it = readItems(t, map[string]string{"sep.csv": "sep=;\nid;title;description;severity\nR1;;;high\n"})["sep.csv"]
	if e := it.Entries[0]; e.Err == nil || e.Place != "line 3" {
		t.Errorf("below a line for Excel a fault is told at %q (%v), want line 3", e.Place, e.Err)
	}
	dir := named(t, "team")
	write(t, dir, map[string]string{"regeln.csv": "Nummer;Regel;Text\n7;Nie freitags;Nie.\n"})
	s, err := Open(dir, ReadOptions{Columns: map[string]string{
		"id": "nummer", "title": "Regel",
		"description": "Text",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for it := range s.Items() {
		if diff := cmp.Diff([]ruleSeen{{"team-regeln-7", "Nie freitags", "WARNING", "", false}},
			rulesSeen(t, it)); diff != "" {
			t.Errorf("with columns named (-want +got):\n%s", diff)
		}
	}
}

// A file with a name and a description is not a rule for that: a manifest of a package has both.
func TestAManifestInJSONIsNoRule(t *testing.T) {
	for name, text := range map[string]string{
		"package.json":  `{"name": "x", "description": "A package.", "version": "1.0.0"}`,
		"manifest.json": `{"id": "x", "name": "X", "description": "A plug-in."}`,
		"list.json":     `[{"id": "x", "name": "X", "description": "A person."}]`,
		"lines.jsonl":   `{"id": "x", "name": "X", "description": "A person."}`,
	} {
		if it := readItems(t, map[string]string{name: text})[name]; it.Skipped == "" {
			t.Errorf("%s is read as %d documents (%v), want it passed over", name, len(it.Entries), it.Err)
		}
	}
}
