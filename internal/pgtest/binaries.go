package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
)

// oldestMajor is the oldest PostgreSQL that Tenet supports.
const oldestMajor = 14

// errNoBinaries says that PostgreSQL is not installed here, as opposed to installed and failing.
var errNoBinaries = errors.New("no server binaries found in /usr/lib/postgresql/*/bin or on PATH; " +
	"install PostgreSQL 14 or newer (Debian: apt-get install postgresql), " +
	"or name their directory in TENET_TEST_PG_BIN, or a running server in TENET_TEST_DATABASE_URL")

// isMissing tells whether the error is that PostgreSQL is not installed.
func isMissing(err error) bool { return errors.Is(err, errNoBinaries) }

// An installation is a directory of PostgreSQL programs and the account that runs them.
type installation struct {
	bin   string
	major int
	owner *syscall.Credential // nil: the account of the test itself
}

// findInstallation looks where the package comment says.
func findInstallation() (installation, error) {
	bin, err := findBinaries()
	if err != nil {
		return installation{}, err
	}
	major, err := majorOf(bin)
	if err != nil {
		return installation{}, err
	}
	if major < oldestMajor {
		return installation{}, fmt.Errorf("PostgreSQL %d in %s is too old: %w", major, bin, errNoBinaries)
	}
	owner, err := serverAccount()
	return installation{bin: bin, major: major, owner: owner}, err
}

func findBinaries() (string, error) {
	if dir := os.Getenv("TENET_TEST_PG_BIN"); dir != "" {
		if !hasServer(dir) {
			return "", fmt.Errorf("TENET_TEST_PG_BIN names %s, which has no postgres and initdb", dir)
		}
		return dir, nil
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(dirs, func(a, b string) int { return debianVersion(b) - debianVersion(a) })
	if i := slices.IndexFunc(dirs, hasServer); i >= 0 {
		return dirs[i], nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil && hasServer(filepath.Dir(path)) {
			return filepath.Dir(path), nil
		}
	}
	return "", errNoBinaries
}

func hasServer(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// debianVersion reads the version out of /usr/lib/postgresql/17/bin; as text, 9.6 would be newer than 17.
func debianVersion(bin string) int {
	version, err := strconv.ParseFloat(filepath.Base(filepath.Dir(bin)), 64)
	if err != nil {
		return 0
	}
	return int(version)
}

// majorOf asks the server binary for its version.
func majorOf(bin string) (int, error) {
	cmd := exec.CommandContext(context.Background(), filepath.Join(bin, "postgres"), "--version")
	cmd.Env = append(os.Environ(), libraries(bin)...)
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("ask %s for its version: %w", bin, err)
	}
	found := regexp.MustCompile(`\(PostgreSQL\) (\d+)`).FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("%s does not say its version: %q", bin, out)
	}
	return strconv.Atoi(string(found[1]))
}

// libraries returns the setting by which programs find libraries that were packed with them, beside their directory.
// Only they get it: the system's own programs have theirs.
func libraries(bin string) []string {
	lib := filepath.Join(filepath.Dir(bin), "lib")
	if os.Getenv("TENET_TEST_PG_BIN") == "" || len(glob(filepath.Join(lib, "libpq.so*"))) == 0 {
		return nil
	}
	return []string{"LD_LIBRARY_PATH=" + lib}
}

func glob(pattern string) []string {
	list, _ := filepath.Glob(pattern)
	return list
}

// serverAccount returns the ordinary account that must run the server when the test runs as root, which PostgreSQL
// refuses.
func serverAccount() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil // no other account is needed
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("find an ordinary account to run PostgreSQL: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", account.Username, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", account.Username, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// command prepares a program of the installation. Its session is its own, so that Ctrl-C at the terminal reaches the
// test and not the server under it.
func (i installation) command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(i.bin, name), args...)
	cmd.Dir = dir // the account may not be allowed to stand where the test stands
	cmd.Env = append(append(os.Environ(), libraries(i.bin)...), "LC_ALL=C", "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: i.owner}
	return cmd
}

// give hands a directory to the account that runs the server.
func (i installation) give(dir string) error {
	if i.owner == nil {
		return nil
	}
	return os.Chown(dir, int(i.owner.Uid), int(i.owner.Gid))
}
