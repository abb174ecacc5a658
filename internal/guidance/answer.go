package guidance

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// firstLoad is the longest time that a query waits for the first snapshot.
const firstLoad = 10 * time.Second

// current returns the newest snapshot. Right after a start it waits for the first one.
func (x *Index) current(ctx context.Context) (*snapshot, error) {
	if s := x.snap.Load(); s != nil {
		return s, nil
	}
	t := time.NewTimer(firstLoad)
	defer t.Stop()
	select {
	case <-x.ready:
		return x.snap.Load(), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.C:
		return nil, &store.UnavailableError{
			Reason:     "the documents are still being read for guidance: ask again soon",
			RetryAfter: time.Second, NotDone: true,
		}
	}
}

// A Prepared answer has its documents and their forms, and not yet their texts.
type Prepared struct {
	x    *Index
	q    Query
	at   stand
	snap *snapshot
	plan *plan
}

// Prepare decides which documents hold for a query. reader searches for the words of the task, with the caller's
// rights.
func (x *Index) Prepare(ctx context.Context, reader store.Past, q Query) (*Prepared, error) {
	q, err := q.Check()
	if err != nil {
		return nil, err
	}
	at, err := q.stand(ctx, reader)
	if err != nil {
		return nil, err
	}
	if _, err := x.current(ctx); err != nil {
		return nil, err
	}
	if err := x.await(ctx); err != nil {
		return nil, err
	}
	s := x.snap.Load()
	if s, err = x.view(ctx, s, &at, knowledge.Listed(q.Without)); err != nil {
		return nil, err
	}
	s, exempt := s.exempt(at.repository, &q, time.Now())
	hits, note, err := relevant(ctx, reader, s, q.Task)
	if err != nil {
		return nil, err
	}
	p := s.plan(&q, hits)
	p.notes = append(p.notes, exempt...)
	if at.label != nil && q.Task != "" {
		p.notes = append(p.notes, "the task's words were looked for in the documents as they are now, not as they "+
			"stand at the label")
	}
	if note != "" {
		p.notes = append(p.notes, note)
	}
	if len(q.Paths) == 0 && len(q.Languages) == 0 && q.Task == "" {
		p.notes = append(p.notes, "no path, no language and no task were given: only what always holds is here")
	}
	return &Prepared{x, q, at, s, p}, nil
}

// ETag returns the entity tag of the answer, in quotes.
func (p *Prepared) ETag() string { return p.plan.tag }

// Answer reads the texts from reader, with the caller's rights.
func (p *Prepared) Answer(ctx context.Context, reader store.Past) (*Answer, error) {
	a := &Answer{
		Seq: p.snap.seq, Label: p.at.name(), AsOf: p.x.AsOf(), Items: make([]Item, 0, len(p.plan.choices)),
		LeftOut: p.plan.left,
		Budget: Spent{
			Tokens: p.q.Budget.Tokens, Reserve: p.plan.reserve, Used: p.plan.used, Family: p.q.Budget.Family,
			Estimate: true,
		},
		Notes: p.notes(ctx),
	}
	if p.q.Budget.Explain {
		a.Budget.Tokens = 0
	}
	fam, _ := family(p.q.Budget.Family)
	moved := false
	for i := range p.plan.choices {
		c := &p.plan.choices[i]
		item, text := p.item(c, fam), texts{}
		if p.q.Budget.Explain {
			item.Sizes = &Sizes{fam.cost(c.tokens[0]), fam.cost(c.tokens[1]), fam.cost(c.tokens[2])}
			a.Items = append(a.Items, item)
			continue
		}
		text, now, err := p.x.text(ctx, p.at.reader(reader), c.doc)
		if err != nil {
			return nil, err
		}
		if now != c.doc { // a newer version was written, and the feed has not delivered it yet
			if moved = true; now == nil {
				continue
			}
			c.doc = now
			item = p.item(c, fam)
		}
		switch c.form {
		case FormFull:
			item.Text = text.full
		case FormBrief:
			item.Text = text.brief
		default:
			item.Text = text.link
		}
		a.Items = append(a.Items, item)
	}
	if moved {
		p.plan.tag = p.plan.etag(&p.q)
	}
	a.ETag = p.plan.tag
	if p.x.o.Served != nil {
		keys := make([]knowledge.Key, len(a.Items))
		for i := range a.Items {
			keys[i] = knowledge.Key{Kind: a.Items[i].Kind, ID: a.Items[i].ID}
		}
		p.x.o.Served(ctx, &p.q, keys)
	}
	return a, nil
}

func (p *Prepared) item(c *choice, fam Family) Item {
	item := Item{
		Kind: c.key.Kind, ID: c.key.ID, Key: c.key.String(), Version: c.version, Title: c.title, Severity: c.severity,
		Enforcement: c.enforcement,
		Form:        c.form, Because: because(c.doc, c.class, &p.q), Known: c.known,
	}
	if c.pack != "" {
		item.Because = append(item.Because, Reason{By: ByPack, Pack: c.pack})
	}
	if !p.q.Budget.Explain {
		item.Tokens = fam.cost(c.tokens[slices.Index([]string{FormFull, FormBrief, FormLink}, c.form)])
	}
	return item
}

// notes returns the notes of the answer, and marks it if it shows confidential documents.
func (p *Prepared) notes(ctx context.Context) []string {
	list := append([]string{}, p.plan.notes...)
	if marked := p.confidential(); len(marked) > 0 {
		store.MarksOf(ctx).Add(marked...)
		list = append(list, "confidential: documents of "+strings.Join(marked, ", ")+" are among these")
	}
	return list
}

// confidential returns the confidential categories that the answer shows documents of, sorted.
func (p *Prepared) confidential() []string {
	var marked []string
	of := knowledge.Listed(p.q.Confidential)
	for i := range p.plan.choices {
		category := p.plan.choices[i].category
		if now := p.x.snap.Load().category(p.plan.choices[i].key); slices.Contains(of, now) {
			category = now
		}
		if slices.Contains(of, category) && !slices.Contains(marked, category) {
			marked = append(marked, category)
		}
	}
	slices.Sort(marked)
	return marked
}

// A getter reads one document.
type getter func(context.Context, knowledge.Key) (*knowledge.Record, error)

// name returns the id of the label at which documents are read, empty for none.
func (at *stand) name() string {
	if at.label == nil {
		return ""
	}
	return at.label.LabelID
}

// reader returns a getter for the documents as of the label, or as of now without one.
func (at *stand) reader(s store.Past) getter {
	if at.label == nil {
		return s.Get
	}
	return func(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
		return store.AtLabel(ctx, s, at.label, key)
	}
}

// text returns the three forms of a document, and the index entry that matches them. That is another entry than d if
// the document was written a moment ago, and nil if the document no longer holds.
func (x *Index) text(ctx context.Context, get getter, d *doc) (texts, *doc, error) {
	at := textKey{d.key, d.sum}
	if t, ok := x.texts.GetIfPresent(at); ok {
		return t, d, nil
	}
	rec, err := get(ctx, d.key)
	if errors.Is(err, store.ErrNotFound) {
		return texts{}, nil, nil
	}
	if err != nil {
		return texts{}, nil, err
	}
	now, t, err := docOf(rec)
	if err != nil || now == nil {
		return texts{}, nil, err
	}
	x.texts.Set(textKey{d.key, now.sum}, t)
	if now.sum == d.sum {
		return t, d, nil
	}
	return t, now, nil
}

// Limits for the documents that are found by the words of a task.
const (
	taskHits   = 100 // hits requested from the search
	taskWords  = 30
	taskChosen = 8    // hits that may be chosen by their words alone, and as many that hold anyhow and fit
	taskHeld   = 4    // matching words that are enough for a long task
	taskShare  = 0.43 // minimum score of a chosen document, as a share of the best score of all
)

// relevant searches for the words of a task. If the search is unavailable, it returns no hits and a note that says so.
func relevant(ctx context.Context, reader store.Reader, s *snapshot, task string) ([]Relevant, string, error) {
	words := taskText(task)
	if words == "" {
		return nil, "", nil
	}
	found, err := reader.Search(ctx, knowledge.SearchQuery{Text: words, Kinds: Kinds(), Limit: taskHits})
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, "the search did not answer: the task's words were not looked at", nil
	}
	if err != nil {
		return nil, "", err
	}
	hits := make([]Relevant, 0, len(found.Hits))
	top, chosen, holding, asked := 0.0, 0, 0, len(strings.Fields(words)) // top is the best score by the task's own words
	for _, l := range found.Reading.LeftOut {
		if l.Why != knowledge.WhyUnknown { // a word that no document contains still counts as a word of the task
			asked--
		}
	}
	for i := range found.Hits {
		h := Relevant{Key: found.Hits[i].Record.Key, Score: found.Hits[i].Score}
		held := heldWords(found, i, words)
		if len(held) > 0 {
			top = max(top, h.Score)
		}
		fit := h.Score >= taskShare*top && fits(asked, len(held)) && (len(held) > 1 || asked <= 1 || knowledge.HoldsWord(found.Hits[i].Title, held[0]))
		switch {
		case !fit:
		case s.leftToModel(h.Key):
			if chosen < taskChosen {
				h.Fits = true
				chosen++
			}
		case holding < taskChosen:
			h.Fits = true
			holding++
		}
		hits = append(hits, h)
	}
	if chosen == 0 {
		return hits, "none of the documents whose titles decide holds enough of the task's words", nil
	}
	return hits, "", nil
}

// fits reports whether a document contains enough words of a task: half of them, or taskHeld. One word of many is
// chance, and so is one of two, unless the title holds it.
func fits(asked, held int) bool {
	return held > 0 && (2*held >= asked || held >= taskHeld)
}

// heldWords returns the words of a task that a hit holds. What holds a similar word instead of a word that no document
// has does not count, unless there is no other: a task is not a question with a slip of the pen.
func heldWords(found *knowledge.Hits, hit int, words string) []string {
	held := strings.Fields(words)
	all := len(held)
	return slices.DeleteFunc(held, func(w string) bool {
		similar := slices.ContainsFunc(found.Reading.SearchedFor, func(c knowledge.Correction) bool { return c.Typed == w })
		leftOut := slices.ContainsFunc(found.Reading.LeftOut, func(l knowledge.LeftOut) bool { return l.Word == w })
		return leftOut || similar && all > 1 || slices.Contains(found.Hits[hit].Missing, w)
	})
}

func (s *snapshot) leftToModel(key knowledge.Key) bool {
	if o, ok := s.recent.ordinal[key]; ok {
		return s.recent.model.has(o)
	}
	o, ok := s.base.ordinal[key]
	return ok && s.base.model.has(o)
}

// taskText returns a search text for a task: its words, without anything that the search would read as an operator.
func taskText(task string) string {
	var words []string
	for _, w := range knowledge.Words(task) {
		if !slices.Contains(words, w) && len(w) <= 64 {
			words = append(words, w)
		}
		if len(words) == taskWords {
			break
		}
	}
	text := strings.Join(words, " ")
	for len(text) > knowledge.MaxSearchText {
		text = text[:strings.LastIndexByte(text, ' ')]
	}
	return text
}

// Holds reports whether the index contains the document, which means that it exists and is active.
func (x *Index) Holds(key knowledge.Key) bool {
	s := x.snap.Load()
	if s == nil {
		return false
	}
	if s.recent.holds(key) {
		return true
	}
	n, ok := s.base.ordinal[key]
	return ok && (s.hidden == nil || !s.hidden.has(n))
}
