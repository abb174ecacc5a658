package server_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenet/internal/awaittest"
	"tenet/internal/cache"
	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
	"tenet/internal/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// A tenet is a server that runs for a test.
type tenet struct {
	*server.Server
	dir  string
	stop context.CancelFunc
	done chan error
}

// start runs a tenet until the test ends.
func start(t testing.TB, o server.Options) *tenet {
	t.Helper()
	if o.DataDir == "" {
		o.DataDir = filepath.Join(t.TempDir(), "data")
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.CacheHot == 0 { // every test goes through the memory, as everybody does
		o.CacheHot, o.CacheWarm = 16<<20, cache.MinWarm
	}
	ctx, stop := context.WithCancel(t.Context())
	s, err := server.Open(ctx, o)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	x := &tenet{Server: s, dir: o.DataDir, stop: stop, done: make(chan error, 1)}
	go func() { x.done <- s.Run(ctx) }()
	t.Cleanup(func() { x.end(t) })
	return x
}

// end stops the tenet, and checks that it ends in order. A second end does nothing.
func (x *tenet) end(t testing.TB) {
	t.Helper()
	x.stop()
	if err, open := <-x.done; open && err != nil {
		t.Errorf("the tenet ended with %v", err)
	}
	select {
	case <-x.done:
	default:
		close(x.done)
	}
}

// admin returns a client with the token of the data directory.
func (x *tenet) admin(t testing.TB) *client.Store {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(x.dir, server.TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	return x.client(t, strings.TrimSpace(string(data)))
}

func (x *tenet) client(t testing.TB, token string) *client.Store {
	t.Helper()
	c, err := client.New(client.Options{URL: x.Facts().URL, Token: token, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// onBothEngines runs a test with the embedded database and with a PostgreSQL.
func onBothEngines(t *testing.T, test func(t *testing.T, o server.Options)) {
	t.Run("embedded", func(t *testing.T) { test(t, server.Options{}) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, server.Options{DatabaseURL: pgtest.URL(t)}) })
}

func write(t *testing.T, s store.Store, actor string, ops ...knowledge.Op) []*knowledge.Record {
	t.Helper()
	r, err := s.Apply(t.Context(), knowledge.Batch{ID: knowledge.NewBatchID(), Actor: actor, Ops: ops})
	if err != nil {
		t.Fatal(err)
	}
	return r.Records
}

func patch(key, with string) knowledge.Op {
	k, err := knowledge.ParseKey(key)
	if err != nil {
		panic(err)
	}
	return knowledge.Op{Verb: knowledge.VerbPatch, Key: k, Patch: []byte(with)}
}

func get(t *testing.T, s store.Store, key string) *knowledge.Record {
	t.Helper()
	k, err := knowledge.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := s.Get(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if !awaittest.Until(time.Minute, holds) {
		t.Fatalf("still not: %s", what)
	}
}

func isUnauthenticated(err error) bool { return errors.Is(err, store.ErrUnauthenticated) }
