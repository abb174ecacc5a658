package mcp

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Serve serves one client over a reader and a writer, such as standard input and output, until the client disconnects
// or ctx ends. Requests read before the end of the input are answered.
func (d *Door) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	err := d.server.Run(ctx, &lastWord{&mcp.IOTransport{Reader: io.NopCloser(in), Writer: writeCloser{out}}})
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

type writeCloser struct{ io.Writer }

// Close implements [io.Closer]: the output is the program's.
func (writeCloser) Close() error { return nil }

// A lastWord is a transport whose input ends only after all requests are answered: the SDK cancels requests in progress
// when its input ends.
type lastWord struct{ mcp.Transport }

// Connect implements [mcp.Transport].
func (t *lastWord) Connect(ctx context.Context) (mcp.Connection, error) {
	c, err := t.Transport.Connect(ctx)
	return &answering{Connection: c, idle: make(chan struct{}, 1)}, err
}

type answering struct {
	mcp.Connection
	mu   sync.Mutex // guards open
	open int
	idle chan struct{} // signalled when no request is open
}

// lastAnswers bounds the wait for missing answers after the end of the input.
const lastAnswers = 30 * time.Second

// Read implements [mcp.Connection].
func (c *answering) Read(ctx context.Context) (jsonrpc.Message, error) {
	m, err := c.Connection.Read(ctx)
	if r, ok := m.(*jsonrpc.Request); ok && r.IsCall() && r.Method != "subscriptions/listen" {
		c.count(1)
	}
	if errors.Is(err, io.EOF) {
		c.wait(ctx)
	}
	return m, err
}

func (c *answering) wait(ctx context.Context) {
	t := time.NewTimer(lastAnswers)
	defer t.Stop()
	for {
		c.mu.Lock()
		open := c.open
		c.mu.Unlock()
		if open <= 0 {
			return
		}
		select {
		case <-c.idle:
		case <-ctx.Done():
			return
		case <-t.C:
			return
		}
	}
}

// Write implements [mcp.Connection].
func (c *answering) Write(ctx context.Context, m jsonrpc.Message) error {
	err := c.Connection.Write(ctx, m)
	if _, ok := m.(*jsonrpc.Response); ok {
		c.count(-1)
	}
	return err
}

func (c *answering) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open += n; c.open <= 0 {
		select {
		case c.idle <- struct{}{}:
		default:
		}
	}
}
