package backup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Expire implements [Engine].
func (e *Embedded) Expire(context.Context) ([]Copy, error) {
	list, _, err := e.read()
	if err != nil {
		return nil, err
	}
	old := e.o.Keep.expired(list, time.Now())
	for _, c := range old {
		// The manifest is set aside first: what it names is no backup from then on, and is removed at the latest by the
		// next run, should this one be killed. A manifest without an archive would be a fault.
		manifest := filepath.Join(e.o.Dir, c.Name+manifestSuffix)
		if err := os.Rename(manifest, manifest+expiredSuffix); err != nil {
			return old, err
		}
	}
	return old, errors.Join(e.removeExpired(), syncDir(e.o.Dir))
}

// removeExpired removes the archives whose manifests were set aside, and these manifests.
func (e *Embedded) removeExpired() error {
	manifests, err := filepath.Glob(filepath.Join(e.o.Dir, "*"+manifestSuffix+expiredSuffix))
	if err != nil {
		return err
	}
	for _, path := range manifests {
		name := strings.TrimSuffix(filepath.Base(path), manifestSuffix+expiredSuffix)
		for _, file := range []string{name + archiveSuffix, name + archiveSuffix + sealedSuffix} {
			if err := os.Remove(filepath.Join(e.o.Dir, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// strays returns the archives that no manifest names.
func (e *Embedded) strays() ([]string, error) {
	archives, err := filepath.Glob(filepath.Join(e.o.Dir, "*"+archiveSuffix+"*"))
	if err != nil {
		return nil, err
	}
	var list []string
	for _, path := range archives {
		name, _, _ := strings.Cut(filepath.Base(path), archiveSuffix)
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < staleAfter {
			continue // its manifest may be about to come
		}
		for _, suffix := range []string{manifestSuffix, manifestSuffix + expiredSuffix} {
			if _, err = os.Stat(filepath.Join(e.o.Dir, name+suffix)); err == nil {
				break
			}
		}
		if err != nil {
			list = append(list, filepath.Base(path))
		}
	}
	return list, nil
}

// expired returns the copies, from a list with the newest first, that are no longer kept.
func (k Keep) expired(list []Copy, now time.Time) []Copy {
	firsts := map[string]string{} // the oldest copy of each hour and day, by name
	for _, c := range slices.Backward(list) {
		for _, slot := range []string{c.At.Format("2006010215"), c.At.Format("20060102")} {
			if firsts[slot] == "" {
				firsts[slot] = c.Name
			}
		}
	}
	var old []Copy
	for i, c := range list {
		age := now.Sub(c.At.Time)
		keep := i == 0 || age <= k.Every || age <= k.Hourly && firsts[c.At.Format("2006010215")] == c.Name ||
			age <= k.Daily && firsts[c.At.Format("20060102")] == c.Name
		if !keep {
			old = append(old, c)
		}
	}
	return old
}
