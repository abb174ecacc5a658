package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tenet/internal/needs"
	"tenet/internal/server"
)

// certify writes a certificate for tenet.test with its key, and returns who trusts it.
func certify(t *testing.T, cert, key string, serial int64, until time.Time) *x509.CertPool {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"tenet.test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	put(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	put(t, cert, string(text))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// command runs tenet beside a process and returns what it says.
func (p *process) command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("tenet", append(args, "--data-dir", p.dir)...).CombinedOutput()
	if err != nil {
		t.Fatalf("tenet %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (p *process) address(t *testing.T) string {
	t.Helper()
	who, err := p.owner()
	if err != nil {
		t.Fatal(err)
	}
	_, at, _ := strings.Cut(who.URL, "://")
	return at
}

func TestATenetSpeaksTLSAndTakesANewCertificate(t *testing.T) {
	files := t.TempDir()
	cert, key := filepath.Join(files, "cert.pem"), filepath.Join(files, "key.pem")
	later := time.Now().Add(time.Hour)
	trusts := certify(t, cert, key, 1, later)
	p := serveProcess(t, filepath.Join(t.TempDir(), "data"), "", "--tls-cert", cert, "--tls-key", key)
	serial := func(trusts *x509.CertPool) int64 {
		c, err := tls.Dial("tcp", p.address(t), &tls.Config{RootCAs: trusts, ServerName: "tenet.test"})
		if err != nil {
			return 0
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(trusts); got != 1 {
		t.Fatalf("the certificate has the serial %d, want 1", got)
	}
	p.command(t, "list", "rules", "--limit", "1")

	// keeps waits until the server has looked at what lies there now, and has kept the certificate that it had.
	keeps := func(what, said string) {
		t.Helper()
		if err := eventually(func() bool {
			return serial(trusts) == 1 && strings.Contains(p.log.text(), said)
		}); err != nil {
			t.Errorf("while %s lies there, the old certificate is not kept: %v\n%s", what, err, p.log.text())
		}
	}
	put(t, cert, "half of a new certificate")
	keeps("a broken certificate", "and the old one is kept")
	certify(t, cert, key, 3, time.Now().Add(-time.Minute))
	keeps("an expired certificate", "it has expired")
	trusts = certify(t, cert, key, 2, later)
	if err := eventually(func() bool { return serial(trusts) == 2 }); err != nil {
		t.Fatalf("the new certificate is not taken: %v", err)
	}
	p.command(t, "list", "rules", "--limit", "1")
	p.end(t)
}

// TestStatusBlamesTheDatabaseThatCannotBeReached starts a server whose PostgreSQL refuses it from the beginning: nobody
// has made a token yet, and that is not what is wrong.
func TestStatusBlamesTheDatabaseThatCannotBeReached(t *testing.T) {
	p := serveProcess(t, filepath.Join(t.TempDir(), "data"), "postgres://u@"+freePort(t)+"/x")
	out, err := exec.Command("tenet", "status", "--data-dir", p.dir).CombinedOutput()
	if failed, ok := errors.AsType[*exec.ExitError](err); !ok || failed.ExitCode() != exitUnavailable {
		t.Errorf("tenet status: %v, want the exit code %d", err, exitUnavailable)
	}
	if said := string(out); !strings.Contains(said, "connection refused") || strings.Contains(said, "token") {
		t.Errorf("tenet status says %q, want why the database can't be reached, and nothing of tokens", said)
	}
	p.end(t)
}

// freePort returns an address that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// fetch returns the status and the body of an answer.
func fetch(t *testing.T, method, url, token string, header ...string) (int, string) {
	t.Helper()
	return fetchBody(t, method, url, token, "", header...)
}

// fetchBody does the same with a body.
func fetchBody(t *testing.T, method, url, token, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(answer)
}

func TestMeasuresHaveAListenerOfTheirOwn(t *testing.T) {
	own := freePort(t)
	p := serveProcess(t, filepath.Join(t.TempDir(), "data"), "", "--metrics-listen", own)
	if status, body := fetch(t, http.MethodGet, "http://"+own+"/metrics", ""); status != http.StatusOK ||
		!strings.Contains(body, "tenet_build_info") {
		t.Errorf("measures on their own listener: %d %.80s", status, body)
	}
	for _, path := range []string{"/api/v1/rules", "/readyz", "/"} {
		if status, _ := fetch(t, http.MethodGet, "http://"+own+path, ""); status != http.StatusNotFound {
			t.Errorf("%s on the listener of the measures: %d, want 404", path, status)
		}
	}
	if status, _ := fetch(t, http.MethodGet, "http://"+p.address(t)+"/metrics", ""); status != http.StatusUnauthorized {
		t.Errorf("measures without a token at the door: %d, want 401", status)
	}
	p.end(t)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestAHostileCallerSlowsNobody runs what a holder of a contributor's token, and strangers, may try beside a polite
// caller, and holds the polite one's answers and the process's memory within bounds. How long the polite one waits,
// [TestSoakBesideHostileCallers] bounds.
func TestAHostileCallerSlowsNobody(t *testing.T) {
	p := serveProcess(t, filepath.Join(t.TempDir(), "data"), "", "--requests-each", "16", "--quota",
		"contributor=30,64", "--cache-hot", "16", "--cache-warm", "0")
	admin := strings.TrimSpace(read(t, filepath.Join(p.dir, server.TokenFile)))
	token := strings.TrimSpace(p.command(t, "token", "create", "hostile", "--role", "contributor", "--quiet"))
	loop := strings.TrimSpace(p.command(t, "token", "create", "loop", "--role", "contributor", "--quiet"))
	at := p.address(t)
	before := memory(t, p.cmd.Process.Pid)
	send := func(text string) net.Conn {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, text)
		return c
	}
	head := "POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " +
		token + "\r\nContent-Length: 33554432\r\n\r\n"
	for range 200 { // bodies that are announced and never come
		send(head + `{"ops":[`)
	}
	for range 200 { // heads that never end, without a token
		send("GET /api/v1/rules HTTP/1.1\r\nHost:")
	}
	stop, ended := make(chan struct{}), make(chan map[int]int)
	const loops = 4
	told := make(chan struct{}, 1) // that the loop of writes has heard of its quota
	for i := range loops {         // writes in a loop, of large drafts
		go func() {
			seen := map[int]int{}
			defer func() { ended <- seen }()
			text := strings.Repeat("Large text of a draft. ", 20_000)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				body := fmt.Sprintf(`{"rule_id":"LOOP-%d-%d","category":"security","title":"Loop","status":"DRAFT",`+
					`"description":%q}`, i, n, text)
				r, _ := http.NewRequest(http.MethodPost, "http://"+at+"/api/v1/rules", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+loop)
				a, err := http.DefaultClient.Do(r)
				if err != nil {
					seen[0]++
					continue
				}
				_, _ = io.Copy(io.Discard, a.Body)
				a.Body.Close()
				seen[a.StatusCode]++
				if a.StatusCode == http.StatusTooManyRequests {
					select {
					case told <- struct{}{}:
					default:
					}
				}
			}
		}()
	}
	const calls = 300
	var took []time.Duration
	for n := range calls {
		began := time.Now()
		method, path, header := http.MethodGet, "/api/v1/rules?limit=20", []string(nil)
		if n%10 == 0 {
			method, path = http.MethodDelete, "/api/v1/rules/LOOP-0-0" // a write; what it says of a draft is no matter
		}
		status, body := fetch(t, method, "http://"+at+path, admin, header...)
		if status >= 500 || status == http.StatusTooManyRequests || method == http.MethodGet &&
			status != http.StatusOK {
			t.Fatalf("call %d of the polite one: %s %s: %d %s", n, method, path, status, body)
		}
		took = append(took, time.Since(began))
	}
	<-told
	close(stop)
	seen := map[int]int{}
	for range loops {
		for status, n := range <-ended {
			seen[status] += n
		}
	}
	slices.Sort(took)
	grown := memory(t, p.cmd.Process.Pid) - before
	t.Logf("polite: p50 %s, p99 %s; hostile answers by status: %v; memory grew by %d MiB", took[calls/2],
		took[calls*99/100], seen, grown>>20)
	if seen[http.StatusTooManyRequests] == 0 || seen[http.StatusCreated] > 60 {
		t.Errorf("the loop of writes was answered with %v, want a quota's worth of 201 and then 429", seen)
	}
	if grown > 256<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	if audit := p.command(t, "audit", "--limit", "500"); !strings.Contains(audit, "quota of 30 writes a minute") ||
		!strings.Contains(audit, "its share of requests") {
		t.Errorf("the refusals of the hostile caller are not on record:\n%.500s", audit)
	}
	p.end(t)
}

// memory returns the resident bytes of a process.
func memory(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		needs.Missing(t, "no /proc here: %v", err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
