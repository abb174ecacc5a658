package server

import (
	"errors"
	"fmt"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
)

// badAddress is [CheckAddress] for commands that open a PostgreSQL past its store.
func (o Options) badAddress() error {
	if err := CheckAddress(o); err != nil {
		return knowledge.BadQuery("", "%s", err)
	}
	return nil
}

// CheckAddress returns what is wrong with the addresses of PostgreSQL that the options name, each with its setting: it
// can't be read, is that of no PostgreSQL, names files that can't be read, or breaks the rule about TLS. Nobody is
// asked whether a server is there.
func CheckAddress(o Options) error {
	if o.DatabaseURL == "" {
		if o.ReplicaURL != "" {
			return errors.New("--database-replica-url: there is no primary that it could be a replica of; give " +
				"--database-url too")
		}
		return nil
	}
	if strings.TrimSpace(o.DatabaseURL) == "" {
		return errors.New("--database-url: it is blank: leave it out, or give the address of a PostgreSQL")
	}
	if err := (postgres.Address{URL: o.DatabaseURL, AllowUnverifiedTLS: o.AllowUnverifiedTLS}).Check(); err != nil {
		return fmt.Errorf("--database-url: %w", err)
	}
	if o.ReplicaURL == "" {
		return nil
	}
	if err := (postgres.Address{URL: o.ReplicaURL, AllowUnverifiedTLS: o.AllowUnverifiedTLS}).Check(); err != nil {
		return fmt.Errorf("--database-replica-url: %w", err)
	}
	return nil
}
