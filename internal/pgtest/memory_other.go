//go:build !linux

package pgtest

// InMemory returns a directory for [Options] Dir whose files are in memory: there is none here.
func InMemory() string { return "" }
