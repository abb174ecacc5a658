package live

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
)

// Bounds of a subscription.
const (
	maxNames = 200 // in each list
	minChain = 16  // hex digits of a chain value that tell two histories apart
)

// A subscription is what somebody asks for.
type subscription struct {
	filter
	after     knowledge.Seq
	tail      bool   // begin at the end of the log; after is not set then
	chain     []byte // the first bytes of the chain value at after; nil when nobody knows them
	documents bool
}

// parameters returns the names that a query may hold.
func parameters() []string {
	return []string{"after", "category", "chain", "document", "key", "kind", "tail"}
}

// parse reads a subscription from the query of a request and its Last-Event-ID. The error is a [*knowledge.InvalidError]
// with every fault.
func parse(rawQuery, lastEventID string) (*subscription, error) {
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, knowledge.BadQuery("", "the query can't be read: %s", err)
	}
	p := parsing{values: values, s: &subscription{documents: true}}
	for _, name := range slices.Sorted(mapKeys(values)) {
		if !slices.Contains(parameters(), name) {
			p.fault(name, "unknown parameter: this path knows %s", strings.Join(parameters(), ", "))
		}
	}
	p.kinds()
	p.categories()
	p.keys()
	p.start(lastEventID)
	p.chain()
	p.s.documents = p.flag("document", true)
	if len(p.faults) > 0 {
		return nil, &knowledge.InvalidError{Faults: p.faults, Query: true}
	}
	return p.s, nil
}

func mapKeys(values url.Values) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range values {
			if !yield(name) {
				return
			}
		}
	}
}

// parsing is a subscription while it is read.
type parsing struct {
	values url.Values
	s      *subscription
	faults []knowledge.Fault
}

func (p *parsing) fault(name, format string, args ...any) {
	pointer := "/" + strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	p.faults = append(p.faults, knowledge.Fault{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
}

// list returns the values of a parameter that may stand there several times, each with several values between commas.
func (p *parsing) list(name string) []string {
	var all []string
	for _, v := range p.values[name] {
		all = append(all, strings.Split(v, ",")...)
	}
	if len(all) > maxNames {
		p.fault(name, "%d values: at most %d fit; leave it out to get all", len(all), maxNames)
		return nil
	}
	return all
}

func (p *parsing) kinds() {
	for _, v := range p.list("kind") {
		kind, err := knowledge.ParseKind(v)
		if err != nil {
			p.fault("kind", "%s", err)
			continue
		}
		p.s.kinds = append(p.s.kinds, kind)
	}
}

func (p *parsing) categories() {
	for _, v := range p.list("category") {
		key, err := knowledge.ParseKey(string(knowledge.KindCategory) + "/" + v)
		if err != nil {
			p.fault("category", "%q is not the id of a category", v)
			continue
		}
		p.s.categories = append(p.s.categories, key.ID)
	}
}

func (p *parsing) keys() {
	for _, v := range p.list("key") {
		key, err := knowledge.ParseKey(v)
		if err != nil {
			p.fault("key", "%s", err)
			continue
		}
		if p.s.keys == nil {
			p.s.keys = map[knowledge.Key]bool{}
		}
		p.s.keys[key] = true
	}
}

// one returns the value of a parameter that stands there at most once, and whether it does.
func (p *parsing) one(name string) (string, bool) {
	v := p.values[name]
	if len(v) > 1 {
		p.fault(name, "stands there %d times: give it once", len(v))
		return "", false
	}
	if len(v) == 0 {
		return "", false
	}
	return v[0], true
}

func (p *parsing) flag(name string, def bool) bool {
	v, ok := p.one(name)
	switch {
	case !ok:
		return def
	case v == "true" || v == "":
		return true
	case v == "false":
		return false
	}
	p.fault(name, "%q: want true or false", v)
	return def
}

// start finds where to begin. A Last-Event-ID wins: a browser that comes back sends it with the URL that it began with.
func (p *parsing) start(lastEventID string) {
	after, given := p.one("after")
	p.s.tail = p.flag("tail", false)
	switch {
	case lastEventID != "":
		p.s.after, p.s.tail = p.seq("Last-Event-ID", lastEventID), false
		delete(p.values, "chain") // it is about another place
	case given && p.s.tail:
		p.fault("tail", "can't stand beside after: it means the end of the log")
	case given:
		p.s.after = p.seq("after", after)
	default:
		p.s.tail = true
	}
}

func (p *parsing) seq(name, text string) knowledge.Seq {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		p.fault(name, "%q: want the seq of the last change seen, or 0 for the start of the log", text)
	}
	return knowledge.Seq(n)
}

func (p *parsing) chain() {
	text, ok := p.one("chain")
	if !ok {
		return
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(text) < minChain || len(b) > len(event{}.chain) {
		p.fault("chain", "want the chain value of the change that after names, or at least its first %d hex digits", minChain)
		return
	}
	if p.s.after == 0 {
		p.fault("chain", "belongs to a change: give the seq of it as after")
	}
	p.s.chain = b
}

// asksForPrincipals reports whether somebody asks for principals by name.
func (s *subscription) asksForPrincipals() bool {
	if slices.Contains(s.kinds, knowledge.KindPrincipal) {
		return true
	}
	for k := range s.keys {
		if k.Kind == knowledge.KindPrincipal {
			return true
		}
	}
	return false
}

// subscribe reads the subscription of a request.
func subscribe(r *http.Request) (*subscription, error) {
	return parse(r.URL.RawQuery, r.Header.Get("Last-Event-ID"))
}
