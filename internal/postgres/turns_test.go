package postgres_test

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/store/storetest"
)

// A turnstile is a proxy that counts how often the client speaks after the server has: the round trips.
type turnstile struct {
	net.Listener
	turns atomic.Int64
}

// counted starts a turnstile before the server of an address, and returns it with the address that leads through it.
func counted(t *testing.T, address string) (*turnstile, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ts := &turnstile{Listener: l}
	server := u.Host
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { ts.pass(client, server) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	u.Host = l.Addr().String()
	return ts, u.String()
}

// pass hands bytes on between a client and the server until either goes away.
func (ts *turnstile) pass(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	var answered atomic.Bool
	var both sync.WaitGroup
	hand := func(from, to net.Conn, saw func()) {
		defer from.Close()
		defer to.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				saw()
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	both.Go(func() {
		hand(client, server, func() {
			if answered.Swap(false) {
				ts.turns.Add(1)
			}
		})
	})
	both.Go(func() { hand(server, client, func() { answered.Store(true) }) })
	both.Wait()
}

func TestReadsTakeOneRoundTripAndWritesAtMostTwo(t *testing.T) {
	ts, address := counted(t, migrated(t))
	s, err := postgres.Open(t.Context(), postgres.Options{URL: address, MinConns: 1, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	general(t, s)
	r := storetest.Rule()
	apply(t, s, knowledge.Put(r, 0))
	many := func() []knowledge.Op {
		ops := make([]knowledge.Op, 100)
		for i := range ops {
			ops[i] = knowledge.Put(storetest.Rule(), knowledge.NoVersion)
		}
		return ops
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct {
		most int64
		do   func()
	}{
		"get":  {1, func() { _, err := s.Get(t.Context(), r.Key()); check(err) }},
		"list": {1, func() { _, err := s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule}); check(err) }},
		"history": {1, func() {
			_, err := s.Changes(t.Context(), knowledge.ChangeQuery{Key: r.Key(), Newest: true})
			check(err)
		}},
		"put":    {1, func() { apply(t, s, knowledge.Put(r, 0)) }},
		"new":    {1, func() { apply(t, s, knowledge.Put(storetest.Rule(), knowledge.NoVersion)) }},
		"retire": {1, func() { apply(t, s, knowledge.Op{Verb: knowledge.VerbRetire, Key: r.Key()}) }},
		"patch": {2, func() {
			apply(t, s, knowledge.Op{Verb: knowledge.VerbPatch, Key: r.Key(), Patch: []byte(`{"priority":3}`)})
		}},
		"batch of 100": {2, func() { apply(t, s, many()...) }},
		"search and hits": {3, func() { // how frequent its words are, what fits, and the documents
			hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "what you open"})
			check(err)
			if len(hits.Hits) == 0 {
				t.Error("a search of words that are there has no hits")
			}
		}},
		"search of a word that no document has": {3, func() { // the third is for suggestions
			_, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "opem"})
			check(err)
		}},
	} {
		least := int64(1 << 20) // what the pool does by itself may come between: the best of a few counts
		for range 5 {
			before := ts.turns.Load()
			c.do()
			least = min(least, ts.turns.Load()-before)
		}
		if least > c.most || least < 1 {
			t.Errorf("%s: %d round trips, want at most %d", what, least, c.most)
		}
	}
}
