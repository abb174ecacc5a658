package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// memory is the contract in its plainest form: maps, a slice and a lock. It shows that the laws can be kept together,
// and with a bug planted in it, that breaking one is noticed.
type memory struct {
	bug string // "" for none; see bugs

	mu      sync.Mutex // guards all below
	docs    map[knowledge.Key]*knowledge.Record
	decoded map[*knowledge.Record]knowledge.Document // those of docs, read only
	entries map[*knowledge.Record]*knowledge.Entry
	past    map[knowledge.Key]int64             // the last version of a document that was purged or archived
	shelf   map[knowledge.Key]*knowledge.Record // the archive
	log     []knowledge.Change
	batches map[knowledge.BatchID]done
	closed  bool
	bell    chan struct{} // closed when something changes
}

type done struct {
	fingerprint [32]byte
	receipt     knowledge.Receipt
}

var _ store.Store = (*memory)(nil)

func newMemory(bug string) *memory {
	return &memory{
		bug: bug, docs: map[knowledge.Key]*knowledge.Record{}, past: map[knowledge.Key]int64{},
		shelf: map[knowledge.Key]*knowledge.Record{}, batches: map[knowledge.BatchID]done{},
		decoded: map[*knowledge.Record]knowledge.Document{}, entries: map[*knowledge.Record]*knowledge.Entry{},
		bell: make(chan struct{}),
	}
}

// enter locks the store, or says why a call can't be answered.
func (m *memory) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil && m.bug != "goes on when cancelled" {
		return err
	}
	m.mu.Lock()
	if m.closed && m.bug != "lives after Close" {
		m.mu.Unlock()
		return store.ErrClosed
	}
	return nil
}

func (m *memory) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if m.bug == "leaks a driver's error" && strings.Contains(key.ID, "\x00") {
		return nil, errors.New("driver: invalid byte sequence")
	}
	for k, rec := range m.docs {
		if k == key || m.bug == "folds case" && k.Kind == key.Kind && strings.EqualFold(k.ID, key.ID) {
			return rec, nil
		}
	}
	if m.bug == "answers nil and nil" {
		return nil, nil
	}
	return nil, &store.NotFoundError{Key: key}
}

type titled struct {
	rec *knowledge.Record
	doc knowledge.Document
}

// rows decodes every document that keep lets through.
func (m *memory) rows(keep func(*knowledge.Record, knowledge.Document) bool) ([]titled, error) {
	var rows []titled
	for _, rec := range m.docs {
		d, err := m.decode(rec)
		if err != nil {
			return nil, err
		}
		if keep(rec, d) {
			rows = append(rows, titled{rec, d})
		}
	}
	return rows, nil
}

func (m *memory) decode(rec *knowledge.Record) (knowledge.Document, error) {
	if d := m.decoded[rec]; d != nil && m.bug == "" {
		return d, nil
	}
	d, err := rec.Document()
	m.decoded[rec] = d
	return d, err
}

func (m *memory) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	cursor := q.Cursor
	q, at, err := q.Check()
	if m.bug == "takes any cursor" && err != nil && cursor != "" {
		q.Cursor = ""
		q, at, err = q.Check()
	}
	if err != nil {
		return nil, err
	}
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	rows, err := m.rows(func(rec *knowledge.Record, d knowledge.Document) bool {
		if m.bug == "compares tags like patterns" && strings.Trim(q.Tag, "%_") != q.Tag {
			other := q
			other.Tag = ""
			return rec.Key.Kind == q.Kind && matches(rec, d, other)
		}
		if m.bug == "lists what is retired" && q.Activity == knowledge.ActiveOnly {
			other := q
			other.Activity = knowledge.AnyActivity
			return rec.Key.Kind == q.Kind && matches(rec, d, other)
		}
		return rec.Key.Kind == q.Kind && matches(rec, d, q) && (m.bug == "lists what is hidden" || !m.tells(d, q.Without))
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b titled) int { return m.compare(q.Order, placeOf(a), placeOf(b)) })
	total := len(rows)
	if at != nil {
		rows = slices.DeleteFunc(rows, func(r titled) bool {
			c := m.compare(q.Order, placeOf(r), *at)
			if m.bug == "repeats the last of a page" {
				return c < 0
			}
			return c <= 0
		})
	}
	page := &knowledge.Page{Records: []*knowledge.Record{}, Source: knowledge.SourcePrimary}
	if q.Total {
		page.Total = total
	}
	if m.bug == "answers nil lists" {
		page.Records = nil
	}
	for i, r := range rows {
		if i == q.Limit {
			last := rows[i-1]
			page.Next = q.NextCursor(last.rec, last.doc.Text().Title)
			break
		}
		page.Records = append(page.Records, r.rec)
	}
	if m.bug == "counts pages wrong" && len(rows) == q.Limit && len(rows) > 0 {
		page.Next = q.NextCursor(rows[len(rows)-1].rec, rows[len(rows)-1].doc.Text().Title)
	}
	return page, nil
}

// tells reports whether a document is of a hidden category, or tells of one that is.
func (m *memory) tells(d knowledge.Document, without string) bool {
	hidden := func(category any) bool {
		id, _ := category.(string)
		return id != "" && slices.Contains(knowledge.Listed(without), id)
	}
	of := func(key knowledge.Key) bool {
		rec := m.docs[key]
		return rec != nil && hidden(rec.Category)
	}
	switch d := d.(type) {
	case *knowledge.Violation:
		return of(knowledge.Key{Kind: knowledge.KindRule, ID: d.RuleID})
	case *knowledge.Proposal:
		return slices.ContainsFunc(d.Ops, func(op knowledge.ProposedOp) bool {
			return hidden(op.Document["category"]) || hidden(op.Patch["category"]) ||
				of(knowledge.Key{Kind: knowledge.Kind(op.Kind), ID: op.ID}) ||
				op.Verb != knowledge.VerbPut && without != "" && m.left(knowledge.Key{
					Kind: knowledge.Kind(op.Kind), ID: op.ID,
				}, hidden)
		})
	}
	return hidden(d.CategoryID())
}

// left reports whether a document is not there whose last text was of a hidden category, or is unknown.
func (m *memory) left(key knowledge.Key, hidden func(any) bool) bool {
	if m.docs[key] != nil || !knowledge.Describe(key.Kind).HasCategory() {
		return false
	}
	for i := len(m.log) - 1; i >= 0; i-- {
		if c := &m.log[i]; c.Key == key && c.Record != nil {
			return hidden(c.Record.Category)
		}
	}
	return true
}

func placeOf(r titled) knowledge.Cursor {
	return knowledge.Cursor{Rank: r.rec.Rank, Updated: r.rec.Updated, Title: r.doc.Text().Title, ID: r.rec.Key.ID}
}

func (m *memory) compare(order knowledge.Order, a, b knowledge.Cursor) int {
	byID := strings.Compare(a.ID, b.ID)
	first := 0
	switch order {
	case knowledge.OrderUpdated:
		first, byID = b.Updated.Compare(a.Updated.Time), -byID
	case knowledge.OrderTitle:
		first = strings.Compare(a.Title, b.Title)
		if m.bug == "sorts titles like a dictionary" {
			first = strings.Compare(strings.ToLower(a.Title), strings.ToLower(b.Title))
		}
	case knowledge.OrderHouse:
		first = int(a.Rank - b.Rank)
	case knowledge.OrderID:
	}
	if first != 0 {
		return first
	}
	return byID
}

func (m *memory) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	q, question, err := q.Check()
	if err != nil {
		return nil, err
	}
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	rows, err := m.rows(func(rec *knowledge.Record, _ knowledge.Document) bool {
		return slices.Contains(q.Kinds, rec.Key.Kind) && (rec.Active || m.bug == "finds what is retired")
	})
	if err != nil {
		return nil, err
	}
	if m.bug == "ignores exclusions" {
		question.Not = nil
	}
	if m.bug == "finds what is hidden" {
		question.Without = knowledge.Condition{}
	}
	frequency, entries := make([]int, len(question.Slots)), make([]*knowledge.Entry, len(rows))
	for i, r := range rows {
		entries[i] = m.entry(r)
		for slot := range question.Slots {
			if question.Holds(slot, entries[i], true) {
				frequency[slot]++
			}
		}
	}
	scorer := question.Scorer(len(rows), frequency)
	found, records := []knowledge.Found{}, map[knowledge.Key]*knowledge.Record{}
	for i, r := range rows {
		mask, title, sum := scorer.Look(entries[i])
		if scorer.Accepts(mask) {
			shape := knowledge.Shape{Title: entries[i].Title, Words: entries[i].Words}
			near := scorer.Near(mask, func(slot int) []uint32 { return question.Places(slot, entries[i]) })
			found = append(found, knowledge.Found{
				Key: r.rec.Key, Rank: r.rec.Rank, Mask: mask,
				Score: knowledge.Round(scorer.Final(sum, mask, title, shape) + near),
			})
			records[r.rec.Key] = r.rec
		}
	}
	slices.SortFunc(found, func(a, b knowledge.Found) int { return knowledge.CompareFound(&a, &b) })
	total, from := len(found), min(q.Offset(), len(found))
	if m.bug == "repeats a hit" && from > 0 {
		from--
	}
	found = found[from:min(from+q.Limit, len(found))]
	hits := &knowledge.Hits{Source: knowledge.SourcePrimary, Total: total}
	if hits.Hits, err = scorer.Hits(found, records); err != nil {
		return nil, err
	}
	masks := make([]uint64, len(found))
	for i := range found {
		masks[i] = found[i].Mask
	}
	hits.Reading = scorer.Reading(masks, frequency)
	if next := from + len(found); next < total {
		hits.Next = q.NextCursor(next)
	}
	return hits, nil
}

func (m *memory) entry(r titled) *knowledge.Entry {
	if m.entries[r.rec] == nil {
		m.entries[r.rec] = knowledge.NewEntry(r.doc)
	}
	return m.entries[r.rec]
}

func (m *memory) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if err := b.Validate(); err != nil {
		return knowledge.Receipt{}, err
	}
	fingerprint, err := b.Fingerprint()
	if err != nil {
		return knowledge.Receipt{}, err
	}
	if err := m.enter(ctx); err != nil {
		return knowledge.Receipt{}, err
	}
	defer m.mu.Unlock()
	if d, ok := m.batches[b.ID]; ok && m.bug != "forgets batches" {
		if d.fingerprint != fingerprint && m.bug != "takes an id for anything" {
			return knowledge.Receipt{}, store.ErrReused
		}
		return d.receipt, nil
	}
	if b.Found != nil {
		receipt := knowledge.FoundReceipt(&b, m.foundBy(&b))
		if m.bug != "forgets what changed nothing" {
			m.batches[b.ID] = done{fingerprint, receipt}
		}
		return receipt, nil
	}
	now := knowledge.At(time.Now())
	if m.bug == "keeps nanoseconds" {
		now = knowledge.Time{Time: time.Now().UTC().Truncate(0).Add(1)}
	}
	if m.bug == "keeps local times" {
		now = knowledge.Time{Time: time.Now().In(time.FixedZone("here", 3600)).Truncate(time.Microsecond)}
	}
	if !b.At.IsZero() && m.bug != "sets its own time" {
		now = b.At
	}
	t := &memoryTx{m: m, b: &b, now: now, docs: map[knowledge.Key]*knowledge.Record{}}
	for i := range b.Ops {
		if m.bug == "looks before it locks" {
			m.mu.Unlock()
			runtime.Gosched()
			m.mu.Lock()
		}
		if err := t.op(i); err != nil {
			if m.bug == "leaves half a batch" {
				t.commit()
			}
			return knowledge.Receipt{}, err
		}
	}
	if b.Dry && m.bug != "writes what is only tried" {
		return knowledge.Receipt{Batch: b.ID, Records: t.records, Dry: true}, nil
	}
	receipt := t.commit()
	m.batches[b.ID] = done{fingerprint, receipt}
	return receipt, nil
}

// foundBy returns the changes that a batch found which changes nothing.
func (m *memory) foundBy(b *knowledge.Batch) []knowledge.Change {
	var found []knowledge.Change
	for i := range m.log {
		if slices.Contains(b.Found, m.log[i].Seq) {
			found = append(found, m.log[i])
		}
	}
	return found
}

// A memoryTx collects what a batch does until all of it is known to be possible.
type memoryTx struct {
	m       *memory
	b       *knowledge.Batch
	now     knowledge.Time
	docs    map[knowledge.Key]*knowledge.Record // nil: purged
	records []*knowledge.Record
	changes []knowledge.Change
}

// now returns the document as the batch has left it so far.
func (t *memoryTx) current(k knowledge.Key) *knowledge.Record {
	if rec, ok := t.docs[k]; ok {
		return rec
	}
	return t.m.docs[k]
}

func (t *memoryTx) op(i int) error {
	op := &t.b.Ops[i]
	rec := t.current(op.Key)
	version := t.m.past[op.Key]
	if rec == nil && op.Verb == knowledge.VerbRestore && t.m.shelf[op.Key] != nil {
		archived := *t.m.shelf[op.Key]
		archived.Version = version
		rec = &archived
	}
	if err := t.condition(i, rec); err != nil {
		return err
	}
	var before knowledge.Document
	if rec != nil {
		var err error
		if before, err = rec.Document(); err != nil {
			return err
		}
		version = rec.Version
		before.Stamps().Version = version
	}
	if t.m.bug == "looks before it locks" {
		t.m.mu.Unlock()
		runtime.Gosched()
		t.m.mu.Lock()
	}
	next, err := op.Next(before)
	if err != nil {
		return below(err, i, op.Verb)
	}
	change := knowledge.Change{
		Batch: t.b.ID, Verb: t.verb(op, before, next), Key: op.Key, Version: version + 1, Actor: t.b.Actor, At: t.now,
		Message: t.b.Message,
	}
	if t.m.bug == "forgets what is said" && change.Version > 1 {
		change.Message = ""
	}
	if t.b.EnteredBy != "" {
		change.EnteredBy, change.EnteredAt = t.b.EnteredBy, knowledge.At(time.Now())
		if t.b.At.IsZero() {
			change.EnteredAt = change.At
		}
	}
	if next == nil {
		if err := t.purgeable(i, op.Key); err != nil {
			return err
		}
		t.docs[op.Key] = nil
		t.records = append(t.records, nil)
		change.Hash = knowledge.RemovalHash(change.Verb, change.Actor, change.At)
		t.changes = append(t.changes, change)
		return nil
	}
	if err := t.refers(i, op.Verb, next); err != nil {
		return err
	}
	if t.m.bug != "writes on its caller's documents" {
		if next, err = knowledge.Clone(next); err != nil {
			return err
		}
	}
	if t.m.bug != "believes in stamps" || next.Stamps().CreatedBy == "" {
		knowledge.StampNext(next, before, t.m.past[op.Key], t.b.Actor, t.now)
	}
	after, err := knowledge.NewRecord(next)
	if err != nil {
		return err
	}
	if t.m.bug == "changes records" && rec != nil {
		*rec = *after
		after = rec
	}
	t.docs[op.Key] = after
	t.records = append(t.records, after)
	change.Record, change.Hash = after, sha256.Sum256(after.JSON)
	t.changes = append(t.changes, change)
	return nil
}

func (t *memoryTx) verb(op *knowledge.Op, before, next knowledge.Document) knowledge.Verb {
	if op.Verb == knowledge.VerbArchive {
		return op.Verb
	}
	if t.m.bug == "notes ops and not changes" && op.Verb == knowledge.VerbPut {
		return op.Verb
	}
	return knowledge.ChangeVerb(before, next)
}

func (t *memoryTx) condition(i int, rec *knowledge.Record) error {
	op := &t.b.Ops[i]
	got := int64(0)
	if rec != nil {
		got = rec.Version
	}
	if rec == nil && op.Verb != knowledge.VerbPut {
		return &store.NotFoundError{Key: op.Key}
	}
	if op.IfBatch != (knowledge.BatchID{}) && t.m.bug != "ignores batches" {
		return t.leftBy(i, got)
	}
	ok := op.IfVersion == knowledge.AnyVersion || op.IfVersion == got || op.IfVersion == knowledge.NoVersion &&
		rec == nil
	switch {
	case t.m.bug == "ignores versions" && op.IfVersion > 0, t.m.bug == "creates twice" &&
		op.IfVersion == knowledge.NoVersion:
		return nil
	case !ok:
		return &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: got}
	}
	return nil
}

// leftBy checks that a version of a document was left by the batch that an op names.
func (t *memoryTx) leftBy(i int, version int64) error {
	op := &t.b.Ops[i]
	for _, c := range t.m.log {
		if c.Key == op.Key && c.Batch == op.IfBatch && (c.Version == version ||
			t.m.bug == "takes any version of a batch") {
			return nil
		}
	}
	return &store.ConflictError{Key: op.Key, Op: i, Got: version, WantBatch: op.IfBatch}
}

func below(err error, i int, verb knowledge.Verb) error {
	var invalid *knowledge.InvalidError
	if !errors.As(err, &invalid) {
		return err
	}
	part := map[knowledge.Verb]string{knowledge.VerbPatch: "/patch", knowledge.VerbArchive: ""}
	at, known := part[verb]
	if !known {
		at = "/document"
	}
	return invalid.Below("/ops/" + itoa(i) + at)
}

func (t *memoryTx) refers(i int, verb knowledge.Verb, d knowledge.Document) error {
	if t.m.bug == "follows no references" {
		return nil
	}
	if c := d.CategoryID(); c != "" && t.current(knowledge.Key{Kind: knowledge.KindCategory, ID: c}) == nil {
		return below(knowledge.Invalid("/category", "no category %q", c), i, verb)
	}
	if v, ok := d.(*knowledge.Violation); ok && t.current(knowledge.Key{
		Kind: knowledge.KindRule,
		ID:   v.RuleID,
	}) == nil {
		return below(knowledge.Invalid("/rule_id", "no rule %q", v.RuleID), i, verb)
	}
	return nil
}

func (t *memoryTx) purgeable(i int, k knowledge.Key) error {
	if t.m.bug == "purges parents" {
		return nil
	}
	all := maps.Clone(t.m.docs)
	maps.Copy(all, t.docs)
	for _, rec := range all {
		if rec == nil {
			continue
		}
		d, err := t.m.decode(rec)
		if err != nil {
			return err
		}
		v, isViolation := d.(*knowledge.Violation)
		if k.Kind == knowledge.KindCategory && d.CategoryID() == k.ID || isViolation && k.Kind == knowledge.KindRule &&
			v.RuleID == k.ID {
			return knowledge.Invalid("/ops/"+itoa(i), "%s is still needed by %s", k, rec.Key)
		}
	}
	return nil
}

func (t *memoryTx) commit() knowledge.Receipt {
	m := t.m
	for k, rec := range t.docs {
		if rec != nil {
			m.docs[k] = rec
			delete(m.past, k)
			delete(m.shelf, k)
			continue
		}
		if m.bug != "counts anew after a purge" {
			m.past[k] = m.docs[k].Version + 1
		}
		archived := slices.ContainsFunc(t.changes,
			func(c knowledge.Change) bool { return c.Key == k && c.Verb == knowledge.VerbArchive })
		if archived && m.bug != "archives nothing" {
			m.shelf[k] = m.docs[k]
		}
		delete(m.docs, k)
		for i := range m.log {
			if m.log[i].Key == k && !archived && m.bug != "keeps the texts of a purge" {
				m.log[i].Record = nil
				if m.log[i].Verb != knowledge.VerbPurge {
					m.log[i].Message = ""
				}
			}
		}
	}
	for i := range t.changes {
		c := t.changes[i]
		c.Seq = knowledge.Seq(len(m.log)) + 1
		if m.bug == "leaves a gap" && len(m.log) > 3 {
			c.Seq++
		}
		c.More = i < len(t.changes)-1 && m.bug != "never says more"
		var prev [32]byte
		if len(m.log) > 0 {
			prev = m.log[len(m.log)-1].Chain
		}
		if m.bug != "forgets the chain" {
			c.Chain = knowledge.NextChain(prev, &c)
		}
		m.log = append(m.log, c)
	}
	close(m.bell)
	m.bell = make(chan struct{})
	return knowledge.Receipt{Batch: t.b.ID, Seq: knowledge.Seq(len(m.log)), Records: t.records}
}

func (m *memory) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	q, err := q.Check()
	if err != nil {
		return nil, err
	}
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	log := m.log
	if n := len(log); m.bug == "shows a change late" && n%3 == 0 && n > 1 && !q.Filtered() {
		log = append(slices.Clone(log[:n-2]), log[n-1])
	}
	if q.Filtered() {
		if m.bug == "filters by kind only" {
			q.Key, q.Kind = knowledge.Key{}, q.Key.Kind
		}
		return expectedChanges(log, q), nil
	}
	var out []knowledge.Change
	for _, c := range log {
		if c.Seq <= q.After {
			continue
		}
		if len(out) >= q.Limit && (m.bug == "cuts transactions" || !out[len(out)-1].More) {
			break
		}
		out = append(out, c)
	}
	return out, nil
}

func (m *memory) Wait(ctx context.Context, after knowledge.Seq) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	bell, there := m.bell, len(m.log) > int(after)
	m.mu.Unlock()
	if there {
		return nil
	}
	select {
	case <-bell:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := m.enter(ctx); err != nil {
		return err
	}
	m.mu.Unlock()
	return nil
}

func (m *memory) Ping(ctx context.Context) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	m.mu.Unlock()
	return nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return store.ErrClosed
	}
	m.closed = true
	close(m.bell)
	m.bell = make(chan struct{})
	return nil
}

func TestMemoryKeepsTheLaws(t *testing.T) {
	Run(t, func(testing.TB) store.Store { return newMemory("") })
}
