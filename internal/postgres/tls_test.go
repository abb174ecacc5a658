package postgres_test

import (
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
)

// onlyWith starts a server that lets in over the network whoever has a certificate of the authority, and nobody else.
func onlyWith(t *testing.T, a *pgtest.Authority) *pgtest.Server {
	s := pgtest.Start(t, pgtest.Options{})
	a.Server()
	pgtest.UseTLS(s, a)
	pgtest.UseRules(s, "hostssl all all all cert\n")
	return s
}

// TestAClientCertificateIsEnoughAndNeeded runs a server that lets in whoever has a certificate of its authority, and
// nobody else.
func TestAClientCertificateIsEnoughAndNeeded(t *testing.T) {
	a, other := pgtest.NewAuthority(t), pgtest.NewAuthority(t)
	s := onlyWith(t, a)
	a.Client("postgres", time.Now().Add(time.Hour))
	other.Client("postgres", time.Now().Add(time.Hour))
	for name, c := range map[string]struct {
		query url.Values
		fault string // a part of the reason; "" for being let in
	}{
		"with its certificate":             {a.Query(a), ""},
		"without one":                      {a.Query(nil), "refuses this program's role"},
		"with one of another authority":    {a.Query(other), "does not know the authority of the client certificate"},
		"to a server of another authority": {other.Query(a), "not of an authority in sslrootcert"},
		"without TLS":                      {url.Values{"sslmode": {"disable"}}, "refuses this program's role"},
	} {
		open := func() (*postgres.Store, error) {
			return postgres.Open(t.Context(), postgres.Options{
				URL:     pgtest.URLWith(s, "postgres", "postgres", c.query),
				Migrate: true,
			})
		}
		store, err := open()
		for tries := 0; c.fault != "" && err != nil && !isHalt(err, "") && tries < 20; tries++ {
			store, err = open() // with TLS 1.3 a server may have hung up before its reason is read
		}
		if err != nil {
			if !isHalt(err, c.fault) || c.fault == "" {
				t.Errorf("%s: %v, want %q, for a person to mend", name, err, c.fault)
			}
			continue
		}
		if c.fault != "" {
			t.Errorf("%s: was let in, want %q", name, c.fault)
		}
		if err := store.Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if ends := postgres.CertificatesOf(store); ends.Server.IsZero() || ends.Client.IsZero() {
			t.Errorf("%s: nothing says when the certificates end: %+v", name, ends)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

func isHalt(err error, reason string) bool {
	u, ok := errors.AsType[*store.UnavailableError](err)
	return ok && u.Halt && strings.Contains(u.Reason, reason)
}

// TestCertificatesAreReadAgainForEachConnection lets the certificates of an open store end, and puts new ones in their
// place: the client's, then the authority and with it the server's. The address names a host before this one where
// nobody is, so that a fallback's are meant.
func TestCertificatesAreReadAgainForEachConnection(t *testing.T) {
	a := pgtest.NewAuthority(t)
	s := onlyWith(t, a)
	a.Client("postgres", time.Now().Add(time.Hour))
	address, err := url.Parse(pgtest.URLWith(s, "postgres", "postgres", a.Query(a)))
	if err != nil {
		t.Fatal(err)
	}
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := dead.Addr().String()
	_ = dead.Close()
	open := func(hosts string) *postgres.Store {
		with := *address
		with.Host = hosts
		store, err := postgres.Open(t.Context(), postgres.Options{URL: with.String(), Migrate: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
	alone, fallback := open(address.Host), open(refusing+","+address.Host)
	cut := func() {
		t.Helper()
		pgtest.Exec(t, s.SocketURL("postgres"),
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tenet'")
	}
	ping := func(s *postgres.Store) (err error) { // the first call may find a session that was ended
		for range 12 {
			if err = s.Ping(t.Context()); err == nil || isHalt(err, "") {
				break
			}
		}
		return err
	}

	refused := func(s *postgres.Store, ping func(*postgres.Store) error) (err error) {
		t.Helper()
		pgtest.Await(t, "a call to be refused", func() bool {
			if err = ping(s); err == nil {
				cut() // a session may have begun with the old certificate when the others were ended
			}
			return err != nil
		})
		return err
	}

	a.Client("postgres", time.Now().Add(-time.Minute))
	cut()
	if err := refused(alone, ping); !isHalt(err, "client certificate") {
		t.Errorf("with a client certificate that has ended: %v, want that a person must replace it", err)
	}
	once := func(s *postgres.Store) error { return s.Ping(t.Context()) }
	if err := refused(fallback, once); isHalt(err, "") {
		t.Errorf("with a client certificate that has ended, and another host that is away: %v, want the database to "+
			"be away", err)
	}
	a.Client("postgres", time.Now().Add(2*time.Hour))
	for name, store := range map[string]*postgres.Store{"one host": alone, "a fallback": fallback} {
		pgtest.Await(t, name+" to use the new client certificate", func() bool {
			if time.Until(postgres.CertificatesOf(store).Client) > time.Hour {
				return true
			}
			cut() // a session may have begun with the old one when the others were ended
			if err := ping(store); err != nil {
				t.Errorf("%s, with a new client certificate in its place: %v", name, err)
			}
			return false
		})
	}

	// A new authority, and with it the server's and the client's certificates.
	next := pgtest.NewAuthority(t)
	next.Server()
	next.Client("postgres", time.Now().Add(time.Hour))
	pgtest.UseRules(s, "host all all all trust\n") // for the restart
	pgtest.UseTLS(s, next)
	pgtest.UseRules(s, "hostssl all all all cert\n")
	cut()
	if err := refused(alone, ping); !isHalt(err, "not of an authority in sslrootcert") {
		t.Errorf("with a server of another authority: %v, want that a person must act", err)
	}
	for _, name := range []string{"ca.crt", "client.crt", "client.key"} {
		if err := os.Rename(next.Path(name), a.Path(name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, store := range map[string]*postgres.Store{"one host": alone, "a fallback": fallback} {
		if err := ping(store); err != nil {
			t.Errorf("%s, with the new authority in its place: %v", name, err)
		}
	}

	// A rotation half done: the certificate is away for a moment.
	if err := os.Remove(a.Path("client.crt")); err != nil {
		t.Fatal(err)
	}
	cut()
	if err := ping(alone); err != nil {
		t.Errorf("while a file is missing: %v, want a connection with what it held before", err)
	}
}

// TestAnAddressNamesTheFileThatCantBeUsed gives no password away.
func TestAnAddressNamesTheFileThatCantBeUsed(t *testing.T) {
	a := pgtest.NewAuthority(t)
	a.Client("postgres", time.Now().Add(time.Hour))
	query := a.Query(a)
	query.Set("sslcert", a.Path("nowhere.crt"))
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", "secret"), Host: "198.51.100.7",
		Path: "/tenet", RawQuery: query.Encode(),
	}
	err := postgres.Address{URL: u.String()}.Check()
	if err == nil || !strings.Contains(err.Error(), "nowhere.crt") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want the file that is missing", err)
	}
}
