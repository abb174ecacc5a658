package erasure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// File is the name of the ledger in a directory.
const File = "erasures.ledger"

// A Ledger records who was erased and what was purged. It is kept beside the data, and beside the backups, so that it
// can be applied to an old state of the data. It contains no names.
type Ledger struct {
	// People holds the erasures by pseudonym.
	People map[string]knowledge.Erasure `json:"people"`
	// Purged maps a document, as kind/id, to the version of its purge.
	Purged map[string]int64 `json:"purged"`
	// Seq and Chain are the position in the log up to which names were searched.
	Seq   knowledge.Seq `json:"seq"`
	Chain []byte        `json:"chain,omitempty"`
}

func newLedger() *Ledger {
	return &Ledger{People: map[string]knowledge.Erasure{}, Purged: map[string]int64{}}
}

// ReadLedger reads the ledger of a directory; an empty one if it is missing.
func ReadLedger(dir string) (*Ledger, error) {
	l := newLedger()
	data, err := os.ReadFile(filepath.Join(dir, File)) //nolint:gosec // of a directory that the operator names
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(data, l)
	}
	if err != nil {
		return nil, fmt.Errorf("read the ledger of erasures %s: %w; compare with that of another instance or of the "+
			"backups, and put it right, since without it a "+
			"restored backup would bring names back", filepath.Join(dir, File), err)
	}
	if l.People == nil || l.Purged == nil {
		full := newLedger()
		full.merge(l)
		l = full
	}
	return l, nil
}

// Empty reports whether the ledger is empty.
func (l *Ledger) Empty() bool { return len(l.People) == 0 && len(l.Purged) == 0 }

// merge adds the entries of another ledger.
func (l *Ledger) merge(o *Ledger) {
	maps.Copy(l.People, o.People)
	for key, version := range o.Purged {
		l.Purged[key] = max(l.Purged[key], version)
	}
	// A principal that was purged before it was erased is in Purged by its key.
	maps.DeleteFunc(l.Purged, func(text string, _ int64) bool {
		key, err := knowledge.ParseKey(text)
		return err == nil && key.Kind == knowledge.KindPrincipal && l.isPerson(key.ID)
	})
}

// isPerson reports whether an id belongs to an erased person.
func (l *Ledger) isPerson(id string) bool {
	for _, person := range l.People {
		if person.IsID(id) {
			return true
		}
	}
	return false
}

// Write writes the ledger into a directory atomically, and keeps the previous one.
func (l *Ledger) Write(dir string) (err error) {
	there, err := ReadLedger(dir)
	if err != nil {
		return err
	}
	there.merge(l)
	l.merge(there)
	there.Seq, there.Chain = l.Seq, l.Chain
	data, err := json.MarshalIndent(there, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the ledger of erasures: %w", err)
	}
	path := filepath.Join(dir, File)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // beside the data
	if err != nil {
		return fmt.Errorf("write the ledger of erasures: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("write the ledger of erasures: %w", err)
	}
	return nil
}

// place returns the position in the log.
func (l *Ledger) place() store.Place {
	at := store.Place{Seq: l.Seq, Known: len(l.Chain) == 32}
	copy(at.Chain[:], l.Chain)
	return at
}
