package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"tenet/internal/interchange"
)

// openSource opens a path, an address, or standard input for "-". What clean takes away is needed until the batches are
// made; it is never nil.
func openSource(ctx context.Context, a *app, name, ref string,
	o interchange.ReadOptions,
) (s *interchange.Source, clean func(), err error) {
	clean = func() {}
	switch {
	case name == "-":
		s, err = interchange.Read("-", &cancelReader{ctx: ctx, r: a.in}, o)
	case isGit(name):
		return cloneSource(ctx, name, ref, o)
	case strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://"):
		s, err = fetchSource(ctx, a, name, o)
	default:
		if _, err := os.Stat(name); err != nil {
			return nil, clean, usageError("%s: name a file, a folder, an archive, an https address or a git "+
				"repository", err)
		}
		s, err = interchange.Open(name, o)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		err = ctx.Err()
	case err != nil:
		err = usageError("%s", err)
	case ref != "":
		err = errors.Join(usageError("--ref is for a git repository, and %s is none", name), s.Close())
	}
	return s, clean, err
}

// A cancelReader reads from what may block for ever, such as a pipe that nobody writes to, until its context ends.
type cancelReader struct {
	ctx context.Context // io.Reader has no place for one
	r   io.Reader
}

// Read reads in a goroutine of its own, since a blocked read can't be called off. The one that is left behind ends with
// the program.
func (c *cancelReader) Read(p []byte) (int, error) {
	data, err := patiently(c.ctx, func() ([]byte, error) {
		buf := make([]byte, len(p)) // p is the caller's again once this call has returned
		n, err := c.r.Read(buf)
		return buf[:n], err
	})
	return copy(p, data), err
}

// patiently does what may wait without end, such as opening or reading a pipe, until the context ends. What is left
// waiting ends with the program.
func patiently[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	got := make(chan answer, 1)
	go func() {
		v, err := do()
		got <- answer{v, err}
	}()
	select {
	case a := <-got:
		return a.v, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// readPatiently reads a file that the user names, which may be a pipe.
func readPatiently(ctx context.Context, path string) ([]byte, error) {
	return patiently(ctx, func() ([]byte, error) { return os.ReadFile(path) }) //nolint:gosec // the user names the file
}

var scpAddress = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^:]+$`)
})

// isGit reports whether a name is the address of a git repository.
func isGit(name string) bool {
	if scpAddress().MatchString(name) {
		return true
	}
	u, err := url.Parse(name)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "ssh", "git", "git+https", "git+ssh", "git+file", "file":
		return true
	case "https":
		parts := strings.Split(strings.Trim(u.Path, "/"), "/")
		known := u.Host == "github.com" || u.Host == "gitlab.com" || u.Host == "codeberg.org" ||
			u.Host == "bitbucket.org"
		return strings.HasSuffix(u.Path, ".git") || known && len(parts) == 2
	}
	return false
}

// cloneSource fetches the newest state of a repository into a folder that clean takes away.
func cloneSource(whole context.Context, address, ref string,
	o interchange.ReadOptions,
) (*interchange.Source, func(), error) {
	ctx, cancel := context.WithTimeout(whole, fetchPatience)
	defer cancel()
	clean := func() {}
	if _, err := exec.LookPath("git"); err != nil {
		return nil, clean, usageError("%s is a git repository, and there is no git here: install it, or import an "+
			"archive", address)
	}
	if before, after, ok := strings.Cut(address, "#"); ok && ref == "" {
		address, ref = before, after
	}
	if strings.HasPrefix(ref, "-") {
		return nil, clean, usageError("--ref %q: want a branch or a tag", ref)
	}
	dir, err := os.MkdirTemp("", "tenet-import-*")
	if err != nil {
		return nil, clean, err
	}
	clean = func() { _ = os.RemoveAll(dir) } // what is left lies in a folder for such
	args := []string{"clone", "--quiet", "--depth", "1", "--no-tags", "--single-branch", "--no-recurse-submodules"}
	if ref != "" {
		args = append(args, "--branch", ref)
	}
	tree := path.Join(dir, "tree")
	cmd := exec.CommandContext(ctx, "git", append(args, "--", strings.TrimPrefix(address, "git+"), tree)...) //nolint:gosec // the user names the address, behind --
	// Nothing that a repository holds is run, nobody is asked for a password, and no program is named by the address.
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=https:ssh:git:file",
		"GIT_LFS_SKIP_SMUDGE=1")
	var said strings.Builder
	cmd.Stderr = &said
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		switch {
		case whole.Err() != nil:
			return nil, clean, whole.Err()
		case ctx.Err() != nil:
			return nil, clean, fmt.Errorf("git clone %s has not ended in %s: clone it yourself, and import the folder",
				address, fetchPatience)
		}
		return nil, clean, fmt.Errorf("git clone %s: %s", address, strings.TrimSpace(cell(said.String())))
	}
	s, err := interchange.Open(tree, o)
	if err != nil {
		return nil, clean, usageError("%s", err)
	}
	return s, clean, nil
}

// How long a download may take, and be.
const (
	fetchPatience = 10 * time.Minute
	fetchBytes    = 512 << 20
)

// fetchSource downloads a file or an archive.
func fetchSource(ctx context.Context, a *app, address string, o interchange.ReadOptions) (*interchange.Source, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, fmt.Errorf("%s can be read and changed by everybody on the way: use https", address)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	c := &http.Client{CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) >= 5 || r.URL.Scheme != "https" && !loopback(r.URL.Hostname()) {
			return errors.New("it leads on too far, or to where no https is")
		}
		return nil
	}}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", address, resp.Status)
	}
	name := path.Base(u.Path)
	if name == "/" || name == "." {
		name = u.Hostname()
	}
	bar := a.progress("downloading", int(min(max(resp.ContentLength, 0), fetchBytes)))
	defer bar.done()
	return interchange.Read(name, io.LimitReader(&countReader{r: resp.Body, bar: bar}, fetchBytes), o)
}

type countReader struct {
	r   io.Reader
	n   int
	bar *progress
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	c.bar.set(c.n)
	return n, err
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
