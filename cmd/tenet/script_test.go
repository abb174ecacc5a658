package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tenet/internal/awaittest"
	"tenet/internal/bundle"
	"tenet/internal/pgtest"
)

//nolint:gochecknoglobals // a flag of the test program
var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	testscript.Main(withPostgreSQL{m}, map[string]func(){"tenet": main})
}

// withPostgreSQL stops the PostgreSQL that tests have started when they are done.
type withPostgreSQL struct{ m *testing.M }

func (w withPostgreSQL) Run() int { return pgtest.Main(w.m) }

// TestScripts runs the command line as people do, on the embedded database. Each script has a home and a data directory
// of its own.
func TestScripts(t *testing.T) {
	runScripts(t, nil, "testdata")
}

// TestScriptsOnPostgreSQL runs the scripts that hold on both engines with a PostgreSQL database for each.
func TestScriptsOnPostgreSQL(t *testing.T) {
	pgtest.URL(t) // skips here, and not within a script, where there is no PostgreSQL
	runScripts(t, func(e *testscript.Env) { e.Setenv("TENET_DATABASE_URL", pgtest.URL(t)) }, "",
		"testdata/documents.txtar", "testdata/archive.txtar", "testdata/postgres/dual.txtar",
		"testdata/postgres/move.txtar")
}

// TestScriptsOfAnOutage runs the scripts in which the PostgreSQL goes away and comes back.
func TestScriptsOfAnOutage(t *testing.T) {
	pgtest.URL(t) // skips here, and not within a script, where there is no PostgreSQL
	runScripts(t, func(e *testscript.Env) {
		address, err := url.Parse(pgtest.URL(t))
		if err != nil {
			t.Fatal(err)
		}
		proxy := pgtest.NewProxy(t, address.Host, "tenet_apply")
		e.Values[primaryAway{}] = func(away bool) {
			if away {
				proxy.Turn("127.0.0.1:1") // nobody listens there
			} else {
				proxy.Turn(address.Host)
			}
		}
		e.Setenv("DIRECT_URL", address.String())
		e.Setenv("TENET_DATABASE_URL", proxy.Through(address.String()))
		e.Setenv("TENET_BREAKER_RECOVERY", "1s")
	}, "", "testdata/postgres/outage.txtar", "testdata/postgres/assistants.txtar")
}

type primaryAway struct{}

func runScripts(t *testing.T, setup func(*testscript.Env), dir string, files ...string) {
	testscript.Run(t, testscript.Params{
		Dir: dir, Files: files, UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TENET_DATA_DIR", filepath.Join(e.WorkDir, "data"))
			e.Setenv("TENET_LISTEN", "127.0.0.1:0")
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			host, err := os.Hostname()
			if err != nil {
				return err
			}
			e.Setenv("HOST", host)
			if setup != nil {
				setup(e)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": cmdReady, "enters": cmdEnters, "primary": cmdPrimary, "code": cmdCode, "mode": cmdMode,
			"terminate": cmdTerminate, "address": cmdAddress, "ages": cmdAges,
		},
	})
}

// cmdAges makes the bundles in a folder two years older: ages DIR.
func cmdAges(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ages DIR")
	}
	paths, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.json"))
	ts.Check(err)
	if len(paths) == 0 {
		ts.Fatalf("there is no bundle in %s", args[0])
	}
	for _, path := range paths {
		b, err := bundle.Load(path)
		ts.Check(err)
		if b == nil {
			ts.Fatalf("%s is no bundle", path)
		}
		b.Fetched = b.Fetched.AddDate(-2, 0, 0)
		ts.Check(b.Save(path))
	}
}

// cmdReady waits until the server of a data directory answers: ready [DIR].
func cmdReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: ready [DIR]")
	}
	dir := ts.Getenv("TENET_DATA_DIR")
	if len(args) == 1 {
		dir = ts.MkAbs(args[0])
	}
	answers := func() bool {
		data, err := os.ReadFile(filepath.Join(dir, "owner.json"))
		var r running
		return err == nil && json.Unmarshal(data, &r) == nil && r.URL != ""
	}
	if err := eventually(answers); err != nil {
		ts.Fatalf("no server is running on %s: %v", dir, err)
	}
}

// eventually returns nil as soon as holds does, and an error when that takes too long.
func eventually(holds func() bool) error {
	if !awaittest.Until(time.Minute, holds) {
		return fmt.Errorf("still not after a minute")
	}
	return nil
}

// cmdPrimary takes the PostgreSQL away from the server, or gives it back: primary away|back.
func cmdPrimary(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: primary away|back")
	}
	ts.Value(primaryAway{}).(func(bool))(args[0] == "away") // the setup of these scripts
}

// cmdEnters waits until the server is in a mode: enters MODE.
func cmdEnters(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: enters MODE")
	}
	err := eventually(func() bool {
		var st struct {
			Mode string `json:"mode"`
		}
		err := ts.Exec("tenet", "status", "--output", "json")
		return err == nil && json.Unmarshal([]byte(ts.ReadFile("stdout")), &st) == nil && st.Mode == args[0]
	})
	if err != nil {
		ts.Fatalf("the mode is not %s: %v", args[0], err)
	}
}

// cmdCode runs tenet and checks its exit code: code N ARGS...
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec("tenet", args[1:]...); err != nil {
		_, text, ok := strings.Cut(err.Error(), "exit status ")
		if !ok {
			ts.Fatalf("tenet %s: %v", strings.Join(args[1:], " "), err)
		}
		got, err = strconv.Atoi(text)
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("tenet %s ended with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// cmdMode checks the mode of a file: mode 600 FILE.
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode OCTAL FILE")
	}
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := info.Mode().Perm(); got != fs.FileMode(want) {
		ts.Fatalf("%s has mode %04o, want %04o", args[1], got, want)
	}
}

// cmdTerminate sends SIGTERM to the server of the data directory.
func cmdTerminate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: terminate")
	}
	p, err := os.FindProcess(runningTenet(ts).PID)
	ts.Check(err)
	ts.Check(p.Signal(syscall.SIGTERM))
}

// cmdAddress puts the address of the server of the data directory into a variable: address NAME.
func cmdAddress(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: address NAME")
	}
	ts.Setenv(args[0], runningTenet(ts).URL)
}

type running struct {
	PID int
	URL string `json:"address"`
}

func runningTenet(ts *testscript.TestScript) running {
	var r running
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(ts.Getenv("TENET_DATA_DIR"), "owner.json"))), &r))
	return r
}
