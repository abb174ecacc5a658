package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// pack writes files, by their base names, as one archive: tar, compressed, and encrypted if there is a key. When it
// returns, with size and checksum, the archive is on disk.
func pack(ctx context.Context, path string, k Key, files []string,
	progress func(int64),
) (size int64, sum string, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // a path of the operator's
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	counted := &counter{w: io.MultiWriter(f, h)}
	sealed, err := k.seal(counted)
	if err != nil {
		return 0, "", err
	}
	zw, err := zstd.NewWriter(sealed)
	if err != nil {
		return 0, "", err
	}
	tw := tar.NewWriter(zw)
	for _, name := range files {
		if err := packFile(ctx, tw, name, progress); err != nil {
			return 0, "", fmt.Errorf("pack %s: %w", filepath.Base(name), err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close(), sealed.Close()); err != nil {
		return 0, "", err
	}
	return counted.n, hex.EncodeToString(h.Sum(nil)), f.Sync()
}

func packFile(ctx context.Context, tw *tar.Writer, path string, progress func(int64)) error {
	in, err := os.Open(path) //nolint:gosec // one of ours
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // only read
	info, err := in.Stat()
	if err != nil {
		return err
	}
	err = tw.WriteHeader(&tar.Header{
		Name: filepath.Base(path), Mode: 0o600, Size: info.Size(),
		ModTime: info.ModTime().UTC().Truncate(time.Second),
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(tw, &watched{ctx: ctx, r: io.LimitReader(in, info.Size()), progress: progress})
	return err
}

// maxUnpacked is the largest size of an unpacked archive, in bytes: our archives are smaller.
const maxUnpacked = 1 << 42

// unpack writes the files of an archive into a directory. It verifies the archive: age authenticates each chunk, zstd
// has a checksum, and the manifest has a hash of the whole, which is checked here. An archive that holds anything but
// the files named is refused: a settings file in it would change what the restored instance is.
func unpack(ctx context.Context, path string, c Copy, k Key, dir string, names []string,
	progress func(int64),
) (err error) {
	f, err := os.Open(path) //nolint:gosec // a path of the operator's
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer f.Close() //nolint:errcheck // only read
	h := sha256.New()
	raw := io.TeeReader(&watched{ctx: ctx, r: f, progress: progress}, h)
	plain, err := k.open(raw, c.Encrypted)
	if err != nil {
		return err
	}
	if err := unpackAll(plain, dir, names); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %s can't be unpacked: %w", ErrDamaged, filepath.Base(path), err)
	}
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return err
	}
	return sameSum(h, c)
}

func sameSum(h hash.Hash, c Copy) error {
	if got := hex.EncodeToString(h.Sum(nil)); got != c.SHA256 {
		return fmt.Errorf("%w: %s has the SHA-256 %s, and its manifest says %s", ErrDamaged, c.File, got, c.SHA256)
	}
	return nil
}

func unpackAll(r io.Reader, dir string, names []string) error {
	zr, err := zstd.NewReader(r)
	if err != nil {
		return err
	}
	defer zr.Close()
	tr := tar.NewReader(io.LimitReader(zr, maxUnpacked))
	for {
		head, err := tr.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, zr) // to the end, which has the checksum
			return err
		}
		if err != nil {
			return err
		}
		if !slices.Contains(names, head.Name) || head.Typeflag != tar.TypeReg {
			return fmt.Errorf("it holds %q, which no backup of ours does: want %s alone", head.Name,
				strings.Join(names, " and "))
		}
		if err := unpackFile(tr, filepath.Join(dir, head.Name)); err != nil { //nolint:gosec // one of the names
			return err
		}
	}
}

func unpackFile(r io.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // in a directory that we made
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

// A counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

// Write implements [io.Writer].
func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// watched is a reader that ends with its context and reports its progress.
type watched struct {
	ctx      context.Context // it lives as long as one call
	r        io.Reader
	progress func(int64)
	n        int64
}

// Read implements [io.Reader].
func (w *watched) Read(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.r.Read(b)
	w.n += int64(n)
	if w.progress != nil {
		w.progress(w.n)
	}
	return n, err
}
