package pgtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An Authority signs certificates for a test, and keeps them as files in a directory of its own.
type Authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority, with its certificate as ca.crt.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "a test's authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// Server makes server.crt and server.key of a server on the loopback interface.
func (a *Authority) Server() {
	a.t.Helper()
	a.issue("server", &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// Host makes host.crt of hosts with these names, 127.0.0.1 and those after it, and what standbys show: replication.crt
// and rewind.crt.
func (a *Authority) Host(names []string) {
	a.t.Helper()
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: "host"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: names, ExtKeyUsage: both,
	}
	for n := range names {
		c.IPAddresses = append(c.IPAddresses, net.IPv4(127, 0, 0, byte(n+1)))
	}
	a.issue("host", c)
	for _, role := range []string{"replication", "rewind"} {
		a.Named(role, "tenet_"+role, time.Now().Add(time.Hour))
	}
}

// Client makes client.crt and client.key for a role of the database, in the place of those that are there.
func (a *Authority) Client(role string, ends time.Time) {
	a.t.Helper()
	a.Named("client", role, ends)
}

// Named makes a certificate for a role of the database, as files of a name.
func (a *Authority) Named(name, role string, ends time.Time) {
	a.t.Helper()
	a.issue(name, &x509.Certificate{
		Subject: pkix.Name{CommonName: role}, NotAfter: ends,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// issue makes name.crt and name.key; without an authority yet the certificate signs itself.
func (a *Authority) issue(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	c.SerialNumber, c.NotBefore = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	a.must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	a.must(err)
	a.replace(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	a.replace(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	made, err := x509.ParseCertificate(der)
	a.must(err)
	return made, key
}

// replace puts a file into its place at once, as whoever rotates certificates should.
func (a *Authority) replace(name string, data []byte) {
	a.t.Helper()
	a.must(errors.Join(os.WriteFile(a.Path(name+".new"), data, 0o600), os.Rename(a.Path(name+".new"), a.Path(name))))
}

// Path returns where a file of the authority lies.
func (a *Authority) Path(name string) string { return filepath.Join(a.dir, name) }

// Query returns the settings of an address that trusts the authority and, with, shows the client certificate of another
// one.
func (a *Authority) Query(with *Authority) url.Values {
	query := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {a.Path("ca.crt")}}
	if with != nil {
		query.Set("sslcert", with.Path("client.crt"))
		query.Set("sslkey", with.Path("client.key"))
	}
	return query
}

// UseTLS makes a server speak TLS with the authority's server certificate, and know the authority's clients. It starts
// the server again.
func UseTLS(s *Server, a *Authority) {
	s.t.Helper()
	for _, name := range []string{"ca.crt", "server.crt", "server.key"} {
		data, err := os.ReadFile(a.Path(name))
		s.must("read a certificate", err)
		WriteFile(s, filepath.Join(s.data, name), string(data))
	}
	s.must("speak TLS", s.configure(map[string]string{
		"ssl": "on", "ssl_ca_file": "ca.crt", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key",
	}))
	s.Restart()
}

// UseRules replaces pg_hba.conf, but for the server's socket, by which a test comes in as anybody. Rules with a mistake
// fail the test.
func UseRules(s *Server, rules string) {
	s.t.Helper()
	WriteFile(s, filepath.Join(s.data, "pg_hba.conf"), "local all all trust\n"+rules)
	faults, err := value(s.SocketURL("postgres"),
		"SELECT string_agg(line_number || ': ' || error, E'\\n') FROM pg_hba_file_rules")
	s.must("read pg_hba.conf", err)
	if faults != "" {
		s.must("read pg_hba.conf", errors.New(faults))
	}
	const loaded = "SELECT pg_conf_load_time()"
	before, err := value(s.SocketURL("postgres"), loaded)
	s.must("read pg_hba.conf", errors.Join(err, run(s.SocketURL("postgres"), "SELECT pg_reload_conf()")))
	s.must("read pg_hba.conf", until("the server to have read its files", func(context.Context) (bool, error) {
		now, err := value(s.SocketURL("postgres"), loaded)
		return now != before, err
	}))
}

// URLWith returns the address of a database for a role over TCP, with settings of its own.
func URLWith(s *Server, role, database string, query url.Values) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(role), Host: s.Addr(), Path: "/" + database,
		RawQuery: query.Encode(),
	}
	return u.String()
}

func (a *Authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}
