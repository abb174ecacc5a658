package server

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"tenet/internal/access"
)

func TestWhoIsRefusedOftenCrowdsNobodyOut(t *testing.T) {
	r := newRefusals(nil, slog.New(slog.DiscardHandler))
	now := time.Unix(600, 0)
	fits := func(who asker, n int) (kept int) {
		for range n {
			if r.fits(now, who) {
				kept++
			}
		}
		return kept
	}
	for _, who := range []asker{{peer: "192.0.2.7"}, {actor: "loop"}} {
		if kept := fits(who, 5*refusalsEach); kept != refusalsEach {
			t.Errorf("%d refusals of %+v in one minute are kept, want %d", kept, who, refusalsEach)
		}
	}
	if kept := fits(asker{actor: "fired", peer: "192.0.2.7"}, 3); kept != 3 {
		t.Errorf("of a principal whose token was taken away %d of 3 refusals are kept while others are refused often",
			kept)
	}
	for i := range 2 * refusalPeers {
		fits(asker{peer: fmt.Sprintf("2001:db8::%x", i)}, 1)
	}
	if len(r.counts) > refusalPeers+3 {
		t.Errorf("%d addresses are told apart, want %d at most", len(r.counts), refusalPeers)
	}
	for len(r.queue) > 0 {
		<-r.queue
	}
	now = now.Add(time.Minute)
	if kept := fits(asker{actor: "loop"}, 1); kept != 1 {
		t.Error("nothing is kept in the next minute")
	}
	counted := map[string]string{}
	for len(r.queue) > 0 {
		e := <-r.queue
		counted[e.Actor+e.Peer] = e.Reason
	}
	want := "240 more refusals in this minute, which were counted and not kept one by one"
	if counted["loop"] != want || counted["192.0.2.7"] != want {
		t.Errorf("what was only counted is told as %q", counted)
	}
}

func TestARefusalNamesItsPeer(t *testing.T) {
	r := newRefusals(nil, slog.New(slog.DiscardHandler))
	r.note(context.Background(), access.Refusal{
		Method: access.MethodAuthenticate, Reason: "no token",
		Peer: "192.0.2.9",
	})
	if e := <-r.queue; e.Peer != "192.0.2.9" || e.Action != "authenticate" {
		t.Errorf("kept as %+v", e)
	}
}
