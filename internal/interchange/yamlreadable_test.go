package interchange

import (
	"bytes"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func textNode(text string) *yaml.Node {
	n := yamlNode(members{{"title", "🚀 " + strings.ReplaceAll(text, "\n", " ")}, {"description", text}})
	return n
}

func TestATextWithAnEmojiStaysABlockForPeople(t *testing.T) {
	var b bytes.Buffer
	if err := EncodeYAML(&b,
		textNode("Do NOT use `🚀`.  \nA line break of Markdown stands before this.\n")); err != nil {
		t.Fatal(err)
	}
	const want = "title: '🚀 Do NOT use `🚀`.   A line break of Markdown stands before this. '\n" +
		"description: |\n  Do NOT use `🚀`.  \n  A line break of Markdown stands before this.\n"
	if got := b.String(); got != want {
		t.Errorf("it is written as\n%s\nwant\n%s", got, want)
	}
}

func FuzzYAMLForPeopleReadsBack(f *testing.F) {
	for _, text := range []string{
		"🚀", "a 🚀\nb", "a  \nb", " \n\n a ", "  \n🚀", "\n", "\ue000🚀 \n\ue001", "a\t\n b  ", "- x: 🚀\n# y ", "a \n\n",
		"---\n🚀",
		"\r\n ", "\u0085 \n", "\ufeff \n", "yes \n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text = strings.ToValidUTF8(text, "?"); strings.ContainsFunc(text, func(r rune) bool {
			return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r <= 0xa0 || r >= 0xfffe && r <= 0xffff
		}) {
			return // no document holds it
		}
		n := textNode(text)
		var b, plain bytes.Buffer
		if err := EncodeYAML(&b, n); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		library, err := encodedYAML(n)
		if err != nil {
			t.Fatal(err)
		}
		plain.Write(library)
		if readsAs(plain.Bytes(), n) && !readsAs(b.Bytes(), n) {
			t.Errorf("%q is written as\n%s\nwhich is something else", text, b.String())
		}
	})
}
