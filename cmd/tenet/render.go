package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/api"
	"tenet/internal/knowledge"
)

type renderSettings struct {
	Set     []string `name:"set" by:"flag" doc:"Variable and value, as in title='Login fails'; @file reads a file; repeatable"`
	Version int64    `name:"version" least:"1" by:"flag" doc:"This version of the template instead of the newest"`
	Label   string   `name:"label" by:"flag" doc:"The template as it stands where this label does"`
	Values  string   `name:"values" by:"flag" doc:"JSON or YAML file with the values; - for standard input"`
}

func addRender(a *app) {
	var s renderSettings
	a.command(a.root, &cobra.Command{
		Use:   "render TEMPLATE",
		Short: "Fill in a template",
		Long: `Prints the text of a template with values in place of its variables. What is missing or does not fit is
named, all at once; "tenet get template/ID" shows the variables.`,
		Example: `  tenet render commit-message --set what='Bound the size of uploads' --set why='A large one stops the server.'
  tenet render commit-message --values values.yaml --set why=@why.md
  tenet render commit-message --version 3 --values values.yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeOf(a, knowledge.KindTemplate),
	}, &s, func(ctx context.Context, args []string) error {
		key, err := parseKey(string(knowledge.KindTemplate) + "/" + strings.TrimPrefix(args[0], "template/"))
		if err != nil {
			return err
		}
		if s.Version != 0 && s.Label != "" {
			return usageError("--version and --label say two things: give one")
		}
		values, err := readValues(ctx, a, &s)
		if err != nil {
			return err
		}
		d, err := a.openToLook(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		got, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*api.RenderAnswer, error) {
			switch {
			case s.Version != 0:
				return renderVersion(ctx, d, key, s.Version, values)
			case s.Label != "":
				rec, err := readAtLabel(ctx, d, key, s.Label)
				if err != nil {
					return nil, err
				}
				return renderRecord(rec, values)
			}
			return d.render(ctx, key, values)
		})
		if _, faulty := errors.AsType[*knowledge.InvalidError](err); faulty {
			return fmt.Errorf("%w\nGive the values with --set NAME=VALUE or --values FILE; `tenet get %s -o wide` "+
				"describes them", err, key)
		}
		if err != nil {
			return err
		}
		return printRendered(a, key, got)
	})
}

func printRendered(a *app, key knowledge.Key, got *api.RenderAnswer) error {
	for _, note := range got.Notes {
		a.say("%s", note)
	}
	return a.print(struct {
		Template string   `json:"template"`
		Text     string   `json:"text"`
		Notes    []string `json:"notes,omitempty"`
	}{key.ID, got.Text, got.Notes}, func(w io.Writer, _ screen) error {
		text := got.Text
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		_, err := io.WriteString(w, text)
		return err
	})
}

// renderVersion fills in a version of a template, out of the log. It counts as no use: those are of what holds now.
func renderVersion(ctx context.Context, d *door, key knowledge.Key, n int64,
	values map[string]any,
) (*api.RenderAnswer, error) {
	rec, err := readVersion(ctx, d, key, n)
	if err != nil {
		return nil, err
	}
	return renderRecord(rec, values)
}

// renderRecord fills in a template as a record has it.
func renderRecord(rec *knowledge.Record, values map[string]any) (*api.RenderAnswer, error) {
	doc, err := rec.Document()
	if err != nil {
		return nil, err
	}
	t, ok := doc.(*knowledge.Template)
	if !ok {
		return nil, fmt.Errorf("%s is no template", rec.Key)
	}
	text, err := t.Render(values)
	if err != nil {
		return nil, err
	}
	return &api.RenderAnswer{Text: text, Version: rec.Version, Notes: t.Left()}, nil
}

// render fills in a template: the running tenet's way, which counts its use, or here.
func (d *door) render(ctx context.Context, key knowledge.Key, values map[string]any) (*api.RenderAnswer, error) {
	if d.remote != nil {
		return d.remote.Render(ctx, key.ID, values)
	}
	return d.local.Render(ctx, key, values)
}

func readValues(ctx context.Context, a *app, s *renderSettings) (map[string]any, error) {
	values := map[string]any{}
	if s.Values != "" {
		data, err := readFile(ctx, a, s.Values)
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
