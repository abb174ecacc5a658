package main

import (
	"strings"
	"testing"
)

func TestStatusTellsHowFarTheSearchIndexIs(t *testing.T) {
	for details, want := range map[string]bool{
		`{"search_index":{"documents":12000,"of":100000}}`: true, `{}`: false,
	} {
		var b strings.Builder
		if err := writeStatus(&b, screen{}, &statusShown{Ready: true, Details: []byte(details)}, false); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "12000 of 100000 documents are in its index"); got != want {
			t.Errorf("with %s it shows\n%s", details, &b)
		}
	}
}
