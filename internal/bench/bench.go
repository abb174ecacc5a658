// Package bench measures a tenet as a whole, against the least that could do the same, and writes the figures to
// docs/benchmarks.md. It is built with the tag bench only: make bench runs it.
package bench
