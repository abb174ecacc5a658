//go:build !linux

package pgtest

import "testing"

// A Network is a network of its own for a server; see the one for Linux.
type Network struct{}

// NewNetwork skips the test.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	t.Skip("skipped: only Linux can make a network; a proxy loses answers in other tests")
	return nil
}

// LoseRequests loses what goes to the server.
func (w *Network) LoseRequests() {}

// LoseAnswers loses what comes from the server.
func (w *Network) LoseAnswers() {}

// Mend loses nothing more.
func (w *Network) Mend() {}

// Run runs nothing.
func (w *Network) Run(testing.TB, string, string, ...string) ([]byte, error) { return nil, nil }

func (w *Network) enter(start func() error) error { return start() }

func (w *Network) host() string { return "127.0.0.1" }
