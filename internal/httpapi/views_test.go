package httpapi

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// remembering answers lists with one page that stays in memory, as a cache does.
type remembering struct {
	store.Store

	once sync.Once
	page *knowledge.Page
}

func (r *remembering) List(ctx context.Context, q knowledge.Query) (page *knowledge.Page, err error) {
	r.once.Do(func() {
		if r.page, err = r.Store.List(ctx, q); err == nil {
			r.page.Memo = new(knowledge.Memo)
		}
	})
	return r.page, err
}

// TestTwoDoorsKeepTheirAnswersWithOnePage asks for a cached page at this door and at another one, many callers at a
// time: each gets what its own door made, made once.
func TestTwoDoorsKeepTheirAnswersWithOnePage(t *testing.T) {
	type card struct{ text string } // what the other door makes of a page
	cache := new(remembering)
	n := newTenet(t, func(o *Options) {
		cache.Store = o.Store
		o.Store = cache
	})
	want := n.do(get("/api/v1/rules"))
	if want.status != http.StatusOK {
		t.Fatalf("got %d %s", want.status, want.body)
	}
	first := knowledge.Memoized(cache.page.Memo, func() *card { return &card{"a card"} })
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if got := knowledge.Memoized(cache.page.Memo, func() *card { return &card{"another card"} }); got != first {
				t.Errorf("the other door found %+v, want what it kept", got)
			}
			if got := n.do(get("/api/v1/rules")); string(got.body) != string(want.body) ||
				got.header.Get("Etag") != want.header.Get("Etag") {
				t.Errorf("this door answered %s, want %s", got.body, want.body)
			}
		})
	}
	all.Wait()
	kept := viewsOf(cache.page.Memo).usual.Load()
	if kept == nil || !strings.Contains(string(want.body), string(kept.body)) {
		t.Error("this door has kept nothing with the page")
	}
}
