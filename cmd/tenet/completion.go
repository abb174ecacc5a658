package main

import (
	"context"

	"github.com/spf13/cobra"
)

func addCompletion(a *app) {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	a.command(a.root, &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the completion script for a shell",
		Long: `Prints the script with which bash, zsh, fish or powershell completes commands, flags, kinds and keys.
Load it once to try it, or from the shell's own start-up file.`,
		Example: `  source <(tenet completion bash)
  tenet completion zsh > "${fpath[1]}/_tenet"
  tenet completion fish > ~/.config/fish/completions/tenet.fish`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: shells,
	}, nil, func(_ context.Context, args []string) error {
		switch args[0] {
		case "bash":
			return a.root.GenBashCompletionV2(a.out, true)
		case "zsh":
			return a.root.GenZshCompletion(a.out)
		case "fish":
			return a.root.GenFishCompletion(a.out, true)
		case "powershell":
			return a.root.GenPowerShellCompletionWithDesc(a.out)
		}
		return usageError("shell %q: want bash, zsh, fish or powershell", args[0])
	})
}
