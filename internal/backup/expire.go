package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tenet/internal/knowledge"
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

// clockSlack is how far clocks may differ from each other.
const clockSlack = time.Hour

// byClock splits a list with the newest first into the copies that were made up to now, and those that a clock which is
// or was wrong has dated ahead.
func byClock(list []Copy, now time.Time) (dated, ahead []Copy) {
	n := slices.IndexFunc(list, func(c Copy) bool { return c.At.Sub(now) <= clockSlack })
	if n < 0 {
		n = len(list)
	}
	return list[n:], list[:n]
}

// after returns the time of a copy that begins now. Where a clock was set back a little, the newest copy seems to be of
// later: the next one is dated right behind it, so that it is the newest.
func (e *Embedded) after(began time.Time) (knowledge.Time, error) {
	at := knowledge.At(began)
	list, _, err := e.read()
	if dated, _ := byClock(list, began); len(dated) > 0 && !at.Truncate(time.Millisecond).After(dated[0].At.Time) {
		at = knowledge.At(dated[0].At.Add(time.Millisecond))
	}
	return at, err
}

// Newest returns the newest copy of a list with the newest first, but for those that a wrong clock has dated ahead; the
// first of these if there is no other.
func Newest(list []Copy) Copy {
	dated, _ := byClock(list, time.Now())
	if len(dated) == 0 {
		return list[0]
	}
	return dated[0]
}

// fromFuture says what is wrong with a copy that is dated ahead.
func fromFuture(c *Copy) string {
	return fmt.Sprintf("it says that it was made at %s, which is yet to come: the clock is wrong, or was wrong then; where "+
		"it was, the backup is kept until somebody removes it, with its %s", c.At.Format(time.RFC3339), manifestSuffix)
}

// almostFull is how much space a disk has at most that could not take what was written.
const almostFull = 1 << 20

// fullDisk returns the error of a backup that has failed. If that was since the disk of the copies is full, it removes
// those that are no longer kept, which otherwise the next backup does that succeeds: so there may be room for it.
func (e *Embedded) fullDisk(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if e.o.Free == nil {
		return err
	}
	if free, ok := e.o.Free(e.o.Dir); !ok || free > almostFull {
		return err
	}
	old, failed := e.Expire(ctx)
	return errors.Join(fmt.Errorf("the disk of %s is full, and nothing of this backup was kept; %s removed that are not "+
		"kept any longer: free some space, or name another directory", e.o.Dir,
		knowledge.Count(int64(len(old)), "old backup was", "old backups were")), failed)
}

// expired returns the copies, from a list with the newest first, that are no longer kept. A copy that is dated ahead is
// kept, and so is every one until another is kept that was made longer than Every ago: after a leap of the clock, all
// are old at once but the one that was just made.
func (k Keep) expired(list []Copy, now time.Time) []Copy {
	list, _ = byClock(list, now)
	firsts := map[string]string{} // the oldest copy of each hour and day, by name
	for _, c := range slices.Backward(list) {
		for _, slot := range []string{c.At.Format("2006010215"), c.At.Format("20060102")} {
			if firsts[slot] == "" {
				firsts[slot] = c.Name
			}
		}
	}
	var old []Copy
	settled := false
	for i, c := range list {
		age := now.Sub(c.At.Time)
		keep := i == 0 || age <= k.Every || age <= k.Hourly && firsts[c.At.Format("2006010215")] == c.Name ||
			age <= k.Daily && firsts[c.At.Format("20060102")] == c.Name
		if !keep {
			old = append(old, c)
		}
		settled = settled || keep && age > k.Every
	}
	if !settled {
		return nil
	}
	return old
}
