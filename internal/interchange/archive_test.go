package interchange

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"tenet/internal/knowledge"
	"tenet/internal/needs"
)

// tarOf packs entries into a tar.
func tarOf(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		text := "# Title\n\nText of " + h.Name + ".\n"
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg && h.Size == 0 {
			h.Size = int64(len(text))
		}
		h.Mode = 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if n := h.Size - int64(len(text)); n > 0 {
				text += strings.Repeat("a", int(n))
			}
			if _, err := w.Write([]byte(text[:h.Size])); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// outcomes says what came of each file of an archive.
func outcomes(t *testing.T, s *Source) map[string]string {
	t.Helper()
	got := map[string]string{}
	for it := range s.Items() {
		switch {
		case it.Err != nil:
			got[it.Path] = "refused: " + it.Err.Error()
		case it.Skipped != "":
			got[it.Path] = "skipped: " + it.Skipped
		default:
			got[it.Path] = "read"
		}
	}
	return got
}

func TestNothingLeadsOutOfAnArchive(t *testing.T) {
	data := tarOf(t,
		tar.Header{Name: "pack/good.md"},
		tar.Header{Name: "../outside.md"},
		tar.Header{Name: "pack/../../outside.md"},
		tar.Header{Name: "/etc/outside.md"},
		tar.Header{Name: `..\outside.md`},
		tar.Header{Name: "c:/outside.md"},
		tar.Header{Name: "pack/in/../twice.md"},
		tar.Header{Name: "pack/twice.md"},
		tar.Header{Name: "pack/link.md", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		tar.Header{Name: "pack/hard.md", Typeflag: tar.TypeLink, Linkname: "good.md"},
		tar.Header{Name: "pack/pipe.md", Typeflag: tar.TypeFifo},
		tar.Header{Name: "pack/dir", Typeflag: tar.TypeDir},
		tar.Header{Name: "pack/.git/config.md"},
		tar.Header{Name: "pack/inner.zip"},
	)
	const harm = "refused: the path leads out of the archive: the archive may be meant to do harm"
	want := map[string]string{
		"good.md":               "read",
		"../outside.md":         harm,
		"pack/../../outside.md": harm,
		"/etc/outside.md":       harm,
		`..\outside.md`:         harm,
		"c:/outside.md":         "refused: the path names a drive: the archive may be meant to do harm",
		"twice.md":              "read",
		"pack/twice.md":         "refused: the archive holds this path twice",
		"link.md":               "skipped: a link to /etc/passwd: links in archives are not followed",
		"hard.md":               "skipped: a link to good.md: links in archives are not followed",
		"pipe.md":               "skipped: not a regular file",
		".git/config.md":        "skipped: version control's own files",
		"inner.zip":             "skipped: an archive within what is imported: import it by itself",
	}
	for name, packed := range map[string][]byte{
		"pack.tar": data, "pack.tar.gz": gzipped(t, data),
		"pack.tar.zst": zstded(t, data),
	} {
		s, err := Read(name, bytes.NewReader(packed), ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, outcomes(t, s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func zstded(t *testing.T, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

func TestAnArchiveUnpacksToNoMoreThanItsBounds(t *testing.T) {
	big := tarOf(t, tar.Header{Name: "a.md", Size: 3 << 20}, tar.Header{Name: "b.md"})
	many := make([]tar.Header, 50)
	for i := range many {
		many[i].Name = strings.Repeat("x", i+1) + ".md"
	}
	for _, tc := range []struct {
		name   string
		data   []byte
		limits Limits
		want   string // "" for one refused file
	}{
		{"too many bytes in all", gzipped(t, big), Limits{Total: 1 << 20}, "unpacks to more than 1 MB"},
		{"a file that is too large", gzipped(t, big), Limits{File: 1 << 20}, ""},
		{"too many files", gzipped(t, tarOf(t, many...)), Limits{Files: 20}, "more than 20 files"},
		{"cut off", gzipped(t, big)[:200], Limits{}, "unexpected EOF"},
		{"not what it is called", []byte("hello, this is no archive at all"), Limits{}, "EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Read("pack.tar.gz", bytes.NewReader(tc.data), ReadOptions{Limits: tc.limits})
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Fatalf("error is %v, want one with %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"a.md": "refused: more than 1 MB: too large for one file", "b.md": "read"}
			if diff := cmp.Diff(want, outcomes(t, s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAZipIsReadAsATarIs(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range []string{"pack-1.2/a.md", "../b.md", "pack-1.2/dir/"} {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "/") {
			if _, err := f.Write([]byte("# A\n\nText.\n")); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := &zip.FileHeader{Name: "pack-1.2/link.md"}
	link.SetMode(os.ModeSymlink | 0o777)
	f, err := w.CreateHeader(link)
	if err == nil {
		_, err = f.Write([]byte("/etc/passwd"))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Read("pack.zip", bytes.NewReader(b.Bytes()), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"a.md":    "read",
		"../b.md": "refused: the path leads out of the archive: the archive may be meant to do harm",
		"link.md": "skipped: a link: links in archives are not followed",
	}
	if diff := cmp.Diff(want, outcomes(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	bomb := zipBomb(t)
	if _, err := Read("bomb.zip", bytes.NewReader(bomb),
		ReadOptions{Limits: Limits{Total: 1 << 20, File: 1 << 20}}); err == nil {
		t.Error("many files that unpack to more than the bound are read")
	}
}

// zipBomb packs ten files of a little less than the bound of one.
func zipBomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range 10 {
		f, err := w.Create(strings.Repeat("z", i+1) + ".md")
		if err == nil {
			_, err = f.Write(bytes.Repeat([]byte("z"), 1<<20-1))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLinksOfAFolderStayWithinIt(t *testing.T) {
	dir := named(t, "tree")
	outside := t.TempDir()
	write(t, outside, map[string]string{"secret.md": "# Secret\n\nOf somebody else.\n", "dir/x.md": "X.\n"})
	write(t, dir, map[string]string{
		"AGENTS.md": "# Agents\n\nText.\n", "real/a.md": "# A\n\nText.\n", "ai.txt": "# From a text file\n\nText.\n",
		"node_modules/p/README.md": "no", ".git/HEAD.md": "no",
	})
	for name, target := range map[string]string{
		"CLAUDE.md":    "AGENTS.md",
		"GEMINI.md":    "ai.txt",
		"escape.md":    filepath.Join(outside, "secret.md"),
		"up.md":        "../../../../../../../../etc/hostname",
		"outdir":       filepath.Join(outside, "dir"),
		"indir":        "real",
		"self":         ".",
		"loop.md":      "loop.md",
		"dangling.md":  "nowhere.md",
		"real/back.md": "../ai.txt",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			needs.Missing(t, "no symbolic links here: %v", err)
		}
	}
	s, err := Open(dir, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const out = "skipped: a symbolic link that leads out of the folder: not followed"
	want := map[string]string{
		"AGENTS.md": "read", "real/a.md": "read", "ai.txt": "skipped: no format that tenet reads (.txt)",
		"node_modules/": "skipped: installed packages", ".git/": "skipped: version control's own files",
		"CLAUDE.md":    "skipped: a symbolic link to AGENTS.md, which is read by itself",
		"GEMINI.md":    "read",
		"real/back.md": "read",
		"escape.md":    out,
		"outdir":       out,
		"indir":        "skipped: a symbolic link to the folder real, which is read by itself",
		"self":         "skipped: a symbolic link to the folder ., which is read by itself",
		"loop.md":      "skipped: a symbolic link that leads nowhere",
		"dangling.md":  "skipped: a symbolic link that leads nowhere",
	}
	got := outcomes(t, s)
	up := got["up.md"]
	delete(got, "up.md")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(up, "skipped: a symbolic link that leads") {
		t.Errorf("up.md is %s, want it skipped", up)
	}
}

// A link that is turned to the outside after the folder was listed is not followed either.
func TestALinkThatTurnsOutIsNotFollowed(t *testing.T) {
	dir := named(t, "tree")
	outside := filepath.Join(t.TempDir(), "secret.md")
	write(t, dir, map[string]string{"a.md": "# A\n\nText.\n"})
	if err := os.WriteFile(outside, []byte("# Secret\n\nText.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := filepath.Join(dir, "a.md")
	if err := os.Remove(p); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, p); err != nil {
		needs.Missing(t, "no symbolic links here: %v", err)
	}
	if got := outcomes(t, s)["a.md"]; !strings.HasPrefix(got, "refused: can't be read") {
		t.Errorf("a.md is %s, want it refused", got)
	}
}

func TestAFileThatIsNamedIsNeverPassedOver(t *testing.T) {
	dir := named(t, "single")
	write(t, dir, map[string]string{
		"empty.md": "", "notes.txt": "# Notes\n\nText.\n", "package.json": "{}", "ci.yml": "on: push\n",
		"CLAUDE.md":       "@AGENTS.md\n",
		"x.examples.yaml": "a: {}\n",
	})
	for name, want := range map[string]string{
		"empty.md":  "refused: it is empty",
		"notes.txt": "refused: no format that tenet reads (.txt): give the format that it has",
		"package.json": "refused: JSON without documents of tenet (want rule_id, practice_id, template_id or " +
			"category_id), " +
			"and no list of rules of a linter that is known",
		"ci.yml":          "refused: YAML that describes no rules: want a title and a severity, a description or an id",
		"CLAUDE.md":       "refused: it only points at AGENTS.md",
		"x.examples.yaml": "refused: examples without the rule that they belong to: import x.metadata.yaml",
	} {
		s, err := Open(filepath.Join(dir, name), ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := outcomes(t, s)[name]; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	s, err := Open(filepath.Join(dir, "notes.txt"), ReadOptions{Format: FormatMarkdown, Category: "Team Notes"})
	if err != nil {
		t.Fatal(err)
	}
	for it := range s.Items() {
		if len(it.Entries) != 1 || it.Entries[0].Doc == nil {
			t.Fatalf("notes.txt as Markdown: %+v", it)
		}
		d := it.Entries[0].Doc
		if d.Key() != (knowledge.Key{Kind: knowledge.KindPractice, ID: "single-notes.txt"}) ||
			d.CategoryID() != "team-notes" {
			t.Errorf("notes.txt is %s in %s", d.Key(), d.CategoryID())
		}
	}
}

func TestAStreamWithoutANameIsKnownByItsFirstBytes(t *testing.T) {
	tarball := tarOf(t, tar.Header{Name: "a.md"})
	export := exportHistory(t, lived(t))
	for name, tc := range map[string]struct {
		data []byte
		want Format
	}{
		"tar":                   {tarball, FormatMarkdown},
		"tar.gz":                {gzipped(t, tarball), FormatMarkdown},
		"tar.zst":               {zstded(t, tarball), FormatMarkdown},
		"export":                {export, FormatJSONL},
		"lines":                 {[]byte("{\"category_id\":\"a\"}\n{\"category_id\":\"b\"}\n"), FormatJSONL},
		"document":              {[]byte("{\n \"category_id\": \"a\"\n}\n"), FormatJSON},
		"list":                  {[]byte("[{\"category_id\":\"a\"}]"), FormatJSON},
		"own Markdown":          {[]byte("---\ncategory_id: a\n---\n"), FormatMarkdown},
		"what says nothing":     {[]byte("act,prompt\na,b\n"), ""},
		"what says only spaces": {[]byte("  \n"), ""},
	} {
		s, err := Read("-", bytes.NewReader(tc.data), ReadOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for it := range s.Items() {
			if it.Format != tc.want || (it.Err == nil) != (tc.want != "") {
				t.Errorf("%s is read as %q (%v), want %q", name, it.Format, it.Err, tc.want)
			}
		}
	}
	s, err := Read("-", strings.NewReader("act,prompt\na,b\n"), ReadOptions{Format: FormatCSV})
	if err != nil {
		t.Fatal(err)
	}
	for it := range s.Items() {
		if len(it.Entries) != 1 || it.Entries[0].Key.ID != "stdin-stdin-a" {
			t.Errorf("a table on standard input gives %+v", it)
		}
	}
}
