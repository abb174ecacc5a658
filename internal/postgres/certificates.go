package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// A renewer reads the files of an address again for each connection: certificates, keys, authorities, and the password where that stands
// in a file. What was replaced on disk holds from the next connection on, for every host of the address.
type renewer struct {
	address Address
	log     *slog.Logger

	mu   sync.Mutex      // guards the fields below
	last *pgx.ConnConfig // of the last time that the files could be read
	said string          // what was wrong with the files when it was last said, "" for nothing
}

// renew changes a configuration to what the files hold now. While they can't be read, or a key has been replaced and its certificate not
// yet, it is what they held before.
func (r *renewer) renew(ctx context.Context, cfg *pgx.ConnConfig) {
	fresh, err := r.address.config()
	r.mu.Lock()
	defer r.mu.Unlock()
	said := ""
	if err == nil {
		r.last = fresh.ConnConfig
	} else {
		said = err.Error()
	}
	if said != "" && said != r.said {
		r.log.WarnContext(ctx, "certificates of the database address can't be read again; connections are made with those of before", "error", said)
	}
	r.said = said
	if r.last != nil {
		now := r.last.Copy()
		cfg.TLSConfig, cfg.Fallbacks, cfg.Password = now.TLSConfig, now.Fallbacks, now.Password
	}
}

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
	c.Client = clientEnds(conn.Config().TLSConfig)
	return c
}

// clientEnds returns when the certificate ends that a client shows; zero where it shows none.
func clientEnds(own *tls.Config) time.Time {
	if own == nil || len(own.Certificates) == 0 || len(own.Certificates[0].Certificate) == 0 {
		return time.Time{}
	}
	leaf, err := x509.ParseCertificate(own.Certificates[0].Certificate[0])
	if err != nil {
		return time.Time{}
	}
	return leaf.NotAfter
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
