package cache

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// An endless store makes up the documents that it is asked for, and takes no memory for them: rules "0", "1" and so on,
// each different and of about 4 KB. Its pages hold 50 of them, what is wanted most on the first, and its searches find
// 20, of which some are wanted more than others.
type endless struct {
	texts []*knowledge.Record
	asked atomic.Int64
}

var _ store.Store = (*endless)(nil)

// searched is how many documents an endless store searches.
const searched = 100_000

func newEndless(t testing.TB) *endless {
	t.Helper()
	e := &endless{}
	for _, rec := range generated(t, 4000) {
		if rec.Key.Kind == knowledge.KindRule && rec.Active {
			e.texts = append(e.texts, rec)
		}
	}
	return e
}

func (e *endless) record(n int) *knowledge.Record {
	a, b := e.texts[n%len(e.texts)], e.texts[(n/7)%len(e.texts)]
	c := *a
	c.Key.ID, c.Version = strconv.Itoa(n), 1
	doc := make([]byte, 0, 2*len(a.JSON))
	doc = append(append(append(doc, `{"rule_id":"`...), c.Key.ID...), '"')
	doc = append(doc, bytes.TrimPrefix(a.JSON[1:len(a.JSON)-1], []byte(`"rule_id":"`+a.Key.ID+`"`))...)
	doc = append(doc, `,"more":`...)
	doc = strconv.AppendQuote(doc, strings.ToValidUTF8(string(b.JSON[200:200+len(b.JSON)/3]), ""))
	c.JSON = bytes.Clone(append(doc, '}'))
	return &c
}

func (e *endless) Get(_ context.Context, key knowledge.Key) (*knowledge.Record, error) {
	e.asked.Add(1)
	n, err := strconv.Atoi(key.ID)
	if err != nil || key.Kind != knowledge.KindRule {
		return nil, &store.NotFoundError{Key: key}
	}
	return e.record(n), nil
}

func (e *endless) List(_ context.Context, q knowledge.Query) (*knowledge.Page, error) {
	e.asked.Add(1)
	n, err := strconv.Atoi(q.Tag)
	if err != nil {
		return nil, knowledge.Invalid("/tag", "want a number")
	}
	page := &knowledge.Page{Source: knowledge.SourcePrimary}
	for i := range knowledge.DefaultLimit {
		page.Records = append(page.Records, e.record(n*knowledge.DefaultLimit+i))
	}
	return page, nil
}

func (e *endless) Search(_ context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	e.asked.Add(1)
	found := &knowledge.Hits{Source: knowledge.SourcePrimary}
	n, err := strconv.Atoi(q.Text)
	if err != nil {
		return nil, knowledge.Invalid("/q", "want a number")
	}
	r := rand.New(rand.NewPCG(uint64(n), 5))
	for range knowledge.DefaultHits {
		rank := int(math.Pow(searched, r.Float64())) - 1 // as uneven as the wishes for single documents
		found.Hits = append(found.Hits, knowledge.Hit{Record: e.record(rank), Snippet: "a part of the text"})
	}
	return found, nil
}

func (*endless) Apply(context.Context, knowledge.Batch) (knowledge.Receipt, error) {
	return knowledge.Receipt{}, &store.UnavailableError{Reason: "an endless store takes no writes"}
}

// Changes implements [store.Store]: one change, so that there is a place to come back to.
func (*endless) Changes(_ context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if q.After > 0 && !q.Newest {
		return nil, nil
	}
	return []knowledge.Change{{Seq: 1, Key: knowledge.Key{Kind: knowledge.KindCategory, ID: "general"}}}, nil
}

func (*endless) Wait(ctx context.Context, _ knowledge.Seq) error {
	<-ctx.Done()
	return ctx.Err()
}

func (*endless) Ping(context.Context) error { return nil }
func (*endless) Close() error               { return nil }

// A mix asks for documents, pages and searches as unevenly as people do.
type mix struct {
	rnd                    *rand.Rand
	docs, pages, questions *rand.Zipf
}

// newMix returns a mix over so many documents, a hundredth as many pages and as many searches.
func newMix(seed uint64, docs int) *mix {
	r := rand.New(rand.NewPCG(seed, 9))
	zipf := func(n int) *rand.Zipf { return rand.NewZipf(r, 1.01, 1, uint64(n-1)) }
	return &mix{rnd: r, docs: zipf(docs), pages: zipf(docs / 100), questions: zipf(docs / 100)}
}

// ask asks once: of a hundred questions 85 are for a document, 10 for a page and 5 are searches.
func (m *mix) ask(ctx context.Context, s store.Store) error {
	var err error
	switch n := m.rnd.IntN(100); {
	case n < 85:
		_, err = s.Get(ctx, m.key())
	case n < 95:
		_, err = s.List(ctx, knowledge.Query{Kind: knowledge.KindRule, Tag: fmt.Sprint(m.pages.Uint64())})
	default:
		_, err = s.Search(ctx, knowledge.SearchQuery{Text: fmt.Sprint(m.questions.Uint64())})
	}
	return err
}

// key returns the key of a document. The most wanted is "0".
func (m *mix) key() knowledge.Key {
	return knowledge.Key{Kind: knowledge.KindRule, ID: strconv.FormatUint(m.docs.Uint64(), 10)}
}
