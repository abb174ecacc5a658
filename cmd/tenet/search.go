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
	Limit    int      `name:"limit" default:"20" by:"flag" doc:"How many at most (up to 100)"`
}

func (a *app) addSearch() {
	var s searchSettings
	a.command(a.root, &cobra.Command{
		Use:   "search WORDS...",
		Short: "Find documents by their text",
		Long: `Finds the documents in use that match a text best: words, "a phrase", -not, OR, prefix* and title:word. Put -- before a
question that holds a minus, and quotes around one that holds quotes.`,
		Example: `  tenet search sql injection
  tenet search 'retry OR backoff' --kind practice
  tenet search -- 'cache -redis'`,
		Args: cobra.MinimumNArgs(1),
	}, &s, func(ctx context.Context, args []string) error {
		q := knowledge.SearchQuery{
			Text: strings.Join(args, " "), Category: s.Category, Tag: s.Tag, Language: s.Language, Severity: s.Severity, Limit: s.Limit,
		}
		for _, name := range s.Kinds {
			k, err := knowledge.ParseKind(name)
			if err != nil {
				return usageError("--kind: %s", err)
			}
			q.Kinds = append(q.Kinds, k)
		}
		d, err := a.open(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		hits, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Hits, error) { return d.Search(ctx, q) })
		if err != nil {
			return err
		}
		if len(hits.Hits) == 0 && a.Output == "table" {
			a.say("nothing matches")
			return nil
		}
		return a.print(foundOf(hits), func(w io.Writer, sc screen) error { return writeHits(w, sc, hits) })
	})
}

// found is the answer to a search in the shape that the REST API has.
type found struct {
	Hits    []foundHit `json:"hits"`
	Bounded bool       `json:"bounded"`
}

type foundHit struct {
	Kind     knowledge.Kind  `json:"kind"`
	ID       string          `json:"id"`
	Score    float64         `json:"score"`
	Snippet  string          `json:"snippet"`
	Marks    [][2]int        `json:"marks"`
	Document json.RawMessage `json:"document"`
}

func foundOf(hits *knowledge.Hits) found {
	f := found{Hits: make([]foundHit, len(hits.Hits)), Bounded: hits.Bounded}
	for i, h := range hits.Hits {
		f.Hits[i] = foundHit{h.Record.Key.Kind, h.Record.Key.ID, h.Score, h.Snippet, h.Marks, h.Record.JSON}
		if h.Marks == nil {
			f.Hits[i].Marks = [][2]int{}
		}
	}
	return f
}

func writeHits(w io.Writer, s screen, hits *knowledge.Hits) error {
	var b strings.Builder
	for _, h := range hits.Hits {
		line := h.Record.Key.String() + "  " + cell(title(h.Record))
		if s.columns > 0 {
			line = shorten(line, s.columns)
		}
		if s.styled {
			line = "\x1b[1m" + line + "\x1b[0m"
		}
		b.WriteString(line + "\n")
		if snippet := strings.TrimSpace(mark(h, s.styled)); snippet != "" {
			b.WriteString("    " + snippet + "\n")
		}
	}
	if hits.Bounded {
		fmt.Fprintf(&b, "more than %d documents match: the first of them in house order were ranked; add a word or a filter\n", knowledge.MaxCandidates)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// mark returns a hit's snippet on one line, the words that were found underlined where that can be shown.
func mark(h knowledge.Hit, styled bool) string {
	if !styled {
		return cell(h.Snippet)
	}
	var b strings.Builder
	at := 0
	for _, m := range h.Marks {
		if m[0] < at || m[1] < m[0] || m[1] > len(h.Snippet) {
			continue
		}
		b.WriteString(cell(h.Snippet[at:m[0]]) + "\x1b[4m" + cell(h.Snippet[m[0]:m[1]]) + "\x1b[24m")
		at = m[1]
	}
	return b.String() + cell(h.Snippet[at:])
}
