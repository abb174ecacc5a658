package server

import (
	"testing"
	"time"
)

func TestStrangersFillNoDisk(t *testing.T) {
	r := newRefusals(nil, nil)
	now := time.Unix(600, 0)
	kept := 0
	for range 5 * refusalStrangers {
		if r.strangerFits(now) {
			kept++
		}
	}
	if kept != refusalStrangers {
		t.Errorf("%d calls of one minute are kept, want %d", kept, refusalStrangers)
	}
	if !r.strangerFits(now.Add(time.Minute)) {
		t.Error("nothing is kept in the next minute")
	}
}
