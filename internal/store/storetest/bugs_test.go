package storetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"

	"tenet/internal/store"
)

func itoa(i int) string { return strconv.Itoa(i) }

// A recorder is a test that notes its failures and does not fail.
type recorder struct {
	testing.TB
	mu       sync.Mutex // guards failures
	failures []string
}

func (r *recorder) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, text)
}

func (r *recorder) Error(args ...any)                 { r.note(fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) { r.note(fmt.Sprintf(format, args...)) }
func (r *recorder) Fatal(args ...any)                 { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); runtime.Goexit() }

// broken runs a law against a store with a bug, and returns what it found.
func broken(t *testing.T, l law, bug string) []string {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() { // a fatal failure ends its goroutine
		defer close(done)
		l.check(newSuite(r, Options{Open: func(testing.TB) store.Store { return newMemory(bug) }}))
	}()
	<-done
	return r.failures
}

func TestEverySeededBugIsFound(t *testing.T) {
	all := laws()
	for bug, name := range map[string]string{
		"answers nil and nil":          "a missing document is ErrNotFound and never nil without an error",
		"answers nil lists":            "empty lists come back empty and defaults are the house's own",
		"believes in stamps":           "what a writer claims about stamps is ignored",
		"changes records":              "a record that was handed out never changes",
		"compares tags like patterns":  "every filter of every kind lets through what it should",
		"counts anew after a purge":    "a document written anew after a purge continues its version numbers",
		"counts pages wrong":           "the last page says that it is the last",
		"creates twice":                "a document that is there can't be created",
		"cuts transactions":            "an answer of the log never ends within a transaction",
		"filters by kind only":         "the log is narrowed by key, version, batch and kind",
		"finds what is hidden":         "a search leaves out hidden categories in hits counts and facets",
		"lists what is hidden":         "a list leaves out hidden categories and what tells of them",
		"finds what is retired":        "a search follows what is written",
		"folds case":                   "ids compare byte by byte",
		"follows no references":        "a reference must name a document that is there",
		"forgets batches":              "the same batch twice is one change and the same receipt",
		"forgets what is said":         "what a writer says of a batch stands beside its changes until a purge",
		"forgets the chain":            "the log tells every change once in order and its chain verifies",
		"goes on when cancelled":       "a cancelled context returns its error and has written nothing",
		"ignores batches":              "a batch is a condition as a version is",
		"takes any version of a batch": "a batch is a condition as a version is",
		"repeats a hit":                "pages of a search hold each hit once",
		"ignores exclusions": "a search understands phrases, exclusions, alternatives, beginnings " +
			"and titles",
		"ignores versions":  "a stale version is ErrConflict with the details",
		"keeps local times": "times come back in UTC at microseconds",
		"keeps nanoseconds": "times come back in UTC at microseconds",
		"archives nothing": "archive takes a retired document away and restore brings it back with " +
			"its history",
		"keeps the texts of a purge":       "purge empties the history and leaves a change without a document",
		"leaks a driver's error":           "a key that can't exist is not found or invalid and no driver's error",
		"leaves a gap":                     "the log tells every change once in order and its chain verifies",
		"leaves half a batch":              "a batch that fails in its last op has done nothing",
		"lists what is retired":            "retire takes a document out of use and restore brings it back",
		"lives after Close":                "after Close every method is ErrClosed",
		"looks before it locks":            "of writers who saw the same version exactly one wins",
		"never says more":                  "the log tells every change once in order and its chain verifies",
		"notes ops and not changes":        "a change says what happened whatever op it was",
		"purges parents":                   "what others refer to can't be purged",
		"repeats the last of a page":       "a cursor may be followed twice and with another limit",
		"sets its own time":                "a batch keeps its actor and its time",
		"shows a change late":              "a follower sees every seq once in order while many write",
		"sorts titles like a dictionary":   "every order of every kind is kept over pages of any size",
		"forgets what changed nothing":     "a batch that changed nothing is answered as before although the documents have moved on",
		"takes an id for anything":         "a batch's id with other content is ErrReused",
		"takes any cursor":                 "a cursor that was tampered with or belongs to another list is refused",
		"writes what is only tried":        "a dry run is judged as a write and leaves nothing behind",
		"writes on its caller's documents": "a batch is left as its writer made it",
	} {
		t.Run(bug, func(t *testing.T) {
			i := slices.IndexFunc(all, func(l law) bool { return l.name == name })
			if i < 0 {
				t.Fatalf("no law %q", name)
			}
			if found := broken(t, all[i], bug); len(found) == 0 {
				t.Errorf("a store that %s passes %q", bug, name)
			}
		})
	}
}

func TestEveryNeededLawIsRunOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range laws() {
		if seen[l.name] {
			t.Errorf("two laws are named %q", l.name)
		}
		seen[l.name] = true
	}
	if err := context.Cause(t.Context()); err != nil {
		t.Error(err)
	}
}
