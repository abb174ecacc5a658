package observe

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a buffer.
const (
	bufferSize = 64 << 10
	flushEvery = time.Second
)

// A Buffer collects lines and writes them many at a time: for a log with a line for every request. What it holds when the
// process is killed is lost, so it is not for lines that a person must see. It holds 64 KiB at most: who brings more waits
// until they are written.
type Buffer struct {
	lost atomic.Int64

	mu    sync.Mutex // guards all below
	w     io.Writer
	lines []byte
}

// NewBuffer returns a buffer before w. Run writes out what it holds each second; a buffer that nobody runs writes when it is
// full, and when it is flushed.
func NewBuffer(w io.Writer) *Buffer {
	return &Buffer{w: w, lines: make([]byte, 0, bufferSize)}
}

// Write takes in whole lines. It fails only where they can't be written: they are dropped then, so that what comes later has
// a chance. See Lost.
func (b *Buffer) Write(lines []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines)+len(lines) > bufferSize {
		if err := b.flush(); err != nil {
			b.lost.Add(int64(len(lines)))
			return 0, err
		}
	}
	b.lines = append(b.lines, lines...)
	if len(b.lines) >= bufferSize {
		return len(lines), b.flush()
	}
	return len(lines), nil
}

// Flush writes out what the buffer holds.
func (b *Buffer) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flush()
}

// flush is Flush for who holds the lock.
func (b *Buffer) flush() error {
	if len(b.lines) == 0 {
		return nil
	}
	n, err := b.w.Write(b.lines)
	if err != nil {
		b.lost.Add(int64(len(b.lines) - n))
	}
	b.lines = b.lines[:0]
	if cap(b.lines) > 2*bufferSize { // a very long line has passed
		b.lines = make([]byte, 0, bufferSize)
	}
	return err
}

// Lost returns how many bytes could not be written.
func (b *Buffer) Lost() int64 { return b.lost.Load() }

// Run writes out what the buffer holds each second, and when ctx ends. It returns the context's error, or that of the last
// writing.
func (b *Buffer) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := b.Flush(); err != nil {
				return err
			}
			return ctx.Err()
		case <-tick.C:
			_ = b.Flush() // Lost tells; the next lines may have more luck
		}
	}
}
