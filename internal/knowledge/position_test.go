package knowledge

import (
	"bytes"
	"testing"
)

func TestMarksComeBackAsTheyWent(t *testing.T) {
	chain := [32]byte{0x9f, 0x86, 0xd0, 0x81, 0x88, 0x4c, 0x7d, 0x65, 0x9a}
	for _, m := range []Mark{{}, {Seq: 7}, MarkAt(42, chain)} {
		got, err := ParseMark(m.String())
		if err != nil || got.Seq != m.Seq || !bytes.Equal(got.Chain, m.Chain) {
			t.Errorf("%s read back as %+v, %v", m, got, err)
		}
	}
	if got := MarkAt(42, chain).String(); got != "42-9f86d081884c7d65" {
		t.Errorf("a mark is written as %s", got)
	}
	if m := MarkAt(42, chain); !m.Fits(chain) || m.Fits([32]byte{0x9f}) || !(Mark{Seq: 42}).Fits([32]byte{1}) {
		t.Error("a mark fits another chain than its own, or not its own")
	}
}

func FuzzParseMark(f *testing.F) {
	for _, text := range []string{
		"0", "42", "42-9f86d081884c7d65", "42-", "-1", "+1", "0-9f86d081884c7d65",
		"42-9F86D081884C7D65", "9223372036854775808",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMark(text)
		if err != nil {
			return
		}
		again, err := ParseMark(m.String())
		if err != nil || again.Seq != m.Seq || !bytes.Equal(again.Chain, m.Chain) || m.Seq < 0 {
			t.Errorf("%q read as %+v, written as %s, read as %+v, %v", text, m, m, again, err)
		}
	})
}
