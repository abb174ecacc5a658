package main

import (
	"context"
	"strings"
	"testing"
)

func TestAnInterruptedImportSaysHowFarItCame(t *testing.T) {
	err := &stoppedError{written: 500, of: 1200, err: context.Canceled}
	got := explain(err)
	if exitCode(err) != exitInterrupted || !strings.Contains(got, "500 of 1200 documents written") ||
		!strings.Contains(got, "goes on where") {
		t.Errorf("the exit code is %d, and the message %q", exitCode(err), got)
	}
}
