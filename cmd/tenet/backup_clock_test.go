package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tenet/internal/pgtest"
)

// A shelf is a data directory with its backups, some of which a clock that was wrong has dated.
type shelf struct {
	t         *testing.T
	dir, back string
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	return &shelf{t, filledDirectory(t), filepath.Join(t.TempDir(), "backups")}
}

// do runs a command about the backups.
func (s *shelf) do(want int, args ...string) string {
	s.t.Helper()
	code, said := command(s.t, s.dir, append([]string{"backup"}, append(args, "--backup-dir", s.back)...)...)
	if code != want {
		s.t.Fatalf("tenet backup %s ends with %d, want %d:\n%s", strings.Join(args, " "), code, want, said)
	}
	return said
}

// made makes a backup as if the clock had said another time, and returns its name.
func (s *shelf) made(ago time.Duration) string {
	s.t.Helper()
	before, err := filepath.Glob(filepath.Join(s.back, "2*.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.do(exitOK, "run")
	after, err := filepath.Glob(filepath.Join(s.back, "2*.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, path := range after {
		if strings.Contains(strings.Join(before, " "), path) {
			continue
		}
		at := time.Now().UTC().Add(-ago).Truncate(time.Millisecond)
		name, was := at.Format("20060102T150405.000Z"), strings.TrimSuffix(path, ".json")
		var m map[string]any
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		m["name"], m["file"], m["at"] = name, name+".tar.zst", at.Format("2006-01-02T15:04:05.000000Z")
		if text, err = json.Marshal(m); err != nil {
			s.t.Fatal(err)
		}
		for _, step := range []error{
			os.Remove(path), os.Rename(was+".tar.zst", filepath.Join(s.back, name+".tar.zst")),
			os.WriteFile(filepath.Join(s.back, name+".json"), text, 0o600),
		} {
			if step != nil {
				s.t.Fatal(step)
			}
		}
		return name
	}
	s.t.Fatal("no backup was made")
	return ""
}

const day = 24 * time.Hour

// TestAClockThatLeapsForwardRemovesNoBackup makes a backup after a long time in which there were none, as it looks to a
// clock that has leapt. Only when a kept one is a day old the old ones go.
func TestAClockThatLeapsForwardRemovesNoBackup(t *testing.T) {
	s := newShelf(t)
	s.made(50 * day)
	s.made(60 * day)
	s.made(0)
	if said := s.do(exitOK, "expire"); !strings.Contains(said, "every backup is still kept") {
		t.Errorf("after a leap of the clock it says\n%s", said)
	}
	s.made(25 * time.Hour)
	if said := s.do(exitOK, "expire"); strings.Count(said, "removed") != 2 {
		t.Errorf("a day later it says\n%s\nwant two removed", said)
	}
}

// TestABackupFromTheFutureIsTold puts a backup there that was made while the clock was years ahead. It makes no other
// one look younger or older than it is, is not removed, and is restored only by its name.
func TestABackupFromTheFutureIsTold(t *testing.T) {
	s := newShelf(t)
	future := s.made(-40 * 365 * day)
	s.made(3 * day)
	said := s.do(exitFailed, "check")
	if !strings.Contains(said, future+": it says that it was made at ") ||
		!strings.Contains(said, "the newest backup is 72h") {
		t.Errorf("check says\n%s", said)
	}
	p := serveProcess(t, s.dir, "", "--backup-dir", s.back)
	token, err := os.ReadFile(filepath.Join(s.dir, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	_, metrics := fetch(t, "GET", "http://"+p.address(t)+"/metrics", strings.TrimSpace(string(token)))
	_, value, _ := strings.Cut(metrics, "\ntenet_backup_newest_timestamp_seconds ")
	value, _, _ = strings.Cut(value, "\n")
	if at, err := strconv.ParseFloat(value, 64); err != nil || time.Since(time.Unix(int64(at), 0)) < 2*day {
		t.Errorf("the newest backup is of %q to the metrics, want 3 days ago", value)
	}
	if code, said := command(t, s.dir, "doctor"); code != exitFailed ||
		!strings.Contains(said, "which is yet to come") {
		t.Errorf("doctor: %d, %s", code, said)
	}
	p.end(t)
	s.made(0)
	if said := s.do(exitFailed, "check"); strings.Contains(said, "the newest backup is") {
		t.Errorf("with one of now check says\n%s", said)
	}
	into := filepath.Join(t.TempDir(), "restored")
	if said := s.do(exitFailed, "restore", "--into", into); !strings.Contains(said, "--to "+future) {
		t.Errorf("restore says\n%s", said)
	}
	s.do(exitOK, "restore", "--into", into, "--to", time.Now().UTC().Format(time.RFC3339))
	s.do(exitOK, "restore", "--into", into+"2", "--to", future)
	if said := s.do(exitOK, "expire"); !strings.Contains(said, "every backup is still kept") {
		t.Errorf("expire says\n%s", said)
	}
}

// TestABackupAfterTheClockWasSetBackIsTheNewest makes a backup half an hour before the newest, as its clock says.
func TestABackupAfterTheClockWasSetBackIsTheNewest(t *testing.T) {
	s := newShelf(t)
	before := s.made(-30 * time.Minute)
	said := s.do(exitOK, "run")
	var list struct{ Backups []struct{ Name string } }
	if err := json.Unmarshal([]byte(s.do(exitOK, "list", "--output", "json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Backups) != 2 || !strings.Contains(said, list.Backups[0].Name) || list.Backups[1].Name != before {
		t.Errorf("the backups are %v; want first the one of which it said\n%s", list.Backups, said)
	}
}

// TestAKilledExpiryLosesNoBackupThatIsKept kills an expiry of many backups with -9 in its middle. What it has left is
// whole, and the next one removes the rest.
func TestAKilledExpiryLosesNoBackupThatIsKept(t *testing.T) {
	s := newShelf(t)
	kept := s.made(25 * time.Hour)
	text, err := os.ReadFile(filepath.Join(s.back, kept+".json"))
	if err != nil {
		t.Fatal(err)
	}
	killed := false
	for try := 0; try < 10 && !killed; try++ {
		for i := range 400 {
			at := time.Now().UTC().Add(-50*day - time.Duration(i)*time.Hour).Truncate(time.Millisecond)
			name := at.Format("20060102T150405.000Z")
			var m map[string]any
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			m["name"], m["file"], m["at"] = name, name+".tar.zst", at.Format("2006-01-02T15:04:05.000000Z")
			one, err := json.Marshal(m)
			if err = errors.Join(err, os.WriteFile(filepath.Join(s.back, name+".json"), one, 0o600),
				os.Link(filepath.Join(s.back, kept+".tar.zst"), filepath.Join(s.back, name+".tar.zst"))); err != nil {
				t.Fatal(err)
			}
		}
		killed = s.killExpiry()
		s.do(exitOK, "list")
		s.do(exitOK, "check")
		s.do(exitOK, "expire")
		if left, err := filepath.Glob(filepath.Join(s.back, "2*")); err != nil || len(left) != 2 ||
			!strings.Contains(left[0], kept) {
			t.Fatalf("after the next expiry there are %v, %v; want %s alone", left, err, kept)
		}
		s.do(exitOK, "check")
	}
	if !killed {
		t.Error("no expiry was killed before its end")
	}
}

// killExpiry kills an expiry once it has begun, and reports whether it had more to do.
func (s *shelf) killExpiry() bool {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "tenet", "backup", "expire", "--data-dir", s.dir, "--backup-dir", s.back)
	return killOnce(s.t, cmd, filepath.Join(s.back, "*.expired"))
}

// TestAFullBackupDiskMakesRoomForTheNext fills the disk of the backups. The run fails and leaves nothing, and what is
// no longer kept is removed all the same, so that the next run has room.
func TestAFullBackupDiskMakesRoomForTheNext(t *testing.T) {
	s := newShelf(t)
	s.back = filepath.Join(pgtest.SmallDisk(t, 4<<20), "backups")
	old := s.made(50 * day)
	s.made(2 * day)
	list := func() string {
		t.Helper()
		entries, err := os.ReadDir(s.back)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, " ")
	}
	free := pgtest.Fill(t, filepath.Dir(s.back))
	said := s.do(exitFailed, "run")
	if !strings.Contains(said, "the disk of "+s.back+" is full") ||
		strings.Contains(said, "data directory") || strings.Contains(list(), ".scratch") {
		t.Errorf("a run on a full disk says\n%s\nand leaves %s", said, list())
	}
	if strings.Contains(list(), old) {
		t.Errorf("what is no longer kept still takes room: %s", list())
	}
	free()
	s.do(exitOK, "run")
	s.do(exitOK, "check")
}

// TestALostManifestOfTheNewestBackupIsTold damages the manifest of the newest backup. What is restored is then not an
// older one without a word, but that one by its name.
func TestALostManifestOfTheNewestBackupIsTold(t *testing.T) {
	s := newShelf(t)
	older, newest := s.made(2*day), s.made(0)
	into := filepath.Join(t.TempDir(), "restored")
	put(t, filepath.Join(s.back, newest+".json"), "{")
	refused := func(to string) {
		t.Helper()
		if said := s.do(exitFailed, "restore", "--into", into, "--to", to); !strings.Contains(said, newest) ||
			!strings.Contains(said, "--to "+older) {
			t.Errorf("restore --to %s says\n%s", to, said)
		}
	}
	refused("latest")
	refused(time.Now().UTC().Format(time.RFC3339Nano))
	archive, long := filepath.Join(s.back, newest+".tar.zst"), time.Now().Add(-day)
	if err := errors.Join(os.Remove(filepath.Join(s.back, newest+".json")), os.Chtimes(archive, long, long)); err != nil {
		t.Fatal(err)
	}
	refused("latest")
	s.do(exitOK, "restore", "--into", into+"0", "--to", time.Now().UTC().Add(-day).Format(time.RFC3339Nano))
	s.do(exitOK, "restore", "--into", into, "--to", older)
	s.made(-time.Minute) // the damaged one is older than the newest
	s.do(exitOK, "restore", "--into", into+"2", "--to", "latest")
}
