package server_test

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
)

// TestAnOutageIsToldLive follows a document through an outage: the mode, the write that waits, and the same write once
// it is done.
func TestAnOutageIsToldLive(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, pgtest.Options{})
	x := start(t, server.Options{
		DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: pg.URL("postgres"),
		Outage: outage(),
	})
	w := x.browse(t)
	w.want(http.StatusCreated, http.MethodPut, calmPath, named("Before"))
	admin := x.admin(t)
	level(t, admin)
	told := follow(t, admin, client.Watch{Tail: true, Keys: []knowledge.Key{key("category/calm")}})
	told.await(t, "the greeting", func(m *client.LiveMessage) bool { return m.Type == client.LiveHello })

	pg.Stop(pgtest.Immediate)
	degrade(t, w, calmPath)
	batch := w.want(http.StatusAccepted, http.MethodPut, calmPath, named("After")).header.Get("Tenet-Batch")
	told.await(t, "the mode degraded", mode(knowledge.ModeDegraded))
	// The hub may have heard of the write before only after the greeting: that one is told, too.
	after := func(m *client.LiveMessage) bool { return change(m) && m.Change.Version > 1 }
	waiting := told.await(t, "the write that waits", after)
	if !waiting.Provisional || waiting.Seq != 0 || waiting.Batch.String() != batch || waiting.Change.Record == nil ||
		waiting.Change.Version != 2 {
		t.Errorf("the write that waits was told as %s", waiting.Raw)
	}

	pg.Start()
	done := told.await(t, "the write that is done",
		func(m *client.LiveMessage) bool { return after(m) && !m.Provisional })
	if done.Seq == 0 || done.Batch.String() != batch || done.Change.Version != 2 {
		t.Errorf("the write that is done was told as %s", done.Raw)
	}
	told.await(t, "the mode normal", mode(knowledge.ModeNormal))
}

func change(m *client.LiveMessage) bool { return m.Type == client.LiveChange }

func mode(want knowledge.Mode) func(*client.LiveMessage) bool {
	return func(m *client.LiveMessage) bool { return m.Type == client.LiveMode && m.Mode == want }
}

// A telling is what a watch has told.
type telling struct {
	mu   sync.Mutex // guards list
	list []client.LiveMessage
}

// follow watches until the test ends.
func follow(t *testing.T, c *client.Store, w client.Watch) *telling {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	told := &telling{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Watch(ctx, w, func(m client.LiveMessage) error {
			told.mu.Lock()
			defer told.mu.Unlock()
			told.list = append(told.list, m)
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return told
}

// await waits until something was told, and returns the first of it.
func (told *telling) await(t *testing.T, what string, is func(*client.LiveMessage) bool) *client.LiveMessage {
	t.Helper()
	var found *client.LiveMessage
	pgtest.Await(t, what, func() bool {
		told.mu.Lock()
		defer told.mu.Unlock()
		for i := range told.list {
			if found == nil && is(&told.list[i]) {
				m := told.list[i]
				found = &m
			}
		}
		return found != nil
	})
	return found
}

// all returns what was told.
func (told *telling) all() []client.LiveMessage {
	told.mu.Lock()
	defer told.mu.Unlock()
	return slices.Clone(told.list)
}

// TestWhatWaitedBeforeARestartIsToldWhenParked restarts a tenet in an outage, while a write waits that will not fit.
func TestWhatWaitedBeforeARestartIsToldWhenParked(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Options{})
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: pg.URL("postgres"), Outage: outage()}
	x := start(t, o)
	w := x.browse(t)
	w.want(http.StatusCreated, http.MethodPut, calmPath, named("Before"))
	level(t, x.admin(t))
	pg.Stop(pgtest.Immediate)
	degrade(t, w, calmPath)
	batch := w.want(http.StatusAccepted, http.MethodPut, calmPath, named("Mine")).header.Get("Tenet-Batch")
	x.end(t)
	pg.Start()
	past(t, o.DatabaseURL, patch("category/calm", named("Theirs")))
	pg.Stop(pgtest.Immediate)

	x = start(t, o)
	told := follow(t, x.admin(t), client.Watch{Tail: true, Keys: []knowledge.Key{key("category/calm")}})
	told.await(t, "the greeting", func(m *client.LiveMessage) bool { return m.Type == client.LiveHello })
	pg.Start()
	parked := told.await(t, "the write was parked",
		func(m *client.LiveMessage) bool { return m.Type == client.LiveParked })
	if parked.Batch.String() != batch || parked.Key != key("category/calm") || parked.Why == "" {
		t.Errorf("what was parked was told as %s", parked.Raw)
	}
}
