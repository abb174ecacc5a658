package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
)

type searchSettings struct {
	Kinds    []string `name:"kind" by:"flag" doc:"Only this kind; may be given several times"`
	Category string   `name:"category" by:"flag" doc:"Only this category"`
	Tag      string   `name:"tag" by:"flag" doc:"Only documents with this tag"`
	Language string   `name:"language" by:"flag" doc:"Only documents whose scope names this language"`
	Severity string   `name:"severity" by:"flag" doc:"Only rules of this severity"`
	Limit    int      `name:"limit" least:"1" default:"20" by:"flag" doc:"How many at most (up to 100)"`
	Cursor   string   `name:"cursor" by:"flag" doc:"Go on after another page: the cursor that it has named"`
	Facets   bool     `name:"facets" by:"flag" doc:"Also count the hits by kind, category, tag, language and severity"`
	Label    string   `name:"label" by:"flag" doc:"The documents as they stand where this label does"`
	Literal  bool     `name:"literal" by:"flag" doc:"Look for the words as typed, even where no document has them"`
}

func addSearch(a *app) {
	var s searchSettings
	a.command(a.root, &cobra.Command{
		Use:   "search WORDS...",
		Short: "Find documents by their text",
		Long: `Finds the active documents that match a text best. Ask as you would ask a person: a document that holds
more of the words, and rarer ones, comes first. Conditions hold for every hit: "a phrase", -not, OR, prefix*,
title:word, tag:, category:, kind: and id:. Put -- before a question that holds a minus, and quotes around one that
holds quotes.`,
		Example: `  tenet search how do I write a commit message
  tenet search sql injection
  tenet search 'retry OR backoff' --kind practice
  tenet search sql injection --label production
  tenet search -- 'cache -redis'`,
		Args: cobra.MinimumNArgs(1), Annotations: printsLists(),
	}, &s, func(ctx context.Context, args []string) error {
		q := knowledge.SearchQuery{
			Text: strings.Join(args, " "), Category: s.Category, Tag: s.Tag, Language: s.Language,
			Severity: strings.ToUpper(s.Severity), Limit: s.Limit,
			Cursor: s.Cursor, Facets: s.Facets, Literal: s.Literal,
		}
		for _, name := range s.Kinds {
			k, err := parseKind(name)
			if err != nil {
				return usageError("--kind: %s", err)
			}
			q.Kinds = append(q.Kinds, k)
		}
		d, err := a.openToLook(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		hits, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) (*knowledge.Hits, error) { return d.searchAt(ctx, s.Label, q) })
		if err != nil {
			return err
		}
		a.sayAt(hits.At)
		if len(hits.Hits) == 0 && a.forPeople() {
			a.say("nothing matches%s", missed(hits))
			return nil
		}
		if a.Output == asName || a.Output == asCSV {
			if next := footer(hits); next != "" {
				a.say("%s", strings.TrimSuffix(next, "\n"))
			}
			return a.printTable(nil, hitTable(hits))
		}
		return a.print(foundOf(hits), func(w io.Writer, sc screen) error { return writeHits(w, sc, hits) })
	})
}

// hitTable returns hits in columns.
func hitTable(hits *knowledge.Hits) *table {
	t := &table{head: []string{"KEY", "SCORE", "TITLE", "CATEGORY", "SEVERITY", "VERSION", "SNIPPET"}}
	for _, h := range hits.Hits {
		t.add(h.Record.Key.String(), fmt.Sprintf("%.4f", h.Score), h.Title, h.Record.Category, h.Severity,
			itoa(h.Record.Version), squeeze(h.Snippet))
	}
	return t
}

// missed says which words no document has, and which resemble them.
func missed(hits *knowledge.Hits) string {
	var text string
	if words := leftOut(hits, knowledge.WhyUnknown); words != "" {
		text = ": no active document has " + words
	}
	if len(hits.Reading.Suggestions) > 0 {
		text += "; there is " + strings.Join(hits.Reading.Suggestions, ", ")
	}
	return text
}

func leftOut(hits *knowledge.Hits, why string) string {
	var words []string
	for _, l := range hits.Reading.LeftOut {
		if l.Why == why {
			words = append(words, l.Word)
		}
	}
	return strings.Join(words, ", ")
}

// found is the answer to a search in the shape that the REST API has.
type found struct {
	Hits    []foundHit `json:"hits"`
	Total   int        `json:"total"`
	Bounded bool       `json:"bounded"`
	knowledge.Reading
	Facets []knowledge.FacetCount `json:"facets,omitempty"`
	Next   string                 `json:"next,omitempty"`
	knowledge.LabelAt
}

type foundHit struct {
	Kind     knowledge.Kind  `json:"kind"`
	ID       string          `json:"id"`
	Score    float64         `json:"score"`
	Title    string          `json:"title"`
	Category string          `json:"category,omitempty"`
	Severity string          `json:"severity,omitempty"`
	Version  int64           `json:"version"`
	Updated  knowledge.Time  `json:"updated_at"`
	Snippet  string          `json:"snippet"`
	Marks    [][2]int        `json:"marks"`
	Missing  []string        `json:"missing"`
	Document json.RawMessage `json:"document"`
}

func foundOf(hits *knowledge.Hits) found {
	f := found{
		Hits: make([]foundHit, len(hits.Hits)), Total: hits.Total, Bounded: hits.Bounded,
		Reading: hits.Reading.Filled(), Facets: hits.Facets,
		Next: hits.Next, LabelAt: hits.At,
	}
	for i, h := range hits.Hits {
		f.Hits[i] = foundHit{
			h.Record.Key.Kind, h.Record.Key.ID, h.Score, h.Title, h.Record.Category, h.Severity, h.Record.Version,
			h.Record.Updated,
			h.Snippet, h.Marks, h.Missing, h.Record.JSON,
		}
		if h.Marks == nil {
			f.Hits[i].Marks = [][2]int{}
		}
		if h.Missing == nil {
			f.Hits[i].Missing = []string{}
		}
	}
	return f
}

func writeHits(w io.Writer, s screen, hits *knowledge.Hits) error {
	var b strings.Builder
	for _, c := range hits.Reading.SearchedFor {
		fmt.Fprintf(&b, "searched for %q, since no active document has %q (--literal looks for that)\n", c.Used, c.Typed)
	}
	for _, e := range hits.Reading.AlsoSearched {
		fmt.Fprintf(&b, "for %q also searched for %s (--literal looks for that word alone)\n", e.Typed,
			strings.Join(e.Used, ", "))
	}
	if words := leftOut(hits, knowledge.WhyUnknown); words != "" {
		fmt.Fprintf(&b, "no active document has %s\n", cell(words))
	}
	for _, name := range hits.Reading.UnknownFields {
		if strings.Contains(name, ":") {
			fmt.Fprintf(&b, "%s is none: want kind:rule, kind:practice, kind:template or kind:category; it was looked for as "+
				"a word\n", name)
			continue
		}
		fmt.Fprintf(&b, "%s: is no field: want title, tag, category, kind or id; it was looked for as a word\n", name)
	}
	for _, h := range hits.Hits {
		line := fit(cell(h.Title), s.columns)
		if s.styled {
			line = "\x1b[1m" + line + "\x1b[0m"
		}
		b.WriteString(line + "\n")
		b.WriteString("    " + fit(whyFound(h), s.columns-4) + "\n")
		if snippet := mark(h, s); snippet != "" {
			b.WriteString("    " + snippet + "\n")
		}
	}
	for _, f := range hits.Facets {
		fmt.Fprintf(&b, "%-9s %6d  %s\n", f.Facet, f.Count, cell(f.Value))
	}
	b.WriteString(footer(hits))
	_, err := io.WriteString(w, b.String())
	return err
}

// whyFound says what a hit is, and why it matched.
func whyFound(h knowledge.Hit) string {
	line := h.Record.Key.String()
	if h.Record.Category != "" {
		line += "  " + h.Record.Category
	}
	if len(h.Missing) == 0 {
		return line + "  holds all of it"
	}
	return line + "  without " + cell(strings.Join(h.Missing, ", "))
}

// footer says how many hits there are, and how to see more.
func footer(hits *knowledge.Hits) string {
	if hits.Next == "" && !hits.Bounded {
		return ""
	}
	text := fmt.Sprintf("%d of %s", len(hits.Hits), plural(int64(hits.Total), "hit", "hits"))
	if hits.Bounded {
		text = fmt.Sprintf("%d of more than %s", len(hits.Hits), plural(int64(hits.Total), "hit", "hits"))
	}
	if hits.Next != "" {
		text += "; for more add --cursor " + hits.Next
	}
	return text + "\n"
}

// fit cuts a text between two words so that it takes so many columns at most; 0 and less for any.
func fit(text string, columns int) string {
	if columns <= 0 || textWidth(text) <= columns {
		return text
	}
	short := shorten(text, columns)
	if at := strings.LastIndexByte(short, ' '); at > 0 {
		return strings.TrimRight(short[:at], " ,;:.-") + "…"
	}
	return short
}

// mark returns a hit's snippet on one line, the words that were found underlined where that can be shown.
func mark(h knowledge.Hit, s screen) string {
	begin, end := "\x1b[4m", "\x1b[24m"
	if !s.styled {
		begin, end = "", ""
	}
	text, room := strings.TrimRight(h.Snippet, " \n\t"), s.columns-4
	before, after := h.Cut()
	if before {
		room--
	}
	if after {
		text = strings.TrimRight(text, " \n\t,;:.-") + "…" // which fit keeps, or puts further to the front
	}
	short := fit(cell(text), room)
	kept := len(strings.TrimSuffix(short, "…")) // cell keeps the bytes of a line in their places
	var b strings.Builder
	at := 0
	for _, m := range h.Marks {
		if m[0] < at || m[1] < m[0] || m[1] > kept {
			continue
		}
		b.WriteString(short[at:m[0]] + begin + short[m[0]:m[1]] + end)
		at = m[1]
	}
	line := squeeze(b.String() + short[at:])
	if before {
		return "…" + line
	}
	return line
}

// squeeze makes one space of several.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }
