package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"tenet/internal/bundle"
	"tenet/internal/guidance"
	"tenet/internal/hook"
	"tenet/internal/treesync"
)

// Bounds of what is told at an edit.
const (
	toldAtOnce = 12        // documents that are named at one edit, the strictest; of the others the number is told
	maxTold    = 256 << 10 // bytes of the file that says what was told; a longer one starts again
)

// tellWhatHolds adds to a verdict what holds for the paths of an edit, a line for each document, as far as its
// conversation was not told it and the assistant's own files don't hold it. What can't be told is not: the edit
// matters.
func tellWhatHolds(w *workTree, b *bundle.Bundle, tool string, e *hook.Event, paths []string, v *hook.Verdict) {
	if v.Deny || e.Session == "" || len(paths) == 0 || !hook.Hears(tool) {
		return
	}
	known, err := treesync.Written(w.Tree, tool)
	if err != nil {
		return
	}
	path, session := strings.TrimSuffix(w.cache, ".json")+".told", strings.Join(strings.Fields(e.Session), "_")
	told, _ := os.ReadFile(path) //nolint:gosec // of the user's cache; one that can't be read has told nothing
	for line := range strings.Lines(string(told)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == session {
			known = append(known, words[1:]...)
		}
	}
	k, err := ready(context.Background(), b)
	if err != nil {
		return
	}
	a, err := k.Guide(context.Background(), guidance.Query{
		Paths:  paths[:min(len(paths), guidance.MaxPaths)],
		Target: tool,
		Budget: guidance.Budget{Explain: true}, // names are told, and no texts
	})
	if err != nil {
		return
	}
	var lines, keys []string
	for i := range a.Items {
		item := &a.Items[i]
		key := fmt.Sprintf("%s@%d", item.Key, item.Version)
		if slices.Contains(known, key) {
			continue
		}
		keys = append(keys, key)
		if len(lines) < toldAtOnce {
			lines = append(lines, fmt.Sprintf("- %s (%s, %s)", item.Title, item.Key, item.Enforcement))
		}
	}
	if len(keys) == 0 {
		return
	}
	if more := len(keys) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("- %d more, less strict", more))
	}
	v.Tell(lines, paths, ageOf(b))
	flags := os.O_WRONLY | os.O_APPEND | os.O_CREATE
	if len(told) > maxTold {
		flags = os.O_WRONLY | os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o600) //nolint:gosec // of the user's cache
	if err != nil {
		return // it is told once more
	}
	_, _ = f.WriteString(session + " " + strings.Join(keys, " ") + "\n")
	_ = f.Close()
}
