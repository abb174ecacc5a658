package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryArgumentIsCompletedOrFree holds that a shell completes what a command's arguments name, unless they are
// files, new names or free text.
func TestEveryArgumentIsCompletedOrFree(t *testing.T) {
	free := map[string]bool{
		"tenet backup restore": true, "tenet check": true, "tenet config": true,
		"tenet export": true, "tenet guidance": true, "tenet import": true, "tenet put": true, "tenet scrub": true,
		"tenet search": true, "tenet serve": true, "tenet token create": true,
	}
	a := newApp(os.Stdin, os.Stdout, os.Stderr, func(string) (string, bool) { return "", false })
	var below func(cmd *cobra.Command)
	below = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			_, arguments, _ := strings.Cut(c.Use, " ")
			completed := c.ValidArgsFunction != nil || len(c.ValidArgs) > 0
			if arguments != "" && !completed && !free[c.CommandPath()] && !c.Hidden {
				t.Errorf("%s %s: no shell completes it, and it is not free text", c.CommandPath(), arguments)
			}
			below(c)
		}
	}
	below(a.root)
}
