package server

import "tenet/internal/postgres"

// CheckAddress returns what is wrong with the address of the PostgreSQL that the options name: it can't be read, is that of no
// PostgreSQL, names files that can't be read, or breaks the rule about TLS. Nobody is asked whether the server is there.
func CheckAddress(o Options) error {
	if o.DatabaseURL == "" {
		return nil
	}
	return postgres.Address{URL: o.DatabaseURL, AllowUnverifiedTLS: o.AllowUnverifiedTLS}.Check()
}
