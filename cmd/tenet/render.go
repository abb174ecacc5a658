package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
)

type renderSettings struct {
	Set    []string `name:"set" by:"flag" doc:"Variable and value, as in title='Login fails'; @file takes the value from a file; may be given several times"`
	Values string   `name:"values" by:"flag" doc:"JSON or YAML file with the values; - for standard input"`
}

func (a *app) addRender() {
	var s renderSettings
	a.command(a.root, &cobra.Command{
		Use:   "render TEMPLATE",
		Short: "Fill in a template",
		Long: `Prints the text of a template with values in place of its variables. What is missing or does not fit is named, all at once;
"tenet get template/ID" shows the variables.`,
		Example: `  tenet render incident-report --set title='Login fails' --set severity=high
  tenet render incident-report --values values.yaml --set summary=@summary.md`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeTemplates,
	}, &s, func(ctx context.Context, args []string) error {
		key, err := parseKey(string(knowledge.KindTemplate) + "/" + strings.TrimPrefix(args[0], "template/"))
		if err != nil {
			return err
		}
		values, err := a.readValues(&s)
		if err != nil {
			return err
		}
		d, err := a.open(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		text, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (string, error) { return d.render(ctx, key, values) })
		if err != nil {
			return err
		}
		return a.print(struct {
			Template string `json:"template"`
			Text     string `json:"text"`
		}{key.ID, text}, func(w io.Writer, _ screen) error {
			if !strings.HasSuffix(text, "\n") {
				text += "\n"
			}
			_, err := io.WriteString(w, text)
			return err
		})
	})
}

// render fills in a template: the running tenet's way, which counts its use, or here.
func (d *door) render(ctx context.Context, key knowledge.Key, values map[string]any) (string, error) {
	if d.remote != nil {
		return d.remote.Render(ctx, key.ID, values)
	}
	return d.local.Render(ctx, key, values)
}

func (a *app) readValues(s *renderSettings) (map[string]any, error) {
	values := map[string]any{}
	if s.Values != "" {
		data, err := a.readFile(s.Values)
		if err != nil {
			return nil, err
		}
		list, err := jsonOf(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Values, err)
		}
		if len(list) != 1 || json.Unmarshal(list[0], &values) != nil {
			return nil, usageError("%s: want one object, a value for each variable", s.Values)
		}
	}
	for _, text := range s.Set {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usageError("--set %q: want variable=value", text)
		}
		if path, ok := strings.CutPrefix(value, "@"); ok {
			data, err := os.ReadFile(path) //nolint:gosec // the user names the file
			if err != nil {
				return nil, usageError("--set %s: %s", name, err)
			}
			value = strings.TrimSuffix(string(data), "\n")
		}
		values[name] = value
	}
	return values, nil
}

// completeTemplates completes the id of a template.
func (a *app) completeTemplates(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	keys, directive := a.completeKeys(cmd, args, "template/"+begun)
	for i, k := range keys {
		keys[i] = strings.TrimPrefix(k, "template/")
	}
	return keys, directive
}
