package main

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/settings"
)

// A settingInForce is a setting as config and --print-config show it.
type settingInForce struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
	From    string `json:"from"`
}

func addConfig(a *app) {
	a.command(a.root, &cobra.Command{
		Use:   "config",
		Short: "Show the settings in force, and where each comes from",
		Long: `Shows every setting that is in force, with where its value comes from: a flag, the environment, the
settings file, or the default. Secrets are not shown.`,
		Example: `  tenet config
  TENET_LISTEN=:9000 tenet config --output json`,
	}, nil, func(context.Context, []string) error {
		var list []*setting
		for _, cmd := range a.root.Commands() {
			for _, s := range a.settings[cmd] {
				if s.By != settings.ByFlag {
					list = append(list, s)
				}
			}
		}
		if err := fill(list, a.root.Flags(), a.env, a.file); err != nil {
			return err
		}
		return printSettings(a, list)
	})
}

// printSettings prints the settings of a command and those that all share.
func printSettings(a *app, list []*setting) error {
	shown := []settingInForce{}
	t := &table{head: []string{"SETTING", "VALUE", "FROM"}, wide: 1, wrap: true}
	for _, s := range slices.Concat(a.shared, list) {
		if s.By == settings.ByFlag {
			continue
		}
		in := settingInForce{Setting: s.key(), Value: s.String(), From: s.source}
		if s.Name == "config" && in.Value == "" && a.file.path != "" {
			in.Value, in.From = a.file.path, "found"
		}
		if s.Name == "data-dir" && in.From == fromDefault {
			in.Value = a.DataDir
		}
		shown = append(shown, in)
		t.add(in.Setting, in.Value, in.From)
	}
	return a.print(shown, func(w io.Writer, s screen) error { return t.write(w, s) })
}

// settingsText returns the heading and the lines of docs/configuration.md for a list of settings.
func settingsText(list []*setting) string {
	var b strings.Builder
	b.WriteString("| file | environment | flag | default | what it is |\n| --- | --- | --- | --- | --- |\n")
	for _, s := range list {
		if s.By == settings.ByFlag {
			continue
		}
		flag := "`--" + s.Name + "`"
		if s.By == settings.BySecret {
			flag = "-"
		}
		key := "`" + s.key() + "`"
		if s.Name == "config" {
			key = "-"
		}
		def := "-"
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		b.WriteString("| " + strings.Join([]string{key, "`" + s.env() + "`", flag, def, cellText(s.Doc)}, " | ") +
			" |\n")
	}
	return b.String()
}

// cellText returns a text that can stand in a cell of a Markdown table.
func cellText(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
