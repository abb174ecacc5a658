package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"sync"

	"tenet/internal/knowledge"
)

// A waiting caches the entries of waiting documents. An entry never changes.
type waiting struct {
	mu    sync.Mutex // guards known
	known map[int64]*indexed
}

func (w *waiting) load() map[int64]*indexed {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known
}

func (w *waiting) store(known map[int64]*indexed) {
	if w != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.known = known
	}
}

// waiting returns the waiting documents, in the order of their numbers.
func (v view) waiting(ctx context.Context) ([]int64, []*indexed, error) {
	var numbers []int64
	err := v.query(ctx, "search.waiting", "SELECT number FROM search_waiting ORDER BY number",
		nil, func(r *sql.Rows) error {
			var n int64
			err := r.Scan(&n)
			numbers = append(numbers, n)
			return err
		})
	if err != nil || len(numbers) == 0 {
		return nil, nil, err
	}
	known := v.r.waits.load()
	list := make([]*indexed, len(numbers))
	var missing []int64
	for i, n := range numbers {
		if list[i] = known[n]; list[i] == nil {
			missing = append(missing, n)
		}
	}
	if len(missing) == 0 {
		return numbers, list, nil
	}
	err = v.query(ctx, "search.entries", "SELECT number, entry FROM search_waiting WHERE number IN (SELECT value "+
		"FROM json_each(?))",
		[]any{asJSON(missing)}, func(r *sql.Rows) error {
			var n int64
			var b []byte
			if err := r.Scan(&n, &b); err != nil {
				return err
			}
			x, err := decodeIndexed(b)
			if i, ok := slices.BinarySearch(numbers, n); ok {
				list[i] = x
			}
			return err
		})
	if err != nil {
		return nil, nil, err
	}
	fresh := make(map[int64]*indexed, len(numbers))
	for i, n := range numbers {
		fresh[n] = list[i]
	}
	v.r.waits.store(fresh)
	return numbers, list, nil
}

// prefixRange returns the bounds of the terms with a prefix.
func prefixRange(prefix string) (from, to string) { return prefix, prefix + "\U0010ffff" }

// terms returns the terms with a prefix, and whether there are more than most.
func (v view) terms(ctx context.Context, prefix string, most int, waiting []*indexed) ([]string, bool, error) {
	from, to := prefixRange(prefix)
	set := map[string]bool{}
	err := v.query(ctx, "search.terms", "SELECT term FROM search_terms WHERE term >= ? AND term < ? LIMIT ?",
		[]any{from, to, most + 1}, func(r *sql.Rows) error {
			var term string
			err := r.Scan(&term)
			set[term] = true
			return err
		})
	if err != nil {
		return nil, false, err
	}
	for _, x := range waiting {
		i, _ := slices.BinarySearchFunc(x.entry.Postings, prefix,
			func(p knowledge.Posting, want string) int { return cmp.Compare(p.Term, want) })
		for ; i < len(x.entry.Postings) && strings.HasPrefix(x.entry.Postings[i].Term, prefix); i++ {
			set[x.entry.Postings[i].Term] = true
		}
	}
	list := slices.Sorted(maps.Keys(set))
	return list[:min(len(list), most)], len(list) > most, nil
}

// maxBeginnings is the largest number of words that a prefix stands for, in alphabetical order.
const maxBeginnings = 512

// maxBegun is the largest number of words that all prefixes of a question stand for: each has a list in each chunk.
const maxBegun = 4 * maxBeginnings
