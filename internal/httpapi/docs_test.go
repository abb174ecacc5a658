package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"tenet/internal/browsertest"
)

func TestTheDocumentationShowsHowToAsk(t *testing.T) {
	n := newTenet(t, nil)
	p := browsertest.Open(t, n.url+"/docs#patch-rule")
	p.Await("!!document.querySelector('details[id=patch-rule][open] .curl')", "true")
	lines := p.Eval("document.querySelector('#patch-rule .curl').textContent")
	for _, part := range []string{
		"curl -X PATCH ", `-H "Authorization: Bearer $TENET_TOKEN"`, "-H 'Content-Type: application/json'", "-d '{",
		n.url + "/api/v1/rules/SEC-001",
	} {
		if !strings.Contains(lines, part) {
			t.Errorf("the line for patch-rule lacks %q: %s", part, lines)
		}
	}
	p.Eval("location.hash = 'search'")
	p.Await("document.querySelector('#search .curl')?.textContent.split(' ').pop()", "'"+n.url+
		"/api/v1/search?q=parameterized+queries'")
	for id, want := range map[string]string{"who": "/api/v1/me", "follow": "/api/v1/live"} {
		if got := p.Eval("document.getElementById('" + id + "').textContent"); !strings.HasSuffix(got, n.url+want) {
			t.Errorf("%s: %s", id, got)
		}
	}
	if r := n.do(ask{method: http.MethodGet, path: p.Eval(
		"document.querySelector('a[href*=asyncapi]').getAttribute('href')"), token: "-"}); r.status != http.StatusOK {
		t.Errorf("the description of the live stream: %d", r.status)
	}
}

func TestTheDocumentationIsInGroupsAndCanBeNarrowed(t *testing.T) {
	n := newTenet(t, nil)
	p := browsertest.Open(t, n.url+"/docs")
	p.Await("document.querySelectorAll('#groups a[href^=\"#group-\"]').length > 10", "true")
	for ask, want := range map[string]string{
		"document.querySelector('#groups a[href=\"#group-search\"]').textContent":                                 "search1",
		"document.querySelectorAll('#group-rules > details').length":                                              "10",
		"getComputedStyle(document.querySelector('#patch-rule .method')).color":                                   "rgb(255, 255, 255)",
		"document.querySelectorAll('#about li').length >= 4":                                                      "true",
		"document.getElementById('about').textContent.includes('`')":                                              "false",
		"[...document.querySelectorAll('#about code')].map((c) => c.textContent)[0]":                              "Tenet-Source",
		"document.getElementById('none').checkVisibility()":                                                       "false",
		"[...document.querySelectorAll('a[href^=\"#\"]')].every((a) => document.getElementById(a.hash.slice(1)))": "true",
	} {
		if got := p.Eval(ask); got != want {
			t.Errorf("%s is %q, want %q", ask, got, want)
		}
	}
	narrow := func(words string) {
		p.Eval("(() => { const f = document.getElementById('filter'); f.value = '" + words + "'; " +
			"f.dispatchEvent(new Event('input')); return '' })()")
	}
	shown := "[...document.querySelectorAll('section > details')].filter((d) => d.checkVisibility()).map((d) => d.id).join()"
	narrow("render")
	if got := p.Eval(shown); !strings.Contains(got, "render-template") || strings.Contains(got, "list-rules") {
		t.Errorf("narrowed to render: %s", got)
	}
	if got := p.Eval("document.querySelector('#groups a[href=\"#group-rules\"]').checkVisibility()"); got != "false" {
		t.Error("a group without a shown operation stays in the list of groups")
	}
	narrow("zebra")
	if got := p.Eval("document.getElementById('none').checkVisibility()"); got != "true" {
		t.Error("nothing says that no operation holds the word")
	}
}

func TestPagesOfOtherOriginsAskWhereTheyMay(t *testing.T) {
	n := newTenet(t, func(o *Options) {
		o.Origins, o.Limits.CompressFrom = []string{"https://docs.example.com", "https://*.example.org"}, 300
	})
	preflight := func(origin string) ask {
		return ask{method: http.MethodOptions, path: rulePath, token: "-"}.with("Origin",
			origin).with("Access-Control-Request-Method", "PATCH")
	}
	for _, origin := range []string{"https://docs.example.com", "https://a.example.org"} {
		r := n.do(preflight(origin))
		if r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Origin") != origin ||
			!strings.Contains(r.header.Get("Access-Control-Allow-Methods"), "PATCH") ||
			!strings.Contains(r.header.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("asked first by a page of %s: %d %v", origin, r.status, r.header)
		}
		for path, accept := range map[string]string{
			rulePath: "zstd", "/api/v1/rules": "",
			"/api/v1/rules/none-such": "",
		} {
			r := n.do(get(path).with("Origin", origin).with("Accept-Encoding", accept))
			if r.header.Get("Access-Control-Allow-Origin") != origin ||
				!strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "ETag") ||
				!strings.Contains(r.header.Get("Vary"), "Origin") ||
				accept != "" && !strings.Contains(r.header.Get("Vary"), "Accept-Encoding") {
				t.Errorf("%s by a page of %s: %v", path, origin, r.header)
			}
		}
	}
	for _, origin := range []string{
		"https://evil.example.com", "http://docs.example.com", "null",
		"https://a.example.org.evil.com",
	} {
		if r := n.do(preflight(origin)); r.status != http.StatusMethodNotAllowed ||
			r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("asked first by a page of %s: %d %v", origin, r.status, r.header)
		}
		if r := n.do(get(rulePath).with("Origin", origin)); r.header.Get("Access-Control-Allow-Origin") != "" ||
			r.header.Get("Vary") != "Accept-Encoding, Origin" {
			t.Errorf("a page of %s: %v", origin, r.header)
		}
	}
	if r := newTenet(t, nil).do(preflight("https://docs.example.com")); r.status != http.StatusMethodNotAllowed ||
		r.header.Get("Vary") != "" {
		t.Errorf("without a setting: %d %v", r.status, r.header)
	}
	for _, bad := range []string{
		"docs.example.com", "https://", "ftp://a.example.com", "https://a.example.com/",
		"https://[", "https://u@a.example.com",
	} {
		if CheckOrigin(bad) == nil {
			t.Errorf("%s passes for an origin", bad)
		}
	}
}
