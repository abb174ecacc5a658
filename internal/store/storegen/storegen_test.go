package storegen

import (
	"slices"
	"strings"
	"testing"

	"tenet/internal/knowledge"
)

func TestGeneratedDocumentsAreValidAndThereForTheSameSeedAgain(t *testing.T) {
	const n = 2000
	var ids []knowledge.Key
	categories := map[string]bool{}
	var texts [2][]string
	for i := range texts {
		for d := range Generate(7, n) {
			if err := d.Validate(); err != nil {
				t.Fatalf("%s: %v", d.Key(), err)
			}
			b, err := knowledge.Canonical(d)
			if err != nil {
				t.Fatal(err)
			}
			texts[i] = append(texts[i], string(b))
			if c, ok := d.(*knowledge.Category); ok {
				categories[c.ID] = true
			} else if !categories[d.CategoryID()] {
				t.Fatalf("%s belongs to %q, which did not come before it", d.Key(), d.CategoryID())
			}
			if i == 0 {
				ids = append(ids, d.Key())
			}
		}
	}
	if !slices.Equal(texts[0], texts[1]) {
		t.Error("the same seed gave other documents")
	}
	if len(ids) != n+len(categories) || len(categories) != 40 {
		t.Errorf("%d documents and %d categories", len(ids)-len(categories), len(categories))
	}
	seen := map[knowledge.Key]bool{}
	for _, k := range ids {
		if seen[k] {
			t.Fatalf("%s came twice", k)
		}
		seen[k] = true
	}
	for d := range Generate(8, 100) {
		if d.Key().Kind != knowledge.KindCategory && seen[d.Key()] {
			t.Fatalf("%s came with two seeds", d.Key())
		}
	}
}

func TestGeneratedTextsAreLikeThoseOfLife(t *testing.T) {
	const n = 4000
	common, rare, bytes := 0, 0, 0
	sizes := [2]int{1 << 30, 0}
	byCategory := map[string]int{}
	kinds := map[knowledge.Kind]int{}
	severities := map[string]int{}
	want := RareWord(11)
	for d := range Generate(1, n) {
		if d.Key().Kind == knowledge.KindCategory {
			continue
		}
		x := d.Text()
		text := strings.Join([]string{x.Title, x.Lead, x.Body}, "\n")
		if strings.Contains(text, CommonWord) {
			common++
		}
		if strings.Contains(text, want) {
			rare++
		}
		bytes += len(text)
		sizes = [2]int{min(sizes[0], len(text)), max(sizes[1], len(text))}
		byCategory[d.CategoryID()]++
		kinds[d.Key().Kind]++
		if r, ok := d.(*knowledge.Rule); ok {
			severities[r.Severity]++
		}
	}
	if common < n*4/10 || common > n*7/10 {
		t.Errorf("%q stands in %d of %d documents", CommonWord, common, n)
	}
	if rare > n/200 {
		t.Errorf("%q stands in %d of %d documents", want, rare, n)
	}
	if mean := bytes / n; mean < 1600 || mean > 2600 || sizes[0] < 400 || sizes[1] > 5<<10 {
		t.Errorf("texts have %d bytes on average, from %d to %d", bytes/n, sizes[0], sizes[1])
	}
	if first := byCategory[subjects[0]]; first < n/10 || first < 4*byCategory[subjects[20]] || len(byCategory) < 35 {
		t.Errorf("categories: %v", byCategory)
	}
	if kinds[knowledge.KindRule] != n*8/10 || len(kinds) != 3 || len(severities) != 4 {
		t.Errorf("kinds %v, severities %v", kinds, severities)
	}
}

func TestRareWordsDiffer(t *testing.T) {
	seen := map[string]int{}
	for i := range rareWords {
		w := RareWord(i)
		if other, ok := seen[w]; ok {
			t.Fatalf("%q is word %d and word %d", w, other, i)
		}
		seen[w] = i
	}
}

func BenchmarkGenerate(b *testing.B) {
	b.ReportAllocs()
	n := 0
	for range Generate(1, b.N) {
		n++
	}
	if n < b.N {
		b.Fatal("too few")
	}
}
