package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"tenet/internal/api"
	"tenet/internal/knowledge"
)

// renderRequest is the body of POST /templates/{id}/render.
type renderRequest struct {
	Values map[string]any `json:"values,omitempty" doc:"The values by the names of the variables: text, numbers, booleans, and lists of text for multiselect"`
}

// usageAnswer is how often a template was rendered.
type usageAnswer struct {
	UsageCount int64 `json:"usage_count" doc:"How often the template was rendered" minimum:"0"`
}

func templateRoutes() []*route {
	return []*route{
		{
			method: http.MethodPost, path: "/api/v1/templates/{id}/render", id: "render-template", tag: "templates",
			summary: "Render a template",
			description: "Puts values in place of the template's variables. Missing required values, wrong ones and " +
				"unknown ones are " +
				"all named at once, with pointers below /values.",
			handler: with(renderTemplate),
			body:    &payload{media: mediaJSON, body: typeOf[renderRequest](), samples: exampleRenders(), free: true},
			answers: []answer{jsonAnswer[api.RenderAnswer](http.StatusOK, "The rendered text", exampleRendered())},
			refusals: []int{
				http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
				http.StatusUnprocessableEntity,
			},
			sample: exampleID(knowledge.KindTemplate),
		},
		{
			method: http.MethodGet, path: "/api/v1/templates/{id}/usage", id: "get-template-usage", tag: "templates",
			summary:     "Ask how often a template was rendered",
			description: "The count is no part of the document: it changes without a new version.",
			handler:     with(getUsage),
			answers:     []answer{jsonAnswer[usageAnswer](http.StatusOK, "The count", usageAnswer{UsageCount: 12})},
			refusals:    []int{http.StatusNotFound},
			sample:      exampleID(knowledge.KindTemplate),
		},
	}
}

type templateParams struct {
	documentPath
}

type renderParams struct {
	documentPath
	labelParam
}

// templateOf returns the record of the template that the path names, as it stands at a label; now without one.
func templateOf(c *call, label string) (*knowledge.Record, error) {
	l := collection{h: c.h, kind: knowledge.KindTemplate}
	key, err := l.key(c)
	if err != nil {
		return nil, err
	}
	return atLabel(c, label, key)
}

func renderTemplate(c *call, p *renderParams) error {
	values, err := renderValues(c)
	if err != nil {
		return err
	}
	rec, err := templateOf(c, p.Label)
	if err != nil {
		return err
	}
	d, err := rec.Document()
	if err != nil {
		return fmt.Errorf("decode %s: %w", rec.Key, err)
	}
	t, ok := d.(*knowledge.Template)
	if !ok {
		return fmt.Errorf("%s is a %T", rec.Key, d)
	}
	text, err := t.Render(values)
	if err != nil {
		return err
	}
	if c.h.o.Uses != nil {
		c.h.o.Uses.Use(t.TemplateID)
	}
	c.source = rec.Source
	return c.json(http.StatusOK, api.RenderAnswer{Text: text, Version: rec.Version, Notes: t.Left()})
}

// renderValues reads the values of a body, which may be left out.
func renderValues(c *call) (map[string]any, error) {
	raw, err := c.body()
	if err != nil || raw == nil {
		return nil, err
	}
	if err := wellFormed(raw, knowledge.MaxDepth); err != nil {
		return nil, err
	}
	var f faultList
	members := f.object("", raw, "values")
	var values map[string]any
	if given := members["values"]; len(given) > 0 {
		dec := json.NewDecoder(bytes.NewReader(given))
		dec.UseNumber()
		if err := dec.Decode(&values); err != nil {
			f.add("/values", "want an object")
		}
	}
	return values, f.err(false)
}

func getUsage(c *call, _ *templateParams) error {
	rec, err := templateOf(c, "")
	if err != nil {
		return err
	}
	var n int64
	if c.h.o.Uses != nil {
		counts, err := c.h.o.Uses.Uses(c.limited(), []string{rec.Key.ID})
		if err != nil {
			return err
		}
		n = counts[rec.Key.ID]
	}
	return c.json(http.StatusOK, usageAnswer{UsageCount: n})
}

func exampleRenders() []sample {
	return []sample{
		{"values", "Some values", renderRequest{Values: map[string]any{
			"title":  "The mail server is down",
			"impact": "all", "followed_up": true,
		}}},
		{"least", "Only what is needed", renderRequest{Values: map[string]any{"title": "The mail server is down"}}},
	}
}

func exampleRendered() any {
	return api.RenderAnswer{Text: "# The mail server is down\n\nImpact: all\nFollowed up.\n", Version: 1}
}
