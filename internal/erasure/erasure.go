// Package erasure replaces people by pseudonyms, records whom, and prevents old data from bringing a name back. The
// engines rewrite the data; see [store.Eraser]. All other parts follow the log of changes.
package erasure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Request asks for the erasure of a person.
type Request struct {
	ID    string // of the principal, or of an actor in the log
	Actor string // the caller
	Dry   bool   // only report what would be done
}

// A Report is the result of an erasure, or of a dry run.
type Report struct {
	Pseudonym string           `json:"pseudonym"`
	Dry       bool             `json:"dry_run"`
	Again     bool             `json:"again"` // the person was erased before: only later additions were erased now
	Seq       knowledge.Seq    `json:"seq"`   // of the change that records it; 0 for none
	Rows      map[string]int64 `json:"rows"`  // rewritten, by table
	Mentions  []Mention        `json:"mentions"`
	More      bool             `json:"more_mentions"` // the list is cut
	Held      []Held           `json:"held"`          // backups that contain the name
	Note      string           `json:"note"`          // what else may contain it; "" for nothing
}

// Held is a backup made before an erasure.
type Held struct {
	Name  string         `json:"name"`
	At    knowledge.Time `json:"at"`
	Until knowledge.Time `json:"until"` // its latest removal
}

// A Mention is a document whose texts name the person. People have to rewrite these.
type Mention struct {
	Key    string   `json:"key"`
	Fields []string `json:"fields"`
}

// maxMentions is the largest number of mentions listed.
const maxMentions = 500

// Erase erases a person from a store. An earlier erasure of the same id is found by its hash.
func Erase(ctx context.Context, s store.Store, e store.Eraser, r Request) (*Report, error) {
	if r.ID == "" || knowledge.TextFault(r.ID) != "" || len(r.ID) > knowledge.MaxTitle {
		return nil, knowledge.Invalid("/principal", "want the id of a principal, 1 to %d characters",
			knowledge.MaxTitle)
	}
	if r.ID == r.Actor {
		return nil, knowledge.Invalid("/principal", "that is yourself: another admin erases you")
	}
	people, ids, err := principals(ctx, s)
	if err != nil {
		return nil, err
	}
	report := &Report{Dry: r.Dry, Rows: map[string]int64{}, Mentions: []Mention{}, Held: []Held{}}
	var person *knowledge.Erasure
	var names []string
	for pseudonym, known := range people {
		if known.IsID(r.ID) {
			report.Pseudonym, report.Again, person = pseudonym, true, known
		}
	}
	if person == nil {
		if people[r.ID] != nil {
			return nil, knowledge.Invalid("/principal", "%s stands for a person who was erased already", r.ID)
		}
		if names, err = namesOf(ctx, s, r.ID, ids); err != nil {
			return nil, err
		}
		report.Pseudonym, person = knowledge.NewErasure(r.ID, names)
	}
	if report.Mentions, report.More, err = mentions(ctx, s, person, append([]string{r.ID}, names...)); err != nil {
		return nil, err
	}
	ask := store.ErasureRequest{
		Pseudonym: report.Pseudonym, Erasure: *person, Batch: knowledge.NewBatchID(),
		Actor: r.Actor, Dry: true,
	}
	if !report.Again { // an id without any data is mistyped
		counted, err := e.Erase(ctx, ask)
		if err != nil {
			return nil, err
		}
		if len(counted.Rows) == 0 {
			return nil, fmt.Errorf("nobody stands here under this id, and nobody was erased who did: look with "+
				"tenet token list: %w",
				&store.NotFoundError{Key: knowledge.Key{Kind: knowledge.KindPrincipal, ID: r.ID}})
		}
		report.Rows = counted.Rows
	}
	if r.Dry && !report.Again {
		return report, nil
	}
	ask.Dry = r.Dry
	done, err := e.Erase(ctx, ask)
	if err != nil {
		return nil, err
	}
	report.Seq, report.Rows = done.Seq, done.Rows
	return report, nil
}

// principals returns the erasures of a store by pseudonym, and the ids of all principals.
func principals(ctx context.Context, s store.Reader) (people map[string]*knowledge.Erasure, ids map[string]bool,
	err error,
) {
	people, ids = map[string]*knowledge.Erasure{}, map[string]bool{}
	q := knowledge.Query{Kind: knowledge.KindPrincipal, Activity: knowledge.AnyActivity, Order: knowledge.OrderID}
	err = store.All(ctx, s, q, func(rec *knowledge.Record) error {
		d, err := rec.Document()
		if p, ok := d.(*knowledge.Principal); ok {
			ids[p.PrincipalID] = true
			if p.Erasure != nil {
				people[p.PrincipalID] = p.Erasure
			}
		}
		return err
	})
	return people, ids, err
}

// namesOf returns the present and past names of a principal, except those that are the id of another one.
func namesOf(ctx context.Context, s store.Store, id string, ids map[string]bool) ([]string, error) {
	key := knowledge.Key{Kind: knowledge.KindPrincipal, ID: id}
	var names []string
	add := func(r *knowledge.Record) error {
		if r == nil {
			return nil
		}
		d, err := r.Document()
		if p, ok := d.(*knowledge.Principal); ok && p.Name != "" && p.Name != id && !ids[p.Name] &&
			!slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
		return err
	}
	rec, err := s.Get(ctx, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if err := add(rec); err != nil {
		return nil, err
	}
	for before := knowledge.Seq(0); ; {
		list, err := s.Changes(ctx, knowledge.ChangeQuery{Key: key, Newest: true, After: before})
		if err != nil {
			return nil, err
		}
		for i := range list {
			if err := add(list[i].Record); err != nil {
				return nil, err
			}
			before = list[i].Seq
		}
		if len(list) == 0 || before <= 1 {
			return names, nil
		}
	}
}

// A Keeper records erasures, and erases people again when old data brings them back: a restored backup, a batch that
// waited somewhere, an import.
type Keeper struct {
	o      Options
	ledger *Ledger
}

// Options configure a [Keeper].
type Options struct {
	Store  store.Store // the documents and the log
	Feed   store.Feed  // the log as followed by this instance
	Eraser store.Eraser
	// Dirs are the directories of the ledger. The first is this instance's own; writes to the others may fail.
	Dirs []string
	// Here erases a person from the files that only this machine has.
	Here []func(ctx context.Context, pseudonym string, person *knowledge.Erasure) error
	// Told is called after an erasure; may be nil.
	Told func()
	// Actor is the actor of repeated erasures.
	Actor string
	Log   *slog.Logger
}

// NewKeeper returns a keeper with the ledgers of its directories.
func NewKeeper(o Options) (*Keeper, error) {
	k := &Keeper{o: o}
	for i, dir := range o.Dirs {
		l, err := ReadLedger(dir)
		if i > 0 && errors.Is(err, fs.ErrPermission) { // a repository that another account keeps
			o.Log.Warn("the ledger of erasures beside the backups can't be read", "directory", dir, "error",
				err.Error())
			continue
		}
		if err != nil {
			return nil, err
		}
		if i == 0 {
			k.ledger = l
		} else {
			k.ledger.merge(l)
		}
	}
	return k, nil
}

// lookAgain is the delay before a failed erasure is retried.
const lookAgain = time.Minute

// Run keeps the ledger current and repeats erasures as needed, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	w := store.Watch{
		Name: "ledger of erasures", Feed: k.o.Feed, Begin: k.begin, Again: lookAgain, Log: k.o.Log,
		Changed: func(list []knowledge.Change) error { return k.changed(ctx, list) },
	}
	return w.Run(ctx)
}

// begin compares the store with the ledger. It continues from the last position in the log, if that is known.
func (k *Keeper) begin(ctx context.Context, why error) (store.Place, error) {
	if err := k.Reapply(ctx, errors.Is(why, store.ErrHistory)); err != nil {
		return store.Place{}, err
	}
	at := k.ledger.place()
	if at.Known {
		list, err := k.o.Feed.Changes(ctx, knowledge.ChangeQuery{After: at.Seq - 1, Limit: 1})
		if err == nil && len(list) > 0 && list[0].Seq == at.Seq && list[0].Chain == at.Chain {
			return at, nil
		}
	}
	// In another or unknown history the engine scans everything.
	end, err := store.Newest(ctx, k.o.Feed)
	if err != nil {
		return end, err
	}
	if err := k.Reapply(ctx, true); err != nil {
		return end, err
	}
	k.moved(end)
	return end, k.write()
}

// Reapply applies the ledger to the store: it erases people and purges documents that are back. With all set it erases
// everybody again, which reads the whole store.
func (k *Keeper) Reapply(ctx context.Context, all bool) error {
	people, _, err := principals(ctx, k.o.Store)
	if err != nil {
		return err
	}
	for pseudonym, known := range people {
		if _, ok := k.ledger.People[pseudonym]; !ok {
			k.ledger.People[pseudonym] = *known
			if err := k.here(ctx, pseudonym, known); err != nil {
				return err
			}
		}
	}
	for pseudonym, person := range k.ledger.People {
		if people[pseudonym].SamePerson(&person) && !all {
			continue
		}
		if err := k.again(ctx, pseudonym, &person); err != nil {
			return err
		}
	}
	if err := k.purge(ctx); err != nil {
		return err
	}
	return k.write()
}

// again erases a person of the ledger from the store.
func (k *Keeper) again(ctx context.Context, pseudonym string, person *knowledge.Erasure) error {
	done, err := k.o.Eraser.Erase(ctx, store.ErasureRequest{
		Pseudonym: pseudonym, Erasure: *person,
		Batch: knowledge.NewBatchID(), Actor: k.o.Actor,
	})
	if err != nil {
		return fmt.Errorf("erase %s again: %w", pseudonym, err)
	}
	if done.Seq != 0 {
		k.o.Log.WarnContext(ctx, "a person who was erased was in the data again, and was erased again", "pseudonym",
			pseudonym, "seq", int64(done.Seq))
	}
	return k.here(ctx, pseudonym, person)
}

// purge purges documents of the ledger again, unless they were created again since.
func (k *Keeper) purge(ctx context.Context) error {
	for text, version := range k.ledger.Purged {
		key, err := knowledge.ParseKey(text)
		if err != nil {
			continue
		}
		rec, err := k.o.Store.Get(ctx, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case err != nil:
			return err
		case rec.Version >= version || rec.Pending != (knowledge.BatchID{}):
			continue
		}
		b := knowledge.Batch{
			ID: knowledge.NewBatchID(), Actor: k.o.Actor,
			Ops: []knowledge.Op{{Verb: knowledge.VerbPurge, Key: key, IfVersion: rec.Version}},
		}
		if _, err := k.o.Store.Apply(ctx, b); err != nil {
			k.o.Log.ErrorContext(ctx, "a document that was purged is here again, and can't be purged: purge it "+
				"by hand", "key", text, "error", err.Error())
			continue
		}
		k.o.Log.WarnContext(ctx, "a document that was purged was in the data again, and was purged again", "key", text)
	}
	return nil
}

// NotePurged notes that documents were purged.
func (k *Keeper) NotePurged(ctx context.Context, keys []knowledge.Key) error {
	for _, key := range keys {
		list, err := k.o.Feed.Changes(ctx, knowledge.ChangeQuery{Key: key, Newest: true, Limit: 1})
		if err != nil {
			return err
		}
		if len(list) > 0 && list[0].Verb == knowledge.VerbPurge {
			k.ledger.Purged[key.String()] = max(k.ledger.Purged[key.String()], list[0].Version)
		}
	}
	return k.write()
}

// changed records erasures and purges, and erases names that arrive after their erasure.
func (k *Keeper) changed(ctx context.Context, list []knowledge.Change) error {
	news := false
	for i := range list {
		c := &list[i]
		person, err := c.Erasure()
		switch {
		case err != nil:
			return err
		case person != nil:
			k.ledger.People[c.Key.ID], news = *person, true
			if err := k.here(ctx, c.Key.ID, person); err != nil {
				return err
			}
		case c.Verb == knowledge.VerbPurge:
			k.ledger.Purged[c.Key.String()], news = max(k.ledger.Purged[c.Key.String()], c.Version), true
		default:
			if err := k.names(ctx, c); err != nil {
				return err
			}
		}
	}
	k.moved(store.PlaceOf(&list[len(list)-1]))
	if !news {
		return nil // the next check writes the position
	}
	return k.write()
}

// moved records the position in the log.
func (k *Keeper) moved(at store.Place) {
	if at.Known {
		k.ledger.Seq, k.ledger.Chain = at.Seq, at.Chain[:]
	}
}

// names erases a person again if a change names them.
func (k *Keeper) names(ctx context.Context, c *knowledge.Change) error {
	for pseudonym, person := range k.ledger.People {
		named := person.Is(c.Actor) || person.Is(c.EnteredBy) || c.Key.Kind == knowledge.KindPrincipal &&
			person.IsID(c.Key.ID)
		if !named && c.Record != nil {
			d, err := c.Record.Document()
			if err != nil {
				return err
			}
			named = person.Redact(d, pseudonym)
		}
		if named {
			if err := k.again(ctx, pseudonym, &person); err != nil {
				return err
			}
		}
	}
	return nil
}

// here erases a person from the files of this machine.
func (k *Keeper) here(ctx context.Context, pseudonym string, person *knowledge.Erasure) error {
	for _, erase := range k.o.Here {
		if err := erase(ctx, pseudonym, person); err != nil {
			return fmt.Errorf("erase %s from the files of this machine: %w", pseudonym, err)
		}
	}
	if k.o.Told != nil {
		k.o.Told()
	}
	return nil
}

// write writes the ledger to every directory.
func (k *Keeper) write() error {
	if k.ledger.Empty() {
		return nil
	}
	for i, dir := range k.o.Dirs {
		if err := k.ledger.Write(dir); err != nil {
			if i == 0 {
				return err
			}
			k.o.Log.Warn("the ledger of erasures is not beside the backups", "directory", dir, "error", err.Error())
		}
	}
	return nil
}

// mentions returns the documents whose free texts name the person.
func mentions(ctx context.Context, s store.Reader, person *knowledge.Erasure,
	names []string,
) (list []Mention, more bool, err error) {
	list = []Mention{}
	words := make([]string, len(names))
	for i, name := range names {
		words[i] = strings.ToLower(name)
	}
	for _, kind := range knowledge.Kinds() {
		q := knowledge.Query{Kind: kind, Activity: knowledge.AnyActivity, Order: knowledge.OrderID}
		err := store.All(ctx, s, q, func(rec *knowledge.Record) error {
			if text := strings.ToLower(string(rec.JSON)); !slices.ContainsFunc(
				words, func(w string) bool { return strings.Contains(text, w) }) {
				return nil
			}
			fields, err := mentioned(rec, person, words)
			if err != nil || len(fields) == 0 {
				return err
			}
			if len(list) == maxMentions {
				more = true
				return nil
			}
			list = append(list, Mention{rec.Key.String(), fields})
			return nil
		})
		if err != nil {
			return nil, false, err
		}
	}
	return list, more, nil
}

// Sweep repeats all erasures of a store, which reads all of it, and returns for how many of them there was new data.
func Sweep(ctx context.Context, s store.Store, e store.Eraser, actor string) (again int, err error) {
	people, _, err := principals(ctx, s)
	if err != nil {
		return 0, err
	}
	for pseudonym, person := range people {
		done, err := e.Erase(ctx, store.ErasureRequest{
			Pseudonym: pseudonym, Erasure: *person,
			Batch: knowledge.NewBatchID(), Actor: actor,
		})
		if err != nil {
			return again, err
		}
		if done.Seq != 0 {
			again++
		}
	}
	return again, nil
}
