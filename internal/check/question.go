package check

import (
	"context"
	"fmt"
	"slices"

	"tenet/internal/knowledge"
)

// Bounds of a question.
const (
	MaxFiles = 1000
	MaxGone  = 10_000
	MaxText  = 16 << 20 // bytes of all files
	MaxPacks = 500
)

// A Question asks for a check of files by the rules of a repository or of packs.
type Question struct {
	Repository string   // by its packs, label and exemptions
	Packs      []string // in addition to those of the repository
	Label      string   // instead of the repository's
	Files      []File
	Before     []File   // the files before the edit: their findings do not count. Nil: everything counts
	Gone       []string // files that are no longer there, for the report
}

// Check returns every fault of the question.
func (q *Question) Check() error {
	var f []knowledge.Fault
	add := func(pointer, format string, args ...any) {
		f = append(f, knowledge.Fault{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
	}
	switch {
	case len(q.Files) == 0 && len(q.Gone) == 0:
		add("/files", "empty: want at least one file, with its path and content")
	case len(q.Files) > MaxFiles:
		add("/files", "%d files: at most %d", len(q.Files), MaxFiles)
	}
	if len(q.Gone) > MaxGone {
		add("/gone", "%d files: at most %d", len(q.Gone), MaxGone)
	}
	size, there := 0, map[string]bool{}
	for i := range q.Files {
		size += len(q.Files[i].Content)
		clean, err := knowledge.CleanPath(q.Files[i].Path)
		if err != nil && i < MaxFiles {
			add(fmt.Sprintf("/files/%d/path", i), "%s", err)
		}
		there[clean] = true
	}
	for i, path := range q.Gone[:min(len(q.Gone), MaxGone)] {
		switch clean, err := knowledge.CleanPath(path); {
		case err != nil:
			add(fmt.Sprintf("/gone/%d", i), "%s", err)
		case there[clean]:
			add(fmt.Sprintf("/gone/%d", i), "%q is among the files that are checked: want one that is no longer there", path)
		}
	}
	if size > MaxText {
		add("/files", "%d bytes of text: at most %d", size, MaxText)
	}
	if len(q.Packs) > MaxPacks {
		add("/packs", "%d packs: at most %d", len(q.Packs), MaxPacks)
	}
	if len(f) > 0 {
		return &knowledge.InvalidError{Faults: f}
	}
	return nil
}

// IsGone returns a function that reports whether a file is one of those that are no longer there.
func (q *Question) IsGone() func(path string) bool {
	gone := map[string]bool{}
	for _, path := range q.Gone {
		if clean, err := knowledge.CleanPath(path); err == nil {
			gone[clean] = true
		}
	}
	return func(path string) bool { return gone[path] }
}

// Answer checks the files of a question until its context ends, and then returns the context's error.
func (s *Set) Answer(ctx context.Context, q *Question) (*Result, error) {
	over := func() bool { return ctx.Err() != nil }
	var r *Result
	if q.Before != nil {
		r = s.runSince(slices.Values(q.Files), slices.Values(q.Before), over)
	} else {
		r = s.run(slices.Values(q.Files), nil, over)
	}
	return r, ctx.Err()
}
