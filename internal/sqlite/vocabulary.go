package sqlite

import (
	"context"
	"database/sql"
	"iter"
	"sort"
	"strings"
	"sync"
)

// maxVocabulary is the largest number of words that a vocabulary holds.
const maxVocabulary = 500_000

// A vocabulary is the words of an index, in alphabetical order, in one text: reading them row by row, for each word of
// a question that no document has, would take most of the time of a search.
type vocabulary struct {
	text string // a line feed before each word, and one at the end
	last int64  // the last number of a term when it was read
	cut  bool   // the index has more words
}

// A vocabularies keeps the last vocabulary that was read from a file.
type vocabularies struct {
	mu   sync.Mutex // guards held
	held *vocabulary
}

func (y *vocabularies) load() *vocabulary {
	if y == nil {
		return nil
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.held
}

func (y *vocabularies) store(fresh *vocabulary) {
	if y != nil {
		y.mu.Lock()
		defer y.mu.Unlock()
		y.held = fresh
	}
}

// vocabulary returns the words of the index. Those of a question are compared with them only if no document has them.
func (v view) vocabulary(ctx context.Context) (*vocabulary, error) {
	var last int64
	err := v.query(ctx, "search.last", "SELECT value FROM meta WHERE key = '"+lastTerm+"'", nil,
		func(r *sql.Rows) error { return r.Scan(&last) })
	if err != nil {
		return nil, err
	}
	if held := v.r.words.load(); held != nil && held.last == last {
		return held, nil
	}
	fresh := &vocabulary{last: last}
	err = v.query(ctx, "search.vocabulary", "SELECT group_concat(term, ?) FROM "+
		"(SELECT term FROM search_terms WHERE term >= 'a' ORDER BY term LIMIT ?)",
		[]any{"\n", maxVocabulary}, func(r *sql.Rows) error {
			var text sql.NullString
			err := r.Scan(&text)
			fresh.text = "\n" + text.String + "\n"
			return err
		})
	if err != nil {
		return nil, err
	}
	fresh.cut = strings.Count(fresh.text, "\n") > maxVocabulary
	v.r.words.store(fresh)
	return fresh, nil
}

// beginning yields the words that begin with a text.
func (y *vocabulary) beginning(start string) iter.Seq[string] {
	return func(yield func(string) bool) {
		after := func(at int) string { return y.text[at+strings.IndexByte(y.text[at:], '\n')+1:] }
		at := sort.Search(len(y.text)-1, func(at int) bool {
			rest := after(at)
			return rest == "" || rest >= start
		})
		for rest := after(at); strings.HasPrefix(rest, start); {
			end := strings.IndexByte(rest, '\n')
			if !yield(rest[:end]) {
				return
			}
			rest = rest[end+1:]
		}
	}
}

// holding yields the words that hold a text.
func (y *vocabulary) holding(part string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := y.text; ; {
			at := strings.Index(rest, part)
			if at < 0 {
				return
			}
			from, to := strings.LastIndexByte(rest[:at], '\n')+1, at+strings.IndexByte(rest[at:], '\n')
			if !yield(rest[from:to]) {
				return
			}
			rest = rest[to:]
		}
	}
}
