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

// A renewer reads the files of an address again for each new connection: certificates, keys, authorities, and the
// password file. A replaced file takes effect with the next connection, for every host of the address.
type renewer struct {
	address Address
	log     *slog.Logger

	mu   sync.Mutex      // guards the fields below
	last *pgx.ConnConfig // the last configuration whose files could be read
	said string          // the last file error that was logged, "" for none
}

// renew updates a configuration from the files. While they can't be read, or a key has been replaced before its
// certificate, it keeps the previous ones.
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
		r.log.WarnContext(ctx, "certificate files of the database address can't be read; new connections use the "+
			"previous certificates", "error", said)
	}
	r.said = said
	if r.last != nil {
		now := r.last.Copy()
		cfg.TLSConfig, cfg.Fallbacks, cfg.Password = now.TLSConfig, now.Fallbacks, now.Password
	}
}

// Certificates hold when the certificates of a session expire; zero for none.
type Certificates struct{ Server, Client time.Time }

// certificates holds the expiry of the pool's newest session.
type certificates struct{ now atomic.Pointer[Certificates] }

// note records the certificates of a session.
func (c *certificates) note(conn *pgx.Conn) {
	found := certificatesOf(conn)
	c.now.Store(&found)
}

// certificatesOf returns when the certificates of a session expire.
func certificatesOf(conn *pgx.Conn) (c Certificates) {
	if encrypted, ok := conn.PgConn().Conn().(*tls.Conn); ok {
		if chain := encrypted.ConnectionState().PeerCertificates; len(chain) > 0 {
			c.Server = chain[0].NotAfter
		}
	}
	c.Client = clientEnds(conn.Config().TLSConfig)
	return c
}

// clientEnds returns when the client certificate expires; zero if there is none.
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

// CertificatesOf returns when the certificates of the store's newest session expire.
func CertificatesOf(s *Store) Certificates {
	if c := s.certificates.now.Load(); c != nil {
		return *c
	}
	return Certificates{}
}

// Certificates returns when those of the inspection's session expire.
func (i *Inspection) Certificates() Certificates { return certificatesOf(i.conn) }
