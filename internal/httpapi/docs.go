package httpapi

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

//go:embed docs.html
var docsPage string

// specRoutes serve the OpenAPI document and the page that shows it.
func specRoutes(h *Handler) []*route {
	routes := []*route{
		{
			method: http.MethodGet, path: "/openapi.json", id: "get-openapi", tag: "operations",
			summary: "Read the OpenAPI document", description: "This document, as JSON.",
			handler: with(openapiJSON), public: true, storeless: true, probe: true,
			answers: []answer{
				{status: http.StatusOK, text: "The document", body: typeOf[map[string]any](), heads: []string{"ETag"}},
				notModified(),
			},
		},
		{
			method: http.MethodGet, path: "/openapi.yaml", id: "get-openapi-yaml", tag: "operations",
			summary: "Read the OpenAPI document as YAML", description: "This document, as YAML.",
			handler: with(openapiYAML), public: true, storeless: true, probe: true,
			answers: []answer{
				{
					status: http.StatusOK, text: "The document", body: typeOf[string](), media: mediaYAML,
					heads: []string{"ETag"},
				},
				notModified(),
			},
		},
		{
			method: http.MethodGet, path: asyncPath, id: "get-asyncapi", tag: "operations",
			summary: "Read the AsyncAPI document",
			description: "What GET /api/v1/live tells: every change as it happens, as a WebSocket or as server-sent " +
				"events.",
			handler: with(liveDescription), public: true, storeless: true, probe: true,
			answers: []answer{
				{status: http.StatusOK, text: "The document", body: typeOf[map[string]any](), heads: []string{"ETag"}},
				notModified(),
			},
		},
		{
			method: http.MethodGet, path: "/docs", id: "get-docs", tag: "operations",
			summary: "Browse the OpenAPI document", description: "A page that shows what this API can do.",
			handler: with(showDocs), public: true, storeless: true, probe: true,
			answers: []answer{{status: http.StatusOK, text: "The page", body: typeOf[string](), media: mediaHTML}},
		},
	}
	return slices.DeleteFunc(routes, func(rt *route) bool { return rt.path == asyncPath && h.o.LiveDescription == nil })
}

// asyncPath is where the description of the live stream is.
const asyncPath = "/asyncapi.json"

type specParams struct{ knownHeader }

func openapiJSON(c *call, _ *specParams) error {
	s, err := c.h.spec()
	if err != nil {
		return err
	}
	return sendSpec(c, mediaJSON, s.json, s.tag)
}

func openapiYAML(c *call, _ *specParams) error {
	s, err := c.h.spec()
	if err != nil {
		return err
	}
	return sendSpec(c, mediaYAML, s.yaml, s.tag)
}

func liveDescription(c *call, _ *specParams) error {
	body := c.h.o.LiveDescription
	return sendSpec(c, mediaJSON, body, tagOf(body))
}

func sendSpec(c *call, media string, body []byte, tag string) error {
	if err := checkIfMatch(c, tag); err != nil {
		return err
	}
	c.set("Etag", tag)
	c.set("Cache-Control", "public, no-cache")
	if same, ok := matchKnownTag(c, tag); ok {
		c.set("Etag", same)
		c.nothing(http.StatusNotModified)
		return nil
	}
	c.send(http.StatusOK, media, body)
	return nil
}

func showDocs(c *call, _ *noParams) error {
	header := c.Header()
	header.Set("Content-Security-Policy", docsPolicy())
	header.Set("Referrer-Policy", "no-referrer")
	c.send(http.StatusOK, mediaHTML, []byte(docsPage))
	return nil
}

// docsPolicy lets the page run its own script and style, ask this server, and nothing else.
func docsPolicy() string {
	return "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
		"; script-src " + sumOf("script") + "; style-src " + sumOf("style")
}

// sumOf names the content of an element of the page by its sum.
func sumOf(element string) string {
	_, rest, _ := strings.Cut(docsPage, "<"+element+">")
	content, _, _ := strings.Cut(rest, "</"+element+">")
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
