package mcp

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/knowledge"
)

// follower connects a client that passes on the URIs of changed documents.
func (x *house) follower(era string) (*mcp.ClientSession, <-chan string) {
	x.Helper()
	heard := make(chan string, 100)
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) {
			select {
			case heard <- r.Params.URI:
			default:
			}
		},
	})
	s, err := c.Connect(x.Context(), &mcp.StreamableClientTransport{Endpoint: x.url, MaxRetries: -1},
		&mcp.ClientSessionOptions{ProtocolVersion: era})
	if err != nil {
		x.Fatal(err)
	}
	x.Cleanup(func() { s.Close() })
	return s, heard
}

func (x *house) follow(s *mcp.ClientSession, uri string) {
	x.Helper()
	if err := s.Subscribe(x.Context(), &mcp.SubscribeParams{URI: uri}); err != nil {
		x.Fatal(err)
	}
}

func (x *house) followed() int {
	x.door.wanted.mu.Lock()
	defer x.door.wanted.mu.Unlock()
	return x.door.wanted.all
}

// TestWhatEndedSessionsFollowedIsForgotten ends sessions without ending their subscriptions.
func TestWhatEndedSessionsFollowedIsForgotten(t *testing.T) {
	x := open(t, trial{})
	x.put(&knowledge.Category{ID: "c", Name: "C", IsActive: true}, rule("A", "always"))
	for range 3 {
		s, _ := x.follower("2025-11-25")
		x.follow(s, scheme+"rule/A")
		x.follow(s, scheme+"rule/A") // twice is once
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := x.follower("2025-11-25")
	x.follow(s, scheme+"rule/A")
	if n := x.followed(); n > 1 {
		t.Errorf("%d subscriptions are kept, want the one of the session that is open", n)
	}
	if err := s.Unsubscribe(t.Context(), &mcp.UnsubscribeParams{URI: scheme + "rule/A"}); err != nil || x.followed() != 0 {
		t.Errorf("%v: %d subscriptions are kept, want none", err, x.followed())
	}
}

// TestOnlyADocumentThatIsThereIsFollowed asks for one that nobody has written, and for what is no document.
func TestOnlyADocumentThatIsThereIsFollowed(t *testing.T) {
	x := open(t, trial{})
	for _, uri := range []string{scheme + "rule/NONE", scheme + "nothing/A", "skill://a/b/SKILL.md"} {
		s, _ := x.follower("2025-11-25")
		if err := s.Subscribe(t.Context(), &mcp.SubscribeParams{URI: uri}); err == nil ||
			!strings.Contains(err.Error(), "not found") {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// TestPacksAreListedAsResources reads the list page by page in each era, and one of the packs.
func TestPacksAreListedAsResources(t *testing.T) {
	x := open(t, trial{})
	docs := []knowledge.Document{&knowledge.Category{ID: "c", Name: "C", IsActive: true}, rule("A", "always")}
	var want []string
	for i := range packPage + 1 {
		id := fmt.Sprintf("p-%03d", i)
		docs = append(docs, &knowledge.Pack{
			PackID: id, Name: "Pack " + id, Select: knowledge.Selection{IDs: []string{"rule/A"}}, IsActive: true,
		})
		want = append(want, scheme+"pack/"+id)
	}
	x.put(docs...)
	for _, era := range eras() {
		s := x.client(era)
		var got []string
		for cursor := ""; ; {
			r, err := s.ListResources(t.Context(), &mcp.ListResourcesParams{Cursor: cursor})
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range r.Resources {
				got = append(got, one.URI)
			}
			if cursor = r.NextCursor; cursor == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", era, diff)
		}
		read, err := s.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: got[0]})
		if err != nil || !strings.Contains(read.Contents[0].Text, `"pack_id":"p-000"`) {
			t.Errorf("%s: %v: %+v", era, err, read)
		}
		if _, err := s.ListResources(t.Context(), &mcp.ListResourcesParams{Cursor: "x"}); err == nil ||
			!strings.Contains(err.Error(), "cursor") {
			t.Errorf("%s: %v", era, err)
		}
	}
}
