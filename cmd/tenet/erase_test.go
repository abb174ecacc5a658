package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"tenet/internal/sqlite"
	"tenet/internal/store/storetest"
)

// withPerson fills the database of a data directory with documents that name a person.
func withPerson(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	storetest.FillWithPerson(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAnErasedPersonIsInNoFileAndComesBackWithNoBackup erases a person by command, and looks for them in every byte of
// what is there then, of backups made afterwards, and of what is restored from a backup, or imported from an export, of
// before.
func TestAnErasedPersonIsInNoFileAndComesBackWithNoBackup(t *testing.T) {
	work := t.TempDir()
	dir, before, after := filepath.Join(work, "data"), filepath.Join(work, "before"), filepath.Join(work, "after")
	do := func(want int, args ...string) string {
		t.Helper()
		code, said := command(t, dir, args...)
		if code != want {
			t.Fatalf("tenet %s ends with %d, want %d:\n%s", strings.Join(args, " "), code, want, said)
		}
		return said
	}
	none := func(where string) {
		t.Helper()
		if list := storetest.NamedInFiles(t, where); len(list) > 0 {
			t.Errorf("the person is still in\n%s", strings.Join(list, "\n"))
		}
	}
	withPerson(t, dir)
	do(exitOK, "backup", "run", "--backup-dir", before)
	export := filepath.Join(work, "old.jsonl")
	do(exitOK, "export", export)
	if len(storetest.NamedInFiles(t, dir)) == 0 || len(storetest.NamedInFiles(t, work)) < 2 {
		t.Fatal("the person is in no file before the erasure: the test would prove nothing")
	}

	said := do(exitUsage, "erase", "principal", storetest.Erased, "--backup-dir", before)
	for _, want := range []string{"would be erased", "rule/R-2: description", "until " + time.Now().UTC().AddDate(0, 0,
		30).Format(time.DateOnly), "say --yes"} {
		if !strings.Contains(said, want) {
			t.Errorf("without --yes it says\n%s\nwant %q in it", said, want)
		}
	}
	said = do(exitOK, "erase", "principal", storetest.Erased, "--yes", "--backup-dir", before)
	_, pseudonym, _ := strings.Cut(said, "called ")
	pseudonym, _, _ = strings.Cut(pseudonym, " ")
	none(dir)
	if said := do(exitOK, "doctor", "changes"); !strings.Contains(said, "changes had a person erased") {
		t.Errorf("doctor changes says\n%s\nand nothing of an erasure", said)
	}
	if said := do(exitOK, "erase", "principal", storetest.Erased, "--yes"); !strings.Contains(said,
		"erased before, as "+pseudonym) {
		t.Errorf("erasing again says\n%s", said)
	}
	if said := do(exitFailed, "restore", "principal/"+pseudonym); !strings.Contains(said,
		"stands for a person who was erased") {
		t.Errorf("to restore the principal says\n%s", said)
	}
	do(exitOK, "backup", "run", "--backup-dir", after)
	do(exitOK, "backup", "restore", "--backup-dir", after, "--into", filepath.Join(work, "new"))
	none(filepath.Join(work, "new"))

	do(exitOK, "backup", "restore", "--backup-dir", before, "--into", filepath.Join(work, "restored"))
	none(filepath.Join(work, "restored"))
	if code, said := command(t, filepath.Join(work, "restored"), "doctor", "changes"); code != exitOK {
		t.Errorf("what was restored does not verify:\n%s", said)
	}
	imported := filepath.Join(work, "imported")
	ledger, err := os.ReadFile(filepath.Join(dir, "erasures.ledger"))
	if err == nil {
		err = os.MkdirAll(imported, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(imported, "erasures.ledger"), ledger, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if code, said := command(t, imported, "import", export); code != exitOK {
		t.Errorf("an import of an export of before:\n%s", said)
	}
	none(imported)

	do(exitOK, "backup", "restore", "--backup-dir", before, "--into", filepath.Join(work, "was"), "--as-it-was")
	if len(storetest.NamedInFiles(t, filepath.Join(work, "was"))) == 0 {
		t.Error("a backup of before does not hold the person: the test proves nothing")
	}
	put(t, filepath.Join(dir, "erasures.ledger"), "{")
	do(exitFailed, "backup", "restore", "--backup-dir", before, "--into", filepath.Join(work, "half"))
	if exists(filepath.Join(work, "half")) {
		t.Error("a restore that can't erase again leaves what names the person")
	}
}

// TestRunbookOfTheWrongPerson follows the runbook on an embedded database, step by step.
func TestRunbookOfTheWrongPerson(t *testing.T) {
	work := t.TempDir()
	dir, backups := filepath.Join(work, "data"), filepath.Join(work, "backups")
	withPerson(t, dir)
	h := &host{t: t, calls: make(chan call), env: append(os.Environ(), "TENET_DATA_DIR="+dir, "TENET_BACKUP_DIR="+
		backups, "SCRATCH="+work, "HOME="+work)}
	h.run("tenet backup run")
	h.set("WHEN", time.Now().UTC().Format(time.RFC3339Nano))
	_, pseudonym, _ := strings.Cut(h.run("tenet erase principal "+storetest.Erased+" --yes"), "called ")
	pseudonym, _, _ = strings.Cut(pseudonym, " ")
	for name, value := range map[string]string{
		"PSEUDONYM": pseudonym, "ID": "ines.v", "NAME": storetest.ErasedName,
		"ROLE": "maintainer",
	} {
		h.set(name, value)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "runbooks", "wrong-person-erased.md"))
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for _, step := range blocks(string(text)) {
		printed.WriteString(h.run(step))
	}
	if !strings.Contains(printed.String(), storetest.ErasedName) {
		t.Errorf("the runbook does not show who was erased:\n%s", printed.String())
	}
	h.want("tenet token list", "ines.v ", pseudonym)
	if _, err := os.Stat(filepath.Join(work, "before")); !os.IsNotExist(err) {
		t.Errorf("what was restored is still there: %v", err)
	}
}

// TestAnErasureThatWasKilledIsFinishedByTheNext kills the command with -9 at several moments, and asks again. Whatever
// the moment, the person is then in no file, and the log verifies.
func TestAnErasureThatWasKilledIsFinishedByTheNext(t *testing.T) {
	killed := 0
	for moment, there := range map[string]func(dir string) bool{
		"once it owns the directory": func(dir string) bool { return exists(filepath.Join(dir, "tenet.lock")) },
		"once it has the database":   func(dir string) bool { return exists(filepath.Join(dir, "tenet.db-wal")) },
		"once it has written": func(dir string) bool {
			info, err := os.Stat(filepath.Join(dir, "tenet.db-wal"))
			return err == nil && info.Size() > 0
		},
		"once it writes the ledger": func(dir string) bool { return exists(filepath.Join(dir, "erasures.ledger.new")) },
	} {
		dir := filepath.Join(t.TempDir(), "data")
		withPerson(t, dir)
		cmd := exec.CommandContext(t.Context(), "tenet", "erase", "principal", storetest.Erased, "--yes", "--data-dir",
			dir)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		over := false
		for !over && !there(dir) {
			select {
			case <-ended:
				over = true
			default:
				runtime.Gosched()
			}
		}
		if !over {
			_ = cmd.Process.Kill()
			if err := <-ended; err != nil {
				killed++
			}
		}
		if code, said := command(t, dir, "erase", "principal", storetest.Erased, "--yes"); code != exitOK {
			t.Errorf("killed %s: the next run ends with %d:\n%s", moment, code, said)
		}
		if list := storetest.NamedInFiles(t, dir); len(list) > 0 {
			t.Errorf("killed %s: the person is still in\n%s", moment, strings.Join(list, "\n"))
		}
		if code, said := command(t, dir, "doctor", "changes"); code != exitOK {
			t.Errorf("killed %s: the log does not verify:\n%s", moment, said)
		}
	}
	if killed == 0 {
		t.Error("no command was killed before it had ended: the test proves nothing")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
