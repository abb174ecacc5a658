package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// An ErasingStore is an engine that erases people, and verifies its log.
type ErasingStore interface {
	store.Store
	store.Eraser
	VerifyChanges(ctx context.Context, progress func(done, last knowledge.Seq)) error
	store.Archive
}

// The person that [Eraser] erases, and one with a similar name, who stays.
const (
	Erased     = "ines.vogel"
	ErasedName = "Ines Vogel"
	Bystander  = "ines.vogel2"
)

// FillWithPerson writes documents in which the person is named in every field that names people.
func FillWithPerson(t testing.TB, s store.Store) {
	t.Helper()
	apply := func(b knowledge.Batch) {
		t.Helper()
		b.ID = knowledge.NewBatchID()
		if _, err := s.Apply(t.Context(), b); err != nil {
			t.Fatalf("write as %s: %v", b.Actor, err)
		}
	}
	put := func(actor string, docs ...knowledge.Document) {
		t.Helper()
		b := knowledge.Batch{Actor: actor}
		for _, d := range docs {
			b.Ops = append(b.Ops, knowledge.Put(d, knowledge.AnyVersion))
		}
		apply(b)
	}
	person := func(id, name, token string) *knowledge.Principal {
		p := &knowledge.Principal{PrincipalID: id, Name: name, Role: knowledge.RoleMaintainer, TokenHash: strings.Repeat(token, 64), TokenPrefix: "tenet_" + token}
		p.Normalize()
		return p
	}
	put("root", person(Erased, "I. Vogel", "a"), person(Bystander, "Ines Vogel the Second", "b"))
	put(Erased, person(Erased, ErasedName, "c"))
	put("root", Category(func(c *knowledge.Category) { c.ID = GeneralCategory }))
	rule := Rule(func(r *knowledge.Rule) { r.RuleID = "R-1" })
	put(Erased, rule, Practice(), Template())
	put(Bystander, Rule(func(r *knowledge.Rule) { r.RuleID, r.Description = "R-2", "Ask Ines Vogel before you merge." }))
	put("root", rule)
	violation := Violation("R-1", func(v *knowledge.Violation) { v.ReportedBy, v.Status, v.ResolvedBy = Erased, "resolved", ErasedName })
	put("root", violation)
	put("root", Repository(func(r *knowledge.Repository) {
		r.Owner = ErasedName
		r.Exemptions = []knowledge.Exemption{
			{Rule: "R-1", Reason: "old", Until: knowledge.At(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)), By: Erased},
			{Rule: "R-2", Reason: "old", Until: knowledge.At(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)), By: Bystander},
		}
	}))
	put(Erased, Proposal("R-1", func(p *knowledge.Proposal) {
		p.Reviews = []knowledge.Review{{By: Erased, Verdict: knowledge.VerdictComment, OpsDigest: p.OpsDigest, Comment: "mine", At: knowledge.At(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))}}
	}))
	apply(knowledge.Batch{
		Actor: "root", Message: "Asked for by " + Erased + ", not by " + Bystander,
		Ops: []knowledge.Op{{Verb: knowledge.VerbPatch, Key: rule.Key(), Patch: []byte(`{"priority":7}`)}},
	})
	gone := Rule(func(r *knowledge.Rule) { r.RuleID = "R-3" })
	put(Erased, gone)
	apply(knowledge.Batch{Actor: Erased, Ops: []knowledge.Op{{Verb: knowledge.VerbPurge, Key: gone.Key()}}})
	old := Rule(func(r *knowledge.Rule) { r.RuleID, r.IsActive = "R-4", false })
	put(Erased, old)
	apply(knowledge.Batch{Actor: Erased, Ops: []knowledge.Op{{Verb: knowledge.VerbArchive, Key: old.Key()}}})
	apply(knowledge.Batch{Actor: "someone", EnteredBy: Erased, Ops: []knowledge.Op{knowledge.Put(Rule(), knowledge.NoVersion)}})
	apply(knowledge.Batch{Actor: Erased, EnteredBy: "clerk", Ops: []knowledge.Op{knowledge.Put(Rule(), knowledge.NoVersion)}})
}

// Everything returns all that a store tells of its documents, its archive and its log, as JSON.
func Everything(t testing.TB, s store.Store) string {
	t.Helper()
	var b strings.Builder
	for _, kind := range knowledge.Kinds() {
		q := knowledge.Query{Kind: kind, Activity: knowledge.AnyActivity, Order: knowledge.OrderID}
		if err := store.All(t.Context(), s, q, func(r *knowledge.Record) error {
			fmt.Fprintf(&b, "%s %s\n", r.Key, r.JSON)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if a, ok := s.(store.Archive); ok {
		list, err := a.Archived(t.Context(), store.ArchiveQuery{Limit: store.MaxArchived})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			fmt.Fprintf(&b, "archived %s %d %s\n", d.Key, d.Version, d.Record.JSON)
		}
	}
	for after := knowledge.Seq(0); ; {
		list, err := s.Changes(t.Context(), knowledge.ChangeQuery{After: after})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return b.String()
		}
		for i := range list {
			j, err := json.Marshal(list[i])
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s\n", j)
		}
		after = list[len(list)-1].Seq
	}
}

// Named returns the lines of a text that name the person in a field of people, and not in a sentence.
func Named(text string) (lines []string) {
	for line := range strings.Lines(text) {
		left := strings.NewReplacer(Bystander, "", "Ask Ines Vogel before you merge.", "", "Ines Vogel the Second",
			"").Replace(line)
		if strings.Contains(left, Erased) || strings.Contains(left, ErasedName) || strings.Contains(left, "I. Vogel") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// Erasure checks the laws of [store.Eraser] on a fresh engine, its book of runs and its audit.
func Erasure(t *testing.T, s ErasingStore, book store.RunBook, audited store.AuditBook) {
	t.Helper()
	FillWithPerson(t, s)
	at := knowledge.At(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	if err := audited.Add(t.Context(), store.AuditEntry{
		At: at, Kind: store.AuditRefused, Actor: Erased, Action: "put", Key: "principal/" + Erased,
		Reason: "put principal/" + Erased + ": " + Erased + " may not, but " + Bystander + " may",
	}, store.AuditEntry{At: at, Kind: store.AuditRead, Actor: Bystander, Action: "search", Question: "q=written by " +
		Erased}); err != nil {
		t.Fatal(err)
	}
	run := failedRun(t, book, at)
	before := Everything(t, s)
	if !strings.Contains(before, "archived rule/R-4") {
		t.Fatal("nothing is in the archive: the test would prove less than it says")
	}
	if len(Named(before)) < 10 {
		t.Fatalf("the person stands in %d places: too few to prove anything", len(Named(before)))
	}
	pseudonym, person := knowledge.NewErasure(Erased, []string{ErasedName, "I. Vogel"})
	r := store.ErasureRequest{Pseudonym: pseudonym, Erasure: *person, Batch: knowledge.NewBatchID(), Actor: "root"}

	dry := r
	dry.Dry = true
	counted, err := s.Erase(t.Context(), dry)
	if err != nil || counted.Seq != 0 || counted.Rows["changes"] == 0 {
		t.Fatalf("a dry run counts %+v, %v", counted, err)
	}
	if after := Everything(t, s); after != before {
		t.Fatal("a dry run has changed something")
	}
	done, err := s.Erase(t.Context(), r)
	if err != nil || done.Seq == 0 || done.Rows["changes"] != counted.Rows["changes"] {
		t.Fatalf("the erasure did %+v, %v; a dry run counted %+v", done, err, counted)
	}
	after := Everything(t, s)
	if lines := Named(after); len(lines) > 0 {
		t.Errorf("the person is still named:\n%s", strings.Join(lines, "\n"))
	}
	if strings.Count(after, Bystander) != strings.Count(before, Bystander) ||
		!strings.Contains(after, "Ask Ines Vogel before you merge.") {
		t.Error("somebody else's name, or a sentence, was rewritten")
	}
	erasedAudit(t, audited, pseudonym)
	runs, err := book.Runs(t.Context(), store.RunQuery{Job: run.Job, Limit: 1})
	if err != nil || len(runs) != 1 || runs[0].By != pseudonym || runs[0].Changed != "for "+pseudonym+" and "+
		Bystander || runs[0].Error != "no role "+pseudonym {
		t.Errorf("the history of jobs is %+v, %v", runs, err)
	}
	if err := s.VerifyChanges(t.Context(), nil); err != nil {
		t.Errorf("the log does not verify after an erasure: %v", err)
	}
	again := r
	again.Batch = knowledge.NewBatchID()
	if twice, err := s.Erase(t.Context(), again); err != nil || twice.Seq != 0 || Everything(t, s) != after {
		t.Errorf("erasing again did %+v, %v; want nothing", twice, err)
	}
	erasureOfMore(t, s, audited, r)
}

// erasedAudit checks what an erasure has left of the person in the audit.
func erasedAudit(t *testing.T, audited store.AuditBook, pseudonym string) {
	t.Helper()
	audit, err := audited.Entries(t.Context(), store.AuditQuery{Limit: 10})
	if want := "put principal/" + pseudonym + ": " + pseudonym + " may not, but " + Bystander + " may"; err != nil ||
		len(audit) != 3 ||
		audit[0].Kind != store.AuditErased || audit[0].Actor != "root" || audit[0].Key != "principal/"+pseudonym ||
		audit[0].Count != 2 ||
		audit[1].Actor != Bystander || audit[1].Question != "q=written by "+pseudonym ||
		audit[2].Actor != pseudonym || audit[2].Key != "principal/"+pseudonym || audit[2].Reason != want ||
		audit[2].Erased != pseudonym {
		t.Errorf("the audit is %+v, %v; want %q", audit, err, want)
	}
	if head, err := audited.Verify(t.Context(), nil); err != nil || head.Seq != 3 {
		t.Errorf("the audit verifies up to %s, %v after an erasure; want entry 3", head, err)
	}
}

// failedRun notes a run of a job that the person has asked for.
func failedRun(t *testing.T, book store.RunBook, at knowledge.Time) store.Run {
	t.Helper()
	run := store.Run{
		Job: "fleet.look", Due: at, Started: at, Beat: at, Instance: "one/1", By: Erased,
		State: store.RunRunning, Attempt: 1,
	}
	if _, err := book.ClaimRun(t.Context(), run, at); err != nil {
		t.Fatal(err)
	}
	run.State, run.Ended, run.Changed, run.Error = store.RunFailed, at, "for "+Erased+" and "+Bystander, "no role "+
		Erased
	if err := book.UpdateRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	return run
}

// erasureOfMore erases what comes in later, and a second person from changes that the first has left.
func erasureOfMore(t *testing.T, s ErasingStore, audited store.AuditBook, r store.ErasureRequest) {
	t.Helper()
	late := knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: Erased,
		Ops: []knowledge.Op{knowledge.Put(Rule(), knowledge.NoVersion)},
	}
	if _, err := s.Apply(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	r.Batch = knowledge.NewBatchID()
	if again, err := s.Erase(t.Context(), r); err != nil || again.Seq == 0 || again.Rows["changes"] != 1 {
		t.Errorf("erasing what came in late did %+v, %v; want one change", again, err)
	}
	pseudonym, person := knowledge.NewErasure("root", nil)
	if _, err := s.Erase(t.Context(), store.ErasureRequest{
		Pseudonym: pseudonym, Erasure: *person,
		Batch: knowledge.NewBatchID(), Actor: "root",
	}); err != nil {
		t.Fatal(err)
	}
	if text := Everything(t, s); len(Named(text)) > 0 || strings.Contains(text, `:"root"`) {
		t.Error("after two erasures a name is still there")
	}
	if err := s.VerifyChanges(t.Context(), nil); err != nil {
		t.Errorf("the log does not verify after two erasures: %v", err)
	}
	if _, err := audited.Verify(t.Context(), nil); err != nil {
		t.Errorf("the audit does not verify after two erasures: %v", err)
	}
}

// NamedInFiles returns the files below a directory that hold the person in any of their bytes, each with what stands
// around, but for the sentence that is for people to rewrite.
func NamedInFiles(t testing.TB, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, keep := range []string{Bystander, "Ask Ines Vogel before you merge.", "Ines Vogel the Second"} {
			data = bytes.ReplaceAll(data, []byte(keep), nil)
		}
		for _, name := range []string{Erased, ErasedName, "I. Vogel"} {
			if at := bytes.Index(data, []byte(name)); at >= 0 {
				list = append(list, fmt.Sprintf("%s: %q", path, data[max(0, at-60):min(len(data), at+60)]))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
