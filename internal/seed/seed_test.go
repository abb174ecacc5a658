package seed

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"tenet/internal/knowledge"
)

func load(t *testing.T) []knowledge.Document {
	t.Helper()
	docs, err := Documents()
	if err != nil {
		t.Fatalf("Documents() = %v, want the starter set", err)
	}
	return docs
}

func ofType[T knowledge.Document](docs []knowledge.Document) []T {
	var out []T
	for _, d := range docs {
		if v, ok := d.(T); ok {
			out = append(out, v)
		}
	}
	return out
}

// inCategory reports whether a document is of a kind that stands in categories and has tags.
func inCategory(d knowledge.Document) bool {
	return d.Key().Kind != knowledge.KindCategory && d.Key().Kind != knowledge.KindPack
}

func TestStarterSetHoldsEnoughOfEveryKind(t *testing.T) {
	docs := load(t)
	for _, c := range []struct {
		kind      knowledge.Kind
		got, want int
	}{
		{knowledge.KindCategory, len(ofType[*knowledge.Category](docs)), 23},
		{knowledge.KindRule, len(ofType[*knowledge.Rule](docs)), 100},
		{knowledge.KindPractice, len(ofType[*knowledge.Practice](docs)), 52},
		{knowledge.KindTemplate, len(ofType[*knowledge.Template](docs)), 32},
		{knowledge.KindPack, len(ofType[*knowledge.Pack](docs)), 8},
	} {
		t.Logf("%d %s", c.got, c.kind.Plural())
		if c.got < c.want {
			t.Errorf("%d %s, want at least %d", c.got, c.kind.Plural(), c.want)
		}
	}
	withRules := map[string]bool{}
	for _, r := range ofType[*knowledge.Rule](docs) {
		withRules[r.Category] = true
	}
	if len(withRules) < 23 {
		t.Errorf("rules in %d categories, want at least 23", len(withRules))
	}
}

func TestDocumentsAreInOrderAndUnstamped(t *testing.T) {
	order := map[knowledge.Kind]int{}
	for i, p := range patterns() {
		order[p.kind] = i
	}
	var last knowledge.Key
	for i, d := range load(t) {
		k := d.Key()
		if i > 0 && (order[k.Kind] < order[last.Kind] || k.Kind == last.Kind && k.ID <= last.ID) {
			t.Errorf("%s stands behind %s, want kinds in order and ids ascending, each once", k, last)
		}
		if diff := cmp.Diff(knowledge.Stamp{}, *d.Stamps()); diff != "" {
			t.Errorf("%s is stamped (-want +got):\n%s", k, diff)
		}
		if !d.Active() {
			t.Errorf("%s is retired, want it active", k)
		}
		last = k
	}
}

func TestEveryCategoryExistsAndIsUsed(t *testing.T) {
	docs := load(t)
	unused := map[string]bool{}
	for _, c := range ofType[*knowledge.Category](docs) {
		unused[c.ID] = true
		if c.Description == "" {
			t.Errorf("category %s has no description", c.ID)
		}
	}
	known := maps.Clone(unused)
	for _, d := range docs {
		if !inCategory(d) {
			continue
		}
		if !known[d.CategoryID()] {
			t.Errorf("%s is in category %q, which does not exist", d.Key(), d.CategoryID())
		}
		delete(unused, d.CategoryID())
	}
	for id := range unused {
		t.Errorf("category %s has no documents", id)
	}
}

// A document stands in the file that is named like its category, where an editor will look for it.
func TestDocumentsStandInTheFileOfTheirCategory(t *testing.T) {
	for _, p := range patterns() {
		if !strings.Contains(p.glob, "*") {
			continue // one file for all of the kind
		}
		names, err := files.ReadDir(path.Dir(p.glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := files.ReadFile(path.Dir(p.glob) + "/" + name.Name())
			if err != nil {
				t.Fatal(err)
			}
			docs, err := decode(p.kind, data)
			if err != nil {
				t.Fatalf("%s/%s: %v", p.kind.Plural(), name.Name(), err)
			}
			for _, d := range docs {
				if got, want := d.CategoryID()+".yaml", name.Name(); got != want {
					t.Errorf("%s stands in %s, want %s", d.Key(), want, got)
				}
			}
		}
	}
}

func TestEveryRuleSaysWhyAndShowsHow(t *testing.T) {
	id := regexp.MustCompile(`^[A-Z]{2,4}-\d{3}$`)
	always := 0
	for _, r := range ofType[*knowledge.Rule](load(t)) {
		if !id.MatchString(r.RuleID) {
			t.Errorf("%s: want an id such as SEC-001", r.RuleID)
		}
		if n := sentences(r.Description); n < 3 || n > 8 {
			t.Errorf("%s: description of %d sentences, want 3 to 8", r.RuleID, n)
		}
		if r.ViolationsConsequence == "" {
			t.Errorf("%s: no violations_consequence", r.RuleID)
		}
		if len(r.Examples) == 0 || len(r.AntiPatterns) == 0 {
			t.Errorf("%s: %d examples and %d anti-patterns, want one of each at least", r.RuleID, len(r.Examples),
				len(r.AntiPatterns))
		}
		if r.Scope.Activation == "glob" && len(r.Scope.Globs) == 0 {
			t.Errorf("%s: activated by glob, but has none", r.RuleID)
		}
		if r.Scope.Activation == "always" {
			always++
		}
		checkExamples(t, r.Key(), slices.Concat(r.Examples, r.AntiPatterns))
	}
	if always == 0 || always > 8 {
		t.Errorf("%d rules hold always, want a handful: each costs every assistant room", always)
	}
}

func TestEveryPracticeSaysWhatForHowAndWhereToReadOn(t *testing.T) {
	required := 0
	for _, p := range ofType[*knowledge.Practice](load(t)) {
		if len(p.Benefits) < 3 {
			t.Errorf("%s: %d benefits, want at least 3", p.PracticeID, len(p.Benefits))
		}
		if !regexp.MustCompile(`(?m)^1\. `).MatchString(p.ImplementationGuide) {
			t.Errorf("%s: the guide has no numbered steps", p.PracticeID)
		}
		if len(p.References) == 0 {
			t.Errorf("%s: no references", p.PracticeID)
		}
		for _, r := range p.References {
			if u, err := url.Parse(r.URL); r.Title == "" || err != nil || u.Scheme != "https" || u.Host == "" {
				t.Errorf("%s: reference %q %q, want a title and an https address", p.PracticeID, r.Title, r.URL)
			}
		}
		if p.IsRequired {
			required++
		}
		checkExamples(t, p.Key(), slices.Concat(p.Examples, p.AntiPatterns))
	}
	if required == 0 || required > 10 {
		t.Errorf("%d practices are required, want a few", required)
	}
}

func TestTagsAreKebab(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	for _, d := range load(t) {
		if !inCategory(d) {
			continue
		}
		tags := d.Text().Tags[1:] // the first is the category
		if len(tags) == 0 {
			t.Errorf("%s has no tags", d.Key())
		}
		for _, tag := range tags {
			if !kebab.MatchString(tag) {
				t.Errorf("%s: tag %q, want lower-case words joined by hyphens", d.Key(), tag)
			}
		}
	}
}

// sentences counts what ends like a sentence and is followed by another or by nothing.
func sentences(s string) int {
	return len(regexp.MustCompile(`[.!?](\s+[A-Z0-9"]|\s*$)`).FindAllString(strings.NewReplacer("e.g. ", "", "i.e. ",
		"").Replace(s), -1))
}

func checkExamples(t *testing.T, key knowledge.Key, list []knowledge.Example) {
	t.Helper()
	for _, e := range list {
		if e.Title == "" {
			t.Errorf("%s: an example without a title", key)
		}
		if e.Code != "" && e.Language == "" {
			t.Errorf("%s: %q has code but no language", key, e.Title)
		}
		if err := checkCode(e); err != nil {
			t.Errorf("%s: %q: %v\n%s", key, e.Title, err, e.Code)
		}
	}
}

// checkCode parses code of the languages that can be parsed here. The parser of go/format takes whole files, lists of
// declarations and lists of statements.
func checkCode(e knowledge.Example) error {
	switch e.Language {
	case "go":
		formatted, err := format.Source([]byte(e.Code))
		if err != nil {
			return err
		}
		if diff := cmp.Diff(string(formatted), e.Code); diff != "" {
			return fmt.Errorf("not as gofmt writes it (-want +got):\n%s", diff)
		}
	case "json":
		if !json.Valid([]byte(e.Code)) {
			return errors.New("not valid JSON")
		}
	case "yaml":
		var v any
		return yaml.Unmarshal([]byte(e.Code), &v)
	}
	return nil
}

func TestRecordsAreFirstVersionsOfTheStarterSet(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	records, err := Records(at)
	if err != nil {
		t.Fatalf("Records() = %v", err)
	}
	docs := slices.DeleteFunc(load(t), func(d knowledge.Document) bool { return StackOf(d) != "" })
	if len(records) != len(docs) {
		t.Fatalf("%d records, want one for each of %d documents", len(records), len(docs))
	}
	want := knowledge.Stamp{
		CreatedBy: Actor, CreatedAt: knowledge.At(at), UpdatedBy: Actor, UpdatedAt: knowledge.At(at), Version: 1,
	}
	for i, r := range records {
		if r.Key != docs[i].Key() || r.Version != 1 || r.Source != knowledge.SourceSeed ||
			!r.Updated.Equal(want.UpdatedAt.Time) {
			t.Errorf("record %s version %d source %s of %s, want %s version 1 source seed of %s",
				r.Key, r.Version, r.Source, r.Updated, docs[i].Key(), want.UpdatedAt)
		}
		d, err := r.Document()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, *d.Stamps()); diff != "" {
			t.Errorf("%s: stamps (-want +got):\n%s", r.Key, diff)
		}
	}
}

func TestWholeStarterSetFitsOneBatch(t *testing.T) {
	b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: Actor}
	for _, d := range load(t) {
		b.Ops = append(b.Ops, knowledge.Put(d, knowledge.NoVersion))
	}
	if err := b.Validate(); err != nil {
		t.Errorf("the starter set as one batch: %v", err)
	}
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"unknown key", "- category_id: a\n  title: A\n", "/title: unknown field"},
		{"wrong type", "- category_id: a\n  name: [A]\n", "/name: an array: want a string"},
		{
			"invalid value", "\n- category_id: a b\n  name: A\n",
			"categories.yaml: category at line 2: invalid: /category_id",
		},
		{"key twice", "- category_id: a\n  category_id: b\n", `"category_id" already defined`},
		{"no list", "category_id: a\n", "want a YAML list of documents"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := fstest.MapFS{"data/categories.yaml": {Data: []byte(c.yaml)}}
			_, err := documents(fsys)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("documents() = %v, want an error with %q", err, c.want)
			}
		})
	}
}
