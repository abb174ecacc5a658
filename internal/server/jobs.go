package server

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/upkeep"
)

// Upkeep configures the scheduled jobs. Zero values select the defaults.
type Upkeep struct {
	Schedules    []string      `name:"schedule" doc:"Schedule of a job, as in \"backup.full=0 2 * * *\": five fields of cron in UTC; nothing after the = switches the schedule off. May be given several times"`
	Window       string        `name:"maintenance-window" doc:"When heavy jobs may start, in UTC, as in \"first sunday 03:00-05:00\"; always when empty"`
	ArchiveAfter time.Duration `name:"archive-after" default:"17520h" least:"1" doc:"How long a retired document stays where it is; then the job retention.archive moves it to the archive"`
	RetainAudit  time.Duration `name:"retain-audit" default:"9600h" least:"1" doc:"How long the audit and the history of jobs are kept; PostgreSQL drops the audit by whole months"`
	AuditReads   bool          `name:"audit-reads" words:"off,all" default:"off" doc:"Whether the audit tells who read which document, list or search, when and by which door, and who signed in: off or all"`
	RetainLog    time.Duration `name:"retain-log" default:"0s" doc:"How long changes are kept, and no shorter than retain-audit; 0 for ever. While there are labels in use none is removed"`
}

// day is the unit of retention.
const day = 24 * time.Hour

// newKeeper returns the keeper that runs the jobs.
func (p *parts) newKeeper(o Options, end func(store.Run)) (*upkeep.Keeper, error) {
	window, err := upkeep.ParseWindow(o.Upkeep.Window)
	if err != nil {
		return nil, fmt.Errorf("maintenance window: %w", err)
	}
	own, err := p.engine.jobs(o)
	if err != nil {
		return nil, err
	}
	jobs := append(p.jobs(o), own...)
	schedules, err := o.Upkeep.schedules()
	if err != nil {
		return nil, err
	}
	for name, schedule := range schedules {
		i := slices.IndexFunc(jobs, func(j upkeep.Job) bool { return j.Name == name })
		if i < 0 {
			return nil, unknownJob(name, jobs)
		}
		jobs[i].Schedule = schedule
	}
	shared, local := p.engine.runBooks()
	return upkeep.New(upkeep.Options{
		Jobs: jobs, Shared: shared, Local: local, Alone: local == nil, Window: window, Instance: instanceName(),
		Ended: end, Log: o.Log,
	})
}

func unknownJob(name string, jobs []upkeep.Job) error {
	names := make([]string, len(jobs))
	for i := range jobs {
		names[i] = jobs[i].Name
	}
	hint := "there are " + strings.Join(names, ", ")
	if near := knowledge.Nearest(name, slices.Values(names)); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return fmt.Errorf("schedule of job %q: there is no such job: %s", name, hint)
}

// instanceName tells the instances of a database apart, and one process from the next on the same machine.
func instanceName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// jobs describes all scheduled jobs.
func (p *parts) jobs(o Options) []upkeep.Job {
	list := []upkeep.Job{
		{
			Name: "retention.archive", Schedule: "20 3 * * *", Book: upkeep.Shared,
			Doc: "Moves documents that were retired long ago to the archive, out of lists, searches and copies; tenet restore brings one back",
			Do: func(ctx context.Context, progress *upkeep.Progress) (string, error) {
				return upkeep.Archive(ctx, p.engine, knowledge.At(time.Now().Add(-o.Upkeep.ArchiveAfter)),
					access.SystemID, progress)
			},
		},
		{
			Name: "retention.log", Schedule: "30 3 * * *", Book: upkeep.Shared,
			Doc: "Removes entries of the audit and runs of jobs that are older than their retention; changes too, where a retention of the log is set",
			Do:  func(ctx context.Context, _ *upkeep.Progress) (string, error) { return p.retain(ctx, o.Upkeep) },
		},
		{
			Name: "maintenance.optimize", Schedule: "0 4 * * 0", Book: upkeep.Shared, Heavy: true,
			Doc: "Brings the statistics that the query planner uses up to date, and gives back space that is no longer used",
			Do:  func(ctx context.Context, _ *upkeep.Progress) (string, error) { return p.engine.maintain(ctx) },
		},
		{
			Name: "log.head", Schedule: "0 * * * *", Book: upkeep.Shared,
			Doc: "Checks that the triggers on the log of changes in the database are there and that its schema is that of the migrations, and notes the head of the log: in tenet's own log, and in the history of this job",
			Do:  p.noteHead,
		},
		{
			Name: "log.verify", Schedule: "0 5 * * 0", Book: upkeep.Shared, Heavy: true,
			Doc: "Verifies the whole log of changes, as `tenet doctor changes` does",
			Do:  p.verifyLog,
		},
		{
			Name: "documents.check", Schedule: "30 5 * * 0", Book: upkeep.Shared, Heavy: true,
			Doc: "Looks for documents that were written past tenet and that it would refuse, as `tenet doctor documents` does",
			Do:  p.checkDocuments,
		},
	}
	list = append(list, p.searchJob(), upkeep.Job{
		Name: "audit.verify", Schedule: "20 5 * * 0", Book: upkeep.Shared, Heavy: true,
		Doc: "Verifies the audit, who was refused and who read what, as `tenet doctor audit` does",
		Do:  p.verifyAudit,
	}, upkeep.Job{
		Name: "fleet.look", Schedule: "*/15 * * * *", Book: upkeep.Shared,
		Doc: "Works out how every repository stands to what it takes: which are behind by now, and which are silent",
		Do:  p.fleet.Look,
	}, upkeep.Job{
		Name: "effect.work", Schedule: "10 2 * * *", Book: upkeep.Shared,
		Doc: "Works out from the counts of the last 180 days what rules and practices do, and which are dead, noisy or were never served",
		Do:  p.effects.Work,
	})
	list = append(list, upkeep.Job{
		Name: "erasure.again", Schedule: "40 3 * * *", Book: upkeep.Shared,
		Doc: "Looks everywhere for people who were erased, and erases again what has come in since",
		Do:  func(ctx context.Context, _ *upkeep.Progress) (string, error) { return p.sweepErased(ctx) },
	})
	list = append(list, p.reportJobs()...)
	if p.backups != nil {
		list = append(list, backupJobs(p.backups, func(at knowledge.Time) { p.archivedAt.Store(max(0, at.Unix())) })...)
	}
	return list
}

// retain removes what is older than its retention.
func (p *parts) retain(ctx context.Context, u Upkeep) (string, error) {
	audit, now := u.RetainAudit, time.Now()
	shared, local := p.engine.runBooks()
	runs, err := shared.ForgetRuns(ctx, knowledge.At(now.Add(-audit)))
	if err != nil {
		return "", err
	}
	if local != nil {
		n, err := local.ForgetRuns(ctx, knowledge.At(now.Add(-audit)))
		if err != nil {
			return "", err
		}
		runs += n
	}
	// Retain removes entries of the audit before a time together with changes; where the log is kept whole, no change
	// is old enough.
	if _, err := p.engine.retain(ctx, knowledge.At(now.Add(-audit)), math.MaxInt64); err != nil {
		return "", err
	}
	changes := int64(0)
	if u.RetainLog > 0 {
		labels, err := labelsInUse(ctx, p.engine)
		if err != nil {
			return "", err
		}
		if len(labels) > 0 {
			return fmt.Sprintf("%s removed; the log is kept whole for its labels: %s",
				knowledge.Count(runs, "run", "runs"), strings.Join(labels, ", ")), nil
		}
		if changes, err = p.engine.retain(ctx, knowledge.At(now.Add(-max(u.RetainLog, audit))), 1); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s and %s removed", knowledge.Count(runs, "run", "runs"),
		knowledge.Count(changes, "change", "changes")), nil
}

// labelsInUse returns the ids of the labels that are in use. Each shows documents as old changes left them, also those
// of documents that nobody has changed since, so that no part of the log can go without taking what some label shows.
func labelsInUse(ctx context.Context, s store.Reader) ([]string, error) {
	var ids []string
	err := store.All(ctx, s, knowledge.Query{
		Kind:  knowledge.KindLabel,
		Order: knowledge.OrderID,
	}, func(r *knowledge.Record) error {
		ids = append(ids, r.Key.ID)
		return nil
	})
	return ids, err
}

// headOf returns the head of the log, as `tenet doctor changes --head` reads it; "" for an empty log.
func headOf(ctx context.Context, e store.Feed) (string, error) {
	list, err := e.Changes(ctx, knowledge.ChangeQuery{Newest: true, Limit: 1})
	if err != nil || len(list) == 0 {
		return "", err
	}
	return fmt.Sprintf("%d-%x", list[0].Seq, list[0].Chain), nil
}

// noteHead writes the head of the log where a forger of the database does not reach.
func (p *parts) noteHead(ctx context.Context, _ *upkeep.Progress) (string, error) {
	if err := p.engine.guards(ctx); err != nil {
		return "", err
	}
	drift := ""
	if list := warnOfDrift(ctx, p.log, p.engine); len(list) > 0 {
		drift = "; " + driftText(list)
	}
	if d, ok := p.engine.(*dual); ok {
		if there := answering(d); there != nil {
			drift += warnOfExposure(ctx, p.log, there)
		}
	}
	head, err := headOf(ctx, p.engine)
	if err != nil || head == "" {
		return "the log is empty" + drift, err
	}
	p.log.LogAttrs(ctx, slog.LevelInfo, "head of the log", slog.String("head", head))
	return "head " + head + drift, nil
}

// verifyLog verifies the log of changes.
func (p *parts) verifyLog(ctx context.Context, progress *upkeep.Progress) (string, error) {
	var verified knowledge.Seq
	err := p.engine.VerifyChanges(ctx, func(done, last knowledge.Seq) {
		verified = done
		progress.Set(int64(done), int64(last))
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("verified up to change %d", verified), nil
}

// verifyAudit verifies the audit.
func (p *parts) verifyAudit(ctx context.Context, progress *upkeep.Progress) (string, error) {
	head, err := p.engine.auditBook().Verify(ctx, progress.Set)
	if err != nil {
		return "", err
	}
	p.log.LogAttrs(ctx, slog.LevelInfo, "head of the audit", slog.String("head", head.String()))
	return fmt.Sprintf("verified %s; head %s", knowledge.Count(head.Seq, "entry", "entries"), head), nil
}

// jobMetrics are what a scrape learns of the jobs.
type jobMetrics struct {
	success, duration *prometheus.GaugeVec
	failures          *prometheus.CounterVec
}

func newJobMetrics(reg prometheus.Registerer) *jobMetrics {
	label := []string{"job"}
	m := &jobMetrics{
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tenet_job_last_success_timestamp_seconds",
			Help: "When a run of the job last succeeded on this instance; old means that it fails or does not " +
				"run here.",
		}, label),
		duration: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tenet_job_duration_seconds",
			Help: "How long the last run of the job on this instance took; growing means that its work grows.",
		}, label),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenet_job_failures_total",
			Help: "Runs of the job that failed on this instance; any increase needs a look at `tenet jobs history`.",
		}, label),
	}
	reg.MustRegister(m.success, m.duration, m.failures)
	return m
}

// ended notes the end of a run.
func (m *jobMetrics) ended(r store.Run) {
	m.duration.WithLabelValues(r.Job).Set(r.Took().Seconds())
	if r.State == store.RunDone {
		m.success.WithLabelValues(r.Job).Set(float64(r.Ended.UnixMilli()) / 1000)
		return
	}
	m.failures.WithLabelValues(r.Job).Inc()
}

// schedules returns the schedules that replace those of jobs, by the jobs' names; "" switches one off.
func (u Upkeep) schedules() (map[string]string, error) {
	schedules := map[string]string{}
	for _, text := range u.Schedules {
		name, schedule, ok := strings.Cut(text, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fmt.Errorf("%q: want the name of a job and its schedule, as in \"backup.full=0 2 * * *\"", text)
		}
		schedules[name] = strings.TrimSpace(schedule)
	}
	return schedules, nil
}
