package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryWriteTakesAMessage holds that whoever writes can say why.
func TestEveryWriteTakesAMessage(t *testing.T) {
	root := newApp(strings.NewReader(""), io.Discard, io.Discard, func(string) (string, bool) { return "", false }).root
	otherwise := []string{ // their reason has another name, or is made
		"tenet propose", "tenet review apply", "tenet review approve", "tenet review ask", "tenet review comment",
		"tenet review override", "tenet review reject", "tenet review withdraw",
	}
	writes := 0
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("batch") != nil && !slices.Contains(otherwise, cmd.CommandPath()) {
			writes++
			if cmd.Flags().Lookup("message") == nil {
				t.Errorf("%s has no --message", cmd.CommandPath())
			}
		}
		for _, c := range cmd.Commands() {
			look(c)
		}
	}
	look(root)
	if writes < 10 {
		t.Errorf("%d writes were found: want 10 and more", writes)
	}
}
