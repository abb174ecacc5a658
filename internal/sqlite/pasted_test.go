package sqlite

import (
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store/storetest"
)

func TestAPastedMessageIsAboutItsWordsAndNotAboutItsTrace(t *testing.T) {
	for name, c := range map[string]struct{ text, why, where string }{
		"JavaScript": {
			"TypeError: Assignment to constant variable.\n    at Loader.resolve (/srv/billing/ledger.js:7:9)\n" +
				"    at Module.compile (node:internal/modules/cjs/loader:1105:14)",
			"assignment constant", "billing ledger loader resolve modules",
		},
		"Python": {
			"Traceback (most recent call last):\n  File \"/srv/billing/ledger.py\", line 31, in settle\n" +
				"ZeroDivisionError: division by zero",
			"division zero", "billing ledger settle file",
		},
		"Go": {
			"panic: assignment to entry in nil map\n\ngoroutine 18 [chan receive, 2 minutes]:\n" +
				"billing.Settle(0xc0000b4010)\n\t/srv/billing/ledger.go:14 +0x1d",
			"assignment nil map", "goroutine chan receive billing settle ledger",
		},
		"C#": {
			"Unhandled exception. System.ArgumentNullException: Value cannot be null.\n" +
				"   at Billing.Ledger.Settle(String account) in /srv/Ledger.cs:line 31",
			"value null", "billing ledger settle account",
		},
		"an address": {
			"read tcp 10.4.1.17:5432: the connection was reset by the peer before the answer came",
			"connection reset", "10.4.1.17 5432",
		},
		"labels": {
			"Last State: Terminated  Reason: Evicted  Message: the volume of the pod is full  Status: Failed",
			"evicted pod volume", "state reason message status",
		},
		"labels of PostgreSQL": {
			"ERROR:  division by zero\nCONTEXT:  SQL function settle during startup\nLOCATION: the first line of all",
			"division", "context location",
		},
		"a short message": {"Warning: assignment to constant variable", "constant", "warning"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, Options{})
			docs := []knowledge.Document{general()}
			for id, words := range map[string]string{"WHERE": c.where, "WHY": c.why} {
				docs = append(docs, storetest.Rule(func(r *knowledge.Rule) {
					r.RuleID, r.Title, r.Description = id, "About "+words, strings.Repeat(words+". ", 3)
				}))
			}
			put(t, s, docs...)
			hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: c.text})
			if err != nil {
				t.Fatal(err)
			}
			if len(hits.Hits) == 0 || hits.Hits[0].Record.Key.ID != "WHY" {
				t.Errorf("%q: the rule about %q is not first of %d", c.text, c.why, len(hits.Hits))
			}
		})
	}
}
