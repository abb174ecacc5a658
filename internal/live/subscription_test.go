package live

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tenet/internal/knowledge"
)

func TestEveryFaultOfASubscriptionIsNamed(t *testing.T) {
	for _, c := range []struct{ query, lastID, want string }{
		{"after=-1", "", "/after"},
		{"after=x", "", "/after"},
		{"after=1&after=2", "", "/after"},
		{"after=9223372036854775808", "", "/after"},
		{"", "abc", "/Last-Event-ID"},
		{"tail=yes", "", "/tail"},
		{"after=1&tail=true", "", "/tail"},
		{"document=no", "", "/document"},
		{"kind=law", "", "/kind"},
		{"kind=", "", "/kind"},
		{"category=a%20b", "", "/category"},
		{"category=..", "", "/category"},
		{"key=SEC-001", "", "/key"},
		{"key=rule/", "", "/key"},
		{"after=1&chain=abc", "", "/chain"},
		{"chain=0123456789abcdef", "", "/chain"},
		{"after=1&chain=" + strings.Repeat("ab", 33), "", "/chain"},
		{"kind=" + strings.Repeat("rule,", maxNames), "", "/kind"},
		{"a~/b=1", "", "/a~0~1b"},
		{"%zz", "", "/"},
		{"after=-1&kind=law&document=no", "", "/kind /after /document"},
	} {
		_, err := parse(c.query, c.lastID)
		e, ok := errors.AsType[*knowledge.InvalidError](err)
		if !ok || !e.Query {
			t.Errorf("%q: got %v, want an invalid query", c.query, err)
			continue
		}
		var got []string
		for _, f := range e.Faults {
			got = append(got, f.Pointer)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q: faults at %v, want %s", c.query, got, c.want)
		}
	}
}

func TestFiltersThatLetTheSameThroughShareAName(t *testing.T) {
	name := func(query string) string {
		s, err := parse(query, "")
		if err != nil {
			t.Fatal(err)
		}
		return s.name()
	}
	for _, same := range [][2]string{
		{"", "tail=true"},
		{"kind=rule,practice", "kind=practices&kind=rules&kind=rule"},
		{"category=a,b", "category=b,a"},
		{"key=rule/A,rule/B", "key=rule/B&key=rule/A"},
		{"kind=rule&after=5", "kind=rule&document=false"},
	} {
		if name(same[0]) != name(same[1]) {
			t.Errorf("%q and %q have different names", same[0], same[1])
		}
	}
	seen := map[string]string{}
	for _, query := range []string{
		"", "kind=rule", "kind=practice", "kind=rule,practice", "category=rule", "category=a", "category=a,b",
		"category=ab",
		"key=rule/a", "key=rule/a&kind=rule", "key=practice/a",
	} {
		if other, ok := seen[name(query)]; ok {
			t.Errorf("%q and %q have one name", query, other)
		}
		seen[name(query)] = query
	}
	s, _ := parse("", "")
	viewer := s.name()
	if s.principals = true; s.name() == viewer {
		t.Error("an admin shares the events of a viewer")
	}
}

func FuzzParse(f *testing.F) {
	for _, query := range []string{
		"", "after=5", "tail", "kind=rule,practice&category=a&key=rule/X", "after=1&chain=0123456789abcdef",
		"document=false", "%zz", "a=1;b=2",
	} {
		f.Add(query, "")
		f.Add(query, "17")
	}
	f.Fuzz(func(t *testing.T, query, lastID string) {
		s, err := parse(query, lastID)
		if err != nil {
			if e, ok := errors.AsType[*knowledge.InvalidError](err); !ok || len(e.Faults) == 0 {
				t.Fatalf("%q: %v is no list of faults", query, err)
			}
			return
		}
		if s.after < 0 || s.tail && s.after != 0 {
			t.Fatalf("%q begins at %d, tail %v", query, s.after, s.tail)
		}
		// What was understood, written out, is understood alike.
		again, err := parse(s.query().Encode(), "")
		if err != nil {
			t.Fatalf("%q: written out as %q: %v", query, s.query().Encode(), err)
		}
		if again.name() != s.name() || again.after != s.after || again.tail != s.tail ||
			again.documents != s.documents ||
			!slices.Equal(again.chain, s.chain) {
			t.Fatalf("%q is %+v, and written out %+v", query, s, again)
		}
	})
}

// query writes a subscription out.
func (s *subscription) query() url.Values {
	q := url.Values{"document": {strconv.FormatBool(s.documents)}, "tail": {strconv.FormatBool(s.tail)}}
	if !s.tail {
		q.Set("after", strconv.FormatInt(int64(s.after), 10))
	}
	for _, k := range s.kinds {
		q.Add("kind", string(k))
	}
	for _, c := range s.categories {
		q.Add("category", c)
	}
	for _, k := range keyTexts(s.keys) {
		q.Add("key", k)
	}
	if s.chain != nil {
		const digits = "0123456789abcdef"
		var hex strings.Builder
		for _, b := range s.chain {
			hex.WriteByte(digits[b>>4])
			hex.WriteByte(digits[b&15])
		}
		q.Set("chain", hex.String())
	}
	return q
}
