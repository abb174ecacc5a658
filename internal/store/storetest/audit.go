package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// An AuditedStore is an engine that keeps the audit, with what a forger does to its database.
type AuditedStore struct {
	ErasingStore
	store.AuditBook
	Retain func(before knowledge.Time) error
	Forge  func(t *testing.T, sql string)
}

// auditEntries are six entries, the first of half a year ago.
func auditEntries() []store.AuditEntry {
	at := func(days int) knowledge.Time { return knowledge.At(time.Now().AddDate(0, 0, days)) }
	return []store.AuditEntry{
		{
			At: at(-180), Kind: store.AuditRefused, Actor: "mallory", Door: "rest", Action: "purge", Key: "rule/x",
			Reason: "only admins", RequestID: "r1", Peer: "192.0.2.7",
		},
		{At: at(-120), Kind: store.AuditRead, Actor: "ann", Door: "mcp", Action: "get", Key: "rule/x", Count: 1},
		{At: at(-3), Kind: store.AuditRead, Actor: "bob", Door: "rest", Action: "search", Question: "q=été", Count: 7},
		{At: at(-2), Kind: store.AuditRead, Actor: Erased, Door: "rest", Action: "get", Key: "rule/x", Count: 1},
		{At: at(-1), Kind: store.AuditRead, Actor: "bob", Door: "live", Action: "follow"},
		{At: at(0), Kind: store.AuditRefused, Actor: "bob", Door: "rest", Action: "put", Key: "rule/y", Reason: "why"},
	}
}

// Audit checks that an engine keeps the audit, answers its questions, and finds what was changed or removed past it.
func Audit(t *testing.T, open func(t *testing.T) AuditedStore) {
	t.Run("questions", func(t *testing.T) { auditQuestions(t, open(t)) })
	t.Run("retention", func(t *testing.T) { auditRetention(t, open(t)) })
	for name, forged := range map[string]struct{ sql, says string }{
		"nothing":                  {"", ""},
		"the first taken out":      {"DELETE FROM audit WHERE seq = 1", "entry 1: it is missing"},
		"one taken out":            {"DELETE FROM audit WHERE seq = 3", "entry 3: it is missing"},
		"the last taken out":       {"DELETE FROM audit WHERE seq = 7", "entry 7: it is missing"},
		"all taken out":            {"DELETE FROM audit", "entry 1: it is missing"},
		"the head taken out":       {"DELETE FROM audit_head", "its head is missing"},
		"the head set back":        {"DELETE FROM audit WHERE seq = 7; UPDATE audit_head SET seq = 6", "its head is not that of the last entry"},
		"who":                      {"UPDATE audit SET actor = 'eve' WHERE seq = 3", "entry 3: it is not as it was written"},
		"the question":             {"UPDATE audit SET question = 'q=others' WHERE seq = 3", "entry 3: it is not as it was written"},
		"when":                     {"UPDATE audit SET at = (SELECT at FROM audit WHERE seq = 1) WHERE seq = 2", "entry 2: it is not as it was written"},
		"who and the hash":         {"UPDATE audit SET actor = 'bob', hash = (SELECT hash FROM audit WHERE seq = 5) WHERE seq = 3", "entry 3: it is not as it was written"},
		"that somebody was erased": {"UPDATE audit SET actor = 'eve', erased = 'erased-1' WHERE seq = 3", "entry 3: it is not as it was written"},
		"what an erasure left":     {"UPDATE audit SET actor = 'eve' WHERE seq = 4", "entry 4: it is not as it was written"},
		"that and its list": {
			"UPDATE audit SET actor = 'bob', erased = (SELECT erased FROM audit WHERE seq = 4), key = '' WHERE seq = 5; " +
				"INSERT INTO audit_erased SELECT erased, 5, hash FROM audit WHERE seq = 5", "has rewritten",
		},
		"an erasure's list taken out": {"DELETE FROM audit_erased", "entry 4: it is not as it was written"},
	} {
		t.Run("forged: "+name, func(t *testing.T) {
			s := open(t)
			if err := s.Add(t.Context(), auditEntries()...); err != nil {
				t.Fatal(err)
			}
			pseudonym, person := knowledge.NewErasure(Erased, nil)
			if _, err := s.Erase(t.Context(), store.ErasureRequest{
				Pseudonym: pseudonym, Erasure: *person, Batch: knowledge.NewBatchID(), Actor: "root",
			}); err != nil {
				t.Fatal(err)
			}
			if forged.sql != "" {
				s.Forge(t, forged.sql)
			}
			_, err := s.Verify(t.Context(), nil)
			var tampered *store.AuditError
			if forged.says == "" {
				if err != nil {
					t.Errorf("the audit does not verify: %v", err)
				}
			} else if !errors.As(err, &tampered) || !strings.Contains(err.Error(), forged.says) {
				t.Errorf("found %v, want %q", err, forged.says)
			}
		})
	}
}

func auditQuestions(t *testing.T, s AuditedStore) {
	entries := auditEntries()
	if err := s.Add(t.Context(), entries[:4]...); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(t.Context(), entries[4:]...); err != nil {
		t.Fatal(err)
	}
	for name, is := range map[string]struct {
		q    store.AuditQuery
		want []int64
	}{
		"everything":            {store.AuditQuery{}, []int64{6, 5, 4, 3, 2, 1}},
		"the next page":         {store.AuditQuery{Below: 3}, []int64{2, 1}},
		"who was refused":       {store.AuditQuery{Kind: store.AuditRefused}, []int64{6, 1}},
		"who read a document":   {store.AuditQuery{Kind: store.AuditRead, Key: "rule/x"}, []int64{4, 2}},
		"what a principal did":  {store.AuditQuery{Actor: "bob"}, []int64{6, 5, 3}},
		"what is of a time":     {store.AuditQuery{Since: entries[2].At, Before: entries[4].At}, []int64{4, 3}},
		"nobody of that name":   {store.AuditQuery{Actor: "Bob"}, nil},
		"the newest one of all": {store.AuditQuery{Limit: 1}, []int64{6}},
	} {
		if is.q.Limit == 0 {
			is.q.Limit = 100
		}
		list, err := s.Entries(t.Context(), is.q)
		same := err == nil && len(list) == len(is.want)
		for i := range list {
			want := entries[list[i].Seq-1]
			want.Seq, want.Hash, want.Chain = list[i].Seq, list[i].Hash, list[i].Chain
			same = same && list[i].Seq == is.want[i] && list[i] == want
		}
		if !same {
			t.Errorf("%s: %+v, %v; want entries %v", name, list, err, is.want)
		}
	}
}

func auditRetention(t *testing.T, s AuditedStore) {
	if err := s.Add(t.Context(), auditEntries()...); err != nil {
		t.Fatal(err)
	}
	pseudonym, person := knowledge.NewErasure("ann", nil)
	if _, err := s.Erase(t.Context(), store.ErasureRequest{
		Pseudonym: pseudonym, Erasure: *person,
		Batch: knowledge.NewBatchID(), Actor: "root",
	}); err != nil {
		t.Fatal(err)
	}
	for _, is := range []struct{ days, first, head int64 }{{150, 2, 8}, {150, 2, 8}, {60, 3, 9}} {
		if err := s.Retain(knowledge.At(time.Now().AddDate(0, 0, -int(is.days)))); err != nil {
			t.Fatal(err)
		}
		list, err := s.Entries(t.Context(), store.AuditQuery{Limit: 100})
		if err != nil || len(list) == 0 || list[len(list)-1].Seq != is.first || list[0].Seq != is.head ||
			list[0].Kind != store.AuditTrimmed {
			t.Fatalf("after %d days the audit is %+v, %v; want %d to %d", is.days, list, err, is.first, is.head)
		}
		if head, err := s.Verify(t.Context(), nil); err != nil || head.Seq != is.head {
			t.Errorf("a shortened audit verifies up to %s: %v", head, err)
		}
	}
	s.Forge(t, "DELETE FROM audit WHERE seq = 3")
	if _, err := s.Verify(t.Context(), nil); err == nil ||
		!strings.Contains(err.Error(), "entry 3: it is missing, and no retention has removed it") {
		t.Errorf("what was removed behind a retention is found as %v", err)
	}
}
