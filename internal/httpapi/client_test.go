package httpapi_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"tenet/internal/access"
	"tenet/internal/client"
	"tenet/internal/httpapi"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// TestClientKeepsTheLaws runs the contract's laws against a client of the REST door over the local engine, with an
// admin's token.
func TestClientKeepsTheLaws(t *testing.T) {
	storetest.RunWith(t, storetest.Options{Open: openClient, Confines: true})
}

func openClient(t testing.TB) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), storetest.File(t, "tenet.db", migrated),
		sqlite.Options{CheckLimit: -1, Frozen: true})
	if err != nil {
		t.Fatal(err)
	}
	admin := &access.Caller{ID: "admin", Name: "admin", Role: knowledge.RoleAdmin}
	h := httpapi.New(httpapi.Options{Store: s, Authenticate: func(token string) (*access.Caller, error) {
		if token != "secret" {
			return nil, store.ErrUnauthenticated
		}
		return admin, nil
	}})
	srv := httptest.NewServer(h)
	c, err := client.New(client.Options{URL: srv.URL, Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		h.Drain()
		srv.Close()
		s.Close()
	})
	return c
}

// migrated makes an empty database with its schema.
func migrated(path string) error {
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return err
	}
	return s.Close()
}
