package postgres_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"tenet/internal/pgtest"
	"tenet/internal/postgres"
)

//nolint:gochecknoglobals // a flag of the test
var updateShape = flag.Bool("update", false, "write shape.txt anew")

// TestTheShapeIsWhatTheMigrationsMake compares what Drift compares with.
func TestTheShapeIsWhatTheMigrationsMake(t *testing.T) {
	got := pgtest.Value(t, migrated(t), "SELECT string_agg(line, E'\\n') FROM ("+postgres.ShapeSQL+") x") + "\n"
	if *updateShape {
		if err := os.WriteFile("shape.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile("shape.txt")
	if err != nil || got != string(want) {
		t.Errorf("shape.txt is not what the migrations make (%v): run make docs", err)
	}
}

func TestDriftNamesWhatDiffers(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	if drift, err := postgres.Drift(t.Context(), s); err != nil || len(drift) > 0 {
		t.Fatalf("of a migrated database: %q, %v", drift, err)
	}
	pgtest.Exec(t, url, `DROP INDEX changes_by_batch; CREATE INDEX mine ON rules (title); ALTER TABLE rules ADD COLUMN
		note text;
ALTER TABLE rules ALTER COLUMN title DROP NOT NULL; ALTER TABLE rules DROP CONSTRAINT rules_checks_check; DROP TRIGGER
tenet_index_gone ON rules;
CREATE OR REPLACE FUNCTION tenet_texts(list jsonb, VARIADIC texts text[]) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RETURN ''; END $$`)
	drift, err := postgres.Drift(t.Context(), s)
	all := strings.Join(drift, "\n")
	for _, want := range []string{
		"there is no index changes_by_batch of changes", "index mine of rules is not of the migrations",
		"column rules.note is not of the migrations",
		`column rules.title is "character varying(255)", and the migrations make "character varying(255), not null"`,
		"there is no constraint rules_checks_check of rules",
		"there is no trigger tenet_index_gone of rules",
		"function tenet_texts(list jsonb, VARIADIC texts text[]) is another one",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("drift does not tell %q: %v\n%s", want, err, all)
		}
	}
	if len(drift) != 7 {
		t.Errorf("%d differences:\n%s", len(drift), all)
	}
}
