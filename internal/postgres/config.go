package postgres

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// An Address is the address of a PostgreSQL server, and whether an unverified server on another machine is accepted.
type Address struct {
	URL                string
	AllowUnverifiedTLS bool
}

// config parses an address. Every connection of the program uses the returned configuration: a server that gets a
// password, also that of the migrating role, has shown a verified certificate, is on this machine, or was explicitly
// allowed.
func (a Address) config() (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(a.URL)
	if err != nil {
		return nil, fmt.Errorf("read the database address: %w", a.fault(err))
	}
	if err := checkTLS(cfg.ConnConfig, a.AllowUnverifiedTLS); err != nil {
		return nil, err
	}
	if pair := a.clientPair(); pair != nil {
		hold(cfg.ConnConfig.TLSConfig, pair)
		for _, f := range cfg.ConnConfig.Fallbacks {
			hold(f.TLSConfig, pair)
		}
	}
	return cfg, nil
}

// clientPair reads the client certificate that the address names, nil for none. pgx reads the files at each handshake:
// then nobody knows when the certificate ends, and while one of two files is replaced no connection succeeds. One that
// only the environment names is left to pgx.
func (a Address) clientPair() *tls.Certificate {
	u, err := url.Parse(a.URL)
	if err != nil {
		return nil
	}
	query := u.Query()
	if query.Get("sslcert") == "" || query.Get("sslpassword") != "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(query.Get("sslcert"), query.Get("sslkey"))
	if err != nil {
		return nil // pgx, which has read them, knows more forms
	}
	return &pair
}

// hold lets a TLS configuration, if there is one, use a client certificate.
func hold(c *tls.Config, pair *tls.Certificate) {
	if c != nil {
		c.Certificates = []tls.Certificate{*pair}
	}
}

// fault describes why an address can't be parsed. pgx's message may contain the password, except if it is about the
// files, which is so if the address parses without them.
func (a Address) fault(err error) error {
	if u, bad := url.Parse(a.URL); bad == nil && u.Scheme != "" {
		query := u.Query()
		for _, name := range []string{"sslcert", "sslkey", "sslrootcert", "sslpassword"} {
			query.Del(name)
		}
		u.RawQuery = query.Encode()
		of, told := errors.AsType[*pgconn.ParseConfigError](err)
		if _, bad := pgxpool.ParseConfig(u.String()); bad == nil && told && of.Unwrap() != nil {
			return fmt.Errorf("the files named by sslrootcert, sslcert and sslkey can't be used: %w", of.Unwrap())
		}
	}
	return errors.New("not an address PostgreSQL knows; want postgres://user@host:5432/database?sslmode=verify-full")
}

// Check validates the address without connecting.
func (a Address) Check() error {
	_, err := a.config()
	return err
}

// checkTLS refuses an unverified server on another machine.
func checkTLS(cfg *pgx.ConnConfig, allow bool) error {
	if allow {
		return nil
	}
	hosts := []struct {
		host string
		safe bool
	}{{cfg.Host, cfg.TLSConfig != nil && !cfg.TLSConfig.InsecureSkipVerify}}
	for _, f := range cfg.Fallbacks {
		hosts = append(hosts, struct {
			host string
			safe bool
		}{f.Host, f.TLSConfig != nil && !f.TLSConfig.InsecureSkipVerify})
	}
	for _, h := range hosts {
		if h.safe || local(h.host) {
			continue
		}
		return fmt.Errorf("the database at %s is on another machine and its certificate would not be verified: add "+
			"sslmode=verify-full to the address, "+
			"or allow it with --database-allow-unverified-tls", h.host)
	}
	return nil
}

// Hosts returns how many hosts an address names; 0 for an invalid address.
func Hosts(address string) int {
	read, err := Address{URL: address, AllowUnverifiedTLS: true}.config()
	if err != nil {
		return 0
	}
	cfg := read.ConnConfig
	type place struct {
		host string
		port uint16
	}
	places := map[place]bool{{cfg.Host, cfg.Port}: true}
	for _, f := range cfg.Fallbacks {
		places[place{f.Host, f.Port}] = true
	}
	return len(places)
}
