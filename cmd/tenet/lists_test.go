package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryListPrintsInEveryWay holds what --output promises: name, wide and csv wherever something is listed.
func TestEveryListPrintsInEveryWay(t *testing.T) {
	root := newApp(strings.NewReader(""), io.Discard, io.Discard, func(string) (string, bool) { return "", false }).root
	others := []string{"search", "fleet", "effect", "show", "compare"} // lists by another name
	lists := 0
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		isList := cmd.Name() == "list" || slices.Contains(others, cmd.Name()) && !strings.Contains(cmd.Use, " KEY") &&
			!strings.Contains(cmd.Use, " ID") && cmd.Parent().Name() != "doctor"
		if isList && !cmd.HasSubCommands() {
			lists++
			for _, way := range []string{asTable, asWide, asCSV, asName, asJSON, asYAML} {
				if !slices.Contains(outputsOf(cmd), way) {
					t.Errorf("%s does not print %s", cmd.CommandPath(), way)
				}
			}
		}
		for _, c := range cmd.Commands() {
			look(c)
		}
	}
	look(root)
	if lists < 12 {
		t.Errorf("%d lists were found: want 12 and more", lists)
	}
}
