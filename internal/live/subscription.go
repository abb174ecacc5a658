package live

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
)

// maxNames bounds each list of a subscription.
const maxNames = 200

// A subscription is the parsed query of a request.
type subscription struct {
	filter
	after     knowledge.Seq
	tail      bool   // begin at the end of the log; after is then not set
	chain     []byte // the first bytes of the chain value at after; nil if unknown
	documents bool
}

// parameters returns the valid query parameters.
func parameters() []string {
	return []string{"after", "category", "chain", "document", "key", "kind", "tail"}
}

// parse parses a subscription from a request's query and its Last-Event-ID. The error is a [*knowledge.InvalidError]
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

// parsing is a subscription while it is parsed.
type parsing struct {
	values url.Values
	s      *subscription
	faults []knowledge.Fault
}

func (p *parsing) fault(name, format string, args ...any) {
	pointer := "/" + strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	p.faults = append(p.faults, knowledge.Fault{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
}

// list returns the values of a parameter that may occur several times, each with values separated by commas.
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

// one returns the value of a parameter that may occur once, and whether it does.
func (p *parsing) one(name string) (string, bool) {
	v := p.values[name]
	if len(v) > 1 {
		p.fault(name, "occurs %d times: give it once", len(v))
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

// start finds the starting position. Last-Event-ID wins: a browser that reconnects sends it with the original URL.
func (p *parsing) start(lastEventID string) {
	after, given := p.one("after")
	p.s.tail = p.flag("tail", false)
	switch {
	case lastEventID != "":
		p.position("Last-Event-ID", lastEventID)
		p.s.tail = false
		delete(p.values, "chain") // it belongs to another position
	case given && p.s.tail:
		p.fault("tail", "can't be combined with after: it means the end of the log")
	case given:
		p.position("after", after)
	default:
		p.s.tail = true
	}
}

func (p *parsing) position(name, text string) {
	m, err := knowledge.ParseMark(text)
	if err != nil {
		p.fault(name, "%s", err)
	}
	p.s.after, p.s.chain = m.Seq, m.Chain
}

func (p *parsing) chain() {
	text, ok := p.one("chain")
	if !ok {
		return
	}
	if p.s.after == 0 {
		p.fault("chain", "needs after, the seq of its change")
		return
	}
	m, err := knowledge.ParseMark(strconv.FormatInt(int64(p.s.after), 10) + "-" + text)
	switch {
	case err != nil:
		p.fault("chain", "want the chain value of the change that after names, or at least its first 16 hex digits")
	case p.s.chain != nil:
		p.fault("chain", "is already part of after: give it once")
	default:
		p.s.chain = m.Chain
	}
}

// asked returns the kinds that the subscription names.
func (s *subscription) asked() []knowledge.Kind {
	kinds := slices.Clone(s.kinds)
	for k := range s.keys {
		kinds = append(kinds, k.Kind)
	}
	return kinds
}

// subscribe reads the subscription of a request.
func subscribe(r *http.Request) (*subscription, error) {
	return parse(r.URL.RawQuery, r.Header.Get("Last-Event-ID"))
}
