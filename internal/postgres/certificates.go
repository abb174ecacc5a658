package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Certificates tell when the certificates end that a session is made with; zero where there is none.
type Certificates struct{ Server, Client time.Time }

// certificates are those of the newest session of a pool.
type certificates struct{ now atomic.Pointer[Certificates] }

// note reads the certificates of a session.
func (c *certificates) note(conn *pgx.Conn) {
	found := certificatesOf(conn)
	c.now.Store(&found)
}

// certificatesOf returns when the certificates of a session end.
func certificatesOf(conn *pgx.Conn) (c Certificates) {
	if encrypted, ok := conn.PgConn().Conn().(*tls.Conn); ok {
		if chain := encrypted.ConnectionState().PeerCertificates; len(chain) > 0 {
			c.Server = chain[0].NotAfter
		}
	}
	if own := conn.Config().TLSConfig; own != nil && len(own.Certificates) > 0 && len(own.Certificates[0].Certificate) > 0 {
		if leaf, err := x509.ParseCertificate(own.Certificates[0].Certificate[0]); err == nil {
			c.Client = leaf.NotAfter
		}
	}
	return c
}

// CertificatesOf returns when the certificates end that the store's newest session was made with.
func CertificatesOf(s *Store) Certificates {
	if c := s.certificates.now.Load(); c != nil {
		return *c
	}
	return Certificates{}
}

// Certificates returns when those of the inspection's session end.
func (i *Inspection) Certificates() Certificates { return certificatesOf(i.conn) }
