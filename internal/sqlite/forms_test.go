package sqlite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tenet/internal/knowledge"
)

func TestAnAbbreviationIsFoundInItsPlural(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general(), wordy(1, "fixes of CVEs"), wordy(2, "each CVE has an owner"), wordy(3, "limits of CPUs"),
		wordy(4, "the load of a CPU"), wordy(5, "links by http"), wordy(6, "links by https"), wordy(7, "style in css"),
		wordy(8, "a cs of another thing"))
	for word, want := range map[string][]string{
		"cve": {"rule-000001", "rule-000002"}, "CVEs": {"rule-000001", "rule-000002"},
		"cpus": {"rule-000003", "rule-000004"}, "cpu": {"rule-000003", "rule-000004"},
		"http": {"rule-000005"}, "https": {"rule-000006"}, "css": {"rule-000007"},
	} {
		got := found(t, s, knowledge.SearchQuery{Text: word, Literal: true})
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s finds %v, want %v", word, got, want)
		}
	}
}

func TestAWordIsFoundInsideOfACompound(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general(), wordy(1, "Die Fehlerbehandlung gehört dazu"), wordy(2, "rückwärtsverträglich ausrollen"),
		wordy(3, "the multithreaded ones"), wordy(4, "unverhandelbar, Sonderbehandlungen"))
	for word, want := range map[string]struct {
		ids  []string
		used string
	}{
		"Behandlung":  {[]string{"rule-000001", "rule-000004"}, "fehlerbehandlung"},
		"rückwärts":   {[]string{"rule-000002"}, "ruckwartsvertraglich"},
		"verträglich": {[]string{"rule-000002"}, "ruckwartsvertraglich"},
		"multi":       {[]string{"rule-000003"}, "multithreaded"},
		"ehand":       {nil, ""},
	} {
		hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: word})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, h := range hits.Hits {
			ids = append(ids, h.Record.Key.ID)
		}
		slices.Sort(ids)
		used := ""
		if c := hits.Reading.SearchedFor; len(c) > 0 {
			used = c[0].Used
		}
		if !slices.Equal(ids, want.ids) || used != want.used {
			t.Errorf("%s finds %v by %q, want %v by %q", word, ids, used, want.ids, want.used)
		}
	}
}

// A question of many words that no document has would otherwise take as many scans of all the words of the index.
func TestTheWordsOfTheIndexAreReadOnceForAllUnknownWords(t *testing.T) {
	h := &heard{statements: map[string]int{}}
	s := openTest(t, Options{Observer: h})
	put(t, s, general())
	for i := range 2 * waitingMax {
		put(t, s, wordy(i, "Die Fehlerbehandlung"))
	}
	unknown := "xylophone quarkteilchen zwiebelmuster kirchturmuhr fruehlingsfest wintergarten Behandlung Felherbehandlung"
	ask := func() {
		h.statements = map[string]int{}
		if got := found(t, s, knowledge.SearchQuery{Text: unknown}); len(got) == 0 {
			t.Error("nothing is found")
		}
	}
	if ask(); h.statements["search.vocabulary"] != 1 || h.statements["search.similar"] > 0 {
		t.Errorf("the statements were %v", h.statements)
	}
	if ask(); h.statements["search.vocabulary"] != 0 {
		t.Errorf("the words were read again: %v", h.statements)
	}
	for i := range 2 * waitingMax {
		put(t, s, wordy(1000+i, "Die Kirchturmuhren"))
	}
	if ask(); h.statements["search.vocabulary"] != 1 {
		t.Errorf("new words were not read: %v", h.statements)
	}
	hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "Turmuhren"})
	if err != nil || hits.Total == 0 {
		t.Errorf("a new word is not found in a compound: %v", err)
	}
}

func TestAPathFindsFirstWhatWasImportedFromThere(t *testing.T) {
	s := openTest(t, Options{})
	from := func(i int, path, title, text string) *knowledge.Rule {
		r := wordy(i, text)
		r.Title, r.Extra = title, map[string]any{knowledge.ImportedFrom: map[string]any{"source": "x", "path": path}}
		return r
	}
	put(t, s, general())
	for i := range 20 { // where each word says little, they decide little
		put(t, s, wordy(100+i, "something else"))
	}
	put(t, s, from(1, "guide/docs/errors/handling.md", "What to do when it fails", "Say why."),
		from(2, "docs/errors/README.md", "Docs of errors", "See docs/errors/handling.md, docs/errors/handling.md and "+
			"docs/errors/handling.md."),
		wordy(3, "docs/errors/handling.md is about errors and their handling, and docs/errors has more docs"),
		from(4, "src/app/client.go", "Client and server", "client/server"))
	for path, want := range map[string]string{
		"docs/errors/handling.md": "rule-000001", "/home/x/guide/docs/errors/Handling.md:12": "rule-000001",
		`docs\errors\handling.md`: "rule-000001", "what says docs/errors/handling.md?": "rule-000001",
		"docs/errors/README.md": "rule-000002", "client/server": "rule-000004",
	} {
		if got := found(t, s, knowledge.SearchQuery{Text: path}); len(got) == 0 || got[0] != want {
			t.Errorf("%s finds %v, want %s first", path, got, want)
		}
	}
}

func TestKanaAreFoundInTheOtherScript(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general(), wordy(1, "メールアドレスはログに出力しない"),
		wordy(2, "ひらがなのテスト"))
	for word, want := range map[string]string{
		"めーるあどれす": "rule-000001", "ろぐ": "rule-000001",
		"ﾒｰﾙ": "rule-000001", "ヒラガナ": "rule-000002",
	} {
		if got := found(t, s, knowledge.SearchQuery{Text: word}); !slices.Equal(got, []string{want}) {
			t.Errorf("%s finds %v, want %s", word, got, want)
		}
	}
}

// Each word that a beginning stands for has a list in each chunk: many beginnings would read the whole index.
func TestManyBeginningsShareTheWordsThatTheyStandFor(t *testing.T) {
	s := openTest(t, Options{})
	var words, beginnings strings.Builder
	for i := range 100 {
		fmt.Fprintf(&words, "s%03d ", i)
	}
	put(t, s, general(), wordy(1, words.String()))
	for c := 'a'; c <= 'z'; c++ {
		fmt.Fprintf(&beginnings, " OR %c*", c)
	}
	for text, bounded := range map[string]bool{"s*": false, "s* OR a* OR b*": false, beginnings.String()[4:]: true} {
		hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: text})
		if err != nil || len(hits.Hits) == 0 || hits.Bounded != bounded {
			t.Errorf("%s: %+v, %v, want hits, and bounded %v", text, hits, err, bounded)
		}
	}
}
