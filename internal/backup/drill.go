package backup

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// drillSample is how many documents of each kind a drill compares with the live ones.
const drillSample = 200

// An exercise is a drill in progress.
type exercise struct {
	d     Drill
	began time.Time
	err   error // of the failed step; later steps are skipped
}

func beginDrill() *exercise {
	began := time.Now()
	return &exercise{d: Drill{At: knowledge.At(began), Steps: []Step{}}, began: began}
}

// step runs a step, unless an earlier one has failed, and records what it returns.
func (x *exercise) step(name string, do func() (string, error)) {
	if x.err != nil {
		return
	}
	at := time.Now()
	text, err := do()
	if err != nil {
		x.err = fmt.Errorf("%s: %w", name, err)
		return
	}
	x.d.Steps = append(x.d.Steps, Step{name, Seconds(time.Since(at).Seconds()), text})
}

// end saves the result in a directory, also after a failure.
func (x *exercise) end(dir string) (Drill, error) {
	if x.err != nil {
		x.d.Error, x.d.RTO, x.d.RPO = x.err.Error(), 0, 0
	}
	if err := keepDrill(dir, x.d); err != nil {
		x.err = errors.Join(x.err, fmt.Errorf("keep the drill's result: %w", err))
	}
	return x.d, x.err
}

// Drill implements [Engine]: the newest copy is unpacked into scratch, looked over for damage, its log verified link by
// link, its counts held against the manifest, and a sample of its documents against the live ones. The result is kept,
// whatever it is; the error is that of the drill, which says at which step it failed.
func (e *Embedded) Drill(ctx context.Context, progress Progress) (Drill, error) {
	x := beginDrill()
	work, err := e.scratch(ctx)
	if err != nil {
		return x.d, err
	}
	var c Copy
	x.step("find the newest backup", func() (string, error) {
		var err error
		c, err = e.find(Target{})
		x.d.Copy = c.Name
		if err == nil {
			err = e.room(c, e.o.Dir)
		}
		return c.Name, err
	})
	x.step("restore and verify", func() (string, error) {
		return knowledge.Count(c.Seq, "change", "changes") + " verified", e.bring(ctx, c, work.dir, progress)
	})
	x.d.RTO = Seconds(time.Since(x.began).Seconds())
	x.step("compare with the live documents",
		func() (string, error) { return e.compare(ctx, work.path(e.o.File)) })
	x.step("find its end in the live log", func() (string, error) {
		if e.o.Database == nil {
			return nothingLive, nil
		}
		return sameHistory(ctx, e.o.Database, c.Seq, c.Chain)
	})
	x.d.RPO = Seconds(x.began.Sub(c.At.Time).Seconds())
	if err := work.remove(); err != nil {
		x.err = errors.Join(x.err, err)
	}
	return x.end(e.o.Dir)
}

// nothingLive is the result of a step that has no live database.
const nothingLive = "there is none to compare with"

// compare compares a sample of a restored database with the live one.
func (e *Embedded) compare(ctx context.Context, path string) (_ string, err error) {
	if e.o.Database == nil || e.o.Open == nil {
		return nothingLive, nil
	}
	r, done, err := e.o.Open(ctx, path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, done()) }()
	return sample(ctx, r, e.o.Database)
}

// A feed is a log of changes.
type feed interface {
	Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error)
}

// sameHistory looks up the last change of a copy in the live log: a database without it has lost writes, or is another
// one.
func sameHistory(ctx context.Context, live feed, seq knowledge.Seq, chain string) (string, error) {
	if seq == 0 {
		return "it holds no changes", nil
	}
	list, err := live.Changes(ctx, knowledge.ChangeQuery{After: seq - 1, Limit: 1})
	switch {
	case errors.Is(err, store.ErrGone):
		return fmt.Sprintf("the log no longer reaches back to change %d", seq), nil
	case err != nil:
		return "", err
	case len(list) == 0 || list[0].Seq != seq:
		return "", fmt.Errorf("the database does not have change %d, which the backup holds: the database has "+
			"lost writes", seq)
	case hex.EncodeToString(list[0].Chain[:]) != chain:
		return "", fmt.Errorf("change %d is another one in the database than in the backup: they have parted", seq)
	}
	return fmt.Sprintf("change %d is in it", seq), nil
}

// sample compares documents of a restored database with the live ones: the same version must have the same bytes, and
// no restored document may be newer than the live one.
func sample(ctx context.Context, restored, live store.Reader) (string, error) {
	equal := 0
	for _, kind := range knowledge.Kinds() {
		page, err := restored.List(ctx, knowledge.Query{Kind: kind, Limit: drillSample})
		if err != nil {
			return "", err
		}
		for _, then := range page.Records {
			now, err := live.Get(ctx, then.Key)
			switch {
			case errors.Is(err, store.ErrNotFound):
				continue // purged since then
			case err != nil:
				return "", err
			case then.Version > now.Version:
				return "", fmt.Errorf("%s is at version %d in the backup and at %d in the database: the database "+
					"has lost writes", then.Key, then.Version, now.Version)
			case then.Version == now.Version && !bytes.Equal(then.JSON, now.JSON):
				if erased, err := erasedSince(ctx, live, now); err != nil || erased {
					if err != nil {
						return "", err
					}
					continue
				}
				return "", fmt.Errorf("%s, version %d, is another document in the backup than in the database",
					then.Key, then.Version)
			case then.Version == now.Version:
				equal++
			}
		}
	}
	return knowledge.Count(equal, "document is", "documents are") + " equal", nil
}

// erasedSince reports whether a person was later erased from this version of a document.
func erasedSince(ctx context.Context, live store.Reader, now *knowledge.Record) (bool, error) {
	log, ok := live.(store.Feed)
	if !ok {
		return false, nil
	}
	list, err := log.Changes(ctx, knowledge.ChangeQuery{Key: now.Key, Version: now.Version, Limit: 1})
	return len(list) > 0 && list[0].Erased != "", err
}

// keepDrill writes the result of a drill into a directory.
func keepDrill(dir string, d Drill) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, drillFile)
	if err := writeSynced(path+".part", append(text, '\n')); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// LastDrill implements [Engine].
func (e *Embedded) LastDrill() (*Drill, error) { return readDrill(e.o.Dir) }

// readDrill returns the result of the last drill; nil if there was none.
func readDrill(dir string) (*Drill, error) {
	data, err := os.ReadFile(filepath.Join(dir, drillFile)) //nolint:gosec // the operator names the directory
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var d Drill
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("read the last drill's result: %w", err)
	}
	return &d, nil
}
