package failover_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"tenet/internal/failover"
	"tenet/internal/journal"
	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// instanceEnv makes the test binary be an instance of its own, in a process that can be killed at any moment.
const instanceEnv = "TENET_TEST_INSTANCE"

// A setting says what instance a process is to be.
type setting struct {
	Dir, Journal, URL, Log string
}

// errKilled is what a call hears whose process was killed. What it was to write may have been written.
var errKilled = errors.New("the process was killed")

// Calls of an instance in another process, and their answers.
type (
	question struct {
		Wish     store.Wish
		Key      knowledge.Key
		Query    knowledge.Query
		Search   knowledge.SearchQuery
		Batch    knowledge.BatchID
		Actor    string
		Ops      []writing
		Resolved bool
	}
	writing struct {
		Document  json.RawMessage // of a rule
		IfVersion int64
		IfBatch   knowledge.BatchID
	}
	reply struct {
		Record  *knowledge.Record
		Page    *knowledge.Page
		Hits    *knowledge.Hits
		Receipt knowledge.Receipt
		Batch   knowledge.BatchStatus
		Level   knowledge.Level
		Status  failover.Status
		Parked  []parked
		Err     *failure
	}
	parked struct {
		Batch knowledge.BatchID
		Ours  json.RawMessage
	}
	failure struct {
		Kind, Text string
		NotDone    bool
	}
)

// kinds are the errors that clients tell apart.
func kinds() map[string]error {
	return map[string]error{
		"not found": store.ErrNotFound, "conflict": store.ErrConflict, "reused": store.ErrReused,
		"gone": store.ErrGone,
	}
}

func failureOf(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Text: err.Error()}
	if u, ok := errors.AsType[*store.UnavailableError](err); ok {
		f.Kind, f.NotDone = "unavailable", u.NotDone
		return f
	}
	for kind, is := range kinds() {
		if errors.Is(err, is) {
			f.Kind = kind
		}
	}
	return f
}

func (f *failure) err() error {
	switch {
	case f == nil:
		return nil
	case f.Kind == "unavailable":
		return &store.UnavailableError{Reason: f.Text, NotDone: f.NotDone}
	case kinds()[f.Kind] != nil:
		return fmt.Errorf("%w: %s", kinds()[f.Kind], f.Text)
	}
	return errors.New(f.Text)
}

// beInstance is the life of such a process: it ends with its standard input, should nobody kill it before.
func beInstance(text string) error {
	var is setting
	if err := json.Unmarshal([]byte(text), &is); err != nil {
		return err
	}
	log, err := os.OpenFile(is.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	ctx := context.Background()
	mirror, err := openMirror(ctx, filepath.Join(is.Dir, "mirror.db"))
	if err != nil {
		return err
	}
	journal, err := journal.Open(ctx, filepath.Join(is.Journal, "journal.db"), journal.Options{})
	if err != nil {
		return err
	}
	o := failover.Options{
		Connect: func(ctx context.Context) (failover.Primary, error) {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			p, err := postgres.Open(ctx, postgres.Options{URL: is.URL, MaxConns: 6, AllowUnverifiedTLS: true})
			if err != nil {
				return nil, err
			}
			return p, nil
		},
		Mirror: mirror, Journal: journal, Recovery: 200 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	o.Wait(failover.Waits{ReadTimeout: time.Second, WriteTimeout: time.Second})
	s, err := failover.Open(ctx, o)
	if err != nil {
		return err
	}
	go s.Run(ctx)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, l.Addr())
	go http.Serve(l, answering(s))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// openMirror opens a mirror as a tenet does: a damaged one is set aside, and made anew.
func openMirror(ctx context.Context, path string) (*sqlite.Store, error) {
	s, err := sqlite.Open(ctx, path, sqlite.Options{Mirror: true})
	if sqlite.Damaged(err) {
		if _, err := sqlite.SetAside(path); err != nil {
			return nil, err
		}
		return sqlite.Open(ctx, path, sqlite.Options{Mirror: true})
	}
	return s, err
}

func answering(s *failover.Store) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q question
		var a reply
		err := json.NewDecoder(r.Body).Decode(&q)
		if err == nil {
			err = answerTo(r, s, &q, &a)
		}
		a.Err = failureOf(err)
		json.NewEncoder(w).Encode(&a)
	})
}

func answerTo(r *http.Request, s *failover.Store, q *question, a *reply) (err error) {
	ctx := r.Context()
	switch r.URL.Path {
	case "/get":
		a.Record, err = s.Get(store.WithWish(ctx, q.Wish), q.Key)
	case "/list":
		a.Page, err = s.List(ctx, q.Query)
	case "/search":
		a.Hits, err = s.Search(ctx, q.Search)
	case "/apply":
		b := knowledge.Batch{ID: q.Batch, Actor: q.Actor}
		for _, w := range q.Ops {
			doc, err := knowledge.Decode(knowledge.KindRule, w.Document)
			if err != nil {
				return err
			}
			op := knowledge.Put(doc, w.IfVersion)
			op.IfBatch = w.IfBatch
			b.Ops = append(b.Ops, op)
		}
		a.Receipt, err = s.Apply(ctx, b)
	case "/batch":
		a.Batch, err = s.Batch(ctx, q.Batch)
	case "/level":
		a.Level = s.Level()
	case "/status":
		a.Status, err = s.Status(ctx)
	case "/check":
		s.CheckMirror()
	case "/conflicts":
		var list []store.Parked
		list, err = s.Conflicts(ctx, store.ParkedQuery{Resolved: q.Resolved})
		for i := range list {
			a.Parked = append(a.Parked, parked{list[i].Entry.Batch.ID, list[i].Ours})
		}
	}
	return err
}

// A process is an instance in a process of its own, as its callers see it.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	base  string
	http  *http.Client
}

var _ subject = (*process)(nil)

func startProcess(is setting) (*process, error) {
	text, err := json.Marshal(is)
	if err != nil {
		return nil, err
	}
	p := &process{
		cmd:  exec.Command(os.Args[0]),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
	}
	p.cmd.Env = append(os.Environ(), instanceEnv+"="+string(text))
	var said bytes.Buffer
	p.cmd.Stderr = &said
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the instance has not started: %w", err), p.cmd.Wait(),
			errors.New(said.String()))
	}
	p.base = "http://" + strings.TrimSpace(line)
	return p, nil
}

// kill ends the process as kill -9 does, whatever it is doing.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.stdin.Close()
	p.http.CloseIdleConnections()
}

func (p *process) call(ctx context.Context, path string, q question) (*reply, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := p.http.Do(r)
	if err != nil {
		return nil, errors.Join(gone(ctx), err)
	}
	defer answer.Body.Close()
	var a reply
	if err := json.NewDecoder(answer.Body).Decode(&a); err != nil {
		return nil, errors.Join(gone(ctx), err)
	}
	return &a, a.Err.err()
}

// gone is what it means that no answer came: our own patience has ended, or the process has.
func gone(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(errKilled, &store.UnavailableError{Reason: errKilled.Error()})
}

func (p *process) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	a, err := p.call(ctx, "/get", question{Key: key, Wish: store.WishOf(ctx)})
	if err != nil {
		return nil, err
	}
	return a.Record, nil
}

func (p *process) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	a, err := p.call(ctx, "/list", question{Query: q})
	if err != nil {
		return nil, err
	}
	return a.Page, nil
}

func (p *process) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	a, err := p.call(ctx, "/search", question{Search: q})
	if err != nil {
		return nil, err
	}
	return a.Hits, nil
}

func (p *process) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	q := question{Batch: b.ID, Actor: b.Actor}
	for _, op := range b.Ops {
		doc, err := json.Marshal(op.Doc)
		if err != nil {
			return knowledge.Receipt{}, err
		}
		q.Ops = append(q.Ops, writing{doc, op.IfVersion, op.IfBatch})
	}
	a, err := p.call(ctx, "/apply", q)
	if err != nil {
		return knowledge.Receipt{}, err
	}
	return a.Receipt, nil
}

func (p *process) Batch(ctx context.Context, id knowledge.BatchID) (knowledge.BatchStatus, error) {
	a, err := p.call(ctx, "/batch", question{Batch: id})
	if err != nil {
		return knowledge.BatchStatus{}, err
	}
	return a.Batch, nil
}

// Level is the zero level when nobody answers, which claims nothing.
func (p *process) Level() knowledge.Level {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	a, err := p.call(ctx, "/level", question{})
	if err != nil {
		return knowledge.Level{}
	}
	return a.Level
}

func (p *process) Status(ctx context.Context) (failover.Status, error) {
	a, err := p.call(ctx, "/status", question{})
	if err != nil {
		return failover.Status{}, err
	}
	return a.Status, nil
}

func (p *process) Conflicts(ctx context.Context, q store.ParkedQuery) ([]store.Parked, error) {
	a, err := p.call(ctx, "/conflicts", question{Resolved: q.Resolved})
	if err != nil {
		return nil, err
	}
	list := make([]store.Parked, len(a.Parked))
	for i, one := range a.Parked {
		list[i].Entry.Batch.ID, list[i].Ours = one.Batch, one.Ours
	}
	return list, nil
}

func (p *process) CheckMirror() {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	p.call(ctx, "/check", question{})
}
