package interchange

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/knowledge"
)

// samples adds the samples whose name has one of the endings to a corpus.
func samples(f *testing.F, endings ...string) {
	f.Helper()
	err := filepath.WalkDir(filepath.Join("testdata", "acme"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for _, end := range endings {
			if strings.HasSuffix(p, end) {
				data, err := os.ReadFile(p)
				if err != nil {
					return err
				}
				f.Add(data)
			}
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
}

// readAs reads data as a file of a name and checks whatever comes of it.
func readAs(t *testing.T, name string, data []byte, o ReadOptions) {
	o.Limits = Limits{Files: 100, File: 1 << 20, Total: 4 << 20}
	s, err := Read(name, bytes.NewReader(data), o)
	if err != nil {
		return
	}
	defer s.Close()
	seen := map[knowledge.Key]bool{}
	for it := range s.Items() {
		if it.Err == nil && it.Skipped == "" && it.History == nil && len(it.Entries) == 0 {
			t.Fatalf("%s came to nothing, without a reason", it.Path)
		}
		for _, e := range it.Entries {
			switch {
			case e.Doc == nil && e.Err == nil:
				t.Fatalf("%s %s: neither a document nor a reason", it.Path, e.Place)
			case e.Doc == nil:
				continue
			case e.Doc.Key() != e.Key:
				t.Fatalf("%s %s: key %s, document %s", it.Path, e.Place, e.Key, e.Doc.Key())
			case seen[e.Key] && !e.Own:
				t.Fatalf("%s %s: %s was given out before", it.Path, e.Place, e.Key)
			}
			seen[e.Key] = true
			checkDocument(t, e.Doc)
		}
	}
	m := newMemory()
	p := NewPlan(PlanOptions{Current: m.current, KeepGoing: true})
	if err := p.Add(s); err != nil {
		t.Fatal(err)
	}
	for b, err := range p.Batches("ann", 7) {
		if err != nil {
			return // a damaged export
		}
		if err := b.Validate(); err != nil {
			t.Fatalf("a planned batch is not valid: %v", err)
		}
	}
}

// checkDocument checks that a document is valid, settled, and comes back from its Markdown as it was.
func checkDocument(t *testing.T, d knowledge.Document) {
	if err := d.Validate(); err != nil {
		t.Fatalf("%s is not valid: %v", d.Key(), err)
	}
	again, err := settle(d)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := sameContent(d, again); err != nil || !same {
		t.Fatalf("%s changes when it is stored (%v)", d.Key(), err)
	}
	if d.Key().Kind == knowledge.KindPrincipal {
		return
	}
	file, err := Markdown(d)
	if err != nil {
		t.Fatal(err)
	}
	text, err := cleanText(file.Data)
	if err != nil {
		t.Fatal(err)
	}
	fm, body := splitFrontMatter(text)
	e, err := ownDocument(d.Key().Kind, fm.values, body)
	if err != nil || e.Doc == nil {
		t.Fatalf("%s does not come back from its Markdown: %v, %v", d.Key(), err, e.Err)
	}
	if same, err := sameContent(d, e.Doc); err != nil || !same {
		t.Fatalf("%s comes back otherwise from its Markdown (%v)", d.Key(), err)
	}
}

func FuzzCursor(f *testing.F) {
	samples(f, ".mdc", ".cursorrules")
	f.Fuzz(func(t *testing.T, data []byte) { readAs(t, "rule.mdc", data, ReadOptions{}) })
}

func FuzzMarkdown(f *testing.F) {
	samples(f, ".md")
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"page.md", "x.instructions.md", "SKILL.md", "AGENTS.md"} {
			readAs(t, name, data, ReadOptions{})
		}
		readAs(t, "page.md", data, ReadOptions{Format: FormatRulePage})
	})
}

func FuzzCSV(f *testing.F) {
	samples(f, ".csv")
	f.Fuzz(func(t *testing.T, data []byte) { readAs(t, "prompts.csv", data, ReadOptions{}) })
}

func FuzzYAML(f *testing.F) {
	samples(f, ".yaml", ".yml")
	f.Add([]byte("title: &a [1, *a]\nid: x\ndescription: y\n"))
	f.Add([]byte("id: 1e999\ntitle: .inf\ndescription: 0o17\nx: 1_000\ny: -0\n<<: {a: b}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		readAs(t, "x.metadata.yaml", data, ReadOptions{})
		if sets, err := parseYAML(string(data)); err == nil && len(sets) > 0 {
			if m, ok := sets[0].value.(map[string]any); ok {
				for k, v := range m {
					codeExamples(k, v)
				}
			}
		}
	})
}

func FuzzXML(f *testing.F) {
	f.Add([]byte("<ruleset><rule ref='category/java/a.xml/B'><priority>1</priority><example>x</example></rule><rule " +
		"class='a.b'/></ruleset>"))
	f.Add([]byte("<module name='Checker'><module name='TreeWalker'><module name='RegexpX'><property name='format' " +
		"value='x'/></module></module></module>"))
	f.Add([]byte("<Benchmark><Group><Rule id='a' severity='low'><title>t</title></Rule></Group></Benchmark>"))
	f.Add([]byte("<RuleSet><Rules><Rule Id='a' Action='None'/></Rules></RuleSet>"))
	f.Fuzz(func(t *testing.T, data []byte) { readAs(t, "rules.xml", data, ReadOptions{}) })
}

func FuzzTOML(f *testing.F) {
	f.Add([]byte("[[rules]]\nid='a'\ndescription='b'\nregex='c'\n[lints.clippy]\nx='deny'\n"))
	f.Fuzz(func(t *testing.T, data []byte) { readAs(t, "rules.toml", data, ReadOptions{}) })
}

func FuzzJSONL(f *testing.F) {
	samples(f, ".jsonl", ".json")
	f.Add([]byte(`{"tenet":1,"exported_at":"2026-01-02T03:04:05Z","history":false}` + "\n" +
		`{"kind":"category","document":{"category_id":"c"}}` + "\n" + `{"end":true,"lines":1}` + "\n"))
	f.Add([]byte(`{"tenet":1,"exported_at":null,"history":true}` + "\n" +
		`{"change":{"seq":1,"batch":"00000000-0000-0000-0000-000000000000","verb":"put","kind":"category","id":"c",` +
		`"version":1,` +
		`"actor":"a","at":"2026-01-02T03:04:05.000000Z","hash":"` + strings.Repeat("0", 64) + `","chain":"` +
		strings.Repeat("0", 64) +
		`","document":{"category_id":"c","name":"c","is_active":true,"version":1}}}` + "\n" +
		`{"end":true,"lines":1}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		readAs(t, "export.jsonl", data, ReadOptions{})
		readAs(t, "list.json", data, ReadOptions{})
	})
}

func FuzzArchive(f *testing.F) {
	t := &testing.T{}
	data := tarOf(t, tar.Header{Name: "pack/a.md"}, tar.Header{Name: "../b.mdc"},
		tar.Header{Name: "c", Typeflag: tar.TypeSymlink, Linkname: "/"})
	f.Add(data)
	f.Add(gzipped(t, data))
	f.Add(zstded(t, data))
	f.Add(zipBomb(t)[:4096])
	f.Fuzz(func(t *testing.T, data []byte) {
		readAs(t, "pack.tar.gz", data, ReadOptions{})
		readAs(t, "pack.zip", data, ReadOptions{})
	})
}

func FuzzVariables(f *testing.F) {
	f.Add("Hi ${name:Bo}, {{name}} {${x}} ${i + 1}")
	f.Fuzz(func(t *testing.T, text string) {
		content, vars, _ := variables(text)
		d := &knowledge.Template{
			TemplateID: "x", Category: "c", Name: "n", TemplateContent: content, Variables: vars,
			IsActive: true,
		}
		d.Normalize()
		if knowledge.TextFault(text) != "" || strings.TrimSpace(content) == "" || len(vars) > knowledge.MaxItems {
			return
		}
		if err := d.Validate(); err != nil {
			t.Fatalf("%q gives %q: %v", text, content, err)
		}
	})
}

// FuzzMarkdownExport writes texts of every shape as Markdown: whatever a store may hold comes back as it was.
func FuzzMarkdownExport(f *testing.F) {
	f.Add("Title", "text\n", " code:\n  - x\n", "key: [", "---\n")
	f.Add("t", "d", strings.Repeat("\x9f", 100), "n", "e")
	f.Add("t", "\n\n---\nx\r\n", "\tcode\t", "\u2028\ufeff\u0085", "yes")
	f.Fuzz(func(t *testing.T, title, description, code, note, extra string) {
		d := &knowledge.Rule{
			RuleID: "R", Category: "c", Title: title, Description: description, IsActive: true,
			Examples: []knowledge.Example{{Code: code, Note: note, Language: extra}, {Note: "n" + code}},
			Common: knowledge.Common{
				Tags:  []string{"yes", "1.20", "null"},
				Extra: map[string]any{"k" + extra: []any{note, nil, true}, "z": map[string]any{code: ""}},
			},
		}
		d.Normalize()
		if d.Validate() != nil {
			return
		}
		checkDocument(t, d)
		p := &knowledge.Practice{
			PracticeID: "P", Category: "c", Title: title, Description: description,
			ImplementationGuide: code, IsActive: true,
		}
		p.Normalize()
		if p.Validate() == nil {
			checkDocument(t, p)
		}
	})
}
