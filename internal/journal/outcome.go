package journal

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
)

// An outcome is what a row says of how its batch was settled.
type outcome struct {
	seq      int64
	id       []byte
	state    string
	at       *int64  // micros
	change   *int64  // at the primary; of an applied batch
	versions *string // of an applied batch
	sum      []byte
}

// digest returns the checksum of an outcome. It covers the batch's id and place, so that no other row can have it.
func (o *outcome) digest() []byte {
	columns := []any{o.seq, o.id, o.state, nil, nil, nil}
	if o.at != nil {
		columns[3] = *o.at
	}
	if o.change != nil {
		columns[4] = *o.change
	}
	if o.versions != nil {
		columns[5] = *o.versions
	}
	return sumOf(columns)
}

// likely reports whether an outcome has what a program writes with it that knew of no checksums.
func (o *outcome) likely() bool {
	return o.at != nil && (o.state == knowledge.BatchResolved || o.change != nil)
}

// outcomesSQL finds the batches that wait no longer. A parked one has a row of its own, for the person who decides.
const outcomesSQL = "SELECT e.seq, e.id, e.state, e.settled_at, e.primary_seq, e.versions, e.outcome_sum " +
	"FROM entries e LEFT JOIN parked p ON p.seq = e.seq WHERE e.state IN ('applied', 'resolved') OR " +
	"e.state = 'parked' AND p.seq IS NULL ORDER BY e.seq"

func scanOutcome(r *sql.Rows) (o outcome, err error) {
	return o, r.Scan(&o.seq, &o.id, &o.state, &o.at, &o.change, &o.versions, &o.sum)
}

// A finding finds batches that somebody has marked as settled by hand.
type finding struct {
	unsummed bool // the journal is one of a program that gave outcomes no checksums
	found    []outcome
}

// row looks at a row of outcomesSQL.
func (f *finding) row(r *sql.Rows) error {
	o, err := scanOutcome(r)
	if err == nil && (o.state == knowledge.BatchParked || f.unsummed && !o.likely() ||
		!f.unsummed && !bytes.Equal(o.sum, o.digest())) {
		f.found = append(f.found, o)
	}
	return err
}

// holds reports whether the batch of a place is one of them.
func (f *finding) holds(seq int64) bool {
	return slices.ContainsFunc(f.found, func(o outcome) bool { return o.seq == seq })
}

// seqs returns the places of the batches, as JSON.
func (f *finding) seqs() string {
	list := make([]int64, len(f.found))
	for i := range f.found {
		list[i] = f.found[i].seq
	}
	text, _ := json.Marshal(list)
	return string(text)
}

// requeue lets the batches wait again that somebody has marked as settled by hand, for the primary or for a person. One
// that the primary has applied is not applied twice.
func (j *Journal) requeue(ctx context.Context) error {
	var found finding
	err := j.file.Read(ctx, "journal.outcomes", outcomesSQL, nil, found.row)
	if err != nil || len(found.found) == 0 { // a full disk takes no write, not even one of nothing
		return err
	}
	j.requeued = int64(len(found.found))
	return j.file.Write(ctx, "journal.requeue", func(ctx context.Context, t *sqlite.Tx) error {
		err := t.Exec(ctx, "UPDATE parked SET resolution = '', resolved_by = '', resolved_at = NULL, resolved_as = NULL "+
			"WHERE seq IN (SELECT value FROM json_each(?))", found.seqs())
		if err != nil {
			return err
		}
		return t.Exec(ctx, "UPDATE entries SET state = iif(seq IN (SELECT seq FROM parked), 'parked', 'queued'), "+
			"settled_at = NULL, primary_seq = NULL, versions = NULL, outcome_sum = NULL "+
			"WHERE seq IN (SELECT value FROM json_each(?))", found.seqs())
	})
}

// Requeued returns how many batches were marked as settled by hand when the journal was opened, and wait again.
func (j *Journal) Requeued() int64 { return j.requeued }

// settled writes the outcome of a batch, with its checksum.
func settled(ctx context.Context, t *sqlite.Tx, o *outcome) error {
	return t.Exec(ctx, "UPDATE entries SET state = ?, settled_at = ?, primary_seq = ?, versions = ?, outcome_sum = ? "+
		"WHERE seq = ?", o.state, o.at, o.change, o.versions, o.digest(), o.seq)
}

// sumOutcomes gives the outcomes their checksums that a program has written which knew of none.
func (j *Journal) sumOutcomes(ctx context.Context) error {
	var old []outcome
	err := j.file.Read(ctx, "journal.outcomes", outcomesSQL, nil, func(r *sql.Rows) error {
		o, err := scanOutcome(r)
		if err == nil && o.state != knowledge.BatchParked && o.likely() {
			old = append(old, o)
		}
		return err
	})
	if err != nil || len(old) == 0 {
		return err
	}
	return j.file.Write(ctx, "journal.outcomes", func(ctx context.Context, t *sqlite.Tx) error {
		for i := range old {
			if err := settled(ctx, t, &old[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// withoutSums reports whether the journal at path is one of a program that gave outcomes no checksums.
func withoutSums(ctx context.Context, path string) (without bool, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	err = sqlite.ReadFile(ctx, path, func(read sqlite.Reads) error {
		return read("SELECT count(*) > 0 AND sum(name = 'outcome_sum') = 0 FROM pragma_table_info('entries')", nil,
			func(r *sql.Rows) error {
				var is *bool
				err := r.Scan(&is)
				without = is != nil && *is
				return err
			})
	})
	return without, err
}
