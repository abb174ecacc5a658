package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// Files in the data directory.
const (
	TokenFile   = "admin.token" // the admin's token, readable by its owner only
	addressFile = "tenet.json"  // where the tenet that owns the directory answers
)

// An address tells other processes of this machine where the tenet that owns a data directory answers.
type address struct {
	URL  string `json:"url"`
	PID  int    `json:"pid"`
	Dual bool   `json:"dual"` // its primary is a PostgreSQL
}

// writeAddress leaves an address in a data directory. A reader sees the whole of it, or the one before.
func writeAddress(dir string, a address) error {
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("write address: %w", err)
	}
	return writePrivate(filepath.Join(dir, addressFile), append(data, '\n'))
}

func readAddress(dir string) (address, error) {
	var a address
	data, err := os.ReadFile(filepath.Join(dir, addressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, fmt.Errorf("read address: %w", err)
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return a, fmt.Errorf("read address: %w", err)
	}
	return a, nil
}

// writePrivate writes a file that only its owner may read, whole or not at all.
func writePrivate(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// reachable returns the URL under which this machine reaches a listener: that of the loopback where it listens everywhere.
func reachable(l net.Listener) string {
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return "http://" + l.Addr().String()
	}
	ip := addr.IP
	if ip.IsUnspecified() {
		ip = net.IPv4(127, 0, 0, 1)
		if addr.IP.To4() == nil {
			ip = net.IPv6loopback
		}
	}
	return "http://" + net.JoinHostPort(ip.String(), fmt.Sprint(addr.Port))
}

// An OwnedError says that another tenet owns the data directory.
type OwnedError struct {
	Dir  string
	URL  string // where it answers; "" while it is not known
	PID  int
	Dual bool
}

// Error says who owns the directory and what to do.
func (e *OwnedError) Error() string {
	if e.URL == "" {
		return fmt.Sprintf("another process is using the data directory %s: wait until it is done, or name another with --data-dir", e.Dir)
	}
	return fmt.Sprintf("a tenet is running already on the data directory %s (process %d, %s): use that one, stop it, or name another "+
		"directory with --data-dir", e.Dir, e.PID, e.URL)
}
