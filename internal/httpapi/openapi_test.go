package httpapi

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

//nolint:gochecknoglobals // flags are read once, before the tests
var update = flag.Bool("update", false, "write the golden files anew")

const golden = "../../docs/api/openapi.json"

// described is a handler with everything that the OpenAPI document tells of.
func described() *Handler { return newHandler(nil) }

func TestOpenAPIDocumentIsTheGoldenOne(t *testing.T) {
	s, err := described().spec()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, s.json, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v: run the test with -update", err)
	}
	if !bytes.Equal(s.json, want) {
		t.Errorf("the API is another than %s says: look at the difference, then run the test with -update (-golden "+
			"+now)\n%s",
			golden, cmp.Diff(string(want), string(s.json)))
	}
}
