package erasure

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A ScrubReport says what a scrub has copied and replaced.
type ScrubReport struct {
	People    int   `json:"people"`    // who have a pseudonym now
	Addresses int   `json:"addresses"` // of e-mail, counted each time
	Mentions  int   `json:"mentions"`  // of people, counted each time
	Tokens    int   `json:"tokens"`    // dropped, counted in each version of a principal
	Changes   int64 `json:"changes"`   // copied
	Purged    int64 `json:"purged"`    // not copied, since a purge took the text out of the log
	NotTaken  int64 `json:"not_taken"` // not copied, since the copy refused them
	// Reasons says of the first that were not taken which they are, and why. They hold pseudonyms only.
	Reasons []string `json:"reasons"`
}

// maxReasons is how many changes that were not taken a report names.
const maxReasons = 20

// Scrub copies documents and history of a store into an empty one, with people replaced by pseudonyms, e-mail addresses
// by others, and tokens dropped. The key decides the pseudonyms: the same key and name give the same one.
func Scrub(ctx context.Context, from store.Store, to store.Store, key []byte) (*ScrubReport, error) {
	end, err := store.Tail(ctx, to)
	if err != nil {
		return nil, err
	}
	if end != 0 {
		return nil, &store.UnavailableError{Halt: true, NotDone: true, Reason: fmt.Sprintf(
			"the database to write to has a log of %s: a scrubbed copy goes into an empty one, and never "+
				"over another", knowledge.Count(end, "change", "changes"))}
	}
	s := &scrubber{key: key, names: map[string]string{}, to: to, report: ScrubReport{Reasons: []string{}}}
	if err := s.meet(ctx, from); err != nil {
		return nil, err
	}
	if err := s.compile(); err != nil {
		return nil, err
	}
	err = everyChange(ctx, from, func(c *knowledge.Change) error { return s.change(ctx, c) })
	if err == nil {
		err = s.rest(ctx, from)
	}
	if err != nil && s.report.Changes > 0 {
		err = fmt.Errorf("the scrub ended after %s, and what it has written is no copy: remove it: %w",
			knowledge.Count(s.report.Changes, "change", "changes"), err)
	}
	return &s.report, err
}

// A scrubber replaces the people of a store.
type scrubber struct {
	key    []byte
	names  map[string]string // pseudonyms by name, in lower case
	words  *regexp.Regexp    // the names
	to     store.Store
	report ScrubReport
}

// nobody are names that the program itself gives: they are words of its own and tell of nobody.
func nobody() []string {
	return append([]string{"", "system", "seed", "local", "agent"}, knowledge.Roles()...)
}

// person notes a name, with the pseudonym of the id that it belongs to.
func (s *scrubber) person(name, id string) {
	name = strings.ToLower(name)
	if _, known := s.names[name]; known || slices.Contains(nobody(), name) {
		return
	}
	s.names[name] = s.pseudonym(id)
}

// pseudonym returns what stands for a name.
func (s *scrubber) pseudonym(name string) string {
	sum := hmac.New(sha256.New, s.key)
	sum.Write([]byte(strings.ToLower(name)))
	return "person-" + hex.EncodeToString(sum.Sum(nil)[:6])
}

// meet finds everybody whom a store names in a field of people.
func (s *scrubber) meet(ctx context.Context, from store.Store) error {
	record := func(r *knowledge.Record) error {
		if r == nil {
			return nil
		}
		d, err := r.Document()
		if err != nil {
			return err
		}
		if p, ok := d.(*knowledge.Principal); ok {
			s.person(p.PrincipalID, p.PrincipalID)
			s.person(p.Name, p.PrincipalID)
		}
		return s.fields(r.JSON)
	}
	err := everyChange(ctx, from, func(c *knowledge.Change) error {
		s.person(c.Actor, c.Actor)
		s.person(c.EnteredBy, c.EnteredBy)
		if c.Key.Kind == knowledge.KindPrincipal {
			s.person(c.Key.ID, c.Key.ID)
		}
		return record(c.Record)
	})
	if err != nil {
		return err
	}
	for _, kind := range knowledge.Kinds() {
		q := knowledge.Query{Kind: kind, Activity: knowledge.AnyActivity, Order: knowledge.OrderID}
		if err := store.All(ctx, from, q, record); err != nil {
			return err
		}
	}
	return nil
}

// fields notes whom a document names.
func (s *scrubber) fields(raw []byte) error {
	var d map[string]any
	if err := json.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("look for people: %w", err)
	}
	own, lists := knowledge.PlacesOfPeople()
	for _, field := range own {
		if name, ok := d[field].(string); ok {
			s.person(name, name)
		}
	}
	for _, list := range lists {
		members, _ := d[list].([]any)
		for _, m := range members {
			if m, ok := m.(map[string]any); ok {
				if name, ok := m["by"].(string); ok {
					s.person(name, name)
				}
			}
		}
	}
	return nil
}

// compile makes the expression that finds the names, the longest first.
func (s *scrubber) compile() error {
	s.report.People = len(s.names)
	if len(s.names) == 0 {
		return nil
	}
	list := slices.SortedFunc(maps.Keys(s.names), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	for i := range list {
		list[i] = regexp.QuoteMeta(list[i])
	}
	var err error
	s.words, err = regexp.Compile("(?i)" + strings.Join(list, "|"))
	return err
}

// address finds addresses of e-mail.
var address = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[\pL\pN._%+-]+@[\pL\pN-]+(\.[\pL\pN-]+)+`)
})

// text returns a text with people and addresses replaced.
func (s *scrubber) text(text string) string {
	text = address().ReplaceAllStringFunc(text, func(a string) string {
		if strings.HasSuffix(a, "@example.invalid") {
			return a
		}
		s.report.Addresses++
		return s.pseudonym(a) + "@example.invalid"
	})
	if s.words == nil {
		return text
	}
	var b strings.Builder
	from := 0
	for from < len(text) {
		at := s.words.FindStringIndex(text[from:])
		if at == nil {
			break
		}
		begin, end := from+at[0], from+at[1]
		if besideLetter(text, begin, end) {
			_, size := utf8.DecodeRuneInString(text[begin:])
			b.WriteString(text[from : begin+size])
			from = begin + size
			continue
		}
		b.WriteString(text[from:begin] + s.names[strings.ToLower(text[begin:end])])
		s.report.Mentions++
		from = end
	}
	return b.String() + text[from:]
}

// besideLetter reports whether a letter or digit stands right before or after a part of a text.
func besideLetter(text string, begin, end int) bool {
	part := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
	before, _ := utf8.DecodeLastRuneInString(text[:begin])
	after, _ := utf8.DecodeRuneInString(text[end:])
	return begin > 0 && part(before) || end < len(text) && part(after)
}

// value returns a JSON value with every text in it scrubbed.
func (s *scrubber) value(v any) any {
	switch v := v.(type) {
	case string:
		return s.text(v)
	case []any:
		for i := range v {
			v[i] = s.value(v[i])
		}
	case map[string]any:
		for name, member := range v {
			delete(v, name)
			v[s.text(name)] = s.value(member)
		}
	}
	return v
}

// document returns a record's document with nobody in it.
func (s *scrubber) document(r *knowledge.Record) (knowledge.Document, error) {
	dec := json.NewDecoder(bytes.NewReader(r.JSON))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if r.Key.Kind == knowledge.KindPrincipal {
		s.report.Tokens++
		v["token_hash"], v["token_prefix"] = strings.Repeat("0", 2*sha256.Size), ""
		delete(v, "erasure")
	}
	raw, err := json.Marshal(s.value(v))
	if err != nil {
		return nil, err
	}
	return knowledge.DecodeStored(r.Key.Kind, raw)
}

// change copies a change.
func (s *scrubber) change(ctx context.Context, c *knowledge.Change) error {
	op := knowledge.Op{Verb: c.Verb, Key: knowledge.Key{Kind: c.Key.Kind, ID: s.text(c.Key.ID)}}
	switch {
	case c.Record != nil:
		d, err := s.document(c.Record)
		if err != nil {
			return fmt.Errorf("scrub %s: %w", op.Key, err)
		}
		op = knowledge.Put(d, knowledge.AnyVersion)
	case !c.Verb.Removes():
		s.report.Purged++
		return nil
	}
	return s.apply(ctx, op, s.text(c.Actor), c.At, c.Version)
}

// apply writes one op. One that the copy refuses is left out with the copy's own reason: it may name what was purged,
// or be a version of before a rule that the program has now.
func (s *scrubber) apply(ctx context.Context, op knowledge.Op, actor string, at knowledge.Time, version int64) error {
	_, err := s.to.Apply(ctx, knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: actor, At: at,
		Ops: []knowledge.Op{op},
	})
	_, invalid := errors.AsType[*knowledge.InvalidError](err)
	switch {
	case op.Verb.Removes() && errors.Is(err, store.ErrNotFound): // it was not copied, since its text was purged
		s.report.Purged++
		return nil
	case invalid, errors.Is(err, store.ErrNotFound):
		s.report.NotTaken++
		if len(s.report.Reasons) < maxReasons {
			s.report.Reasons = append(s.report.Reasons, fmt.Sprintf("%s version %d: %s", op.Key, version, err))
		}
		return nil
	case err != nil:
		return err
	}
	s.report.Changes++
	return nil
}

// rest copies the documents that were last changed before the log begins.
func (s *scrubber) rest(ctx context.Context, from store.Store) error {
	for _, kind := range knowledge.Kinds() {
		q := knowledge.Query{Kind: kind, Activity: knowledge.AnyActivity, Order: knowledge.OrderID}
		err := store.All(ctx, from, q, func(r *knowledge.Record) error {
			d, err := s.document(r)
			if err != nil {
				return err
			}
			if _, err := s.to.Get(ctx, d.Key()); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			stamps := d.Stamps()
			return s.apply(ctx, knowledge.Put(d, knowledge.AnyVersion), stamps.UpdatedBy, stamps.UpdatedAt, r.Version)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// everyChange reads a log from its oldest change to its newest.
func everyChange(ctx context.Context, feed store.Feed, each func(*knowledge.Change) error) error {
	for after := knowledge.Seq(0); ; {
		list, err := feed.Changes(ctx, knowledge.ChangeQuery{After: after})
		if gone, ok := errors.AsType[*store.GoneError](err); ok && after == 0 && gone.Oldest > 1 {
			after = gone.Oldest - 1
			continue
		}
		if err != nil {
			return err
		}
		for i := range list {
			if err := each(&list[i]); err != nil {
				return err
			}
			after = list[i].Seq
		}
		if len(list) == 0 {
			return nil
		}
	}
}
