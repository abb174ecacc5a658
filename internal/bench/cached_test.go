//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store/storegen"
)

// runTime is how long one run of a comparison lasts: /proc counts in hundredths of a second.
const runTime = 2 * time.Second

// cached measures what is answered from memory.
func (r *report) cached(t *testing.T, e *env) {
	l := e.large(t, r)
	r.line("## Cached reads\n")
	if wrkPath() == "" {
		r.line("wrk is not installed: the load comes from a client of this program's own, which takes more of the " +
			"processor and so leaves less to\nthe server; the figures are of the server alone all the same.\n")
	}
	t.Run("costs", func(t *testing.T) { r.cachedCosts(t, e, l) })
	t.Run("tiers", func(t *testing.T) { r.cachedTiers(t, e, l) })
	t.Run("memory", func(t *testing.T) { r.cachedMemory(t, e, l) })
}

const (
	sampleDoc      = "bench-document" // of 2 KB
	sampleCategory = "bench-page"     // holds 50 documents that make a page of about 20 KB
)

// samples writes the documents that are asked for one by one.
func samples(t *testing.T, url string) {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rule := func(id, category, text string) *knowledge.Rule {
		d := &knowledge.Rule{RuleID: id, Title: id, Description: text}
		d.Category, d.IsActive = category, true
		d.Normalize()
		return d
	}
	c := &knowledge.Category{ID: sampleCategory, Name: sampleCategory, IsActive: true}
	c.Normalize()
	ops := []knowledge.Op{knowledge.Put(c, knowledge.AnyVersion)}
	small := len(canonical(t, rule(sampleDoc, "security", "")))
	ops = append(ops, knowledge.Put(rule(sampleDoc, "security", strings.Repeat("x", max(1, 2048-small-60))),
		knowledge.AnyVersion))
	for i := range 50 {
		ops = append(ops, knowledge.Put(rule(fmt.Sprintf("bench-%02d", i), sampleCategory, "x"), knowledge.AnyVersion))
	}
	if _, err := s.Apply(t.Context(), knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "bench",
		Ops: ops,
	}); err != nil {
		t.Fatal(err)
	}
}

func canonical(t *testing.T, d knowledge.Document) []byte {
	t.Helper()
	b, err := knowledge.Canonical(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fetch asks once, and returns the body and the tag.
func fetch(t *testing.T, p *process, path string) (body, etag string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", path, resp.Status, err, b)
	}
	return string(b), resp.Header.Get("ETag")
}

// startRole starts this test binary as one of the servers that a tenet is compared with.
func startRole(t *testing.T, role, ready string, env []string, args ...string) *process {
	t.Helper()
	p := &process{url: "http://" + freeAddr(t)}
	cmd := exec.Command(os.Args[0], append([]string{strings.TrimPrefix(p.url, "http://")}, args...)...)
	cmd.Env = append(append(os.Environ(), roleEnv+"="+role), env...)
	p.start(t, ready, cmd)
	return p
}

// cachedCosts compares a tenet that answers from memory with servers that have less to do and with one that has no
// memory.
func (r *report) cachedCosts(t *testing.T, e *env, l *loaded) {
	samples(t, l.url)
	pids := func() []int { return postgresPIDs(e.pg.DataDir()) }
	ours := startTenet(t, e.bin, filepath.Join(l.dir, "dual"), "--database-url", l.url)
	ours.extra = pids
	defer ours.stop()
	logs := startTenet(t, e.bin, filepath.Join(l.dir, "logged"), "--database-url", l.url, "--access-log",
		"--log-level", "error")
	logs.extra = pids
	defer logs.stop()
	hand := startRole(t, "pgx", "/ready", []string{"TENET_BENCH_DATABASE=" + l.url})
	hand.extra = pids
	defer hand.stop()

	doc, page, search := "/api/v1/rules/"+sampleDoc, "/api/v1/rules?limit=50&category="+sampleCategory,
		"/api/v1/search?kind=rule&q="+storegen.CommonWord
	docBody, etag := fetch(t, ours, doc)
	pageBody, pageTag := fetch(t, ours, page)
	searchBody, _ := fetch(t, ours, search)
	given, err := json.Marshal(map[string]bareAnswer{"/document": {docBody, etag}, "/page": {pageBody, pageTag}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "answers.json")
	if err := os.WriteFile(file, given, 0o600); err != nil {
		t.Fatal(err)
	}
	bare := startRole(t, "bare", "/document", nil, file)
	defer bare.stop()
	pgtest.Exec(t, l.url, "VACUUM ANALYZE")
	settle(t, ours)
	settle(t, logs)
	ours.extra, logs.extra = nil, nil // what memory answers asks PostgreSQL nothing

	one := func(p *process, path string, headers ...string) contender {
		return contender{p, question{paths: []string{path}, headers: headers}}
	}
	docs := inTurn(t, "document", runTime, one(bare, "/document"), one(ours, doc), one(logs, doc),
		one(hand, "/rules/"+sampleDoc))
	pages := inTurn(t, "page", runTime, one(bare, "/page"), one(ours, page), one(logs, page),
		one(hand, "/rules?category="+sampleCategory))
	known := contender{ours, question{
		paths: []string{doc}, headers: []string{"If-None-Match: " + etag},
		status: http.StatusNotModified,
	}}
	bareKnown := contender{bare, question{
		paths: []string{"/document"}, headers: known.q.headers,
		status: http.StatusNotModified,
	}}
	same := inTurn(t, "304", runTime, bareKnown, known)
	finds := inTurn(t, "search", runTime, one(ours, search), one(hand, "/search?q="+storegen.CommonWord))
	ours.extra = pids
	askAll(t, ours, nineInTen(l, "/api/v1/rules/").paths[:5000:5000])
	mixed := inTurn(t, "nine in ten", runTime, contender{ours, nineInTen(l, "/api/v1/rules/")},
		contender{hand, nineInTen(l, "/rules/")})

	r.line("Processor time of the server for one request, %d connections, five turns A B A B, the median of each. "+
		"Tenet answers from memory; it", loadConns)
	r.line("checks the token, counts and measures every request, and says how fresh its answer is. Bare is a " +
		"net/http handler that writes the same")
	r.line("bytes, with Go's own settings; by hand is one with pgx, encoding/json and no memory, with what " +
		"PostgreSQL does for it.\n")
	r.line("| request | bytes | bare | tenet | ratio | with access log | by hand | by hand/tenet |")
	r.line("| --- | --- | --- | --- | --- | --- | --- | --- |")
	r.line("| document | %d | %s | %s | %.2f | %s | %s | %.2f |", len(docBody), us1(docs[0]), us1(docs[1]),
		ratio(docs[1], docs[0]), us1(docs[2]), us1(docs[3]), ratio(docs[3], docs[1]))
	r.line("| page of 50 | %d | %s | %s | %.2f | %s | %s | %.2f |", len(pageBody), us1(pages[0]), us1(pages[1]),
		ratio(pages[1], pages[0]), us1(pages[2]), us1(pages[3]), ratio(pages[3], pages[1]))
	r.line("| document, 304 | 0 | %s | %s | %.2f | - | - | - |", us1(same[0]), us1(same[1]), ratio(same[1], same[0]))
	r.line("| search, 20 hits of a common word | %d | - | %s | - | - | %s | %.2f |", len(searchBody), us1(finds[0]),
		us1(finds[1]), ratio(finds[1], finds[0]))
	r.line("| documents, nine in ten in memory | - | - | %s | - | - | %s | %.2f |", us1(mixed[0]), us1(mixed[1]),
		ratio(mixed[1], mixed[0]))
	r.line("\nGoals: at most 1.25 times bare for the document and 1.15 for the page; at least 3.5 times cheaper " +
		"than by hand for the document, 10 for")
	r.line("the page and the search, 3 with nine in ten in memory.\n")
	for _, c := range []struct {
		what        string
		most, least float64
		a, b        time.Duration
	}{
		{"document against bare", 1.25, 0, docs[1], docs[0]},
		{"page against bare", 1.15, 0, pages[1], pages[0]},
		{"document by hand", 0, 3.5, docs[3], docs[1]},
		{"page by hand", 0, 10, pages[3], pages[1]},
		{"search by hand", 0, 10, finds[1], finds[0]},
		{"nine in ten by hand", 0, 3, mixed[1], mixed[0]},
	} {
		if got := float64(c.a) / float64(c.b); c.most > 0 && got > c.most || got < c.least {
			r.line("**Missed: %s is %.2f.**\n", c.what, got)
		}
	}
}

// nineInTen asks for documents of which nine in ten are asked for again and again, and one never was.
func nineInTen(l *loaded, prefix string) question {
	var q question
	hot, cold := l.rules[:500], l.rules[500:min(len(l.rules), 40_000)] // enough for all turns
	for i, id := range cold {
		for j := range 9 {
			q.paths = append(q.paths, prefix+hot[(9*i+j)%len(hot)])
		}
		q.paths = append(q.paths, prefix+id)
	}
	return q
}

func us1(d time.Duration) string { return fmt.Sprintf("%.1f us", float64(d.Nanoseconds())/1000) }

// counts are what a tenet tells of where it found its answers.
type counts struct{ Hot, Warm, Miss int64 }

func (c counts) less(o counts) counts { return counts{c.Hot - o.Hot, c.Warm - o.Warm, c.Miss - o.Miss} }

func (c counts) part(n int64) float64 {
	return float64(n) / float64(max(1, c.Hot+c.Warm+c.Miss))
}

// memory is what a tenet tells of its tiers.
type memory struct {
	Records struct {
		SinceStart counts `json:"since_start"`
	} `json:"records"`
	WarmBytes   int64 `json:"warm_bytes"`
	WarmEntries int64 `json:"warm_entries"`
}

func memoryOf(t *testing.T, p *process) memory {
	t.Helper()
	body, _ := fetch(t, p, "/api/v1/status")
	return decode[struct{ Details struct{ Cache memory } }](t, []byte(body)).Details.Cache
}

// found returns where a tenet has found documents since its start.
func found(t *testing.T, p *process) counts {
	t.Helper()
	return memoryOf(t, p).Records.SinceStart
}

// cachedTiers measures what an answer costs by where it is found.
func (r *report) cachedTiers(t *testing.T, e *env, l *loaded) {
	dir := filepath.Join(l.dir, "lite")
	paths := make([]string, 0, len(l.rules))
	for _, id := range l.rules {
		paths = append(paths, "/api/v1/rules/"+id)
	}
	some := paths[:min(len(paths), 20_000)]
	r.line("### By tier\n")
	r.line("Documents of an embedded tenet, one after the other; what is found in the warm tier goes to the hot " +
		"one, which has no room for it.\n")
	r.line("| found in | processor time | hot | warm | miss |")
	r.line("| --- | --- | --- | --- | --- |")
	for _, tier := range []struct {
		name  string
		args  []string
		paths []string
		fill  bool
	}{
		{"hot", nil, some, true},
		{"warm", []string{"--cache-hot", "4", "--cache-warm", "512"}, some, true},
		{"nowhere", []string{"--cache-hot", "4", "--cache-warm", "0"}, paths, false},
	} {
		os.RemoveAll(filepath.Join(dir, "cache"))
		p := startTenet(t, e.bin, dir, tier.args...)
		if tier.fill {
			for range 2 {
				askAll(t, p, tier.paths)
			}
		}
		before := found(t, p)
		cost := inTurn(t, tier.name, runTime, contender{p, question{paths: tier.paths}})
		c := found(t, p).less(before)
		r.line("| %s | %s | %.3f | %.3f | %.3f |", tier.name, us1(cost[0]), c.part(c.Hot), c.part(c.Warm),
			c.part(c.Miss))
		p.stop()
	}
	r.line("")
}

// askAll asks for every path once, over several connections, and returns how many bytes came back.
func askAll(t *testing.T, p *process, paths []string) int64 {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: loadConns, DisableCompression: true}}
	defer client.CloseIdleConnections()
	var next, size atomic.Int64
	var wg sync.WaitGroup
	for range loadConns {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(paths)); i = next.Add(1) - 1 {
				n, err := askOnce(t, client, p, paths[i])
				if err != nil {
					t.Error(err)
					return
				}
				size.Add(n)
			}
		})
	}
	wg.Wait()
	return size.Load()
}

func askOnce(t *testing.T, client *http.Client, p *process, path string) (int64, error) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return n, err
}

// uneven returns n paths of documents as unevenly wished for as in life: the first is wanted most.
func uneven(l *loaded, seed uint64, n int) []string {
	rnd := rand.New(rand.NewPCG(seed, 9))
	zipf := rand.NewZipf(rnd, 1.01, 1, uint64(len(l.rules)-1))
	order := rand.New(rand.NewPCG(1, 1)).Perm(len(l.rules)) // what is wanted most is not what was written first
	list := make([]string, n)
	for i := range list {
		list[i] = "/api/v1/rules/" + l.rules[order[zipf.Uint64()]]
	}
	return list
}

// cachedMemory measures what small tiers find, how soon they do after a start, and what memory they take.
func (r *report) cachedMemory(t *testing.T, e *env, l *loaded) {
	dir := filepath.Join(l.dir, "lite")
	open := func(keep bool, hot, warm int) *process {
		if !keep {
			os.RemoveAll(filepath.Join(dir, "cache"))
		}
		return startTenet(t, e.bin, dir, "--cache-hot", strconv.Itoa(hot), "--cache-warm", strconv.Itoa(warm))
	}
	size := dataSize(t, open(false, 0, 0), l)
	tenth := int(size / 10 >> 20)
	r.line("### Uneven reads\n")
	r.line("%d documents of together %d MB, wished for as unevenly as in life (Zipf, 1.01). A warm tier has 32 MB "+
		"at least. A memory that holds a", len(l.rules), size>>20)
	r.line("tenth of the documents, and knows which, finds %.3f of them.\n", optimum(len(l.rules), len(l.rules)/10))
	r.line("| hot | warm | part of the data | found | hot | warm |")
	r.line("| --- | --- | --- | --- | --- | --- |")
	wishes := uneven(l, 1, 400_000)
	var packed memory // of the largest warm tier
	for _, tier := range []struct{ hot, warm int }{
		{tenth, 0},
		{8, 32},
		{max(8, tenth*5/2-32), 32},
		{max(8, tenth*5/2-64), 64},
	} {
		p := open(false, tier.hot, tier.warm)
		first := drive(t, p, 8*time.Second, question{paths: wishes})
		before := found(t, p)
		drive(t, p, 4*time.Second, question{paths: wishes, from: first.n})
		packed = memoryOf(t, p)
		c := packed.Records.SinceStart.less(before)
		r.line("| %d MB | %d MB | %.2f | %.3f | %.3f | %.3f |", tier.hot, tier.warm,
			float64(int64(tier.hot+tier.warm)<<20)/float64(size), c.part(c.Hot+c.Warm), c.part(c.Hot), c.part(c.Warm))
		p.stop()
	}
	each := packed.WarmBytes / max(1, packed.WarmEntries)
	fit := int(size / 10 / max(1, each))
	r.line("\nThe goal is 0.9 with a tenth of the data. For that a memory must know which documents are wanted most "+
		"and hold %.0f %% of them. Compressed,", 100*mustHold(len(l.rules), 0.9))
	r.line("a document takes %d bytes of memory instead of %d, so a tenth of the data holds %.0f %%, if nothing is "+
		"kept ready to send.\n", each, size/int64(len(l.rules)), 100*float64(fit)/float64(len(l.rules)))

	const hot, warm = 32, 128
	cold := open(false, hot, warm)
	coldN := untilFound(t, cold, uneven(l, 2, 200_000))
	drive(t, cold, 6*time.Second, question{paths: wishes})
	cold.stop()
	again := open(true, hot, warm)
	warmN := untilFound(t, again, uneven(l, 3, 200_000))
	again.stop()
	r.line("### Restart\n")
	r.line("Questions until nine in ten of the last 2,000 were found, with %d MB hot and %d MB warm: **%d** after a "+
		"start with an empty memory, **%d**", hot, warm, coldN, warmN)
	r.line("after a restart that kept the warm tier.\n")

	const smallHot, smallWarm, base = 32, 64, 150
	p := open(false, smallHot, smallWarm)
	paths := make([]string, 0, len(l.rules))
	for _, id := range l.rules {
		paths = append(paths, "/api/v1/rules/"+id)
	}
	read := askAll(t, p, paths)
	for limit := 50; read < 3*(smallHot+smallWarm)<<20; limit-- { // another size makes other pages
		for next := fmt.Sprintf("/api/v1/rules?sort=id&active=any&limit=%d", limit); next != "" &&
			read < 3*(smallHot+smallWarm)<<20; {
			body, link := fetchPage(t, p, next)
			read, next = read+int64(body), link
		}
	}
	peak := peakMemory(t, p)
	p.stop()
	r.line("### Memory\n")
	r.line("%d MB of different documents and pages read through %d MB hot and %d MB warm: the process took **%d "+
		"MB** at most, %.2f times both tiers", read>>20, smallHot, smallWarm, peak>>20,
		float64(peak)/float64((smallHot+smallWarm+base)<<20))
	r.line("and the stated base of %d MB. The promise is 1.15.\n", base)
	if peak > (smallHot+smallWarm+base)<<20*115/100 {
		r.line("**Missed.**\n")
	}
}

// optimum is the part of the wishes that the most wanted of n documents take.
func optimum(n, most int) float64 {
	all, some := 0.0, 0.0
	for i := range n {
		w := math.Pow(float64(i+1), -1.01)
		all += w
		if i < most {
			some += w
		}
	}
	return some / all
}

// mustHold is the part of n documents that a memory must hold to find a part of the wishes.
func mustHold(n int, part float64) float64 {
	least := sort.Search(n, func(most int) bool { return optimum(n, most) >= part })
	return float64(least) / float64(n)
}

// dataSize is about how large all documents together are. It stops the tenet.
func dataSize(t *testing.T, p *process, l *loaded) int64 {
	t.Helper()
	defer p.stop()
	step := max(1, len(l.rules)/500)
	var some []string
	for i := 0; i < len(l.rules); i += step {
		some = append(some, "/api/v1/rules/"+l.rules[i])
	}
	return askAll(t, p, some) / int64(len(some)) * int64(len(l.rules))
}

// untilFound asks until nine in ten of the last two thousand documents were found, and returns how many that took.
func untilFound(t *testing.T, p *process, wishes []string) int {
	t.Helper()
	const some = 2000
	before := found(t, p)
	for n := 0; n+some <= len(wishes); n += some {
		askAll(t, p, wishes[n:n+some])
		now := found(t, p)
		if c := now.less(before); c.part(c.Hot+c.Warm) >= 0.9 {
			return n + some
		}
		before = now
	}
	return len(wishes)
}

// fetchPage asks for a page, and returns how large it is and the path of the next one.
func fetchPage(t *testing.T, p *process, path string) (size int, next string) {
	t.Helper()
	body, _ := fetch(t, p, path)
	var page struct{ Next string }
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	if page.Next == "" {
		return len(body), ""
	}
	u, err := url.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("cursor", page.Next)
	return len(body), u.Path + "?" + q.Encode()
}

// peakMemory is the most memory that a process ever held.
func peakMemory(t *testing.T, p *process) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no peak is told")
	return 0
}
