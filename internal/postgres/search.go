package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Bounds of a search. An instance searches its mirror; PostgreSQL is used only while there is none.
const (
	maxCandidates = 500  // of each query: the first in house order
	maxCounted    = 5000 // documents with a word are counted up to this number
	maxRanked     = 120  // documents that are read and ranked; with a phrase or a beginning all candidates
)

// A candidate is a match whose document has not been read yet.
type candidate struct {
	key         knowledge.Key
	rank        int64
	title, tags string
	score       float64
}

// Search implements [store.Store]: some statements find candidates, one reads those worth ranking. For words that no
// document has others are suggested, not looked for; facets are not counted.
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	q, question, err := q.Check()
	if err != nil {
		return nil, err
	}
	frequency, documents, err := frequencies(ctx, s, question)
	if err != nil {
		return nil, err
	}
	scorer := question.Scorer(documents, frequency)
	list, bounded, err := candidates(ctx, s, &q, question)
	if err != nil {
		return nil, err
	}
	total := len(list)
	shortlist(scorer, list)
	ranked := rankedOf(question)
	list = list[:min(len(list), max(ranked, q.Offset()+q.Limit))]
	keys := make([]knowledge.Key, len(list))
	ranks := make(map[knowledge.Key]int64, len(list))
	for i := range list {
		keys[i], ranks[list[i].key] = list[i].key, list[i].rank
	}
	records, err := s.many(ctx, "search records", keys)
	if err != nil {
		return nil, err
	}
	found, byKey := []knowledge.Found{}, map[knowledge.Key]*knowledge.Record{}
	for _, rec := range records {
		f, ok, err := look(question, scorer, rec)
		if err != nil {
			return nil, s.contractual(ctx, &scanError{err})
		}
		if !ok {
			total--
			continue
		}
		f.Rank, byKey[rec.Key] = ranks[rec.Key], rec
		found = append(found, f)
	}
	sortFound(found, ranked)
	from := min(q.Offset(), len(found))
	page := knowledge.PageOf(found[from:min(from+q.Limit, len(found))], byKey)
	hits := &knowledge.Hits{Source: knowledge.SourcePrimary, Total: total, Bounded: bounded}
	if hits.Hits, err = scorer.Hits(page, byKey); err != nil {
		return nil, s.contractual(ctx, &scanError{err})
	}
	if hits.Reading, err = reading(ctx, s, &q, question, scorer, page, frequency); err != nil {
		return nil, err
	}
	if next := from + len(page); next < len(found) {
		hits.Next = q.NextCursor(next)
	}
	return hits, nil
}

// rankedOf returns how many candidates are read and ranked: all of those of a phrase or a beginning.
func rankedOf(question *knowledge.Question) int {
	for _, c := range slices.Concat(question.Must, question.Not) {
		if inexact(question, c) {
			return 3 * maxCandidates
		}
	}
	return maxRanked
}

// sortFound sorts the first hits by score. The others keep the order of title and tags, so that a page does not depend
// on the page requested before, and their scores are capped so that scores never increase.
func sortFound(found []knowledge.Found, first int) {
	top := min(first, len(found))
	slices.SortFunc(found[:top], func(a, b knowledge.Found) int { return knowledge.CompareFound(&a, &b) })
	for i := max(top, 1); i < len(found); i++ {
		found[i].Score = min(found[i].Score, found[i-1].Score)
	}
}

// look ranks a document by its whole text.
func look(question *knowledge.Question, scorer *knowledge.Scorer,
	rec *knowledge.Record,
) (f knowledge.Found, ok bool, err error) {
	doc, err := rec.Document()
	if err != nil {
		return f, false, err
	}
	e := knowledge.NewEntry(doc)
	mask, title, sum := scorer.Look(e)
	if !scorer.Accepts(mask) {
		return f, false, nil
	}
	shape := knowledge.Shape{Title: e.Title, Words: e.Words}
	score := scorer.Final(sum, mask, title, shape) +
		scorer.Near(mask, func(slot int) []uint32 { return question.Places(slot, e) })
	return knowledge.Found{Score: knowledge.Round(score), Mask: mask, Title: title, Shape: shape, Key: rec.Key}, true,
		nil
}

// shortlist moves the candidates with the best titles and tags to the front.
func shortlist(scorer *knowledge.Scorer, list []candidate) {
	for i := range list {
		c := &list[i]
		e := knowledge.NewEntry(&knowledge.Rule{
			RuleID: c.key.ID, Title: c.title,
			Common: knowledge.Common{Tags: strings.Fields(c.tags)},
		})
		mask, title, sum := scorer.Look(e)
		c.score += scorer.Final(sum, mask, title, knowledge.Shape{Title: e.Title, Words: 250})
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
}

// frequencies returns approximately how many documents have each slot, and how many documents there are.
func frequencies(ctx context.Context, s *Store, question *knowledge.Question) ([]int, int, error) {
	list := make([]string, len(question.Slots))
	for i := range question.Slots {
		list[i] = slotQuery(&question.Slots[i])
	}
	frequency, documents := make([]int, len(list)), 0
	err := s.query(ctx, "search words", "SELECT w.n, CASE WHEN w.q = '' THEN 1 ELSE (SELECT count(*) FROM (SELECT "+
		"FROM search s WHERE s.vector @@ w.q::tsquery LIMIT $2) AS x) END, "+
		"CASE WHEN t.n >= $2 THEN t.n ELSE (SELECT count(*) FROM (SELECT FROM search LIMIT $2) AS y) END FROM "+
		"(SELECT reltuples::bigint AS n FROM pg_class WHERE oid = 'search'::regclass) AS t, "+
		"unnest($1::text[]) WITH ORDINALITY AS w (q, n)",
		[]any{list, maxCounted}, func(r pgx.Rows) error {
			var n, count, all int
			err := r.Scan(&n, &count, &all)
			if n > 0 && n <= len(frequency) {
				frequency[n-1] = count
			}
			documents = max(documents, all, count)
			return err
		})
	return frequency, documents, err
}

// candidates returns the documents that have all the words, and if these are few, those that have some, titles first.
func candidates(ctx context.Context, s *Store, q *knowledge.SearchQuery,
	question *knowledge.Question,
) ([]candidate, bool, error) {
	var list []candidate
	seen, bounded := map[knowledge.Key]bool{}, false
	for _, l := range []looking{allWords, anyInTitle, anyWord} {
		sql, args := searchSQL(q, question, l)
		n := 0
		// The words are part of the statement when it is planned: a rare word uses the inverted index, a common one
		// the house order. A generic plan would be wrong for one of them.
		err := s.query(ctx, "search", sql, append([]any{pgx.QueryExecModeCacheDescribe},
			args...), func(r pgx.Rows) error {
			var c candidate
			var kind string
			if err := r.Scan(&kind, &c.key.ID, &c.rank, &c.title, &c.tags); err != nil {
				return err
			}
			c.key.Kind = knowledge.Kind(kind)
			if n++; n > maxCandidates {
				bounded = true
				return nil
			}
			if !seen[c.key] {
				seen[c.key] = true
				c.score = float64(anyWord-l) / 2
				list = append(list, c)
			}
			return nil
		})
		if err != nil || !several(question) {
			return list, bounded, err
		}
	}
	return list, bounded, nil
}

// several reports whether a document may hold some of the wanted words and not all: other words, or parts of a name.
func several(question *knowledge.Question) bool {
	return len(question.Wishes) > 1 || len(question.Wishes) == 1 && len(question.Wishes[0].Parts) > 1
}

// A looking says which of the words a document must have.
type looking int

const (
	allWords looking = iota
	anyInTitle
	anyWord
)

func searchSQL(q *knowledge.SearchQuery, question *knowledge.Question, l looking) (string, []any) {
	b := &statement{}
	if w := wishQuery(question, l); w != "" {
		b.add("s.vector @@ $::tsquery", w)
	}
	for _, c := range question.Must {
		b.anyOf(question, c.Any, "")
	}
	for _, c := range question.Not {
		if !inexact(question, c) {
			b.anyOf(question, c.Any, "NOT ")
		}
	}
	kinds := make([]string, len(q.Kinds))
	for i, k := range q.Kinds {
		kinds[i] = string(k)
	}
	order := "s.rank, s.id, s.kind"
	switch {
	case len(kinds) == 1:
		b.add("s.kind = $", kinds[0])
		order = "s.kind, s.rank, s.id"
	case len(kinds) < len(knowledge.SearchKinds()):
		b.add("s.kind = ANY ($)", kinds)
	}
	if q.Category != "" {
		b.add("s.category = $", q.Category)
	}
	if hidden := knowledge.Listed(q.Without); len(hidden) > 0 {
		b.add("s.category <> ALL ($)", hidden)
	}
	if q.Severity != "" {
		tier := int64(slices.Index(knowledge.Severities(), q.Severity))
		b.add("s.kind = 'rule' AND s.rank >= $ AND s.rank < $", tier*tierSize, (tier+1)*tierSize)
	}
	for _, f := range []struct{ facet, value string }{{"tag", q.Tag}, {"language", q.Language}} {
		if f.value != "" {
			b.add("EXISTS (SELECT FROM facets f WHERE f.kind = s.kind AND f.facet = $ AND f.value = $ AND f.rank = "+
				"s.rank AND f.id = s.id)",
				f.facet, f.value)
		}
	}
	return fmt.Sprintf("SELECT s.kind, s.id, s.rank, s.title, s.tags FROM search s WHERE %s ORDER BY %s LIMIT %d",
		b.conditions(), order, maxCandidates+1), b.args
}

// inexact reports whether a condition has a phrase, a beginning, or a name that a vector may lack. The full-text query
// of one finds more: what holds of a document its words decide.
func inexact(question *knowledge.Question, c knowledge.Condition) bool {
	return slices.ContainsFunc(c.Any, func(i int) bool {
		s := &question.Slots[i]
		field, _, _ := s.Field()
		return field == "" && (len(s.Words) > 1 || s.Prefix != "" || slices.ContainsFunc(s.Words[0],
			func(term string) bool { return knowledge.FormerTerms(term) != nil }))
	})
}

// anyOf adds the condition that one of some slots matches.
func (b *statement) anyOf(question *knowledge.Question, slots []int, not string) {
	var parts []string
	var args []any
	for _, i := range slots {
		s := &question.Slots[i]
		if field, value, prefix := s.Field(); field != "" {
			is, values := " = ANY ($)", []string{value, strings.ToLower(value)}
			if prefix {
				is, values = " LIKE ANY ($)", []string{likePrefix(value)}
			}
			switch field {
			case "tag":
				parts = append(parts, "EXISTS (SELECT FROM facets f WHERE f.kind = s.kind AND f.facet = 'tag' AND "+
					"f.value"+is+" AND f.rank = s.rank AND f.id = s.id)")
			case "id":
				parts = append(parts, "lower(s.id)"+is)
			default:
				parts = append(parts, "s."+field+is)
			}
			args = append(args, values)
			continue
		}
		parts, args = append(parts, "s.vector @@ $::tsquery"), append(args, slotQuery(s))
	}
	b.add(not+"("+strings.Join(parts, " OR ")+")", args...)
}

func likePrefix(text string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(text) + "%"
}

// wishQuery returns the full-text query of the wanted words, "" for none.
func wishQuery(question *knowledge.Question, l looking) string {
	var all []string
	if len(question.Must) > 0 && l != anyInTitle { // then wanted words only rank
		return ""
	}
	for _, w := range question.Wishes {
		var whole, parts []string
		for _, i := range w.Whole {
			whole = append(whole, slotQueryIn(&question.Slots[i], l == anyInTitle))
		}
		for _, i := range w.Parts {
			parts = append(parts, slotQueryIn(&question.Slots[i], l == anyInTitle))
		}
		if len(parts) > 0 {
			sign := " & "
			if l != allWords {
				sign = " | "
			}
			whole = append(whole, "("+strings.Join(parts, sign)+")")
		}
		all = append(all, "("+strings.Join(whole, " | ")+")")
	}
	if l == allWords {
		return strings.Join(all, " & ")
	}
	return strings.Join(all, " | ")
}

func slotQuery(s *knowledge.Slot) string { return slotQueryIn(s, s.Title) }

// slotQueryIn returns the full-text query of a slot, "" for one of a column. A phrase becomes an AND of its words, and
// a beginning also finds words whose stem it goes beyond: ranking checks the document again.
func slotQueryIn(s *knowledge.Slot, title bool) string {
	if field, _, _ := s.Field(); field != "" {
		return ""
	}
	spellings := s.Spellings()
	alike := make([]string, len(spellings))
	for k, words := range spellings {
		prefix := ""
		if k == 0 {
			prefix = s.Prefix
		}
		alike[k] = spellingQuery(words, prefix, title)
	}
	if len(alike) == 1 {
		return alike[0]
	}
	return "(" + strings.Join(alike, " | ") + ")"
}

// spellingQuery returns the full-text query of all of some words, of which the last begins with prefix. Whether they
// are adjacent only the documents tell.
func spellingQuery(list [][]string, prefix string, title bool) string {
	found := func(word, beginning string) string { return wordQuery(word, beginning, title) }
	words := make([]string, 0, len(list))
	for k, terms := range list {
		var alike []string
		if prefix != "" && k == len(list)-1 {
			alike = append(alike, found(prefix, "*"))
			for _, stem := range knowledge.StemsOfBeginning(prefix) {
				alike = append(alike, found(stem, ""))
			}
		}
		for _, t := range terms {
			alike = append(alike, found(t, ""))
			if stem := knowledge.BareStem(t); stem != "" { // vectors hold stems without their mark
				alike = append(alike, found(stem, ""))
			}
			if former := formerQuery(t, title); former != "" {
				alike = append(alike, former)
			}
		}
		if len(alike) == 0 { // accents alone are not a word
			alike = []string{lexeme("\x03")}
		}
		words = append(words, "("+strings.Join(alike, " | ")+")")
	}
	return "(" + strings.Join(words, " & ") + ")"
}

// wordQuery returns the full-text query of a word, or with a sign of a beginning of what begins with it.
func wordQuery(word, beginning string, title bool) string {
	if !title {
		return lexeme(word) + mark(beginning)
	}
	return lexeme(titleMark+word) + mark(beginning) + " | (" + lexeme(word) + mark("A"+beginning) + " & !" +
		lexeme(titleMark) + " & !" + lexeme(formMark) + ")"
}

// formerQuery returns the full-text query of a name in vectors that have its words alone, "" if all have the name.
func formerQuery(name string, title bool) string {
	former := knowledge.FormerTerms(name)
	if len(former) == 0 {
		return ""
	}
	return "(" + spellingQuery(former, "", title) + " & !" + lexeme(formMark) + ")"
}

// mark returns the weight and the sign of a beginning, as they follow a word of a tsquery.
func mark(text string) string {
	if text == "" {
		return ""
	}
	return ":" + text
}

// lexeme quotes a word for a tsquery.
func lexeme(word string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(word) + "'"
}

// many returns the active documents of keys, in that order. All kinds are read in one round trip.
func (s *Store) many(ctx context.Context, name string, keys []knowledge.Key) ([]*knowledge.Record, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	own, cancel, err := s.guard(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	at := make(map[knowledge.Key]*knowledge.Record, len(keys))
	err = s.batch(own, ctx, name, func(b *pgx.Batch) {
		for _, kind := range knowledge.Kinds() {
			var ids []string
			for _, k := range keys {
				if k.Kind == kind {
					ids = append(ids, k.ID)
				}
			}
			if t := tableOf(kind); len(ids) > 0 {
				b.Queue(t.manySQL, ids).Query(func(rows pgx.Rows) error {
					return t.records(rows, func(rec *knowledge.Record) { at[rec.Key] = rec })
				})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	records := make([]*knowledge.Record, 0, len(keys))
	for _, k := range keys {
		if rec := at[k]; rec != nil && rec.Active { // it may have been retired between the two queries
			records = append(records, rec)
		}
	}
	return records, nil
}
