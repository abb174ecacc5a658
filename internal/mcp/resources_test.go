package mcp

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestAddressesThatAreFollowedAreBoundedForEachPrincipal fills the share of one principal, from two sessions.
func TestAddressesThatAreFollowedAreBoundedForEachPrincipal(t *testing.T) {
	w := wanted{of: map[*mcp.ServerSession]*wishes{}, counts: map[string]int{}}
	one, two, three := &mcp.ServerSession{}, &mcp.ServerSession{}, &mcp.ServerSession{}
	open := []*mcp.ServerSession{one, two, three}
	sessions := func() iter.Seq[*mcp.ServerSession] { return slices.Values(open) }
	for i := range wantedEach {
		s := one
		if i%2 == 1 {
			s = two
		}
		for range 2 { // the second time adds nothing
			if why := w.add(s, "greedy", fmt.Sprint("tenet://rule/", i), sessions); why != "" {
				t.Fatalf("address %d: %s", i, why)
			}
		}
	}
	if why := w.add(one, "greedy", "tenet://rule/more", sessions); !strings.Contains(why, "this token") {
		t.Errorf("one more than the share is answered %q", why)
	}
	if why := w.add(three, "polite", "tenet://rule/1", sessions); why != "" {
		t.Errorf("another principal is refused: %s", why)
	}
	w.drop(three, "tenet://rule/0") // which it does not follow
	w.drop(two, "tenet://rule/1")
	w.drop(two, "tenet://rule/1")
	if !w.has("tenet://rule/0") || !w.has("tenet://rule/1") {
		t.Error("a session that leaves takes the addresses of others along")
	}
	open = open[1:] // the first has ended, without a word
	if why := w.add(two, "greedy", "tenet://rule/1", sessions); why != "" {
		t.Errorf("the last of the share: %s", why)
	}
	if why := w.add(two, "greedy", "tenet://rule/more", sessions); why != "" || w.has("tenet://rule/0") {
		t.Errorf("the addresses of a session that has ended are still counted: %q", why)
	}
	w.ended(two)
	w.ended(three)
	if w.all != 0 || len(w.counts) != 0 || len(w.of) != 0 {
		t.Errorf("%d addresses of nobody are left", w.all)
	}
}
