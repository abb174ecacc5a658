package postgres_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/pgtest"
	"tenet/internal/postgres"
)

// An authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "a test's authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// issue makes name.crt and name.key in the authority's directory; without an authority yet the certificate signs itself.
func (a *authority) issue(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	a.must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	a.must(err)
	a.must(os.WriteFile(a.path(name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	a.must(os.WriteFile(a.path(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	made, err := x509.ParseCertificate(der)
	a.must(err)
	return made, key
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// into copies a file into a server's data directory, where the server's account may read it.
func (a *authority) into(s *pgtest.Server, name string) {
	a.t.Helper()
	data, err := os.ReadFile(a.path(name))
	a.must(err)
	a.write(s, name, data)
}

func (a *authority) write(s *pgtest.Server, name string, data []byte) {
	a.t.Helper()
	to := filepath.Join(s.DataDir(), name)
	a.must(os.WriteFile(to, data, 0o600))
	info, err := os.Stat(s.DataDir())
	a.must(err)
	owner := info.Sys().(*syscall.Stat_t)
	a.must(os.Chown(to, int(owner.Uid), int(owner.Gid)))
}

// TestAClientCertificateIsEnoughAndNeeded runs a server that lets in whoever has a certificate of its authority, and nobody else.
func TestAClientCertificateIsEnoughAndNeeded(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{})
	a := newAuthority(t)
	a.issue("server", &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	a.issue("client", &x509.Certificate{
		Subject: pkix.Name{CommonName: "postgres"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	other := newAuthority(t)
	other.issue("client", &x509.Certificate{
		Subject: pkix.Name{CommonName: "postgres"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	for _, name := range []string{"ca.crt", "server.crt", "server.key"} {
		a.into(s, name)
	}
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	a.must(err)
	for _, set := range []string{"ssl = on", "ssl_ca_file = 'ca.crt'", "ssl_cert_file = 'server.crt'", "ssl_key_file = 'server.key'"} {
		_, err := conn.Exec(t.Context(), "ALTER SYSTEM SET "+set)
		a.must(err)
	}
	a.must(conn.Close(t.Context()))
	s.Restart()
	conn, err = pgx.Connect(t.Context(), s.URL("postgres"))
	a.must(err)
	a.write(s, "pg_hba.conf", []byte("hostssl all all all cert\n"))
	_, err = conn.Exec(t.Context(), "SELECT pg_reload_conf()")
	a.must(err)
	a.must(conn.Close(t.Context()))
	pgtest.Await(t, "the server to let in nobody without a certificate", func() bool {
		c, err := pgx.Connect(t.Context(), s.URL("postgres"))
		if err == nil {
			a.must(c.Close(t.Context()))
		}
		return err != nil
	})

	for name, c := range map[string]struct {
		query url.Values
		ok    bool
	}{
		"with its certificate": {url.Values{
			"sslmode": {"verify-full"}, "sslrootcert": {a.path("ca.crt")}, "sslcert": {a.path("client.crt")}, "sslkey": {a.path("client.key")},
		}, true},
		"without one": {url.Values{"sslmode": {"verify-full"}, "sslrootcert": {a.path("ca.crt")}}, false},
		"with one of another authority": {url.Values{
			"sslmode": {"verify-full"}, "sslrootcert": {a.path("ca.crt")}, "sslcert": {other.path("client.crt")}, "sslkey": {other.path("client.key")},
		}, false},
		"to a server of another authority": {url.Values{
			"sslmode": {"verify-full"}, "sslrootcert": {other.path("ca.crt")}, "sslcert": {a.path("client.crt")}, "sslkey": {a.path("client.key")},
		}, false},
		"without TLS": {url.Values{"sslmode": {"disable"}}, false},
	} {
		u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: s.Addr(), Path: "/postgres", RawQuery: c.query.Encode()}
		store, err := postgres.Open(t.Context(), postgres.Options{URL: u.String(), Migrate: true})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v, want to be let in: %v", name, err, c.ok)
		}
		if err == nil {
			if err := store.Ping(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if ends := postgres.CertificatesOf(store); ends.Server.IsZero() || ends.Client.IsZero() {
				t.Errorf("%s: nothing says when the certificates end: %+v", name, ends)
			}
			a.must(store.Close())
		}
	}
}
