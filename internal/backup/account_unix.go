//go:build unix

package backup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// An Account runs other programs. The zero account is that of this process.
type Account struct {
	as   *syscall.Credential
	name string // "" for that of this process
}

// FindAccount returns the account that runs PostgreSQL's programs. They refuse root, so for root it is the named
// account; any other user runs them itself.
func FindAccount(name string) (Account, error) {
	if os.Geteuid() != 0 {
		return Account{}, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return Account{}, fmt.Errorf("PostgreSQL's programs refuse root, and there is no account %q to run them: "+
			"name one with --backup-user: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return Account{}, fmt.Errorf("account %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return Account{}, fmt.Errorf("account %s: %w", name, err)
	}
	return Account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, name}, nil
}

// lacks says whom to let at the files that a program was denied, "" where it ran as who has called.
func (a Account) lacks() string {
	if a.name == "" {
		return ""
	}
	return "root lends such programs to the account " + a.name + " (--backup-user): let it read and write what is " +
		"named here, as with chown and chmod, or name another account"
}

// lend makes a program run as the account, in its own session, so that Ctrl-C reaches only this process.
func (a Account) lend(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: a.as}
}

// writes reports whether the account can write into a directory.
func (a Account) writes(ctx context.Context, dir string) bool {
	return a.test(ctx, "-w", dir, "-a", "-x", dir)
}

// enters reports whether the account can reach what it may read in a directory.
func (a Account) enters(ctx context.Context, dir string) bool { return a.test(ctx, "-x", dir) }

func (a Account) test(ctx context.Context, args ...string) bool {
	c := exec.CommandContext(ctx, "test", args...) //nolint:gosec // the operator names the directory
	c.Dir = "/"
	a.lend(c)
	return c.Run() == nil
}

// give changes the owner of a file or directory to the account.
func (a Account) give(path string) error {
	if a.as == nil {
		return nil
	}
	return os.Lchown(path, int(a.as.Uid), int(a.as.Gid))
}

// quit is the signal for an immediate shutdown of PostgreSQL, interrupt the one for a fast shutdown.
const (
	quit      = syscall.SIGQUIT
	interrupt = syscall.SIGINT
)
