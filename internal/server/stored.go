package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/upkeep"
)

// Bounds of a look at the stored documents: of one read, and of what is told.
const (
	storedPage  = 100
	maxStored   = 200
	storedBytes = 16 << 10
)

// A StoredReport tells which stored documents tenet would refuse.
type StoredReport struct {
	Documents int64 `json:"documents"` // how many were looked at
	// a line for each: the document, the field, what is wrong and what would be right
	Faults []string `json:"faults"`
	More   int64    `json:"more"` // faults beyond those that are told

	told int // bytes of the faults
}

// fault notes what is wrong with a document.
func (r *StoredReport) fault(key knowledge.Key, why string) {
	name := key.String()
	if knowledge.TextFault(name) != "" {
		name = strconv.QuoteToASCII(name)
	}
	line := name + ": " + why
	if r.told += len(line); len(r.Faults) >= maxStored || r.told > storedBytes {
		r.More++
		return
	}
	r.Faults = append(r.Faults, line)
}

// FoundInvalid is what the error of the job begins with where it has found something; a line for each fault follows.
const FoundInvalid = "documents that tenet would refuse:\n"

// Err returns what is wrong as an error; nil where nothing is.
func (r *StoredReport) Err() error {
	if len(r.Faults) == 0 {
		return nil
	}
	text := FoundInvalid + strings.Join(r.Faults, "\n")
	if r.More > 0 {
		text += fmt.Sprintf("\nand %d more", r.More)
	}
	return errors.New(text)
}

// checkStored validates every stored document as a write of it would be, page by page, and looks for tokens that open
// two principals.
func checkStored(ctx context.Context, e engine, progress func(done int64)) (*StoredReport, error) {
	r := &StoredReport{Faults: []string{}}
	holders := map[string]knowledge.Key{} // by the hash of their token
	for _, kind := range knowledge.Kinds() {
		for after, n := "", storedPage; n == storedPage; {
			var err error
			n, err = e.eachStored(ctx, kind, after, storedPage, func(id string, row []byte) {
				after = id
				r.look(knowledge.Key{Kind: kind, ID: id}, row, holders)
			})
			if err != nil {
				return nil, err
			}
			progress(r.Documents)
		}
	}
	return r, nil
}

func (r *StoredReport) look(key knowledge.Key, row []byte, holders map[string]knowledge.Key) {
	r.Documents++
	if err := knowledge.CheckStored(key.Kind, row); err != nil {
		for _, line := range knowledge.Lines(err) {
			r.fault(key, line)
		}
	}
	if key.Kind != knowledge.KindPrincipal {
		return
	}
	var p knowledge.Principal
	// an erased person has no token
	if err := json.Unmarshal(row, &p); err != nil || p.TokenHash == "" || p.Erasure != nil {
		return
	}
	if first, twice := holders[p.TokenHash]; twice {
		r.fault(key, fmt.Sprintf("/token_hash: it is the hash of the token of %s too, which the token opens: give "+
			"this one another, with "+
			"`tenet token rotate %s`", first, key.ID))
		return
	}
	holders[p.TokenHash] = key
}

// CheckDocuments looks for stored documents that tenet would refuse: what was written past it.
func (l *Local) CheckDocuments(ctx context.Context, progress func(done int64)) (*StoredReport, error) {
	return checkStored(ctx, l.engine, progress)
}

// checkDocuments is the job that does so.
func (p *parts) checkDocuments(ctx context.Context, progress *upkeep.Progress) (string, error) {
	r, err := checkStored(ctx, p.engine, func(done int64) { progress.Set(done, 0) })
	if err != nil {
		return "", err
	}
	if err := r.Err(); err != nil {
		return "", err
	}
	return knowledge.Count(r.Documents, "document is as tenet would take it",
		"documents are as tenet would take them"), nil
}

func (e *embedded) eachStored(ctx context.Context, kind knowledge.Kind, after string, limit int,
	each func(id string, row []byte),
) (int, error) {
	return sqlite.EachStored(ctx, e.Store, kind, after, limit, each)
}

func (p *primary) eachStored(ctx context.Context, kind knowledge.Kind, after string, limit int,
	each func(id string, row []byte),
) (int, error) {
	return postgres.EachStored(ctx, p.Store, kind, after, limit, each)
}

func (d *dual) eachStored(ctx context.Context, kind knowledge.Kind, after string, limit int,
	each func(id string, row []byte),
) (int, error) {
	p := d.primary.Load()
	if p == nil {
		return 0, d.errAway()
	}
	return p.eachStored(ctx, kind, after, limit, each)
}
