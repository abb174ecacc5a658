package server

import (
	"context"
	"errors"
	"testing"

	"tenet/internal/access"
)

// TestOneCallerLeavesTurnsToOthers takes all turns that one caller may have.
func TestOneCallerLeavesTurnsToOthers(t *testing.T) {
	s := newTurns(1)
	as := func(id string) context.Context { return access.WithCaller(t.Context(), &access.Caller{ID: id}) }
	leave, err := s.take(as("greedy"))
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(as("greedy"))
	cancel()
	if _, err := s.take(over); !errors.Is(err, context.Canceled) {
		t.Fatalf("a second turn of one caller, whose context has ended: %v", err)
	}
	polite, err := s.take(as("polite"))
	if err != nil {
		t.Fatal(err)
	}
	over, cancel = context.WithCancel(as("third"))
	cancel()
	if _, err := s.take(over); !errors.Is(err, context.Canceled) {
		t.Fatalf("a turn while all are taken: %v", err)
	}
	leave()
	third, err := s.take(as("third")) // neither of those that gave up holds a place
	if err != nil {
		t.Fatal(err)
	}
	polite()
	third()
	if again, err := s.take(as("greedy")); err != nil {
		t.Error(err)
	} else {
		again()
	}
}
