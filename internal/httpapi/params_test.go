package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// strange returns values of a parameter that must be refused, by what its field says of it.
func strange(f reflect.StructField, name string) []string {
	list := []string{"a\x00b", "a\xff"}
	if !mayBeEmpty(name) {
		list = append(list, "")
	}
	if most, err := strconv.Atoi(f.Tag.Get("maxLength")); err == nil && name != "q" { // which fills the longest URL
		list = append(list, strings.Repeat("a", most+1))
	}
	switch f.Type.Kind() {
	case reflect.Int, reflect.Int64:
		list = append(list, "-1", "1.5", "1e3", "0x10", "99999999999999999999", "x")
		if f.Tag.Get("minimum") != "0" {
			list = append(list, "0")
		}
		if f.Tag.Get("maximum") != "" {
			list = append(list, "9223372036854775807")
		}
	case reflect.Bool:
		list = append(list, "TRUE", "1", "x")
	case reflect.String:
		// the rest are any text: who wrote, what is sought, an id that nothing may have
		if slices.Contains([]string{"before", "since", "key", "kind", "budget", "view", "sort", "fields"}, name) ||
			f.Tag.Get("enum") != "" {
			list = append(list, "no such thing", "2026-13-45")
		}
	default:
	}
	return list
}

// TestNoParameterIsIgnored sends each parameter of each route values that it can't have: each is refused, and named.
func TestNoParameterIsIgnored(t *testing.T) {
	n := newTenet(t, counting)
	asked := 0
	for _, rt := range n.h.routes {
		if rt.queries == nil || rt.path == livePath {
			continue
		}
		for _, name := range rt.queries.names {
			f := rt.handler.params.FieldByIndex(rt.queries.fields[name])
			for _, value := range strange(f, name) {
				a := base(rt)
				if before, _, ok := strings.Cut(a.path, name+"="); ok {
					a.path = strings.TrimRight(before, "?&")
				}
				asked++
				r := n.do(a.plus(name + "=" + url.QueryEscape(value)))
				if r.status != http.StatusBadRequest || !strings.Contains(string(r.body), `"/`+name+`"`) {
					t.Errorf("%s with %s: status %d, want that it is refused by its name:\n%.300s", rt.name,
						fmt.Sprintf("%s=%.40q", name, value), r.status, r.body)
				}
			}
		}
	}
	if asked < 300 {
		t.Errorf("%d questions: the parameters are read wrongly", asked)
	}
}

// TestAnAgentWithoutANameIsOne writes as an agent whose name is empty, as that of a variable that is not set.
func TestAnAgentWithoutANameIsOne(t *testing.T) {
	n := newTenet(t, nil)
	write := ask{method: http.MethodDelete, path: "/api/v1/rules/SEC-001"}
	for _, name := range []string{"robo", " "} { // which comes as nothing
		if r := n.do(write.with("Tenet-Agent", name)); r.status == http.StatusOK {
			t.Errorf("as agent %q it is done: %s", name, r.body)
		}
	}
	if r := n.do(write); r.status != http.StatusOK {
		t.Errorf("as a person: status %d: %s", r.status, r.body)
	}
}

// TestAProposalNamesTheAgentThatACallNames writes with a person's token as an agent with a name.
func TestAProposalNamesTheAgentThatACallNames(t *testing.T) {
	n := newTenet(t, nil)
	n.do(ask{method: http.MethodDelete, path: "/api/v1/rules/SEC-001"}.with("Tenet-Agent", "robo"))
	const want = "Written by the agent robo for "
	if r := n.do(ask{path: "/api/v1/proposals"}); !strings.Contains(string(r.body), want) {
		t.Errorf("the proposals don't say %q: %s", want, r.body)
	}
	const id = "01890a5d-ac96-774b-bcce-b30209900099"
	made := ask{method: http.MethodPost, path: "/api/v1/proposals", body: `{"proposal_id":"` + id + `",` +
		`"title":"Higher","why":"Seen twice.","ops":[{"verb":"patch","kind":"rule","id":"SEC-001","if_version":1,` +
		`"patch":{"priority":3}}]}`}.with("Tenet-Agent", "cody").with("Idempotency-Key", id)
	for range 2 { // sent again it is the same
		if r := n.do(made); r.status != http.StatusCreated {
			t.Fatalf("a proposal of an agent: status %d: %s", r.status, r.body)
		}
	}
	const says = `"why":"Seen twice.\n\nWritten by the agent cody for `
	if r := n.do(ask{path: "/api/v1/proposals/" + id}); !strings.Contains(string(r.body), says) {
		t.Errorf("a proposal that an agent makes doesn't say %q: %s", says, r.body)
	}
}
