package sqlite

import (
	"os"
	"slices"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/seed"
)

// What the questions of testdata must reach: the share with a right document among the first five, and the mean of
// 1/rank of the first right one. Whoever changes the ranking moves them up, or says why not.
const (
	floorRecall = 0.96
	floorRank   = 0.85
)

// foreign are documents of what the starter set lacks.
func foreign() []knowledge.Document {
	rule := func(id, title, text string) knowledge.Document {
		r := &knowledge.Rule{RuleID: id, Category: "security", Title: title, Description: text, IsActive: true}
		r.Normalize()
		return r
	}
	return []knowledge.Document{
		rule("OWN-CPP", "Say in C++ who owns what",
			"Use std::unique_ptr for ownership, and plain pointers for what somebody else owns."),
		rule("OWN-EQ", "Compare without conversion",
			"The equality of two values of different types is full of surprises, so compare values of one type."),
		rule("OWN-CS", "Dispose in C# of what you open", "Put every disposable object into a using statement."),
		rule("OWN-S3", "Grant single actions",
			"A role with s3:* may also delete the bucket, so a policy names each action that its holder needs."),
		rule("OWN-ORM", "Load what belongs together at once",
			"A list of orders that loads the customer of each is n+1 queries, where one with a join is enough."),
		rule("OWN-DE", "Abhängigkeiten in kleinen Schritten aktualisieren",
			"Die Größe einer Änderung entscheidet darüber, ob sie gelesen wird. Eine Abhängigkeit wird nicht erst "+
				"dann aktualisiert, wenn es eilt."),
		rule("OWN-FR", "Aucune donnée personnelle dans les journaux",
			"Les journaux ne contiennent ni noms ni adresses, et les valeurs sensibles sont masquées avant "+
				"l'écriture."),
		rule("OWN-ES", "Revisiones de código pequeñas", //nolint:misspell // Spanish
			"Cada cambio debe poder leerse en media hora, y las revisiones grandes se dividen."), //nolint:misspell // Spanish
		rule("OWN-ZH", "保持数据库事务简短", "不要在数据库事务中等待外部服务的响应。"),
		rule("OWN-JA", "秘密をログに出さない", "ログ出力の前にトークンを伏せる。"),
		rule("OWN-KO", "데이터베이스 트랜잭션을 짧게", "트랜잭션 안에서 외부 호출을 기다리지 않는다."),
	}
}

// A posed question is a line of testdata/questions.txt.
type posed struct {
	kind, text  string
	want, never []string
}

func posedQuestions(t *testing.T) []posed {
	t.Helper()
	b, err := os.ReadFile("testdata/questions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []posed
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		kind, rest, ok := strings.Cut(line, ": ")
		text, answers, _ := strings.Cut(rest, " => ")
		if !ok {
			t.Fatalf("no question: %s", line)
		}
		p := posed{kind: kind, text: text}
		for i, id := range strings.Fields(strings.TrimPrefix(answers, "! ")) {
			if i == 0 && strings.HasPrefix(answers, "! ") {
				p.never = append(p.never, id)
			} else {
				p.want = append(p.want, id)
			}
		}
		list = append(list, p)
	}
	return list
}

func TestQuestionsFindTheirDocuments(t *testing.T) {
	s := openTest(t, Options{})
	docs, err := seed.Documents()
	if err != nil {
		t.Fatal(err)
	}
	var ops []knowledge.Op
	for _, d := range append(docs, foreign()...) {
		ops = append(ops, knowledge.Put(d, knowledge.AnyVersion))
	}
	apply(t, s, ops...)
	right, ranks, wanted := 0, 0.0, 0
	list := posedQuestions(t)
	for _, p := range list {
		hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: p.text, Limit: 10})
		if err != nil {
			t.Errorf("%s: %v", p.text, err)
			continue
		}
		rank, bad := 0, false
		var ids []string
		for i, h := range hits.Hits {
			id := h.Record.Key.ID
			ids = append(ids, id)
			if rank == 0 && slices.Contains(p.want, id) {
				rank = i + 1
			}
			bad = bad || i < 5 && slices.Contains(p.never, id)
		}
		if p.want == nil {
			if hits.Reading.Matched != knowledge.MatchedAll {
				right++
			} else {
				t.Logf("%s: %s is said to hold all of it", p.text, ids[0])
			}
			continue
		}
		wanted++
		if rank > 0 {
			ranks += 1 / float64(rank)
		}
		if rank == 0 || rank > 5 || bad {
			t.Logf("%s %q: the first right one is at %d of %v", p.kind, p.text, rank, ids)
			continue
		}
		right++
	}
	recall, mean := float64(right)/float64(len(list)), ranks/float64(wanted)
	t.Logf("%d questions: recall@5 %.3f, MRR@10 %.3f", len(list), recall, mean)
	if recall < floorRecall || mean < floorRank {
		t.Errorf("recall@5 %.3f, want %.2f; MRR@10 %.3f, want %.2f", recall, floorRecall, mean, floorRank)
	}
}
