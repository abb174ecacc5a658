package backup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenet/internal/knowledge"
)

// Check implements [Engine]: pgBackRest reads every file of the repository, and what it does not notice is looked for
// here: WAL that is missing in the middle, a backup without its manifest, a newest full backup that is too old.
func (e *PgBackRest) Check(ctx context.Context) (Report, error) {
	r := Report{Faults: []string{}}
	s, err := e.info(ctx)
	if errors.Is(err, ErrDamaged) {
		r.Faults = append(r.Faults, err.Error())
		return r, nil
	}
	if err != nil {
		return r, err
	}
	strays, err := e.strays(ctx, s)
	if err != nil {
		return r, err
	}
	r.Faults = append(r.Faults, strays...)
	r.Copies = len(s.Backup)
	if r.Copies == 0 {
		r.Faults = append(r.Faults, "there is no backup: "+s.Status.Message)
		return r, nil
	}
	r.Newest = s.copyOf(&s.Backup[r.Copies-1]).At
	r.Faults = append(r.Faults, s.faults(e.o.MaxAge)...)
	w, err := e.wal(ctx, s)
	if err != nil {
		return r, err
	}
	r.Faults = append(r.Faults, w.continuity(s)...)
	for _, find := range []func() ([]string, error){
		func() ([]string, error) { return e.verify(ctx) },
		func() ([]string, error) { return e.manifests(ctx, s) },
		func() ([]string, error) { return e.archiving(ctx, w) },
	} {
		faults, err := find()
		if err != nil {
			return r, err
		}
		r.Faults = append(r.Faults, faults...)
	}
	return r, nil
}

// faults returns the faults that pgBackRest's own catalogue reports.
func (s *stanza) faults(maxAge time.Duration) (faults []string) {
	newest := time.Time{}
	for i := range s.Backup {
		b := &s.Backup[i]
		if b.Error {
			faults = append(faults, fmt.Sprintf(
				"backup %s holds pages whose checksum did not fit when it was made: PostgreSQL's own data is damaged; "+
					"`pg_amcheck --all` says where", b.Label))
		}
		if b.Type == "full" {
			newest = time.Unix(b.Timestamp.Stop, 0)
		}
	}
	if age := time.Since(newest); newest.IsZero() {
		faults = append(faults, "there is no full backup")
	} else if age < -clockSlack {
		faults = append(faults, fmt.Sprintf("the newest full backup is of %s, which is yet to come: a clock is or was "+
			"wrong", newest.UTC().Format(time.RFC3339)))
	} else if age > maxAge {
		faults = append(faults, fmt.Sprintf("the newest full backup is %s old: at most %s is allowed",
			age.Round(time.Minute), maxAge))
	}
	return faults
}

// verify makes pgBackRest read every file. Its exit code is always 0; only its output counts, which is empty for an
// undamaged repository.
func (e *PgBackRest) verify(ctx context.Context) ([]string, error) {
	out, err := e.call(ctx, "verify", "--output=text", "--job-retry=1")
	if err != nil {
		return nil, err
	}
	return verifyFaults(out), nil
}

// verifyFaults parses the output of `pgbackrest verify`. Unknown lines count as faults.
func verifyFaults(out []byte) (faults []string) {
	subject, bad := "", false
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "", strings.HasPrefix(line, "stanza:"), line == "status: ok", line == noFaults:
		case line == "status: error":
			subject, bad = "the repository", true
		case strings.HasPrefix(line, "backup: "), strings.HasPrefix(line, "archiveId: "):
			subject = line
		default:
			faults = append(faults, fmt.Sprintf("%s: %s", or(subject, "pgbackrest verify"), line))
		}
	}
	if bad && len(faults) == 0 {
		faults = append(faults, "pgbackrest verify finds fault and does not say which")
	}
	return faults
}

// noFaults is the output of `pgbackrest verify` for an undamaged backup.
const noFaults = "missing: 0, checksum invalid: 0, size invalid: 0, other: 0"

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// entry is a file of a repository.
type entry struct {
	Type string `json:"type"`
	Size int64  `json:"size"`
	Time int64  `json:"time"`
}

func (e *PgBackRest) files(ctx context.Context, dir string, args ...string) (map[string]entry, error) {
	out, err := e.call(ctx, append([]string{"repo-ls", "--output=json", dir}, args...)...)
	if err != nil {
		return nil, err
	}
	var list map[string]entry
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("pgbackrest repo-ls answers with something else than JSON: %w", err)
	}
	return list, nil
}

// manifests finds backups without a manifest, which can't be restored: info and verify do not report these.
func (e *PgBackRest) manifests(ctx context.Context, s *stanza) (faults []string, err error) {
	for i := range s.Backup {
		label := s.Backup[i].Label
		list, err := e.files(ctx, path.Join("backup", e.o.Stanza, label), `--filter=^backup\.manifest`)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			faults = append(faults, fmt.Sprintf("backup %s has lost its manifest and can't be restored", label))
		}
	}
	return faults, nil
}

// labelName matches the directory of a backup.
var labelName = compiled(`^[0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?$`)

// strays finds backups that are whole in the repository and that its index does not name, as when an older one was put
// in its place. One that is being made has no manifest yet, but its copy.
func (e *PgBackRest) strays(ctx context.Context, s *stanza) (faults []string, err error) {
	dir := path.Join("backup", e.o.Stanza)
	list, err := e.files(ctx, dir)
	if err != nil {
		return nil, err
	}
	for _, label := range slices.Sorted(maps.Keys(list)) {
		if !labelName().MatchString(label) || slices.ContainsFunc(s.Backup, func(b restBackup) bool { return b.Label == label }) {
			continue
		}
		manifest, err := e.files(ctx, path.Join(dir, label), `--filter=^backup\.manifest$`)
		if err != nil {
			return nil, err
		}
		if len(manifest) > 0 {
			faults = append(faults, fmt.Sprintf("backup %s is in the repository, and its index does not name it, so it is "+
				"neither restored nor expires: put the newest backup.info and backup.info.copy back, or remove it", label))
		}
	}
	return faults, nil
}

// segmentName matches a WAL segment in an archive: timeline, log and segment, and its checksum.
var segmentName = compiled(`^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})-[0-9a-f]{40}`)

// wal describes the WAL in an archive.
type wal struct {
	have   map[int64]string // by position, the newest timeline's segment
	began  map[string]int64 // by timeline, its first position
	newest int64
	at     time.Time // archive time of the newest one
	perLog int64     // segments of each log
}

// defaultSegment is the size of a WAL segment if none is given.
const defaultSegment = 16 << 20

// wal lists the WAL of the archive.
func (e *PgBackRest) wal(ctx context.Context, s *stanza) (*wal, error) {
	size := int64(defaultSegment)
	if e.o.Cluster != nil {
		if a, err := e.o.Cluster.Archiving(ctx); err == nil && a.SegmentBytes > 0 {
			size = a.SegmentBytes
		}
	}
	w := &wal{have: map[int64]string{}, began: map[string]int64{}, perLog: (1 << 32) / size, newest: -1}
	if len(s.Archive) == 0 {
		return w, nil
	}
	list, err := e.files(ctx, path.Join("archive", e.o.Stanza, s.Archive[len(s.Archive)-1].ID), "--recurse")
	if err != nil {
		return nil, err
	}
	line := "" // the newest timeline
	for name, f := range list {
		m := segmentName().FindStringSubmatch(path.Base(name))
		if m == nil || f.Type != "file" {
			continue
		}
		n := w.position(m[0])
		if m[0][:24] > w.have[n] {
			w.have[n] = m[0][:24]
		}
		if first, ok := w.began[m[1]]; !ok || n < first {
			w.began[m[1]] = n
		}
		// What was archived beyond a restore to a time, of the history that was left, comes before the newest.
		if m[1] > line || m[1] == line && n > w.newest {
			line, w.newest, w.at = m[1], n, time.Unix(f.Time, 0)
		}
	}
	return w, nil
}

// position returns the number of a segment since the cluster's creation, on any timeline.
func (w *wal) position(segment string) int64 {
	if len(segment) < 24 {
		return -1
	}
	log, err1 := strconv.ParseInt(segment[8:16], 16, 64)
	seg, err2 := strconv.ParseInt(segment[16:24], 16, 64)
	if err1 != nil || err2 != nil {
		return -1
	}
	return log*w.perLog + seg
}

// name returns the name of a segment without its timeline, for messages.
func (w *wal) name(position int64) string {
	return fmt.Sprintf("…%08X%08X", position/w.perLog, position%w.perLog)
}

// missing returns the positions that the archive lacks between two, including the last.
// A segment of a timeline that was left, as by a restore to a time, stands for none of a later one.
func (w *wal) missing(from, to int64) (list []int64) {
	for n := from; n <= to; n++ {
		if w.have[n] == "" || w.have[n][:8] < w.timeline(n) {
			list = append(list, n)
		}
	}
	return list
}

// timeline returns the newest timeline that has begun at a position.
func (w *wal) timeline(position int64) (newest string) {
	for line, first := range w.began {
		if first <= position {
			newest = max(newest, line)
		}
	}
	return newest
}

// describe lists missing segments.
func (w *wal) describe(missing []int64) string {
	if len(missing) == 1 {
		return "WAL segment " + w.name(missing[0]) + " is missing from the archive"
	}
	return fmt.Sprintf("%d WAL segments are missing from the archive, the first is %s", len(missing),
		w.name(missing[0]))
}

// continuity finds gaps in the WAL: pgBackRest's verify, check and info report none, and a restore silently ends there.
func (w *wal) continuity(s *stanza) []string {
	if len(s.Backup) == 0 {
		return nil
	}
	from, to := w.position(s.Backup[0].Archive.Start), w.newest
	for i := range s.Backup { // the end of the archive may be gone, which leaves no gap
		to = max(to, w.position(s.Backup[i].Archive.Stop))
	}
	missing := w.missing(from, to)
	if len(missing) == 0 {
		return nil
	}
	within := ""
	for i := range s.Backup {
		b := &s.Backup[i]
		if slices.ContainsFunc(missing, func(n int64) bool {
			return n >= w.position(b.Archive.Start) && n <= w.position(b.Archive.Stop)
		}) {
			within += fmt.Sprintf("; backup %s can't be restored without it", b.Label)
		}
	}
	last := missing[len(missing)-1]
	next := slices.IndexFunc(s.Backup, func(b restBackup) bool { return w.position(b.Archive.Start) > last })
	switch {
	case within != "":
	case next < 0:
		within = "; nothing written after it can be restored before the next backup is made: make one now"
	default:
		within = fmt.Sprintf("; nothing written between it and backup %s can be restored; what was written since can, and "+
			"this fault ends when the backups before have expired", s.Backup[next].Label)
	}
	return []string{w.describe(missing) + within}
}

// archiving checks the running cluster: whether it archives, and how old the newest WAL in the archive is.
func (e *PgBackRest) archiving(ctx context.Context, w *wal) (faults []string, err error) {
	if e.o.Cluster == nil {
		return nil, nil
	}
	a, err := e.o.Cluster.Archiving(ctx)
	if err != nil {
		return nil, err
	}
	if a.Mode == "off" {
		return []string{"PostgreSQL does not archive its WAL (archive_mode is off): run `tenet backup setup " +
			"--write` and restart PostgreSQL"}, nil
	}
	if !strings.Contains(a.Command, "pgbackrest") {
		faults = append(faults, fmt.Sprintf("archive_command is %q, which is not pgBackRest's: run `tenet backup "+
			"setup --write`", a.Command))
	}
	if a.FailedAt.After(a.LastAt) {
		faults = append(faults, fmt.Sprintf("archiving of WAL segment %s failed at %s: PostgreSQL's log says why",
			a.FailedSegment, knowledge.At(a.FailedAt).Format(time.RFC3339)))
	}
	if age := time.Since(w.at); w.newest < 0 {
		faults = append(faults, "the archive holds no WAL")
	} else if age > e.o.MaxWAL {
		faults = append(faults, fmt.Sprintf("the newest WAL in the archive is %s old: at most %s is allowed",
			age.Round(time.Second), e.o.MaxWAL))
	}
	return faults, nil
}

// Watch checks only the WAL, which is quick: whether PostgreSQL archives, and whether the archive has gaps. It returns
// when the newest segment was archived.
func (e *PgBackRest) Watch(ctx context.Context) (newest knowledge.Time, faults []string, err error) {
	s, err := e.info(ctx)
	if err != nil {
		return newest, nil, err
	}
	w, err := e.wal(ctx, s)
	if err != nil {
		return newest, nil, err
	}
	faults, err = e.archiving(ctx, w)
	return knowledge.At(w.at), append(w.continuity(s), faults...), err
}
