package postgres_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/store/storetest"
)

// quoted writes a text as SQL does.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// refusedByHand runs a statement as a person at a prompt and returns the server's refusal, "" when it took it.
func refusedByHand(t *testing.T, url, sql string) string {
	t.Helper()
	_, err := pgtest.Connect(t, url).Exec(t.Context(), sql)
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &pg) || pg.Code != "23514" || pg.Hint == "":
		t.Errorf("%s: %v; want the violation of a check, and what to do", sql, err)
	}
	return pg.Message
}

const (
	handRule = "INSERT INTO rules (rule_id, category, title, description, %s) VALUES (%s, 'general', 'By hand', 'd', %s)"
	privateK = "-----BEGIN RSA PRIVATE KEY-----\n"
)

func TestWhatTheProgramWouldRefuseIsRefusedOfAHandToo(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	general(t, s)
	apply(t, s, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) { r.RuleID = "kept" }), knowledge.NoVersion),
		knowledge.Put(storetest.Template(), knowledge.NoVersion),
		knowledge.Put(storetest.Principal(func(p *knowledge.Principal) {
			p.PrincipalID, p.TokenHash = "ann", strings.Repeat("ab", 32)
		}), knowledge.NoVersion))
	before, err := s.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := privateK + strings.Repeat("QUJD", 20)
	inJSON, _ := json.Marshal(key)
	for sql, want := range map[string]string{
		`UPDATE rules SET title = ''`:                `rule "title": it is empty`,
		"UPDATE rules SET title = '\u00a0\u200b'":    `rule "title": it is empty`,
		"UPDATE rules SET title = '\u1160'":          `rule "title": it is empty`,
		"UPDATE rules SET title = 'a\nb'":            `rule "title": it holds a line break`,
		`UPDATE rules SET description = '  '`:        `rule "description": it is empty`,
		`UPDATE templates SET template_content = ''`: `template "template_content": it is empty`,
		`INSERT INTO practices (practice_id, category, title, description) VALUES ('p', 'general', ' ', 'd')`:                               `practice "title": it is empty`,
		`INSERT INTO categories (category_id, name) VALUES ('c', '')`:                                                                       `category "name": it is empty`,
		`INSERT INTO packs (pack_id, name) VALUES ('p', '')`:                                                                                `pack "name": it is empty`,
		`INSERT INTO repositories (repository_id, name) VALUES ('p', '')`:                                                                   `repository "name": it is empty`,
		`INSERT INTO labels (label_id, name) VALUES ('p', '')`:                                                                              `label "name": it is empty`,
		`INSERT INTO proposals (proposal_id, title) VALUES (gen_random_uuid(), '')`:                                                         `proposal "title": it is empty`,
		`INSERT INTO violations (violation_id, rule_id, message) VALUES (gen_random_uuid(), 'kept', '')`:                                    `violation "message": it is empty`,
		"UPDATE rules SET description = 'a\u202eb'":                                                                                         `rule "description": it holds a character`,
		"UPDATE rules SET description = 'pass\u200bword'":                                                                                   `rule "description": it holds a character`,
		"UPDATE rules SET description = 'x\u0007'":                                                                                          `rule "description": it holds a character`,
		"UPDATE rules SET description = 'Fine.\U000e0069\U000e0067'":                                                                        `rule "description": it holds a character`,
		"UPDATE rules SET examples = '[{\"code\": \"a\u2066b\"}]'":                                                                          `rule "examples": it holds a character`,
		`UPDATE rules SET examples = '[{"code": "a\u0007b"}]'`:                                                                              `rule "examples": it holds a character`,
		"UPDATE rules SET extra = '{\"deep\": [{\"a\u202e\": 1}]}'":                                                                         `rule "extra": it holds a character`,
		`UPDATE rules SET extra = '{"deep": [{"a\u202eb": 1}]}'`:                                                                            `rule "extra": it holds a character`,
		`UPDATE rules SET description = ` + quoted(key):                                                                                     `rule "description": it holds a private key`,
		`UPDATE rules SET examples = ` + quoted(`[{"code": `+string(inJSON)+`}]`):                                                           `rule "examples": it holds a private key`,
		`UPDATE rules SET scope = '{"activation": "sometimes"}'`:                                                                            `rule "scope": activation: want one of`,
		`INSERT INTO practices (practice_id, category, title, description, scope) VALUES ('p', 'general', 't', 'd', '{"activation": "x"}')`: `practice "scope": activation`,
		`UPDATE templates SET scope = '{"activation": "x"}'`:                                                                                `template "scope": activation`,
		`UPDATE templates SET variables = '[{"name": "a", "type": "colour"}]'`:                                                              `template "variables": type: want one of`,
		`UPDATE rules SET checks = '[{"id": "a", "kind": "hope", "pattern": "x"}]'`:                                                         `rule "checks": kind`,
		`INSERT INTO packs (pack_id, name, "select") VALUES ('p', 'p', '{"kinds": ["violation"]}')`:                                         `pack "select": kinds`,
		`INSERT INTO packs (pack_id, name, raise) VALUES ('p', 'p', '[{"id": "rule/a", "severity": "LOUD"}]')`:                              `pack "raise": severity`,
		`INSERT INTO packs (pack_id, name, raise) VALUES ('p', 'p', '[{"id": "rule/a", "enforcement": "maybe"}]')`:                          `pack "raise": severity`,
		`INSERT INTO proposals (proposal_id, title, reviews) VALUES (gen_random_uuid(), 't', '[{"by": "a", "verdict": "yes"}]')`:            `proposal "reviews": verdict`,
		`INSERT INTO principals (principal_id, name, token_hash) VALUES ('eve', 'Eve', repeat('ab', 32))`:                                   `principal "token_hash": it is the hash of the token of ann`,
	} {
		if got := refusedByHand(t, url, sql); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	if after, err := s.Position(t.Context()); err != nil || after != before {
		t.Errorf("the log has moved from %+v to %+v, %v", before, after, err)
	}
}

// words are those that a document may hold where the database knows them all.
func words() map[string][]string {
	words := map[string][]string{}
	add := func(column, form string, of []string) {
		for i, w := range of {
			words[column] = append(words[column], fmt.Sprintf(form, w, i))
		}
	}
	add("scope", `{"activation": %[1]q}`, knowledge.Activations())
	add("checks", `[{"id": "c%[2]d", "kind": %[1]q, "pattern": "x"}]`, knowledge.CheckKinds())
	return words
}

func TestWhatTheProgramTakesIsTakenOfAHandToo(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	general(t, s)
	var rows []string
	for column, values := range words() {
		for i, v := range values {
			rows = append(rows, fmt.Sprintf(handRule, column, quoted(fmt.Sprintf("%s-%d", column, i)), quoted(v)))
		}
	}
	for i, typ := range knowledge.VariableTypes() {
		rows = append(rows, fmt.Sprintf("INSERT INTO templates (template_id, category, name, template_content, variables) "+
			"VALUES ('t%d', 'general', 'T', 'x', %s)", i, quoted(fmt.Sprintf(`[{"name": "a", "type": %q}]`, typ))))
	}
	for i, kind := range knowledge.SelectKinds() {
		rows = append(rows, fmt.Sprintf(`INSERT INTO packs (pack_id, name, "select") VALUES ('k%d', 'P', %s)`, i,
			quoted(fmt.Sprintf(`{"kinds": [%q]}`, kind))))
	}
	raise := func(member string, of []string) {
		for i, w := range of {
			rows = append(rows, fmt.Sprintf(`INSERT INTO packs (pack_id, name, raise) VALUES ('%s%d', 'P', %s)`, member, i,
				quoted(fmt.Sprintf(`[{"id": "rule/a", %q: %q}]`, member, w))))
		}
	}
	raise("severity", knowledge.Severities())
	raise("enforcement", knowledge.Enforcements())
	for _, v := range knowledge.Verdicts() {
		rows = append(rows, "INSERT INTO proposals (proposal_id, title, reviews) VALUES (gen_random_uuid(), 'T', "+
			quoted(fmt.Sprintf(`[{"by": "a", "verdict": %q}]`, v))+")")
	}
	for i, text := range []string{ // what some script needs
		"\u0645\u06cc\u200c\u062e", "\U0001f469\u200d\U0001f4bb \u2764\ufe0f", "Donau\u00addampf", "\u0e01\u200b\u0e02",
		"\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "tabs\tand\r\nbreaks",
		"-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----", "\U0001f600", "\u65e5\u672c\u8a9e",
	} {
		if fault := knowledge.TextFault(text); fault != "" {
			t.Errorf("the program refuses %+q: %s", text, fault)
		}
		rows = append(rows, fmt.Sprintf(handRule, "extra", quoted(fmt.Sprintf("text-%d", i)), "'{}'"),
			fmt.Sprintf("UPDATE rules SET description = %s WHERE rule_id = 'text-%d'", quoted(text), i))
	}
	slices.Sort(rows) // inserts first
	for _, sql := range rows {
		if got := refusedByHand(t, url, sql); got != "" {
			t.Errorf("%s: %s", sql, got)
		}
	}
}

// TestAFaultThatWasThereBeforeStaysInNobodysWay tells what becomes of rows that are older than the check: the migration
// leaves them, and a hand may change everything else of them.
func TestAFaultThatWasThereBeforeStaysInNobodysWay(t *testing.T) {
	url := pgtest.URL(t)
	migrate(t, url, 16)
	pgtest.Exec(t, url, "INSERT INTO categories (category_id, name) VALUES ('general', 'General')")
	pgtest.Exec(t, url, fmt.Sprintf(handRule, "scope", "'old'", `'{"activation": "sometimes"}'`))
	pgtest.Exec(t, url, "UPDATE rules SET description = 'a\u202eb'")
	migrate(t, url, -1)
	for _, sql := range []string{
		"UPDATE rules SET priority = 7", "UPDATE rules SET active = false", "UPDATE rules SET scope = '{}'",
	} {
		if got := refusedByHand(t, url, sql); got != "" {
			t.Errorf("%s: %s", sql, got)
		}
	}
	if got := refusedByHand(t, url, "UPDATE rules SET scope = '{\"activation\": \"sometimes\"}'"); got == "" {
		t.Error("the fault may come back")
	}
	s := openAt(t, url)
	apply(t, s, knowledge.Op{
		Verb: knowledge.VerbRestore, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "old"}, IfVersion: knowledge.AnyVersion,
	})
}

// TestTheDatabaseHidesAndShowsWhatTheProgramDoes compares each character of the ranges in which any shows nothing: the
// two lists are written in two languages.
func TestTheDatabaseHidesAndShowsWhatTheProgramDoes(t *testing.T) {
	conn := pgtest.Connect(t, migrated(t))
	rows, err := conn.Query(t.Context(), `SELECT n, tenet_hides('a ' || chr(n) || ' b'), tenet_shows(chr(n))
		FROM (SELECT generate_series(1, 55295) UNION ALL SELECT generate_series(57344, 65535)
			UNION ALL SELECT generate_series(112640, 119295) UNION ALL SELECT generate_series(917504, 921599)) s (n)`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n rune
		var hides, shows bool
		if err := rows.Scan(&n, &hides, &shows); err != nil {
			t.Fatal(err)
		}
		if hides && knowledge.TextFault("a "+string(n)+" b") == "" {
			t.Errorf("the database refuses U+%04X, and the program takes it", n)
		}
		c := storetest.Category(func(c *knowledge.Category) { c.Name = string(n) })
		invalid, refused := errors.AsType[*knowledge.InvalidError](c.Validate())
		switch blank := refused && strings.HasPrefix(invalid.Faults[0].Detail, "missing"); {
		case !shows && !refused: // control characters are refused for what they are
			t.Errorf("U+%04X is an empty title to the database, and a good one to the program", n)
		case shows && blank:
			t.Errorf("U+%04X is an empty title to the program, and a good one to the database", n)
		}
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
}
