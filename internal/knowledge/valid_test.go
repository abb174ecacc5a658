package knowledge

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestValidDocumentsAreValid(t *testing.T) {
	for _, d := range valid() {
		if err := d.Validate(); err != nil {
			t.Errorf("%s: %v", d.Key(), err)
		}
	}
}

func TestEmptyDocumentsNameEverythingThatIsMissing(t *testing.T) {
	for kind, want := range map[Kind][]string{
		KindRule:       {"/rule_id", "/category", "/title", "/description"},
		KindPractice:   {"/practice_id", "/category", "/title", "/description"},
		KindTemplate:   {"/template_id", "/category", "/name", "/template_content"},
		KindCategory:   {"/category_id", "/name"},
		KindViolation:  {"/violation_id", "/rule_id", "/message"},
		KindPrincipal:  {"/principal_id", "/name", "/token_hash"},
		KindPack:       {"/pack_id", "/name"},
		KindRepository: {"/repository_id", "/name"},
		KindLabel:      {"/label_id", "/name"},
		KindProposal:   {"/proposal_id", "/title", "/ops"},
	} {
		d := New(kind)
		d.Normalize()
		wantFaults(t, "an empty "+string(kind), d.Validate(), want...)
	}
}

func TestValidationNamesEveryFaultAtOnce(t *testing.T) {
	long, score := strings.Repeat("é", MaxTitle+1), math.NaN()
	far := Time{time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}
	many := make([]string, MaxItems+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for _, c := range []struct {
		doc  Document
		want []string
	}{
		{
			&Rule{
				RuleID: "a b", Category: "-/-", Title: "two\nlines", Description: " \n\t", Severity: "LOUD",
				Enforcement: "please", Priority: MaxPriority + 1,
				Status: "active", ViolationsConsequence: "\x00", Examples: []Example{
					{Title: "only"},
					{Code: "\u202e"},
				}, AntiPatterns: []Example{{Note: "\xff"}},
				Common: Common{
					Tags: []string{"a", "a", "", long}, Extra: map[string]any{
						"a/b": "\x01",
						"~":   []any{map[string]any{"\x02": 1}}, "f": math.Inf(1), "c": make(chan int),
					},
					Scope: Scope{
						Activation: "sometimes", Globs: []string{"\x1b"}, Languages: []string{"Go", "", "go"},
						Targets: []string{"\u2066"},
					},
				},
			},
			[]string{
				"/rule_id", "/category", "/title", "/description", "/severity", "/enforcement", "/priority", "/status",
				"/violations_consequence",
				"/examples/0", "/examples/1/code", "/anti_patterns/0/note", "/tags/1", "/tags/2", "/tags/3",
				"/scope/activation", "/scope/globs/0",
				"/scope/languages/0", "/scope/languages/1", "/scope/targets/0", "/extra/a~1b", "/extra/~0/0",
				"/extra/f", "/extra/c",
			},
		},
		{
			&Practice{
				PracticeID: "..", Category: strings.Repeat("x", MaxID+1), Title: long, Description: "d",
				Benefits: many, ImplementationGuide: "\a",
				References: []Reference{{Title: "\b"}, {URL: "\f"}}, EffectivenessScore: &score,
				AdoptionRate: new(1.01),
			},
			[]string{
				"/practice_id", "/category", "/title", "/benefits", "/implementation_guide", "/references/0/title",
				"/references/1/url",
				"/effectiveness_score", "/adoption_rate",
			},
		},
		{
			&Template{
				TemplateID: "é", Category: "c", Name: "\r", TemplateContent: "{{#on}} never closed",
				Description: strings.Repeat("x", MaxText+1),
				Variables: []Variable{
					{Name: "on"},
					{Name: "on"},
					{Name: "Brand's core"},
					{Name: "a", Type: "date"},
					{Name: "b", Type: TypeSelect},
					{Name: "c", Options: []string{"x"}},
					{Name: "d", Pattern: "("},
					{Name: "e", Type: TypeNumber, Pattern: "x", Default: "many"},
					{Name: "f", Type: TypeMultiselect, Options: []string{"x"}, Default: []any{"x", "y"}},
					{Name: "g", Pattern: "^\x00$", Title: "two\nlines", Description: "\x03"},
					{Name: "h", Type: TypeBoolean, Default: "yes"},
					{Name: "i", Default: "a\nb"},
					{Name: "j", Pattern: strings.Repeat("a?", 200)},
				},
			},
			[]string{
				"/template_id", "/name", "/description", "/template_content", "/variables/1/name", "/variables/2/name",
				"/variables/3/type", "/variables/4/options",
				"/variables/5/options", "/variables/6/pattern", "/variables/7/pattern", "/variables/7/default",
				"/variables/8/default", "/variables/9/pattern",
				"/variables/9/title", "/variables/9/description", "/variables/10/default", "/variables/11/default",
				"/variables/12/pattern",
			},
		},
		{&Category{ID: "", Name: "a\nb", Description: "\v"}, []string{"/category_id", "/name", "/description"}},
		{
			&Violation{
				ViolationID: "7", RuleID: "a/b", Source: long, Repository: "\n", Path: "\x00", Line: -1, Message: "",
				Severity: "low", Status: "waived",
				ReportedBy: long, ResolvedBy: "\x7f", ReportedAt: far, WaiverExpiry: far, ResolvedAt: far,
			},
			[]string{
				"/violation_id", "/rule_id", "/source", "/repository", "/path", "/line", "/message", "/severity",
				"/waiver_reason", "/reported_by",
				"/resolved_by", "/reported_at", "/waiver_expiry", "/resolved_at",
			},
		},
		{
			&Violation{ViolationID: NewBatchID().String(), RuleID: "r", Message: "m", Line: 1 << 31, Status: "gone"},
			[]string{"/line", "/status"},
		},
		{
			&Principal{
				PrincipalID: "ci", Name: long, Role: "king", TokenHash: strings.Repeat("A", 64),
				TokenPrefix: "\n", Expiry: far,
			},
			[]string{"/name", "/role", "/token_hash", "/token_prefix", "/expiry"},
		},
	} {
		c.doc.Normalize()
		wantFaults(t, string(c.doc.Key().Kind), c.doc.Validate(), c.want...)
	}
}

func TestIDsAreWhatAPathCanHold(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "SEC-001": true, "a.b_c-D9": true, "...": true, "-": true, strings.Repeat("x", MaxID): true,
		"": false, ".": false, "..": false, "a/b": false, "a b": false, "é": false, "a\x00": false, "a%2e": false,
		strings.Repeat("x", MaxID+1): false,
	} {
		if got := idFault(id) == ""; got != ok {
			t.Errorf("id %.20q is fine: %v, want %v (%s)", id, got, ok, idFault(id))
		}
		k, err := ParseKey("rules/" + id)
		if (err == nil) != ok || ok && k != (Key{KindRule, id}) {
			t.Errorf("ParseKey(rules/%.20q) = %v, %v", id, k, err)
		}
	}
	for _, bad := range []string{"", "rule", "rule:x", "nonsense/x", "/x"} {
		if k, err := ParseKey(bad); err == nil {
			t.Errorf("ParseKey(%q) = %v", bad, k)
		}
	}
}

func TestTextFaultNamesTheFaultAndItsPlace(t *testing.T) {
	key := strings.Repeat("QUJD", 20)
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"plain\ttext\r\nwith breaks", ""},
		{"émoji 😀 עברית عربي 日本語 \u00a0 \u200d \ufeff \ufffd", ""},
		{"🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", ""},
		{"a\U000e0067", "line 1, column 2"},
		{"ok\nbad\x00", "line 2, column 4"},
		{"\x1b[31m", "U+001B"},
		{"\u0085", "U+0085"},
		{"\x7f", "U+007F"},
		{"x\u202ey", "U+202E"},
		{"é\u2067", "line 1, column 2: invisible direction"},
		{"\u200f", "U+200F"},
		{"\u061c", "U+061C"},
		{"a\nb\xffc", "line 2, column 2: not valid UTF-8"},
		{"\ufffd\xff", "line 1, column 2: not valid UTF-8"},
		{"\xed\xa0\x80", "not valid UTF-8"}, // half a surrogate
		{"key: AKIAIOSFODNN7ABCDEFG", "line 1, column 6: looks like an AWS access key"},
		{"key: AKIAIOSFODNN7EXAMPLE", ""},
		{"AKIAIOSFODNN7EXAMPLE\nASIAIOSFODNN7ABCDEFG", "line 2, column 1"},
		{"not AKIAIOSFODNN7ABCDEFGH, longer", ""},
		{"ghp_" + strings.Repeat("a1", 18), "GitHub token"},
		{"ghp_short and ghs_also, right through the light", ""},
		{"github_pat_" + strings.Repeat("a1", 30), "GitHub token"},
		{"glpat-" + strings.Repeat("a1", 10), "GitLab"},
		{"xoxb-" + strings.Repeat("1a", 12), "Slack"},
		{"AIza" + strings.Repeat("a", 35), "Google"},
		{"sk_live_" + strings.Repeat("a", 24), "Stripe"},
		{"sk-ant-api03-" + strings.Repeat("a1", 20), "Anthropic"},
		{"sk-" + strings.Repeat("a1", 10) + "T3BlbkFJ" + strings.Repeat("a1", 10), "OpenAI"},
		{"sk-proj-" + strings.Repeat("a1", 24), "OpenAI"},
		{"npm_" + strings.Repeat("a1", 18), "npm token"},
		{"npm_config_cache, npm_lifecycle_event and sk-projects", ""},
		{"tenet_" + strings.Repeat("a", 43), "tenet token"},
		{"-----BEGIN RSA PRIVATE KEY-----\n" + key + "\n-----END RSA PRIVATE KEY-----", "private key"},
		{"-----BEGIN PRIVATE KEY-----" + strings.ReplaceAll(key, "\n", "") + "-----END PRIVATE KEY-----", "private key"},
		{
			"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPublic-Lines: 1\nAAAA\nPrivate-Lines: 1\n" +
				strings.Repeat("a1", 22), "PuTTY",
		},
		{"A PuTTY-User-Key-File-2: line begins the file, and Private-Lines: says how many follow", ""},
		{"https://discord.com/api/webhooks/" + strings.Repeat("1", 18) + "/" + strings.Repeat("a1", 34), "Discord"},
		{"https://discord.com/api/webhooks/ID/TOKEN", ""},
		{"-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----", ""},
		{
			`"-----BEGIN PRIVATE KEY-----\n` + strings.ReplaceAll(key, "\n", `\n`) + `\n-----END PRIVATE KEY-----"`,
			"private key",
		},
		{
			"Bearer eyJ" + strings.Repeat("a", 20) + ".eyJ" + strings.Repeat("b", 20) + "." + strings.Repeat("c", 43),
			"signed token",
		},
		{"A JWT has three parts, as in eyJhbGciOi.eyJzdWIi.c2ln", ""},
		{"postgres://app:k3y7x9Qz@db.internal/app", "address with a password"},
		{"postgres://user:password@localhost/db and https://user:pass1234@example.com", ""},
		{"hf_" + strings.Repeat("a", 34), "Hugging Face"},
		{"dop_v1_" + strings.Repeat("a1", 32), "DigitalOcean"},
		{"dckr_pat_" + strings.Repeat("a", 27), "Docker Hub"},
		{"SG." + strings.Repeat("a", 22) + "." + strings.Repeat("b", 43), "SendGrid"},
		{"shpat_" + strings.Repeat("a1", 16), "Shopify"},
		{"pypi-AgEIcHlwaS5vcmc" + strings.Repeat("a", 60), "PyPI"},
		{"hvs." + strings.Repeat("a", 24), "Vault"},
		{"AGE-SECRET-KEY-1" + strings.Repeat("Q", 58), "age key"},
		{"GOCSPX-" + strings.Repeat("a", 28), "Google client"},
		{"glsa_" + strings.Repeat("a", 32) + "_" + strings.Repeat("0", 8), "Grafana"},
		{"123456789:AA" + strings.Repeat("a", 33), "Telegram"},
		{"dapi" + strings.Repeat("0a", 16), "Databricks"},
		{"NRAK-" + strings.Repeat("A", 27), "New Relic"},
		{"lin_api_" + strings.Repeat("a", 40), "Linear"},
		{"AccountKey=" + strings.Repeat("a", 86) + "==", "Azure"},
		{"https://hooks.slack.com/services/T00000000/B00000000/" + strings.Repeat("a", 24), "Slack webhook"},
		{"AKIA\u200bIOSFODNN7ABCDEFG", "without its invisible characters, line 1, column 1: looks like an AWS"},
		{"a\u200b\u200bb", "in a row"},
		{"a\u3164b", "U+3164"},
		{"a\ufeffb", "U+FEFF inside of a word"},
		{"a\u034fb", "U+034F, which no script needs there"},
		{"a\u0301\u034f\u0302", ""},
		{"a\u115fb", "U+115F"},
		{"\u115f\u1161 \u1100\u1160", ""}, // syllables of old Hangul
		{"a\u17b4b", "U+17B4"},
		{"\u1780\u17b4", ""}, // Khmer
		{"a\u180bb", "U+180B"},
		{"a\u180eb", "U+180E"},
		{"\u1820\u180b \u1828\u180e\u1820 \u1820\u180f", ""}, // Mongolian
		{"a\u2065b", "U+2065"},
		{"a\ufff0b", "U+FFF0"},
		{"a\U0001bca0b", "U+1BCA0"},
		{"\U0001bc00\U0001bca0", ""}, // shorthand
		{"a\U000e0080b", "U+E0080"},
		{"a\U000e0fffb", "U+E0FFF"},
		{"\u0645\u06cc\u200c\u062e \U0001f469\u200d\U0001f4bb \u0e01\u200b\u0e02", ""}, // Persian, an emoji, Thai
	} {
		got := TextFault(c.text)
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("TextFault(%q) = %q, want %q in it", c.text, got, c.want)
		}
	}
}

// TestOneLineIsOneLineEverywhere holds titles, messages and values of one line to the same rule.
func TestOneLineIsOneLineEverywhere(t *testing.T) {
	form := &Template{TemplateContent: "{{v}}", Variables: []Variable{{Name: "v", Type: TypeText}}}
	for _, text := range []string{"a\nb", "a\rb", "a\u2028b", "a\u2029b"} {
		r := valid()[0].(*Rule)
		r.Title = text
		if r.Validate() == nil {
			t.Errorf("the title %+q is taken", text)
		}
		b := Batch{ID: NewBatchID(), Actor: "ann", Message: text, Ops: []Op{Put(valid()[0], AnyVersion)}}
		if invalid, ok := errors.AsType[*InvalidError](b.Validate()); !ok || invalid.Faults[0].Pointer != "/message" {
			t.Errorf("the message %+q: %v", text, b.Validate())
		}
		if out, err := form.Render(map[string]any{"v": text}); err == nil {
			t.Errorf("the value %+q is rendered as %q", text, out)
		}
	}
}

func TestATitleHasSomethingToSee(t *testing.T) {
	for _, title := range []string{
		"", " ", "\u00a0", "\u200b", "\u00ad", "\ufeff", "\u2800", "\u3000\u200d", "\u034f", "\u1160", "a\u2028b",
	} {
		r := valid()[0].(*Rule)
		r.Title = title
		if invalid, ok := errors.AsType[*InvalidError](r.Validate()); !ok || invalid.Faults[0].Pointer != "/title" {
			t.Errorf("the title %+q: %v", title, r.Validate())
		}
		if r.Title, r.Description = "Seen", title; title != "a\u2028b" && r.Validate() == nil {
			t.Errorf("the description %+q is taken", title)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	tags := make([]string, MaxItems)
	for i := range tags {
		tags[i] = "\x00"
	}
	r := valid()[0].(*Rule)
	r.Tags = tags
	invalid, ok := errors.AsType[*InvalidError](r.Validate())
	if !ok || len(invalid.Faults) != MaxFaults+1 || !strings.Contains(invalid.Faults[MaxFaults].Detail, "more faults") {
		t.Fatalf("%d faults, the last %+v", len(invalid.Faults), invalid.Faults[len(invalid.Faults)-1])
	}
	var members []string
	for i := range 20_000 {
		members = append(members, fmt.Sprintf(`"unknown-%d":1`, i))
	}
	_, err := Decode(KindRule, []byte("{"+strings.Join(members, ",")+"}"))
	if n := len(faultsOf(t, err)); n != MaxFaults+1 {
		t.Errorf("%d faults of 20,000", n)
	}
	for name, data := range map[string]string{
		"an unknown name": `{"` + strings.Repeat("x", 1<<20) + `":1}`,
		"a number":        `{"title":` + strings.Repeat("1", 1<<20) + `}`,
		"a severity":      `{"severity":"` + strings.Repeat("1", 1<<20) + `"}`,
	} {
		d, err := Decode(KindRule, []byte(data))
		if err == nil {
			err = d.Validate()
		}
		if err == nil || len(err.Error()) > 5000 {
			t.Errorf("%s of a megabyte: a message of %d bytes", name, len(err.Error()))
		}
	}
}

func TestADocumentHasABoundAsAWhole(t *testing.T) {
	r := valid()[0].(*Rule)
	text := strings.Repeat("x", MaxText)
	r.Examples = []Example{{Code: text}, {Code: text}, {Code: text}}
	if err := r.Validate(); err != nil {
		t.Errorf("1.5 MB of text: %v", err)
	}
	quoted := strings.Repeat(`"`, MaxText)
	r.AntiPatterns = []Example{{Code: text}}
	wantFaults(t, "2 MB of text", r.Validate(), "")
	r.Examples, r.AntiPatterns = []Example{{Code: quoted}, {Code: quoted}}, []Example{}
	wantFaults(t, "1 MB of quotes, which are 2 MB as JSON", r.Validate(), "")
	r.Examples = []Example{}
	list := make([]any, MaxDocument/2)
	for i := range list {
		list[i] = json.Number("0")
	}
	r.Extra = map[string]any{"zeros": list}
	wantFaults(t, "2 MB of zeros", r.Validate(), "")
}

func TestFreeValuesHaveABoundOfDepth(t *testing.T) {
	var deep any = "bottom"
	for range MaxDepth {
		deep = []any{deep}
	}
	r := valid()[0].(*Rule)
	r.Extra = map[string]any{"deep": deep}
	if got := faultsOf(t, r.Validate()); len(got) != 1 || !strings.HasPrefix(got[0], "/extra/deep/0/0") {
		t.Errorf("faults at %q", got)
	}
}

func TestErrorsCanBeReadAndMoved(t *testing.T) {
	err := &InvalidError{Faults: []Fault{{"/a", "is wrong"}, {"", "is all wrong"}}, Query: true}
	if got := err.Error(); got != "invalid: /a: is wrong; is all wrong" {
		t.Errorf("Error() = %q", got)
	}
	moved := err.Below("/ops/3")
	if moved.Faults[0].Pointer != "/ops/3/a" || moved.Faults[1].Pointer != "/ops/3" || !moved.Query ||
		err.Faults[0].Pointer != "/a" {
		t.Errorf("Below = %+v of %+v", moved, err)
	}
	if e := BadQuery("limit", "%d", 3); !e.Query || e.Faults[0] != (Fault{"/limit", "3"}) {
		t.Errorf("BadQuery = %+v", e)
	}
}

func TestDefaultsAreTheHousesOwn(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		want string
	}{
		{KindRule, `{"rule_id":"","category":"","title":"","description":"","severity":"WARNING",` +
			`"enforcement":"recommended","examples":[],"anti_patterns":[],"violations_consequence":"","priority":0,` +
			`"status":"ACTIVE","active":true,"tags":[],"scope":{"activation":"model","globs":[],"languages":[],"targets":[]},` +
			`"extra":{},"created_by":"","created_at":null,"updated_by":"","updated_at":null,"version":0}`},
		{KindPractice, `{"practice_id":"","category":"","title":"","description":"","benefits":[],` +
			`"implementation_guide":"","anti_patterns":[],"references":[],"examples":[],"effectiveness_score":null,` +
			`"adoption_rate":null,"is_required":false,"is_active":true,"tags":[],"scope":{"activation":"model","globs":[],` +
			`"languages":[],"targets":[]},"extra":{},"created_by":"","created_at":null,"updated_by":"","updated_at":null,` +
			`"version":0}`},
		{KindTemplate, `{"template_id":"","name":"","description":"","category":"","template_content":"",` +
			`"variables":[],"is_active":true,"tags":[],"scope":{"activation":"model","globs":[],"languages":[],"targets":[]},` +
			`"extra":{},"created_by":"","created_at":null,"updated_by":"","updated_at":null,"version":0}`},
		{KindCategory, `{"category_id":"","name":"","description":"","is_active":true,"created_by":"",` +
			`"created_at":null,"updated_by":"","updated_at":null,"version":0}`},
		{KindViolation, `{"violation_id":"","rule_id":"","source":"","repository":"","path":"","line":0,` +
			`"message":"","severity":"WARNING","status":"open","waiver_reason":"","waiver_expiry":null,"reported_by":"",` +
			`"reported_at":null,"resolved_at":null,"resolved_by":"","is_active":true,"created_by":"","created_at":null,` +
			`"updated_by":"","updated_at":null,"version":0}`},
		{KindPack, `{"pack_id":"","name":"","description":"","select":{"kinds":[],"categories":[],"tags":[],` +
			`"ids":[],"except":[]},"extends":[],"raise":[],"is_active":true,"created_by":"","created_at":null,"updated_by":"",` +
			`"updated_at":null,"version":0}`},
		{KindRepository, `{"repository_id":"","name":"","url":"","packs":[],"targets":[],"label":"","owner":"",` +
			`"exemptions":[],"is_active":true,"created_by":"","created_at":null,"updated_by":"","updated_at":null,"version":0}`},
		{KindLabel, `{"label_id":"","name":"","description":"","seq":0,"holds":{},"is_active":true,"created_by":"",` +
			`"created_at":null,"updated_by":"","updated_at":null,"version":0}`},
		{KindProposal, `{"proposal_id":"","title":"","why":"","ops":[],` +
			`"ops_digest":"37517e5f3dc66819f61f5a7bb8ace1921282415f10551d2defa5c3eb0985b570","state":"open","reviews":[],` +
			`"is_active":true,"created_by":"","created_at":null,"updated_by":"","updated_at":null,"version":0}`},
		{KindPrincipal, `{"principal_id":"","name":"","role":"viewer","token_hash":"","token_prefix":"",` +
			`"expiry":null,"agent":false,"disabled":false,"created_by":"","created_at":null,"updated_by":"","updated_at":null,` +
			`"version":0}`},
	} {
		d, err := Decode(c.kind, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := canonical(t, d); got != c.want {
			t.Errorf("an empty %s:\n got %s\nwant %s", c.kind, got, c.want)
		}
		d.SetActive(false)
		if d.Active() {
			t.Errorf("a retired %s is active", c.kind)
		}
		d.SetActive(true)
		if !d.Active() || d.Rank() < 0 || !json.Valid([]byte(canonical(t, d))) {
			t.Errorf("a restored %s: active %v, rank %d", c.kind, d.Active(), d.Rank())
		}
	}
}

func TestScoresAreHundredthsAndNeverMinusZero(t *testing.T) {
	for in, want := range map[float64]string{
		0.2851: "0.29", 0.2849: "0.28", 1: "1", 0: "0", -0.001: "0", 0.005: "0.01", 0.994999: "0.99", 0.1 + 0.2: "0.3",
	} {
		p := &Practice{EffectivenessScore: &in}
		p.Normalize()
		b, err := json.Marshal(p.EffectivenessScore)
		if err != nil || string(b) != want {
			t.Errorf("%v becomes %s (%v), want %s", in, b, err, want)
		}
	}
}

func BenchmarkTextFault(b *testing.B) {
	text := strings.Repeat("Right through the light, without a word of MEDIA or a thought of it. ", 30)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if why := TextFault(text); why != "" {
			b.Fatal(why)
		}
	}
}

func TestChecksAreBounded(t *testing.T) {
	for pattern, want := range map[string]string{
		`passw(or)?d`: "", `(?i)begin [a-z ]*private key`: "", `^//`: "", "": "empty", "(": "missing closing",
		`(?=x)`: "RE2", "a*": "empty text", "^|x": "empty text",
		"(x{1000}){9}": "RE2", "(abcdef){400}": "too costly", strings.Repeat("a", 1001): "1000 bytes",
	} {
		r := &Rule{
			RuleID: "A", Category: "c", Title: "t", Description: "d",
			Checks: []Check{{ID: "x", Kind: CheckForbid, Pattern: pattern}},
		}
		r.Normalize()
		err := r.Validate()
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "/checks/0/pattern")) {
			t.Errorf("pattern %q: %v, want %q", pattern, err, want)
		}
	}
	r := &Rule{
		RuleID: "A", Category: "c", Title: "t", Description: "d",
		Checks: []Check{
			{ID: "x", Kind: "x", Pattern: "b", Globs: []string{"["}},
			{ID: "x", Kind: CheckPath, Pattern: "b"},
		},
	}
	r.Normalize()
	wantFaults(t, "checks", r.Validate(), "/checks/0/kind", "/checks/0/globs/0", "/checks/1/id")
}
