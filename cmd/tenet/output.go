package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"tenet/internal/interchange"
)

// print prints a value as --output says: as JSON or YAML of v, or by what people does.
func (a *app) print(v any, people func(w io.Writer, s screen) error) error {
	switch a.Output {
	case "json":
		return printJSON(a.out, v)
	case "yaml":
		return printYAML(a.out, v)
	}
	sc := screenOf(a.out, a.env)
	if a.Output == asWide {
		sc.columns = 0
	}
	return a.page(sc, func(w io.Writer) error { return people(w, sc) })
}

// forPeople reports whether the output is for people, not for a program.
func (a *app) forPeople() bool { return a.Output != "json" && a.Output != "yaml" }

// printTable prints a table, or v for programs. A list without rows is said to be empty.
func (a *app) printTable(v any, t *table) error {
	if len(t.rows) == 0 && t.none != "" {
		a.say("%s", t.none)
		if a.Output == asTable || a.Output == asWide {
			return nil
		}
	}
	switch a.Output {
	case asCSV:
		return t.writeCSV(a.out)
	case asName:
		return t.writeNames(a.out)
	}
	return a.print(v, t.write)
}

// sayMore says that a list was cut off at its limit, and where it goes on.
func (a *app) sayMore(shown int, on string) { a.say("%d shown, and there are more: %s", shown, on) }

// exportLines writes lines of JSON to a new file, for its owner's eyes only, or to standard output for "-".
func (a *app) exportLines(dest string, write func(enc *json.Encoder) error) (failed error) {
	out := a.out
	if dest != "-" {
		f, err := os.OpenFile(dest, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // a path of the caller's
		if errors.Is(err, os.ErrExist) {
			return usageError("%s is there already: name another file", dest)
		}
		if err != nil {
			return usageError("%s", err)
		}
		defer func() {
			if failed = errors.Join(failed, f.Sync(), f.Close()); failed != nil {
				failed = errors.Join(failed, os.Remove(dest)) // half an export looks like a whole one
			}
		}()
		out = f
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return write(enc)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printYAML prints what a value is in JSON, with the same names in the same order.
func printYAML(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	node, err := yamlOf(data)
	if err != nil {
		return err
	}
	return interchange.EncodeYAML(w, node)
}
