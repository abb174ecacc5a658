package postgres_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// While a new program has migrated the database, the program before it still serves beside it. So what that one sends
// is kept in a file for each schema, and sent to the newest: the program of today writes its own file, and a migration
// that is added later leaves it as it is.

// A call is a statement that a program has sent, with its parameters as text.
type call struct {
	SQL  string    `json:"sql"`
	Args []*string `json:"args,omitempty"`
	Tx   string    `json:"tx,omitempty"`   // equal for neighbours of one transaction
	Code string    `json:"code,omitempty"` // SQLSTATE of its failure
}

// callsFile returns the file of what a program of a schema sends.
func callsFile(schema int64) string {
	return filepath.Join("testdata", fmt.Sprintf("calls_%03d.jsonl", schema))
}

// readCalls reads a file of calls.
func readCalls(t *testing.T, schema int64) []call {
	t.Helper()
	data, err := os.ReadFile(callsFile(schema))
	if err != nil {
		t.Fatalf("what a program of schema %d sends was not recorded before the next migration was added: check out "+
			"the commit before it and run `make docs` there: %v", schema, err)
	}
	var list []call
	for d := json.NewDecoder(bytes.NewReader(data)); ; {
		var c call
		if err := d.Decode(&c); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
}

// ready makes a database on a server as the handbook says, and returns the address of the program's role.
func ready(t *testing.T, s *pgtest.Server) string {
	t.Helper()
	url := s.NewDatabase()
	script, err := os.ReadFile("../../deploy/postgres/roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pgtest.Connect(t, url).Exec(t.Context(), string(script), pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	owner := postgres.Address{URL: strings.Replace(url, "postgres@", "tenet_owner@", 1)}
	if _, err := postgres.Migrate(t.Context(), owner, -1); err != nil {
		t.Fatal(err)
	}
	roles := postgres.Roles{App: "tenet_app", Reader: "tenet_reader"}
	if _, err := postgres.Grant(t.Context(), owner, roles, false); err != nil {
		t.Fatal(err)
	}
	return strings.Replace(url, "postgres@", "tenet_app@", 1)
}

// A nothing takes a snapshot and drops it.
type nothing struct{}

func (nothing) Begin(knowledge.Position) error { return nil }
func (nothing) Record(*knowledge.Record) error { return nil }
func (nothing) Change(*knowledge.Change) error { return nil }

// day does everything once that a program asks of its database.
func day(t *testing.T, s *postgres.Store) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	storetest.RunBook(t, s.RunBook())
	storetest.FleetBook(t, postgres.NewFleetBook(s))
	storetest.EffectBook(t, postgres.NewEffectBook(s))
	serve(t, s)
	storetest.FillWithPerson(t, s)
	var many []knowledge.Op
	for range 25 {
		many = append(many, knowledge.Put(storetest.Rule(), knowledge.NoVersion))
	}
	batch := storetest.Batch(many...)
	for range 2 { // a retry
		_, err := s.Apply(ctx, batch)
		must(err)
	}
	key := many[0].Key
	same := storetest.Batch(knowledge.Put(many[1].Doc, knowledge.AnyVersion))
	same.Found = []knowledge.Seq{1}
	for range 2 {
		_, err := s.Apply(ctx, same)
		must(err)
	}
	_, _, err := s.Found(ctx, same.ID)
	must(err)
	apply(t, s, knowledge.Op{Verb: knowledge.VerbRetire, Key: key}, knowledge.Put(storetest.Label(), knowledge.NoVersion),
		knowledge.Put(storetest.Pack(), knowledge.NoVersion))
	apply(t, s, knowledge.Op{Verb: knowledge.VerbRestore, Key: key})
	apply(t, s, knowledge.Op{Verb: knowledge.VerbRestore, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "R-4"}})
	late := storetest.Batch(knowledge.Put(storetest.Category(), knowledge.NoVersion))
	late.Origin[0] = 1
	_, err = s.Apply(ctx, late)
	must(err)
	if _, err := s.Apply(ctx, storetest.Batch(knowledge.Put(
		storetest.Rule(func(r *knowledge.Rule) { r.Category = "none" }),
		knowledge.NoVersion))); err == nil {
		t.Fatal("a rule of no category was let in")
	}
	ask(t, s, batch.ID, key)
	must(s.AddUses(ctx, map[string]int64{"t": 1}))
	_, err = s.Uses(ctx, []string{"t"})
	must(err)
	audit := postgres.NewAuditBook(s)
	must(audit.Add(ctx, store.AuditEntry{At: knowledge.At(time.Now()), Kind: store.AuditRead, Actor: storetest.Erased}))
	_, err = audit.Entries(ctx, store.AuditQuery{Limit: 5})
	must(err)
	_, err = s.Retain(ctx, knowledge.At(time.Now().AddDate(-1, 0, 0)), 1)
	must(err)
	pseudonym, person := knowledge.NewErasure(storetest.Erased, nil)
	_, err = postgres.NewEraser(s).Erase(ctx, store.ErasureRequest{
		Pseudonym: pseudonym, Erasure: *person, Batch: knowledge.NewBatchID(), Actor: "root",
	})
	must(err)
	_, err = audit.Verify(ctx, nil)
	must(err)
	must(s.VerifyChanges(ctx, func(knowledge.Seq, knowledge.Seq) {}))
}

// ask asks every kind of question.
func ask(t *testing.T, s *postgres.Store, batch knowledge.BatchID, key knowledge.Key) {
	t.Helper()
	ctx := t.Context()
	var all []error
	note := func(err error) { all = append(all, err) }
	for _, kind := range knowledge.Kinds() {
		for _, q := range []knowledge.Query{
			{Kind: kind, Order: knowledge.OrderUpdated},
			{Kind: kind, Order: knowledge.OrderTitle, Total: true},
			{Kind: kind, Order: knowledge.OrderID, Activity: knowledge.AnyActivity},
		} {
			_, err := s.List(ctx, q)
			note(err)
		}
		_, err := postgres.EachStored(ctx, s, kind, "", 100, func(string, []byte) {})
		note(err)
	}
	for _, q := range []knowledge.Query{
		{Kind: knowledge.KindRule, Tag: "io"},
		{Kind: knowledge.KindRule, Language: "go"},
		{Kind: knowledge.KindRule, Severity: "ERROR"},
		{Kind: knowledge.KindViolation, Rule: "R-1"},
	} {
		_, err := s.List(ctx, q)
		note(err)
	}
	for _, q := range []knowledge.SearchQuery{
		{Text: "rule", Facets: true},
		{Text: "misspeled"},
		{Text: "before", Kinds: []knowledge.Kind{knowledge.KindRule}},
		{Text: "rule", Tag: "io", Severity: "ERROR", Category: storetest.GeneralCategory},
	} {
		_, err := s.Search(ctx, q)
		note(err)
	}
	for _, q := range []knowledge.ChangeQuery{
		{After: 1},
		{Newest: true, Limit: 1},
		{Key: key},
		{Key: key, Version: 1},
		{Batch: batch},
		{Kind: knowledge.KindRule, Bytes: 100},
	} {
		_, err := s.Changes(ctx, q)
		note(err)
	}
	_, err := postgres.NewArchive(s).Archived(ctx, store.ArchiveQuery{Limit: 10})
	note(err)
	_, err = s.Position(ctx)
	note(err)
	_, err = s.Newest(ctx)
	note(err)
	_, err = postgres.StandbysOf(ctx, s)
	note(err)
	_, err = postgres.Beat(ctx, s)
	note(err)
	note(s.Snapshot(ctx, 2, nothing{}))
	note(s.Guards(ctx))
	note(s.Ping(ctx))
	if err := errors.Join(all...); err != nil {
		t.Fatal(err)
	}
}

// record runs a day on a server that logs statements, and returns what the program's connections have sent.
func record(t *testing.T) []call {
	t.Helper()
	server := pgtest.Start(t, pgtest.Options{Settings: map[string]string{
		"logging_collector": "on", "log_destination": "csvlog", "log_directory": "log", "log_statement": "none",
		"log_rotation_age": "0", "log_rotation_size": "0", "log_filename": "statements.log",
	}})
	url := ready(t, server)
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url + "&application_name=recorded"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	server.Exec("ALTER SYSTEM SET log_statement = 'all'")
	server.Exec("SELECT pg_reload_conf()")
	pgtest.Await(t, "that statements are logged", func() bool {
		return pgtest.Value(t, server.URL("postgres"), "SHOW log_statement") == "all"
	})
	day(t, s)
	path := filepath.Join(server.DataDir(), "log", "statements.csv")
	var list []call
	pgtest.Await(t, "that the log is written", func() bool {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		list, err = callsOf(data)
		return err == nil && len(list) > 100
	})
	return list
}

// callsOf reads the calls of the program out of a log of PostgreSQL in CSV.
func callsOf(data []byte) ([]call, error) {
	const session, transaction, severity, state, message, detail, application = 5, 9, 11, 12, 13, 14, 22
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return nil, err
	}
	var list []call
	last := map[string]int{} // the newest call of each session
	for _, r := range rows {
		if r[application] != "recorded" && r[application] != "tenet" {
			continue
		}
		if i, ok := last[r[session]]; ok && r[severity] == "ERROR" {
			list[i].Code = r[state]
		}
		kind, sql, _ := strings.Cut(r[message], ": ")
		if r[severity] != "LOG" || kind != "statement" && !strings.HasPrefix(kind, "execute ") {
			continue
		}
		if strings.HasPrefix(sql, "LISTEN ") { // it comes from the background, in time or not, and reads no table
			continue
		}
		_, args, _ := strings.Cut(r[detail], "arameters: ")
		last[r[session]] = len(list)
		list = append(list, call{SQL: sql, Args: parameters(args), Tx: r[session] + " " + r[transaction]})
	}
	return list, nil
}

// parameters reads what a log says of parameters: $1 = 'it”s', $2 = NULL.
func parameters(text string) (list []*string) {
	for text != "" {
		_, value, _ := strings.Cut(text, " = ")
		if rest, null := strings.CutPrefix(value, "NULL"); null {
			list, text = append(list, nil), strings.TrimPrefix(rest, ", ")
			continue
		}
		end := 1
		for ; end < len(value); end++ {
			if value[end] != '\'' {
				continue
			}
			if end+1 == len(value) || value[end+1] != '\'' {
				break
			}
			end++
		}
		one := strings.ReplaceAll(value[1:end], "''", "'")
		list, text = append(list, &one), strings.TrimPrefix(value[end+1:], ", ")
	}
	return list
}

// texts returns the different statements of calls.
func texts(list []call) []string {
	var all []string
	for i := range list {
		all = append(all, list[i].SQL)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func newestSchema(t *testing.T) int64 {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return int64(len(files))
}

// TestWhatAProgramSendsIsRecorded records what the program of today sends, for the test of the migrations to come.
func TestWhatAProgramSendsIsRecorded(t *testing.T) {
	now, schema := record(t), newestSchema(t)
	if *updateShape {
		if data, err := os.ReadFile(callsFile(schema)); err == nil && len(data) > 0 &&
			slices.Equal(texts(now), texts(readCalls(t, schema))) {
			return // other ids and times are no other program
		}
		writeCalls(t, schema, now)
		os.Remove(callsFile(schema - 3)) // nobody who is served sends that any more
		return
	}
	if _, err := os.Stat(callsFile(schema)); err != nil {
		t.Fatalf("what the program sends to schema %d is not recorded: run make docs", schema)
	}
	kept := texts(readCalls(t, schema))
	for _, sql := range texts(now) {
		if _, there := slices.BinarySearch(kept, sql); !there {
			t.Errorf("%s lacks a statement that the program sends: run make docs\n%s", callsFile(schema), sql)
		}
	}
}

// writeCalls writes a file of calls. Transactions are numbered, so that a file tells nothing of its session.
func writeCalls(t *testing.T, schema int64, list []call) {
	t.Helper()
	var b bytes.Buffer
	numbers := map[string]string{}
	for _, c := range list {
		if numbers[c.Tx] == "" {
			numbers[c.Tx] = fmt.Sprint(len(numbers) + 1)
		}
		c.Tx = numbers[c.Tx]
		line, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	if err := os.WriteFile(callsFile(schema), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestTheProgramsOfTheLastTwoSchemasAreServed sends what the programs of the two schemas before the newest would send.
func TestTheProgramsOfTheLastTwoSchemasAreServed(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	for schema := newestSchema(t) - 2; schema < newestSchema(t); schema++ {
		t.Run(fmt.Sprint(schema), func(t *testing.T) {
			url := ready(t, server)
			conn := pgtest.Connect(t, url).PgConn()
			if failed := play(t.Context(), conn, readCalls(t, schema)); len(failed) > 0 {
				t.Errorf("%d calls of a program of schema %d end otherwise, the first: %s", len(failed), schema,
					failed[0])
			}
			s := openAt(t, url)
			if err := s.VerifyChanges(t.Context(), func(knowledge.Seq, knowledge.Seq) {}); err != nil {
				t.Errorf("the log that it has written: %v", err)
			}
			if head, err := postgres.NewAuditBook(s).Verify(t.Context(), nil); err != nil || head.Seq == 0 {
				t.Errorf("the audit that it has written: %v, %v", head, err)
			}
			if page, err := s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule}); err != nil ||
				len(page.Records) < 20 {
				t.Errorf("the rules that it has written: %v, %v", page, err)
			}
		})
	}
}

// play sends calls, those of one transaction in one, and returns what ended otherwise than when they were recorded.
func play(ctx context.Context, conn *pgconn.PgConn, list []call) (failed []string) {
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].Tx == list[0].Tx {
			n++
		}
		send := alone
		if n > 1 && !strings.EqualFold(strings.Fields(list[0].SQL)[0], "begin") {
			send = together
		}
		var codes []string
		for _, c := range list[:n] {
			codes = append(codes, c.Code)
		}
		want := strings.Join(codes, "")
		if err := send(ctx, conn, list[:n]); pgtest.Code(err) != want || (err == nil) != (want == "") {
			failed = append(failed, fmt.Sprintf("%s: %v, want SQLSTATE %q", list[0].SQL, err, want))
		}
		list = list[n:]
	}
	return failed
}

// alone sends calls one after the other. What has no parameters may be several statements.
func alone(ctx context.Context, conn *pgconn.PgConn, list []call) (first error) {
	for _, c := range list {
		var err error
		if len(c.Args) > 0 {
			err = conn.ExecParams(ctx, c.SQL, c.values(), nil, nil, nil).Read().Err
		} else {
			_, err = conn.Exec(ctx, c.SQL).ReadAll()
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// together sends calls at once, as the transaction that they are without a BEGIN.
func together(ctx context.Context, conn *pgconn.PgConn, list []call) (first error) {
	pipe := conn.StartPipeline(ctx)
	for _, c := range list {
		pipe.SendQueryParams(c.SQL, c.values(), nil, nil, nil)
	}
	first = pipe.Sync()
	for first == nil {
		var result any
		result, first = pipe.GetResults()
		if r, ok := result.(*pgconn.ResultReader); ok {
			_, first = r.Close()
		}
		if _, synced := result.(*pgconn.PipelineSync); synced {
			break
		}
	}
	return errors.Join(first, pipe.Close())
}

// values returns the parameters of a call.
func (c *call) values() [][]byte {
	list := make([][]byte, len(c.Args))
	for i, a := range c.Args {
		if a != nil {
			list[i] = []byte(*a)
		}
	}
	return list
}
