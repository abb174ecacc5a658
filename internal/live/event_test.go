package live

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

var testTime = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant, as far as the language lets it be

// strict decodes a message into the type that describes it, and fails when a field of one is missing in the other.
func strict(t *testing.T, text []byte, into any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s is no %T: %v", text, into, err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	if n := fieldsOf(t, text); n != len(fields) {
		t.Errorf("%s has a field twice", text)
	}
	for f := range reflect.TypeOf(into).Elem().Fields() {
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if _, ok := fields[name]; !ok && rest == "" {
			t.Errorf("%s has no %s", text, name)
		}
	}
}

// fieldsOf counts the fields of a JSON object.
func fieldsOf(t *testing.T, text []byte) (n int) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	for ; dec.More(); n++ {
		var value json.RawMessage
		if _, err := dec.Token(); err != nil {
			t.Fatal(err)
		}
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestWhatIsSentIsWhatIsDescribed(t *testing.T) {
	c := newChange(t)
	e, err := changeEvent(&c, testTime)
	if err != nil {
		t.Fatal(err)
	}
	var got changeMessage
	strict(t, e.full.text, &got)
	if diff := cmp.Diff(string(c.Record.JSON), string(got.Document)); diff != "" {
		t.Errorf("the document is not sent as it is (-want +got):\n%s", diff)
	}
	var bare changeMessage
	strict(t, e.body(false).text, &bare)
	if got.Document = nil; !reflect.DeepEqual(got, bare) {
		t.Errorf("without the document the message is %+v, want %+v", bare, got)
	}
	var empty changeMessage
	strict(t, e.without().full.text, &empty)
	if string(empty.Document) != "null" {
		t.Errorf("emptied, the document is %s", empty.Document)
	}

	entry := newEntry(t)
	for i, e := range provisionalEvents(&entry, testTime) {
		var got provisionalMessage
		strict(t, e.full.text, &got)
		if got.ID != entry.Batch.Ops[i].Key.ID || got.Batch != entry.Batch.ID || !got.Provisional ||
			got.Verb == knowledge.VerbPatch {
			t.Errorf("op %d is announced as %+v", i, got)
		}
	}
	for _, e := range parkedEvents(&entry, "too late", testTime) {
		var got parkedMessage
		strict(t, e.body(false).text, &got)
	}
	strict(t, modeEvent(&modeMessage{Type: typeMode}, testTime).full.text, &modeMessage{})
	strict(t, note(typeHello, knowledge.Mark{Seq: 1}, 0, helloMessage{}).full.text, &helloMessage{})
	strict(t, endBusy.goodbye(knowledge.Mark{Seq: 1}, 2, 0, 3).full.text, &behindMessage{})
	strict(t, endBehind.goodbye(knowledge.Mark{Seq: 1}, 2, 0, 3).full.text, &behindMessage{})
	strict(t, endGone.goodbye(knowledge.Mark{Seq: 1}, 2, 3, 4).full.text, &goneMessage{})
	strict(t, endReplaced.goodbye(knowledge.Mark{Seq: 1}, 2, 3, 4).full.text, &goneMessage{})
	strict(t, endStopping.goodbye(knowledge.Mark{Seq: 1}, 2, 3, 4).full.text, &byeMessage{})
}

func newChange(t *testing.T) knowledge.Change {
	t.Helper()
	log := newLog(t)
	log.add(put(t, storetest.Rule()), put(t, storetest.Rule()))
	return log.all()[0]
}

func newEntry(t *testing.T) store.Entry {
	t.Helper()
	a, b := rule("A"), rule("B")
	return store.Entry{
		Batch: knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "someone", Ops: []knowledge.Op{
			knowledge.Put(a, knowledge.NoVersion),
			{Verb: knowledge.VerbPatch, Key: b.Key(), Patch: []byte(`{"title":"x"}`)},
			{Verb: knowledge.VerbRetire, Key: knowledge.Key{Kind: knowledge.KindPractice, ID: "P"}},
		}},
		Left: []store.Left{{Key: a.Key(), Record: put(t, a).Record}, {Key: b.Key(), Record: put(t, b).Record}},
		At:   knowledge.At(testTime),
	}
}

func TestAFrameHoldsItsMessage(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 70000} {
		text := bytes.Repeat([]byte{'x'}, n)
		var b body
		b.set(text)
		if !bytes.Equal(b.text, text) {
			t.Errorf("%d bytes: the text is not kept", n)
		}
		if payload := unframe(t, b.frame, finalText); !bytes.Equal(payload, text) {
			t.Errorf("%d bytes: the frame holds %d", n, len(payload))
		}
	}
}

// unframe returns the payload of a frame as a peer reads it.
func unframe(t *testing.T, frame []byte, first byte) []byte {
	t.Helper()
	if frame[0] != first {
		t.Fatalf("the frame begins with %#x, want %#x", frame[0], first)
	}
	size, rest := int(frame[1]), frame[2:]
	switch size {
	case len16:
		size, rest = int(rest[0])<<8|int(rest[1]), rest[2:]
	case len64:
		size = 0
		for _, b := range rest[:8] {
			size = size<<8 | int(b)
		}
		rest = rest[8:]
	}
	if len(rest) != size {
		t.Fatalf("the frame says %d bytes and has %d", size, len(rest))
	}
	return rest
}

func TestAMessageIsCompressedOnce(t *testing.T) {
	var p packer
	for _, text := range []string{strings.Repeat(`{"title":"the same again"}`, 100), strings.Repeat("x", 1<<20), "{}"} {
		var b body
		b.set([]byte(text))
		packed := p.pack(&b)
		if packed == nil {
			if len(text) > 100 {
				t.Errorf("%d bytes did not get shorter", len(text))
			}
			continue
		}
		payload := append(bytes.Clone(unframe(t, packed, finalText|compressed)), 0, 0, 0xff, 0xff)
		got, err := io.ReadAll(flate.NewReader(bytes.NewReader(payload)))
		if string(got) != text || !errors.Is(err, io.ErrUnexpectedEOF) { // the stream is flushed, not ended
			t.Errorf("%d bytes come out as %d: %v", len(text), len(got), err)
		}
		if again := p.pack(&b); &again[0] != &packed[0] {
			t.Error("it was compressed twice")
		}
	}
}
