package cache

import (
	"bytes"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store/storegen"
)

// generated returns the records of n plausible documents.
func generated(t testing.TB, n int) []*knowledge.Record {
	t.Helper()
	var list []*knowledge.Record
	for doc := range storegen.Generate(1, n) {
		rec, err := knowledge.NewRecord(doc)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rec)
	}
	return list
}

func TestADictionaryIsMadeAndSavesMemory(t *testing.T) {
	c, err := openCodec("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.close() }()
	docs := generated(t, 3000)
	old := c.compress(nil, docs[0].JSON)
	plain := size(c, docs[2000:])
	made := false
	for _, rec := range docs {
		now, err := c.learn(rec.JSON)
		if err != nil {
			t.Fatal(err)
		}
		made = made || now
	}
	if !made {
		t.Fatal("no dictionary was made")
	}
	with := size(c, docs[2000:])
	t.Logf("%d bytes plain, %d with the dictionary", plain, with)
	if with*10 > plain*8 {
		t.Errorf("%d bytes with the dictionary, %d without: want a fifth less", with, plain)
	}
	// What was written before can still be read, and the dictionary outlives its maker.
	if got, ok := c.decompress(old); !ok || !bytes.Equal(got, docs[0].JSON) {
		t.Error("what was written before the dictionary can't be read")
	}
	dir := t.TempDir()
	if err := c.save(dir); err != nil {
		t.Fatal(err)
	}
	again, err := openCodec(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if got, ok := again.decompress(c.compress(nil, docs[1].JSON)); !ok || !bytes.Equal(got, docs[1].JSON) {
		t.Error("what was written with the dictionary can't be read with the one that was saved")
	}
	if _, ok := func() ([]byte, bool) {
		plain, err := openCodec("")
		if err != nil {
			t.Fatal(err)
		}
		defer plain.close()
		return plain.decompress(c.compress(nil, docs[1].JSON))
	}(); ok {
		t.Error("what was written with the dictionary was read without")
	}
}

func size(c *codec, docs []*knowledge.Record) int {
	n := 0
	for _, rec := range docs {
		n += len(c.compress(nil, rec.JSON))
	}
	return n
}

func TestDocumentsWithNothingInCommonGetNoDictionary(t *testing.T) {
	c, err := openCodec("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.close() }()
	same := bytes.Repeat([]byte("x"), sampleSize)
	failed := false
	for range sampleOneIn * (trainOn/sampleSize + 1) {
		if _, err := c.learn(same); err != nil {
			failed = true
		}
	}
	if got, ok := c.decompress(c.compress(nil, same)); !ok || !bytes.Equal(got, same) {
		t.Error("a document does not come back")
	}
	t.Logf("failed: %v", failed)
}
