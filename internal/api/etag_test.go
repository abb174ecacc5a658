package api

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
)

// TestATagNamesOneTextInEveryCoding: a proxy that compresses marks the tag as weak or adds the coding's name, and the
// caller sends it back so.
func TestATagNamesOneTextInEveryCoding(t *testing.T) {
	rec := &knowledge.Record{Version: 7, JSON: []byte(`{"title":"one"}`)}
	current := ETag(rec)
	bare := strings.Trim(current, `"`)
	for _, c := range []struct {
		sent  string
		names bool
	}{
		{current, true},
		{"W/" + current, true},
		{`"` + bare + `-gzip"`, true},
		{`"` + bare + `;br"`, true},
		{`W/"` + bare + `-zstd"`, true},
		{`"1-000000000000", ` + current, true},
		{`,, ` + current + ` ,`, true},
		{`*`, true},
		{`"7"`, true},
		{`"70"`, false},
		{`"8"`, false},
		{`"7-000000000000"`, false},
		{`"` + uuid.NewString() + `"`, false},
	} {
		tags, ok := ParseTags([]string{c.sent})
		if !ok {
			t.Errorf("%s can't be read", c.sent)
			continue
		}
		if err := tags.Name(current); (err == nil) != c.names {
			t.Errorf("%s names %s: %v, want %v", c.sent, current, err, c.names)
		}
	}
	for _, sent := range []string{"", "7", `"7`, `"7" "8"`, `W/7`, `*, "7"`} {
		if _, ok := ParseTags([]string{sent}); ok {
			t.Errorf("%q was read", sent)
		}
	}
}

func TestTheTagOfAWaitingDocumentIsItsBatch(t *testing.T) {
	batch := uuid.New()
	tag := ETag(&knowledge.Record{Version: 7, Pending: batch})
	bare := strings.TrimSuffix(tag, `"`)
	for _, sent := range []string{tag, "W/" + tag, bare + `-gzip"`, bare + `-br"`} {
		if got := Pending(sent); got != batch {
			t.Errorf("%s is of the batch %s, want %s", sent, got, batch)
		}
	}
	for _, sent := range []string{"", `"7"`, `"7-9f86d081884c"`, tag + "," + tag} {
		if got := Pending(sent); got != (knowledge.BatchID{}) {
			t.Errorf("%s is of the batch %s, want none", sent, got)
		}
	}
}

func TestOneKeyOfTwoCallersIsTwoWrites(t *testing.T) {
	id := func(actor string, keys ...string) knowledge.BatchID {
		t.Helper()
		got, err := BatchID(actor, keys)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first, without := id("ada", "monday"), id("ada")
	if id("ada", "monday") != first {
		t.Error("the same key of the same caller is two writes")
	}
	if id("grace", "monday") == first {
		t.Error("the same key of two callers is one write")
	}
	if id("ada") == without {
		t.Error("two writes without a key are one")
	}
	own := uuid.NewString()
	if id("ada", own).String() != own {
		t.Error("a UUID is not the id")
	}
	for _, keys := range [][]string{{""}, {"a", "b"}, {strings.Repeat("k", maxKey+1)}, {"a\x00b"}} {
		if _, err := BatchID("ada", keys); err == nil {
			t.Errorf("the keys %q were taken", keys)
		}
	}
}

// FuzzParseTags: whatever is read has no quotes left, and a tag of ours is found in it under any mark.
func FuzzParseTags(f *testing.F) {
	for _, s := range []string{`"3-9f86d081884c"`, `W/"3"`, `*`, `"a", "b"`, `,,`, `"3-9f86d081884c-gzip"`, `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tags, ok := ParseTags([]string{s})
		if !ok {
			return
		}
		for _, one := range tags.list {
			if strings.Contains(one.value, `"`) || !strings.Contains(s, one.sent) {
				t.Fatalf("%q was read as %q, sent as %q", s, one.value, one.sent)
			}
			if _, known := tags.Known(`"` + one.value + `"`); !known {
				t.Fatalf("%q of %q is not known", one.value, s)
			}
		}
	})
}
