package live

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/store/storetest"
)

// The subscribers of a benchmark are another process, benchClients, so that the CPU and the memory of this one are the
// server's. Both share the machine's cores, and its clock.

const benchVariable = "TENET_LIVE_BENCH_CLIENTS"

func TestMain(m *testing.M) {
	if text := os.Getenv(benchVariable); text != "" {
		if err := benchClients(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	pgtest.Main(m)
}

// A load says what the clients of a benchmark do.
type load struct {
	Addr    string
	Clients int
	Stuck   int  // of them, how many never read
	Events  bool // server-sent events instead of WebSockets
	Deflate bool // they accept compressed messages
}

// benchClients subscribes, prints "ready", then for each change that everybody has received its seq and when the last
// one did, until standard input ends.
func benchClients(text string) error {
	var l load
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return err
	}
	var mu sync.Mutex // guards counts
	counts := map[int]int{}
	received := func(seq int) {
		now := time.Now().UnixNano()
		mu.Lock()
		defer mu.Unlock()
		if counts[seq]++; counts[seq] == l.Clients-l.Stuck {
			delete(counts, seq)
			fmt.Println(seq, now) //nolint:forbidigo // it is a program of its own
		}
	}
	slots := make(chan struct{}, 64)
	var opening sync.WaitGroup
	errs := make(chan error, l.Clients)
	for i := range l.Clients {
		slots <- struct{}{}
		opening.Go(func() {
			defer func() { <-slots }()
			errs <- l.open(i < l.Stuck, received)
		})
	}
	opening.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	fmt.Println("ready 0") //nolint:forbidigo // it is a program of its own
	_, err := bufio.NewReader(os.Stdin).ReadByte()
	_ = err // the end, which is what it waits for
	return nil
}

// open opens one stream and calls received for each change on it.
func (l *load) open(stuck bool, received func(seq int)) error {
	conn, err := net.Dial("tcp", l.Addr)
	if err != nil {
		return err
	}
	if stuck {
		if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			return err
		}
	}
	request := "GET /api/v1/live HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer viewer\r\n"
	switch {
	case l.Events:
		request += "Accept: text/event-stream\r\n\r\n"
	case l.Deflate:
		request += "Sec-WebSocket-Extensions: permessage-deflate\r\n"
		fallthrough
	default:
		request += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
			"AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	}
	if _, err := conn.Write([]byte(request)); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 2<<10)
	resp, err := http.ReadResponse(in, nil) //nolint:bodyclose // it lives as long as the process
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols && resp.StatusCode != http.StatusOK {
		return fmt.Errorf("refused with %s", resp.Status)
	}
	if stuck {
		go func() { // nobody else holds the connection, which would be closed when it is collected
			<-make(chan struct{})
			conn.Close()
		}()
		return nil
	}
	go count(in, received)
	return nil
}

// count reads a stream of either kind: everything but the seqs of changes is skipped. A compressed message can't be
// read and counts as the next change.
func count(in *bufio.Reader, received func(seq int)) {
	next := 0
	for {
		head, err := in.Peek(2)
		if err != nil {
			return
		}
		if head[0]&0x80 == 0 { // a line of an event stream
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if seq := seqOf(line); seq > 0 {
				received(seq)
			}
			continue
		}
		first := head[0]
		payload, err := payloadOf(in)
		if err != nil {
			return
		}
		seq := seqOf(string(payload))
		if first&compressed != 0 {
			seq = next + 1
		}
		if next = max(next, seq); seq > 0 {
			received(seq)
		}
	}
}

// payloadOf reads a frame; of a long one only its beginning is returned.
func payloadOf(in *bufio.Reader) ([]byte, error) {
	var b [10]byte
	read := func(n int) (err error) {
		for i := range n {
			if b[i], err = in.ReadByte(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := read(2); err != nil {
		return nil, err
	}
	size := int(b[1])
	if size >= len16 {
		n := map[int]int{len16: 2, len64: 8}[size]
		if err := read(n); err != nil {
			return nil, err
		}
		size = 0
		for _, c := range b[:n] {
			size = size<<8 | int(c)
		}
	}
	start := make([]byte, min(size, 64))
	for i := range start {
		c, err := in.ReadByte()
		if err != nil {
			return nil, err
		}
		start[i] = c
	}
	_, err := in.Discard(size - len(start))
	return start, err
}

// seqOf returns the seq of a change, 0 for another message.
func seqOf(text string) int {
	_, rest, ok := strings.Cut(text, `"type":"change","seq":`)
	if !ok {
		return 0
	}
	digits, _, _ := strings.Cut(rest, ",")
	seq, _ := strconv.Atoi(digits)
	return seq
}

// A benchServer is what a benchmark measures: something that clients connect to and that publishes.
type benchServer struct {
	addr    string
	publish func() (seq int)
	count   func() int // of connections
	close   func()
}

// newBenchHub starts a hub over a log in memory whose changes have a document of some bytes.
func newBenchHub(b *testing.B, size int, o Options) *benchServer {
	b.Helper()
	log := newLog(b)
	o.Feed, o.MaxConnections, o.MaxPerPrincipal = log, 20_000, 20_000
	hub := NewHub(o)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { hub.Run(ctx) })
	addr, shut := benchListen(b, recognize(hub))
	eventually(b, "the hub is ready", func() bool {
		hub.mu.Lock()
		defer hub.mu.Unlock()
		return hub.ready
	})
	change := put(b, benchDocument(size))
	return &benchServer{
		addr:    addr,
		publish: func() int { return int(log.add(change)) },
		count:   func() int { _, n := hub.standing(); return n },
		close: func() {
			for _, w := range hub.wires() {
				w.Cut()
			}
			cancel()
			work.Wait()
			shut()
		},
	}
}

// benchDocument returns a document that makes a message of about size bytes.
func benchDocument(size int) knowledge.Document {
	words := "every file that is opened is closed on each way out of the function; "
	return storetest.Category(func(c *knowledge.Category) {
		c.ID = "bench"
		c.Description = strings.Repeat(words, size/len(words)+1)[:max(10, size-640)]
	})
}

func benchListen(b *testing.B, h http.Handler) (addr string, shut func()) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: h, ConnContext: ConnContext}
	go server.Serve(listener)
	return listener.Addr().String(), func() { server.Close() }
}

// Queues are what one writes first: one for each connection, and a goroutine that empties it.
type queues struct {
	mu  sync.Mutex // guards all
	all []chan []byte
}

func (q *queues) add() chan []byte {
	queue := make(chan []byte, 64)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = append(q.all, queue)
	return queue
}

// server returns the server that publishes into the queues what frame makes of a message.
func (q *queues) server(b *testing.B, size int, addr string, shut func(), frame func([]byte) []byte) *benchServer {
	b.Helper()
	log := newLog(b)
	log.add(put(b, benchDocument(size)))
	e, err := changeEvent(&log.all()[0], testTime)
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(e.full.text), `"seq":1,`)
	seq := 0
	return &benchServer{
		addr: addr, close: shut,
		count: func() int { q.mu.Lock(); defer q.mu.Unlock(); return len(q.all) },
		publish: func() int {
			seq++
			text := frame(fmt.Appendf(nil, `{"type":"change","seq":%d,%s`, seq, rest))
			q.mu.Lock()
			defer q.mu.Unlock()
			for _, queue := range q.all {
				queue <- text
			}
			return seq
		},
	}
}

// newCoderServer starts a server with nothing but the library that the hub uses too: it frames every message for each
// connection.
func newCoderServer(b *testing.B, size int) *benchServer {
	b.Helper()
	var q queues
	addr, shut := benchListen(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		ctx := conn.CloseRead(context.WithoutCancel(r.Context()))
		for queue := q.add(); ; {
			select {
			case text := <-queue:
				if conn.Write(ctx, websocket.MessageText, text) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}))
	return q.server(b, size, addr, shut, func(text []byte) []byte { return text })
}

// newGobwasServer starts a server with nothing but the leanest library: no net/http, one frame for all connections, a
// goroutine that writes and one that reads.
func newGobwasServer(b *testing.B, size int) *benchServer {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var q queues
	serve := func(conn net.Conn) {
		defer conn.Close()
		if _, err := ws.Upgrade(conn); err != nil {
			return
		}
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			for {
				h, err := ws.ReadHeader(conn)
				if err == nil {
					_, err = io.CopyN(io.Discard, conn, h.Length)
				}
				if err != nil {
					return
				}
			}
		}()
		for queue := q.add(); ; {
			select {
			case frame := <-queue:
				if _, err := conn.Write(frame); err != nil {
					return
				}
			case <-gone:
				return
			}
		}
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return q.server(b, size, listener.Addr().String(), func() { listener.Close() }, func(text []byte) []byte {
		return ws.MustCompileFrame(ws.NewTextFrame(text))
	})
}

// A bench is a server with its clients at work.
type bench struct {
	b       *testing.B
	server  *benchServer
	lines   *bufio.Scanner
	perIdle float64 // bytes of memory for each idle connection
}

// newBench connects clients to a server.
func newBench(b *testing.B, s *benchServer, l load) *bench {
	b.Helper()
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		b.Fatal(err)
	}
	if most := uint64(l.Clients + 200); files.Max < most { // Go itself raises what it may
		b.Skipf("%d connections need as many open files, and the hard limit is %d: raise it, as with prlimit "+
			"--nofile=%d", l.Clients, files.Max, most)
	}
	l.Addr = s.addr
	text, err := json.Marshal(l)
	if err != nil {
		b.Fatal(err)
	}
	before := memory()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), benchVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
		s.close()
	})
	n := &bench{b: b, server: s, lines: bufio.NewScanner(stdout)}
	n.line()
	eventually(b, "all are connected", func() bool { return s.count() == l.Clients })
	n.perIdle = float64(memory()-before) / float64(l.Clients)
	return n
}

// memory returns what this process holds in its heap and stacks.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// line returns the next line of the clients: a seq and when its last copy was received.
func (n *bench) line() (seq int, at time.Time) {
	n.b.Helper()
	if !n.lines.Scan() {
		n.b.Fatalf("the clients are gone: %v", n.lines.Err())
	}
	first, second, _ := strings.Cut(n.lines.Text(), " ")
	seq, _ = strconv.Atoi(first)
	nanos, err := strconv.ParseInt(second, 10, 64)
	if err != nil {
		n.b.Fatalf("the clients say %q", n.lines.Text())
	}
	return seq, time.Unix(0, nanos)
}

// run publishes bursts of some changes and waits each time until everybody has them, and reports the time to the last
// receipt and the server's CPU for each message.
func (n *bench) run(burst, receivers int) {
	n.b.Helper()
	n.server.publish() // so that everything has been used once
	n.line()
	var delays []time.Duration
	messages, cpu := 0, cpuTime()
	for n.b.Loop() {
		begin := time.Now()
		for range burst {
			n.server.publish()
		}
		var last time.Time
		for range burst {
			_, last = n.line()
		}
		delays = append(delays, last.Sub(begin))
		messages += burst * receivers
	}
	n.b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/1e3/float64(messages), "cpu-us/message")
	n.b.ReportMetric(n.perIdle, "bytes/connection")
	percentiles(n.b, delays, "last-ms")
}

func percentiles(b *testing.B, delays []time.Duration, unit string) {
	b.Helper()
	slices.Sort(delays)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(delays[(len(delays)-1)*p/100].Microseconds())/1e3, fmt.Sprintf("p%d-%s", p, unit))
	}
}

// cpuTime returns the CPU time of this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it can't fail for oneself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFanOut sends one message of 500 bytes to all subscribers at a time: through the hub, as WebSockets and as
// server-sent events, and through servers that have a bare library and nothing else.
func BenchmarkFanOut(b *testing.B) {
	for _, clients := range []int{1000, 5000, 10_000} {
		for _, name := range []string{"hub", "events", "coder", "gobwas"} {
			b.Run(fmt.Sprintf("%s/%d", name, clients), func(b *testing.B) {
				var s *benchServer
				switch name {
				case "coder":
					s = newCoderServer(b, 500)
				case "gobwas":
					s = newGobwasServer(b, 500)
				default:
					s = newBenchHub(b, 500, Options{})
				}
				newBench(b, s, load{Clients: clients, Events: name == "events"}).run(1, clients)
			})
		}
	}
}

// BenchmarkBurst sends 50 messages of 500 bytes at once to 1,000 subscribers.
func BenchmarkBurst(b *testing.B) {
	for _, name := range []string{"hub", "coder"} {
		b.Run(name, func(b *testing.B) {
			s := newCoderServer
			if name == "hub" {
				s = func(b *testing.B, size int) *benchServer { return newBenchHub(b, size, Options{}) }
			}
			newBench(b, s(b, 500), load{Clients: 1000}).run(50, 1000)
		})
	}
}

// BenchmarkStuck is BenchmarkFanOut of messages of 16 KiB to 1,000 subscribers, with and without 1 % of them who read
// nothing and are cut off in its course.
func BenchmarkStuck(b *testing.B) {
	for _, stuck := range []int{0, 10} {
		b.Run(strconv.Itoa(stuck), func(b *testing.B) {
			newBench(b, newBenchHub(b, 16<<10, Options{}), load{Clients: 1000, Stuck: stuck}).run(1, 1000-stuck)
		})
	}
}

// BenchmarkCompression sends messages of 4 KiB to 1,000 subscribers, as they are, and compressed once for all.
func BenchmarkCompression(b *testing.B) {
	for _, deflate := range []bool{false, true} {
		b.Run(strconv.FormatBool(deflate), func(b *testing.B) {
			newBench(b, newBenchHub(b, 4<<10, Options{}), load{Clients: 1000, Deflate: deflate}).run(1, 1000)
		})
	}
}
