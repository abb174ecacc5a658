package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"tenet/internal/erasure"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
)

// TokenFile is the file in the data directory with the admin's token, readable by its owner only.
const TokenFile = "admin.token"

// A home is a data directory that this process owns.
type home struct {
	dir   string
	owner *sqlite.Owner
}

// openHome makes the data directory where there is none and takes it. The error is an [*OwnedError] when another
// process has it.
func openHome(o Options) (*home, error) {
	dir, lost := o.DataDir, o.lost() // before this process leaves traces of its own
	if dir == "" {
		return nil, errors.New("no data directory: name one with --data-dir")
	}
	if err := safeDir(dir); err != nil {
		return nil, err
	}
	if err := plainFiles(dir); err != nil {
		return nil, err
	}
	owner, err := sqlite.Own(dir, sqlite.Ownership{PID: os.Getpid(), Since: knowledge.At(time.Now())})
	if owned, ok := errors.AsType[*sqlite.OwnedError](err); ok {
		return nil, &OwnedError{
			Dir: dir, URL: owned.Owner.Address, Certificate: owned.Owner.Certificate,
			PID: owned.Owner.PID,
		}
	}
	if err != nil {
		return nil, fmt.Errorf("take the data directory: %w", err)
	}
	if lost != nil {
		return nil, errors.Join(lost, owner.Release())
	}
	return &home{dir, owner}, nil
}

// How long a server waits for a command to be done with the data directory.
const (
	homePatience = 10 * time.Second
	homePause    = 20 * time.Millisecond
)

// awaitHome is [openHome] for a server: it waits a while for a command that works on the directory, and says so.
func awaitHome(ctx context.Context, o Options) (*home, error) {
	patience, cancel := context.WithTimeout(ctx, homePatience)
	defer cancel()
	for said := false; ; said = true {
		h, err := openHome(o)
		owned, ok := errors.AsType[*OwnedError](err)
		if !ok || owned.URL != "" {
			return h, err
		}
		if !said {
			o.Log.WarnContext(ctx, "another process is using the data directory: the server waits until it is done",
				"data_dir", o.DataDir, "longest", homePatience.String())
		}
		select {
		case <-time.After(homePause):
		case <-patience.Done():
			return nil, err
		}
	}
}

// plainFiles returns an error if something else than a file has the name of a file of the data directory: opening a
// pipe would wait for ever.
func plainFiles(dir string) error {
	names := []string{TokenFile, erasure.File, PgBackRestFile}
	for _, pattern := range []string{"*.db", "*.db-wal", "*.db-shm", "owner.json*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			names = append(names, filepath.Base(path))
		}
	}
	for _, name := range names {
		info, err := os.Stat(filepath.Join(dir, name))
		if err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no file (its mode is %s), and that name is for one of the data directory: move "+
				"it away", filepath.Join(dir, name), info.Mode())
		}
	}
	return nil
}

// announce writes the address of the server for other processes of this machine.
func (h *home) announce(url, certificate string) error {
	if certificate != "" {
		if abs, err := filepath.Abs(certificate); err == nil {
			certificate = abs
		}
	}
	return h.owner.Announce(sqlite.Ownership{
		PID: os.Getpid(), Address: url, Certificate: certificate,
		Since: knowledge.At(time.Now()),
	})
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

// close lets go of the directory.
func (h *home) close() error { return h.owner.Release() }

// An OwnedError says that another process owns the data directory.
type OwnedError struct {
	Dir string
	URL string // where it answers; "" for one that does not, or not yet
	PID int
	// Certificate is the file of the one that it answers with; "" where it speaks no TLS.
	Certificate string
}

// Error says who owns the directory and what to do.
func (e *OwnedError) Error() string {
	if e.URL == "" {
		return fmt.Sprintf("another process is using the data directory %s: wait until it is done, or name another "+
			"with --data-dir", e.Dir)
	}
	return fmt.Sprintf("a server is running already on the data directory %s (process %d, %s): use that one, stop "+
		"it, or name another "+
		"directory with --data-dir", e.Dir, e.PID, e.URL)
}

// reachable returns the host and port under which this machine reaches a listener: that of the loopback where it
// listens everywhere.
func reachable(l net.Listener) string {
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return l.Addr().String()
	}
	ip := addr.IP
	if ip.IsUnspecified() {
		ip = net.IPv4(127, 0, 0, 1)
		if addr.IP.To4() == nil {
			ip = net.IPv6loopback
		}
	}
	return net.JoinHostPort(ip.String(), fmt.Sprint(addr.Port))
}

// writePrivate writes a file that only its owner may read, whole or not at all.
func writePrivate(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already when all went well
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
