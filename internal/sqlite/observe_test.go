package sqlite

import (
	"strings"
	"sync"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store/storetest"
)

// heard notes the statements that an observer was told of.
type heard struct {
	mu         sync.Mutex // guards statements
	statements map[string]int
}

func (h *heard) QueryDone(statement string, d time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d >= 0 && err == nil {
		h.statements[statement]++
	}
}

func TestStatementsAreObservedAndSlowOnesExplained(t *testing.T) {
	h := &heard{statements: map[string]int{}}
	var mu sync.Mutex
	slow := map[string]SlowQuery{}
	s := openTest(t, Options{Observer: h, SlowQuery: time.Nanosecond, Slow: func(q SlowQuery) {
		mu.Lock()
		defer mu.Unlock()
		if _, again := slow[q.Statement]; again {
			t.Errorf("%s was told twice", q.Statement)
		}
		slow[q.Statement] = q
	}})
	rule := storetest.Rule()
	put(t, s, general(), rule)
	for range 3 {
		if _, err := s.Get(t.Context(), rule.Key()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.List(t.Context(), knowledge.Query{
			Kind:     knowledge.KindRule,
			Category: rule.Category,
		}); err != nil {
			t.Fatal(err)
		}
	}
	if h.statements["apply"] != 1 || h.statements["get"] != 3 || h.statements["list.rules"] != 3 {
		t.Errorf("heard of %v, want one apply and three of each read", h.statements)
	}
	if q := slow["list.rules"]; !strings.Contains(q.Plan, "rules_by_category_house") || q.SQL == "" || q.Duration <= 0 {
		t.Errorf("told of the slow list: %+v, want its plan", q)
	}
}
