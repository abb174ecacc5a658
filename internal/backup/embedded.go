package backup

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Database is an embedded database that can be copied while it is written.
type Database interface {
	store.Reader
	Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error)
	// Backup writes a consistent copy of the whole database into a new file.
	Backup(ctx context.Context, path string) error
}

// EmbeddedOptions configure an [Embedded] engine.
type EmbeddedOptions struct {
	Engine string // the name in the copies' manifests; sqlite when empty
	Dir    string // of the copies
	Key    Key
	// Database is the database to copy; nil for an engine that only reads copies.
	Database Database
	File     string   // the name of the database's file in a data directory
	Beside   []string // paths of other files of a data directory, such as the admin's token; missing ones are left out
	// Inspect opens a database file, checks it for damage, verifies its log and returns its facts.
	Inspect func(ctx context.Context, path string) (Facts, error)
	// Open opens a database file for reading.
	Open func(ctx context.Context, path string) (store.Reader, func() error, error)
	// Keep says how long copies are kept.
	Keep Keep
	// MaxAge is the largest age of the newest copy before a check reports a fault; 26 h if 0.
	MaxAge  time.Duration
	Free    func(dir string) (uint64, bool) // free bytes on a directory's disk; nil if unknown
	Program string
}

// Keep says how long copies are kept: all of them for Every, then the first of each hour for Hourly, then the first of
// each day for Daily. The newest copy is always kept.
type Keep struct{ Every, Hourly, Daily time.Duration }

// DefaultKeep keeps all copies for a day, hourly ones for a week, daily ones for 30 days.
var DefaultKeep = Keep{Every: 24 * time.Hour, Hourly: 7 * 24 * time.Hour, Daily: 30 * 24 * time.Hour} //nolint:gochecknoglobals // a constant

// An Embedded engine keeps copies of an embedded database as files of a directory: an archive and a manifest for each.
// The manifest is written last, so that a copy without one is incomplete.
type Embedded struct {
	o       EmbeddedOptions
	account Account // owner of scratch; that of this process for an embedded database
}

var _ Engine = (*Embedded)(nil)

// NewEmbedded returns the engine.
func NewEmbedded(o EmbeddedOptions) *Embedded {
	if o.Keep == (Keep{}) {
		o.Keep = DefaultKeep
	}
	if o.MaxAge == 0 {
		o.MaxAge = 26 * time.Hour
	}
	o.Engine = or(o.Engine, engineName)
	return &Embedded{o: o}
}

const (
	manifestSuffix = ".json"
	expiredSuffix  = ".expired" // behind the manifest of a backup that is being removed
	archiveSuffix  = ".tar.zst"
	sealedSuffix   = ".age"
	drillFile      = "drill.json"
	engineName     = "sqlite"
)

// scratch creates a scratch beside the copies, and removes those of killed processes.
func (e *Embedded) scratch(ctx context.Context) (*scratch, error) {
	if err := os.MkdirAll(e.o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the backup directory: %w", err)
	}
	if err := sweep(e.o.Dir, e.endOf(ctx)); err != nil {
		return nil, err
	}
	return newScratch(e.o.Dir, e.account)
}

// endOf returns what is done with the scratch of a killed process before it is removed.
func (e *Embedded) endOf(ctx context.Context) func(dir string) error {
	return func(dir string) error {
		endServer(ctx, e.account, dir)
		return e.complete(dir)
	}
}

// complete publishes the backup of a process that was killed between moving the archive and moving its manifest.
func (e *Embedded) complete(work string) error {
	manifests, err := filepath.Glob(filepath.Join(work, "*"+manifestSuffix))
	if err != nil {
		return err
	}
	for _, path := range manifests {
		var c Copy
		data, err := os.ReadFile(path) //nolint:gosec // found in the directory
		if err != nil || json.Unmarshal(data, &c) != nil || !filepath.IsLocal(c.File) {
			continue // it was killed earlier
		}
		if _, err := os.Stat(filepath.Join(e.o.Dir, c.File)); err == nil {
			return os.Rename(path, filepath.Join(e.o.Dir, filepath.Base(path)))
		}
	}
	return nil
}

// Full implements [Engine].
func (e *Embedded) Full(ctx context.Context, progress Progress) (c Copy, err error) {
	if e.o.Database == nil {
		return c, fmt.Errorf("%w: no database is open", ErrNotSupported)
	}
	began := time.Now()
	work, err := e.scratch(ctx)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, work.remove()) }()
	defer func() { err = e.fullDisk(ctx, err) }()
	file := work.path(e.o.File)
	if err := e.o.Database.Backup(ctx, file); err != nil {
		return c, err
	}
	facts, err := e.o.Inspect(ctx, file)
	if err != nil {
		return c, fmt.Errorf("the copy does not verify, and neither may the database: %w", err)
	}
	files, total, err := e.gather(file)
	if err != nil {
		return c, err
	}
	at, err := e.after(began)
	if err != nil {
		return c, err
	}
	c = Copy{
		Name: at.Format(nameLayout), Engine: e.o.Engine, Type: "full", At: at, Seq: facts.Seq, Chain: facts.Chain,
		Documents: facts.Documents,
		Schema:    facts.Schema, Program: e.o.Program, Encrypted: e.o.Key.Encrypts(),
	}
	c.File = c.Name + archiveSuffix
	if c.Encrypted {
		c.File += sealedSuffix
	}
	before := int64(0)
	c.Bytes, c.SHA256, err = pack(ctx, work.path(c.File), e.o.Key, files, func(n int64) {
		if progress != nil {
			progress(min(before+n, total), total)
		}
	})
	if err != nil {
		return c, fmt.Errorf("write the backup: %w", err)
	}
	c.TookMilli = time.Since(began).Milliseconds()
	return c, e.publish(work.dir, c)
}

// Incremental implements [Engine].
func (e *Embedded) Incremental(context.Context, Progress) (Copy, error) {
	return Copy{}, fmt.Errorf("%w: every backup of an embedded database is whole; use --full", ErrNotSupported)
}

// gather returns the files of a copy, and their bytes.
func (e *Embedded) gather(database string) (files []string, total int64, err error) {
	for _, path := range append([]string{database}, e.o.Beside...) {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		files, total = append(files, path), total+info.Size()
	}
	return files, total, nil
}

// publish moves a finished archive to its place, and writes its manifest last.
func (e *Embedded) publish(work string, c Copy) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	manifest := filepath.Join(work, c.Name+manifestSuffix)
	if err := writeSynced(manifest, append(text, '\n')); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(work, c.File), filepath.Join(e.o.Dir, c.File)); err != nil {
		return err
	}
	return errors.Join(os.Rename(manifest, filepath.Join(e.o.Dir, c.Name+manifestSuffix)), syncDir(e.o.Dir))
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // one of ours
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // the operator names the directory
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// List implements [Engine]. A manifest that can't be read is an error that names it: a backup that nobody can find is
// none.
func (e *Embedded) List(context.Context) ([]Copy, error) {
	list, faults, err := e.read()
	if err == nil && len(faults) > 0 {
		err = fmt.Errorf("%w: %s", ErrDamaged, strings.Join(faults, "; "))
	}
	return list, err
}

// read returns the copies, newest first, and the errors of unreadable manifests.
func (e *Embedded) read() (list []Copy, faults []string, err error) {
	names, err := filepath.Glob(filepath.Join(e.o.Dir, "*"+manifestSuffix))
	if err != nil {
		return nil, nil, err
	}
	list = []Copy{}
	for _, path := range names {
		if filepath.Base(path) == drillFile {
			continue
		}
		var c Copy
		data, err := os.ReadFile(path) //nolint:gosec // found in the directory
		if err == nil {
			err = json.Unmarshal(data, &c)
		}
		name := strings.TrimSuffix(filepath.Base(path), manifestSuffix)
		if err == nil && (c.Engine != e.o.Engine || !c.isNamed(name)) {
			err = errors.New("it is not about this backup")
		}
		if err != nil {
			faults = append(faults, fmt.Sprintf("manifest %s can't be read: %s", filepath.Base(path), err))
			continue
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Copy) int { return b.At.Compare(a.At.Time) })
	return list, faults, nil
}

// isNamed reports whether a manifest is that of the copy of a name, which tells its time and its archive: one that is
// older than its name would hide behind others and expire before them, and one with another's archive take it along.
func (c *Copy) isNamed(name string) bool {
	file := name + archiveSuffix
	if c.Encrypted {
		file += sealedSuffix
	}
	return c.Name == name && c.File == file && c.At.Format(nameLayout) == name
}

// Check implements [Engine]: it reads every archive and compares it with its manifest.
func (e *Embedded) Check(ctx context.Context) (Report, error) {
	list, faults, err := e.read()
	if err != nil {
		return Report{}, err
	}
	r := Report{Copies: len(list), Faults: append([]string{}, faults...)}
	if len(list) == 0 {
		r.Faults = append(r.Faults, "there is no backup in "+e.o.Dir)
		return r, nil
	}
	dated, ahead := byClock(list, time.Now())
	for i := range ahead {
		r.Faults = append(r.Faults, ahead[i].Name+": "+fromFuture(&ahead[i]))
	}
	if len(dated) == 0 {
		return r, nil
	}
	r.Newest = dated[0].At
	if age := time.Since(r.Newest.Time); age > e.o.MaxAge {
		r.Faults = append(r.Faults, fmt.Sprintf("the newest backup is %s old: at most %s is allowed",
			age.Round(time.Minute), e.o.MaxAge))
	}
	strays, err := e.strays()
	if err != nil {
		return r, err
	}
	for _, file := range strays {
		r.Faults = append(r.Faults, file+": it has no manifest, so it is no backup that can be restored, and none that "+
			"expires: put its manifest back, or remove it")
	}
	for _, c := range list {
		if err := e.whole(ctx, c); errors.Is(err, ErrDamaged) {
			r.Faults = append(r.Faults, c.Name+": "+err.Error())
		} else if err != nil {
			return r, err
		}
	}
	return r, nil
}

// whole checks an archive against its manifest.
func (e *Embedded) whole(ctx context.Context, c Copy) error {
	f, err := os.Open(filepath.Join(e.o.Dir, c.File))
	if err != nil {
		return fmt.Errorf("%w: its archive can't be read: %w", ErrDamaged, err)
	}
	defer f.Close() //nolint:errcheck // only read
	h := sha256.New()
	n, err := io.Copy(h, &watched{ctx: ctx, r: f})
	if err != nil {
		return err
	}
	if n != c.Bytes {
		return fmt.Errorf("%w: %s has %d bytes, and its manifest says %d", ErrDamaged, c.File, n, c.Bytes)
	}
	return sameSum(h, c)
}

// find returns the copy for a target.
func (e *Embedded) find(target Target) (Copy, error) {
	if target.Point != "" {
		return Copy{}, fmt.Errorf("%w: an embedded database has no restore points; name a backup or a time",
			ErrNotSupported)
	}
	list, faults, err := e.read()
	if err != nil {
		return Copy{}, err
	}
	if _, ahead := byClock(list, time.Now()); len(ahead) > 0 && target.latest() {
		return Copy{}, fmt.Errorf("which backup is the newest can't be told: of %s it says that it was made at %s, which "+
			"is yet to come, so a clock is or was wrong: name the one to restore, as in --to %[1]s", ahead[0].Name,
			ahead[0].At.Format(time.RFC3339))
	}
	strays, err := e.strays()
	if err != nil {
		return Copy{}, err
	}
	for _, file := range strays {
		if isName(file) {
			name, _, _ := strings.Cut(file, archiveSuffix)
			faults = append(faults, "manifest "+name+manifestSuffix+" is missing")
		}
	}
	for i := range list {
		c := &list[i]
		if target.Name != "" && c.Name != target.Name || !target.To.IsZero() && c.At.After(target.To) {
			continue
		}
		if target.Name != "" {
			return *c, nil
		}
		if fault := hidden(c, faults, target.To); fault != "" {
			return Copy{}, fmt.Errorf("%w: a backup newer than %s may be there, and its %s: put its manifest back, or "+
				"name the backup to restore, as in --to %[2]s", ErrDamaged, c.Name, fault)
		}
		return *c, nil
	}
	what := "there is no backup in " + e.o.Dir
	switch {
	case target.Name != "":
		what = fmt.Sprintf("there is no backup %s in %s", target.Name, e.o.Dir)
	case !target.To.IsZero() && len(list) > 0:
		what = fmt.Sprintf("the oldest backup is of %s, after the time asked for",
			list[len(list)-1].At.Format(time.RFC3339))
	}
	if len(faults) > 0 {
		return Copy{}, fmt.Errorf("%w: %s; %s", ErrDamaged, what, strings.Join(faults, "; "))
	}
	return Copy{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
}

// hidden returns the fault of a copy that is newer than another and not after a time, "" for none. Each fault begins
// with the name of its manifest, which is a time.
func hidden(c *Copy, faults []string, to time.Time) string {
	for _, fault := range faults {
		if fault > "manifest "+c.Name && (to.IsZero() || fault < "manifest "+to.UTC().Format(nameLayout)+"~") {
			return fault
		}
	}
	return ""
}

// Restore implements [Engine].
func (e *Embedded) Restore(ctx context.Context, target Target, dir string, progress Progress) (c Copy, err error) {
	if c, err = e.find(target); err != nil {
		return c, err
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return c, fmt.Errorf("%s is not empty: a restore never writes over anything; name a new directory", dir)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return c, err
	}
	if err := e.room(c, filepath.Dir(dir)); err != nil {
		return c, err
	}
	if err := sweep(filepath.Dir(dir), e.endOf(ctx)); err != nil {
		return c, err
	}
	work, err := newScratch(filepath.Dir(dir), e.account)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, work.remove()) }()
	data := work.path(dataName)
	if err := os.Mkdir(data, 0o700); err != nil {
		return c, err
	}
	if err := e.bring(ctx, c, data, progress); err != nil {
		return c, err
	}
	if target.Finish != nil {
		if err := target.Finish(ctx, data); err != nil {
			return c, err
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is empty
		return c, err
	}
	return c, errors.Join(os.Rename(data, dir), syncDir(filepath.Dir(dir)))
}

// room returns an error if the disk has no room for a copy.
func (e *Embedded) room(c Copy, dir string) error {
	if e.o.Free == nil {
		return nil
	}
	// texts compress to about a fifth; the archive does not store its unpacked size
	const factor = 6
	if free, ok := e.o.Free(dir); ok && free < uint64(c.Bytes)*factor { //nolint:gosec // a size
		return fmt.Errorf("the disk of %s has %d MiB free, and the backup %s may need %d MiB: free some space first",
			dir, free>>20, c.Name, uint64(c.Bytes)*factor>>20) //nolint:gosec // a size
	}
	return nil
}

// bring unpacks a copy into a directory, and verifies the result.
func (e *Embedded) bring(ctx context.Context, c Copy, dir string, progress Progress) error {
	if e.o.Key.Encrypts() && !c.Encrypted {
		return fmt.Errorf("backup %s is not encrypted, and there is a key for backups: somebody who can write into %s "+
			"may have put it there; if it was made before there was a key, restore it without --backup-key-file",
			c.Name, e.o.Dir)
	}
	names := []string{e.o.File}
	for _, path := range e.o.Beside {
		names = append(names, filepath.Base(path))
	}
	err := unpack(ctx, filepath.Join(e.o.Dir, c.File), c, e.o.Key, dir, names, func(n int64) {
		if progress != nil {
			progress(n, c.Bytes)
		}
	})
	if err != nil {
		return err
	}
	facts, err := e.o.Inspect(ctx, filepath.Join(dir, e.o.File))
	if err != nil {
		return fmt.Errorf("%w: what it holds does not verify: %w", ErrDamaged, err)
	}
	return sameFacts(c, facts)
}

// sameFacts compares a restored database with its manifest.
func sameFacts(c Copy, f Facts) error {
	if f.Seq != c.Seq || f.Chain != c.Chain {
		return fmt.Errorf("%w: its log ends with change %d (%s), and its manifest says %d (%s)", ErrDamaged, f.Seq,
			f.Chain, c.Seq, c.Chain)
	}
	for kind, n := range f.Documents { // a kind that the program of the backup did not have is not in its manifest
		if c.Documents[kind] != n {
			return fmt.Errorf("%w: it holds %d documents of the kind %s, and its manifest says %d", ErrDamaged,
				n, kind, c.Documents[kind])
		}
	}
	return nil
}
