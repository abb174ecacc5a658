package server

import (
	"strings"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func TestAReportOfCapacityTellsGrowthAndWhenTheDiskIsFull(t *testing.T) {
	now := time.Now()
	z := size{documents: 300, changes: 900, bytes: 30 << 20, free: 100 << 20, freeKnown: true}
	run := func(days int, text string) *store.Run {
		return &store.Run{Ended: knowledge.At(now.AddDate(0, 0, -days)), Changed: text}
	}
	before := size{documents: 200, changes: 500, bytes: 20 << 20}.report(now, nil)
	for name, test := range map[string]struct {
		run        *store.Run
		want, lack string
	}{
		"the first": {nil, "growth is told from the second report on", "lasts"},
		"a month later": {
			run(30, before),
			"in the 30.0 days since the report before: +100 documents, +400 changes, +10485760 bytes; at that rate " +
				"its disk lasts 300 days", "",
		},
		"an hour later":       {run(0, before), "300 documents", "lasts"},
		"one that can't be":   {run(30, "something else"), "300 documents, 900 changes, 31457280 bytes", "since"},
		"nothing was written": {run(30, z.report(now, nil)), "+0 documents, +0 changes, +0 bytes", "lasts"},
		"so little is written": {
			run(30, "300 documents, 900 changes, 31457279 bytes"),
			"at that rate its disk lasts more than 10 years", "",
		},
	} {
		got := z.report(now, test.run)
		if !strings.Contains(got, test.want) || test.lack != "" && strings.Contains(got, test.lack) {
			t.Errorf("%s: %q; want %q in it, and not %q", name, got, test.want, test.lack)
		}
	}
}
