package postgres

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// An Address says where a PostgreSQL is, and whether one on another machine that could be anybody is taken.
type Address struct {
	URL                string
	AllowUnverifiedTLS bool
}

// config reads an address. Every connection of the program is made with the configuration that it returns: a server that
// gets a password, even that of the role that migrates, has shown a verified certificate, is on this machine, or was
// allowed by name.
func (a Address) config() (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(a.URL)
	if err != nil {
		return nil, fmt.Errorf("read the database address: %w", a.fault(err))
	}
	if err := checkTLS(cfg.ConnConfig, a.AllowUnverifiedTLS); err != nil {
		return nil, err
	}
	return cfg, nil
}

// fault returns what may be said of an address that can't be read. What the driver says may hold a password, but for what it says of the
// files: it is theirs when the address can be read without them.
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

// Check returns what is wrong with the address, without a call of the server.
func (a Address) Check() error {
	_, err := a.config()
	return err
}

// checkTLS refuses a server on another machine that could be anybody.
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
		return fmt.Errorf("the database at %s is on another machine and its certificate would not be verified: add sslmode=verify-full to the address, "+
			"or allow it with --database-allow-unverified-tls", h.host)
	}
	return nil
}

// Hosts returns how many hosts an address names; 0 for one that can't be read.
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
