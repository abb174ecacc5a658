package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
)

// TestScriptsOfTheMirror runs the scripts that are about a server on a PostgreSQL.
func TestScriptsOfTheMirror(t *testing.T) {
	pgtest.URL(t) // skips here, and not within a script, where there is no PostgreSQL
	runScripts(t, func(e *testscript.Env) { e.Setenv("TENET_DATABASE_URL", pgtest.URL(t)) }, "",
		"testdata/postgres/mirror.txtar")
}

func TestAConflictIsShownAsTwoDifferences(t *testing.T) {
	document := func(title string, version int) json.RawMessage {
		return json.RawMessage(`{"rule_id":"SEC-001","title":"` + title + `","version":` + itoa(int64(version)) +
			`,"updated_by":"anna"}`)
	}
	c := &client.Conflict{
		ID: uuid.MustParse("018f4a3e-7c10-7a5e-9f0b-2f6d1c3b5a70"), Actor: "anna", Kind: knowledge.KindRule,
		DocumentID: "SEC-001",
		Ops:        2, Why: "it was changed meanwhile",
		ParkedAt: knowledge.At(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)),
		Base:     document("Before", 1), Theirs: document("Theirs", 2), Ours: document(`Ours\u001b[2J`, 2),
	}
	shown := func() string {
		t.Helper()
		var b strings.Builder
		if err := writeConflict(&b, screen{}, c); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	text := shown()
	for _, want := range []string{
		"rule/SEC-001", "2026-01-31 12:00:00", "of 2 ops", "+++ theirs, at the primary\n",
		"-title: Before\n+title: Theirs\n", "+++ ours, as it was acknowledged\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not hold %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, "updated_by") || strings.Contains(text, "decided") {
		t.Errorf("it holds what it must not:\n%s", text)
	}
	at := c.ParkedAt
	c.Theirs, c.Ours, c.Resolution, c.ResolvedBy, c.ResolvedAt = json.RawMessage("null"), c.Base, "theirs", "carla", &at
	text = shown()
	for _, want := range []string{
		"there is no such document at the primary",
		"ours, as it was acknowledged: nothing was changed", "theirs by carla",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not hold %q:\n%s", want, text)
		}
	}
}
