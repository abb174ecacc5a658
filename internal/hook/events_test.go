package hook

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A recorded event is one that a tool sends, in the shape that its owner documents; source and day stand in the file.
type recorded struct {
	Tool    string
	Source  string
	Checked string
	Event   json.RawMessage
	Edits   [][2]string // path, and the file as it will be
	Session string
	Unknown bool // no hook of ours is installed for it
}

func TestRecordedEventsOfEachTool(t *testing.T) {
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil || len(files) < 2*len(Tools()) {
		t.Fatalf("%d recorded events, %v", len(files), err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		var r recorded
		if err != nil || json.Unmarshal(data, &r) != nil || r.Source == "" || r.Checked == "" {
			t.Errorf("%s: %v: want an event with its source and the day it was read", name, err)
			continue
		}
		e, err := Read(r.Tool, r.Event, func(path string) ([]byte, error) {
			if path == "/w/a.go" {
				return []byte("one\ntwo\nthree\n"), nil
			}
			return nil, nil
		})
		if errors.Is(err, ErrUnknown) != r.Unknown || err != nil && !r.Unknown {
			t.Errorf("%s: %v", name, err)
		}
		got := [][2]string{}
		for _, edit := range e.Edits {
			got = append(got, [2]string{edit.Path, string(edit.After)})
		}
		if diff := cmp.Diff(r.Edits, got); diff != "" || e.Session != r.Session {
			t.Errorf("%s: session %q: %s", name, e.Session, diff)
		}
	}
}

func TestAnEditOfAFormThatIsNotKnownIsNoEditOfNothing(t *testing.T) {
	none := func(string) ([]byte, error) { return nil, nil }
	for _, event := range []string{
		`{"tool_name":"Write","tool_input":{"where":"a","blob":"b"}}`,
		`{"tool_name":"apply_patch","tool_input":"text"}`, `{"tool_name":"Edit"}`,
		`{"toolName":"create","toolArgs":"no object"}`,
	} {
		tool := "claude"
		if event[2:7] == "toolN" {
			tool = "copilot"
		}
		if _, err := Read(tool, []byte(event), none); err == nil || errors.Is(err, ErrUnknown) {
			t.Errorf("%s is taken for an edit of nothing: %v", event, err)
		}
	}
}
