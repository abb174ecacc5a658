package live

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// errEnough ends a watch.
var errEnough = errors.New("enough")

func TestTheGoClientFollowsAHub(t *testing.T) {
	log := newLog(t)
	log.rules(100)
	r := newRig(t, log, Options{Ring: 16})
	c, err := client.New(client.Options{URL: r.server.URL, Token: "viewer"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []knowledge.Change
	err = c.Watch(ctx, client.Watch{}, func(m client.LiveMessage) error {
		if m.Type == client.LiveChange {
			got = append(got, *m.Change)
		}
		if len(got) == 50 {
			log.rules(30)
		}
		if len(got) == 130 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("Watch: %v", err)
	}
	if diff := cmp.Diff(log.all(), got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if err := c.Watch(ctx, client.Watch{Kinds: []knowledge.Kind{knowledge.KindPrincipal}}, nil); !errors.Is(err,
		store.ErrForbidden) {
		t.Errorf("a viewer who asks for principals gets %v, want %v", err, store.ErrForbidden)
	}
	if err := c.Watch(ctx, client.Watch{After: knowledge.MarkAt(3, [32]byte{1})}, nil); !errors.Is(err, store.ErrGone) {
		t.Errorf("who knows another history gets %v, want %v", err, store.ErrGone)
	}
}

// TestTheGoClientComesBack cuts a watch off again and again while the log grows: it misses nothing and gets nothing
// twice.
func TestTheGoClientComesBack(t *testing.T) {
	log := newLog(t)
	r := newRig(t, log, Options{Ring: 16})
	c, err := client.New(client.Options{URL: r.server.URL, Token: "viewer"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const n = 600
	var got []knowledge.Seq
	lost := 0
	err = c.Watch(ctx, client.Watch{}, func(m client.LiveMessage) error {
		switch m.Type {
		case client.LiveLost:
			lost++
		case client.LiveHello:
			log.rules(n / 4)
		case client.LiveChange:
			got = append(got, m.Seq)
			if len(got)%100 == 50 {
				for _, w := range r.hub.wires() {
					w.Cut()
				}
			}
		}
		if len(got) >= n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || !slices.Equal(got, upTo(1, n)) || lost < 3 {
		t.Errorf("after %d losses got %d changes and %v", lost, len(got), err)
	}
}
