package backup

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestWhatVerifyPrintsIsReadAndItsExitCodeIsNot(t *testing.T) {
	for name, test := range map[string]struct {
		out  string
		want []string // in each fault
	}{
		"nothing for a sound repository": {"", nil},
		"a sound repository at length": {`stanza: tenet
status: ok
  archiveId: 15-1, total WAL checked: 8, total valid WAL: 8
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
`, nil},
		"a damaged backup": {`stanza: tenet
status: error
  backup: 20261129-070258F, status: invalid, total files checked: 968, total valid files: 967
    checksum invalid: 1
`, []string{"backup: 20261129-070258F, status: invalid, total files checked: 968, total valid files: 967: checksum " +
			"invalid: 1"}},
		"a repository that can't be read": {`stanza: tenet
status: error
  No usable backup.info file
  No usable archive.info file
`, []string{"the repository: No usable backup.info file", "the repository: No usable archive.info file"}},
		"an error without a reason": {"stanza: tenet\nstatus: error\n", []string{"finds fault and does not say which"}},
		"something new":             {"stanza: tenet\nstatus: ok\nthe sky falls\n", []string{"the sky falls"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := verifyFaults([]byte(test.out))
			if len(got) != len(test.want) {
				t.Fatalf("faults: %q; want %d", got, len(test.want))
			}
			for i := range got {
				if !strings.Contains(got[i], test.want[i]) {
					t.Errorf("fault %q; want %q in it", got[i], test.want[i])
				}
			}
		})
	}
}

func TestARefusalSaysWhichRightsABackupNeeds(t *testing.T) {
	e := NewPgBackRest(PgBackRestOptions{})
	said := "ERROR: [057]: unable to execute query 'select …': ERROR:  permission denied for function pg_backup_start"
	err := e.failure(t.Context(), []string{"backup"}, errors.New("exit status 57"), said)
	if err == nil || !strings.Contains(err.Error(), "GRANT EXECUTE ON FUNCTION pg_backup_start") ||
		errors.Is(err, ErrDamaged) {
		t.Errorf("a backup by a role without rights: %v; want the rights that it needs", err)
	}
	if err := e.failure(t.Context(), []string{"restore"}, errors.New("exit status 26"),
		"ERROR: [026]: actual checksum"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a restore of a damaged backup: %v, want %v", err, ErrDamaged)
	}
}

func TestAScratchConfigurationKnowsNothingOfTheLiveCluster(t *testing.T) {
	live := `[global]
repo1-path=/mnt/backup/repo
repo1-cipher-pass=secret of 16 and more
spool-path=/var/spool
[global:archive-push]
compress-level=3
[tenet]
pg1-host=db1
pg1-path=/var/lib/postgresql/15/main
pg2-host=db2
repo2-path=/mnt/other
[another]
repo1-path=/elsewhere
`
	got := scratchConfig(live, "tenet", "/scratch/data", "/scratch/lock")
	for _, no := range []string{"db1", "db2", "/var/lib", "/var/spool", "/elsewhere"} {
		if strings.Contains(got, no) {
			t.Errorf("the configuration of a scratch restore has %s in it:\n%s", no, got)
		}
	}
	for _, want := range []string{
		"repo1-path=/mnt/backup/repo", "repo1-cipher-pass=secret", "repo2-path=/mnt/other",
		"[tenet]\npg1-path=/scratch/data",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the configuration of a scratch restore lacks %s:\n%s", want, got)
		}
	}
}

func TestARestoreLooksAtTheFreeDiskFirst(t *testing.T) {
	b := &restBackup{Label: "20261129-070258F"}
	b.Info.Size = 100 << 20
	for free, enough := range map[uint64]bool{119 << 20: false, 121 << 20: true} {
		e := NewPgBackRest(PgBackRestOptions{Free: func(string) (uint64, bool) { return free, true }})
		if err := e.room(b, "/"); (err == nil) != enough {
			t.Errorf("with %d MiB free for a database of 100: %v", free>>20, err)
		}
	}
}

func TestASetupIsRefusedWhereItWouldNotWork(t *testing.T) {
	dir := t.TempDir()
	sound := SetupOptions{
		Config: "/etc/tenet/pgbackrest.conf", Stanza: "tenet", Dir: "/mnt/backup",
		Archiving: Archiving{DataDir: dir, Port: 5432, User: "tenet"},
	}
	if s, err := NewSetup(sound); err != nil ||
		!strings.Contains(s.PostgreSQL, "archive_command = 'pgbackrest --config=/etc/tenet/pgbackrest.conf "+
			"--stanza=tenet archive-push %p'") {
		t.Fatalf("a setup: %+v, %v", s, err)
	}
	for want, change := range map[string]func(*SetupOptions){
		"pg_read_all_settings": func(o *SetupOptions) { o.Archiving.DataDir = "" },
		"not on this machine":  func(o *SetupOptions) { o.Archiving.DataDir = dir + "/elsewhere" },
		"take no spaces":       func(o *SetupOptions) { o.Dir = "/mnt/back up" },
		"is an age key":        func(o *SetupOptions) { o.Key = ageKey(t) },
	} {
		o := sound
		change(&o)
		if _, err := NewSetup(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a setup: %v; want an error with %q", err, want)
		}
	}
	path := dir + "/pgbackrest.conf"
	if err := os.WriteFile(path, []byte("[global]\n# by a person\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Setup{Config: setupMark}).Write(t.Context(), path, dir, Account{}); err == nil ||
		!strings.Contains(err.Error(), "left as it is") {
		t.Errorf("a setup over a configuration of a person's: %v; want a refusal", err)
	}
}

func ageKey(t *testing.T) Key {
	t.Helper()
	k, err := parseKey([]byte("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}
