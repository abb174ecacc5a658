package erasure

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// filled returns a store that names the person everywhere, and a keeper over it with its ledger in dir.
func filled(t *testing.T, dir string) (*sqlite.Store, *Keeper) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	storetest.FillWithPerson(t, s)
	k, err := NewKeeper(Options{
		Store: s, Feed: s, Eraser: sqlite.NewEraser(s), Dirs: []string{dir}, Actor: "system",
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, k
}

// TestWhatComesBackIsErasedAgain erases a person and purges a rule while a keeper follows. A late write in the person's
// name is erased by itself, and so is an older state of the data that the ledger is applied to.
func TestWhatComesBackIsErasedAgain(t *testing.T) {
	dir := t.TempDir()
	s, k := filled(t, dir)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = k.Run(ctx) })
	defer wg.Wait()
	defer stop()
	r, err := Erase(t.Context(), s, sqlite.NewEraser(s), Request{ID: storetest.Erased, Actor: "root"})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Mentions) != 2 || r.Mentions[0].Key != "principal/"+storetest.Bystander ||
		r.Mentions[1].Key != "rule/R-2" {
		t.Errorf("mentions are %v, want rule/R-2, and the principal whose name begins like it", r.Mentions)
	}
	purged := knowledge.Key{Kind: knowledge.KindRule, ID: "R-2"}
	late := storetest.Batch(knowledge.Put(storetest.Rule(), knowledge.NoVersion))
	late.Actor = storetest.Erased
	for _, b := range []knowledge.Batch{storetest.Batch(knowledge.Op{Verb: knowledge.VerbPurge, Key: purged}), late} {
		if _, err := s.Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.Await(t, "the late write to be erased",
		func() bool { return len(storetest.Named(storetest.Everything(t, s))) == 0 })
	pgtest.Await(t, "the ledger to know of both", func() bool {
		l, err := ReadLedger(dir)
		return err == nil && len(l.People) == 1 && l.Purged[purged.String()] == 2
	})
	stop()
	wg.Wait()

	older, again := filled(t, dir)
	if err := again.Reapply(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if lines := storetest.Named(storetest.Everything(t, older)); len(lines) > 0 {
		t.Errorf("an older state still names the person:\n%s", strings.Join(lines, "\n"))
	}
	if _, err := older.Get(t.Context(), purged); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an older state still has %s: %v", purged, err)
	}
	if err := older.VerifyChanges(t.Context(), nil); err != nil {
		t.Errorf("an older state does not verify: %v", err)
	}
}

// TestNobodyIsErasedByMistake asks for people who are not there, and for oneself.
func TestNobodyIsErasedByMistake(t *testing.T) {
	s, _ := filled(t, t.TempDir())
	before := storetest.Everything(t, s)
	for id, want := range map[string]error{"ines.vogl": store.ErrNotFound, "": nil, "root": nil} {
		_, err := Erase(t.Context(), s, sqlite.NewEraser(s), Request{ID: id, Actor: "root"})
		if _, invalid := errors.AsType[*knowledge.InvalidError](err); !invalid && (want == nil ||
			!errors.Is(err, want)) {
			t.Errorf("to erase %q: %v, want it refused", id, err)
		}
	}
	if storetest.Everything(t, s) != before {
		t.Error("what was refused has changed something")
	}
}
