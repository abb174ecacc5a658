package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// The keys, in meta, of the form of a search index that is whole, and of one in the making. A file has one of them, or
// none if it is new or of a program whose index has another form.
const (
	wholeIndex = "search_form"
	begunIndex = "search_begun"
)

// indexRetry is when a caller whose search came too early should ask again.
const indexRetry = 5 * time.Second

// An indexing is a search index in the making, as after an upgrade that changes its form. The documents enter it in
// steps, each of which is a job of the writer; one that is written meanwhile enters it by that write. A document that
// has a number is in the index, so that a process that is killed leaves nothing behind that the next one must undo.
type indexing struct {
	f         *file
	all, done atomic.Int64 // documents
}

// lookAtIndex finds out whether the search index is whole.
func (f *file) lookAtIndex(ctx context.Context, w *writer) error {
	if f.role == guest {
		return nil
	}
	form := 0
	if _, err := w.one(ctx, "SELECT value FROM meta WHERE key = '"+wholeIndex+"'", nil, &form); err != nil ||
		form == knowledge.IndexForm {
		return translate(ctx, err)
	}
	x := &indexing{f: f}
	for _, kind := range knowledge.SearchKinds() {
		n := int64(0)
		if _, err := w.one(ctx, "SELECT count(*) FROM "+tableOf(kind).name, nil, &n); err != nil {
			return translate(ctx, err)
		}
		x.all.Add(n)
	}
	f.indexing.Store(x)
	return nil
}

// makeIndex makes the search index if it is not whole, with [Options.IndexLater] in the background.
func (f *file) makeIndex(ctx context.Context) error {
	x := f.indexing.Load()
	if x == nil {
		return nil
	}
	begun := f.enqueue("index", x.begin) // before any write
	if x.all.Load() == 0 || !f.opts.IndexLater {
		return x.make(ctx, begun)
	}
	ctx = context.WithoutCancel(ctx)
	f.indexer.Go(func() {
		for {
			err := x.make(ctx, begun)
			if err == nil || errors.Is(err, store.ErrClosed) {
				return
			}
			f.opts.Log.ErrorContext(ctx, "the search index could not be made; trying again", "path", f.path, "error",
				err.Error())
			select {
			case <-f.quit:
				return
			case <-time.After(checkpointEvery):
				begun = f.enqueue("index", x.begin)
			}
		}
	})
	return nil
}

// enqueue passes a job to the writer, for [file.await]. It is for a moment when few jobs can wait.
func (f *file) enqueue(name string, run func(ctx context.Context, t *tx) error) *job {
	j := &job{name: name, run: run, done: make(chan error, 1), began: time.Now()}
	select {
	case f.jobs <- j:
	case <-f.done:
	}
	return j
}

// begin empties an index of another form. Reads go on meanwhile, writes wait.
func (x *indexing) begin(ctx context.Context, t *tx) error {
	whole, begun := 0, 0
	if _, err := t.one(ctx, "SELECT value FROM meta WHERE key = '"+wholeIndex+"'", nil, &whole); err != nil ||
		whole == knowledge.IndexForm { // a rebuilt mirror has replaced the file
		return err
	}
	if _, err := t.one(ctx, "SELECT value FROM meta WHERE key = '"+begunIndex+"'", nil, &begun); err != nil {
		return err
	}
	if whole == 0 && begun == knowledge.IndexForm {
		n := int64(0)
		_, err := t.one(ctx, "SELECT count(*) FROM search", nil, &n)
		x.done.Store(n)
		return err
	}
	for _, table := range []string{
		"search", "search_waiting", "search_words", "search_chunks", "search_gone", "search_terms",
	} {
		if err := t.exec(ctx, "DELETE FROM "+table); err != nil {
			return err
		}
	}
	x.done.Store(0)
	if err := t.exec(ctx, "DELETE FROM meta WHERE key = ?", wholeIndex); err != nil {
		return err
	}
	return t.setMeta(ctx, begunIndex, int64(knowledge.IndexForm))
}

// make makes the index, once the job that begins it is done.
func (x *indexing) make(ctx context.Context, begun *job) error {
	if err := x.f.await(ctx, begun); err != nil {
		return fmt.Errorf("begin the search index: %w", err)
	}
	said := int64(-1)
	for _, kind := range knowledge.SearchKinds() {
		for after := ""; ; {
			list, err := x.missing(ctx, kind, after)
			if err != nil {
				return fmt.Errorf("read documents for the search index: %w", err)
			}
			if len(list) == 0 {
				break
			}
			said = x.log(ctx, said)
			err = x.f.do(ctx, "index", func(ctx context.Context, t *tx) error { return x.enter(ctx, t, list) })
			if err != nil {
				return fmt.Errorf("index documents for search: %w", err)
			}
			after = list[len(list)-1].key.ID
			x.done.Add(int64(len(list)))
		}
	}
	x.log(ctx, said)
	err := x.f.do(ctx, "index", func(ctx context.Context, t *tx) error {
		if err := t.exec(ctx, "DELETE FROM meta WHERE key = ?", begunIndex); err != nil {
			return err
		}
		return t.setMeta(ctx, wholeIndex, int64(knowledge.IndexForm))
	})
	if err == nil {
		x.f.indexing.CompareAndSwap(x, nil)
	}
	return err
}

// log logs the progress, if it has come to another tenth since it was said, and returns what is said now. Before the
// first time that is -1.
func (x *indexing) log(ctx context.Context, said int64) int64 {
	done, all := x.done.Load(), x.all.Load()
	if all == 0 || said >= 0 && done*10/all == said*10/all {
		return said
	}
	x.f.opts.Log.InfoContext(ctx, "indexing documents for search", "path", x.f.path, "done", done, "all", all)
	return done
}

// An unlisted is a document that is not in the index yet.
type unlisted struct {
	key   knowledge.Key
	text  string   // its JSON
	entry *indexed // nil for a retired one
}

func newUnlisted(key knowledge.Key, text string) (unlisted, error) {
	doc, err := knowledge.DecodeStored(key.Kind, []byte(text))
	if err != nil || !doc.Active() {
		return unlisted{key: key, text: text}, err
	}
	return unlisted{key, text, &indexed{knowledge.NewEntry(doc), pressed(doc.Rank())}}, nil
}

// missing reads the next documents that are not in the index.
func (x *indexing) missing(ctx context.Context, kind knowledge.Kind, after string) ([]unlisted, error) {
	tab := tableOf(kind)
	var ids, texts []string
	err := x.f.read(ctx, "index", "SELECT d."+tab.id+", d.document FROM "+tab.name+" d WHERE d."+tab.id+" > ? AND "+
		"NOT EXISTS (SELECT 1 FROM search s WHERE s.kind = ? AND s.id = d."+tab.id+") ORDER BY d."+tab.id+" LIMIT ?",
		[]any{after, string(kind), x.f.opts.indexStep}, func(r *sql.Rows) error {
			var id, text string
			err := r.Scan(&id, &text)
			ids, texts = append(ids, id), append(texts, text)
			return err
		})
	list := make([]unlisted, len(ids))
	for i := range ids {
		if err == nil {
			list[i], err = newUnlisted(knowledge.Key{Kind: kind, ID: ids[i]}, texts[i])
		}
	}
	return list, err
}

// enter adds documents to the index. One that was written since it was read is in it, or is read again.
func (x *indexing) enter(ctx context.Context, t *tx, list []unlisted) error {
	for _, u := range list {
		text := ""
		tab := tableOf(u.key.Kind)
		there, err := t.one(ctx, "SELECT d.document FROM "+tab.name+" d WHERE d."+tab.id+" = ?1 AND NOT EXISTS "+
			"(SELECT 1 FROM search s WHERE s.kind = ?2 AND s.id = ?1)", []any{u.key.ID, string(u.key.Kind)}, &text)
		if err == nil && there && text != u.text {
			u, err = newUnlisted(u.key, text)
		}
		if err == nil && there && u.entry != nil {
			err = enterEntry(ctx, t, u.key, u.entry)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Indexing tells how many documents are in a search index that is being made, of how many. Neither is above 0 while the
// index is whole.
func (f *file) Indexing() (done, all int64) {
	if x := f.indexing.Load(); x != nil {
		return min(x.done.Load(), x.all.Load()), x.all.Load()
	}
	return 0, 0
}

// unindexed returns the error of a search while the index is being made: a part of the documents would look like all of
// them, and be ranked by how rare its words are there.
func (f *file) unindexed() error {
	x := f.indexing.Load()
	if x == nil {
		return nil
	}
	done, all := f.Indexing()
	return &store.UnavailableError{
		Reason: fmt.Sprintf("this version needs another search index, and %d of %s are in it: search again soon; "+
			"everything else works", done, knowledge.Count(all, "document", "documents")),
		RetryAfter: indexRetry, NotDone: true, Err: store.ErrIndexing,
	}
}
