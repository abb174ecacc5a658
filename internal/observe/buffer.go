package observe

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a buffer.
const (
	bufferSize = 64 << 10
	flushEvery = time.Second
)

// A Buffer collects log lines and writes many at a time, for a log with a line per request. Lines in the buffer are
// lost when the process is killed, so it must not hold lines that a person has to see. It holds at most 64 KiB; beyond
// that, writers wait until it is written.
type Buffer struct {
	lost atomic.Int64

	mu    sync.Mutex // guards the fields below
	w     io.Writer
	lines []byte
}

// NewBuffer returns a buffer in front of w. Run writes it out every second; without Run it is written when it is full
// or flushed.
func NewBuffer(w io.Writer) *Buffer {
	return &Buffer{w: w, lines: make([]byte, 0, bufferSize)}
}

// Write adds whole lines. If they can't be written, it returns an error and drops them, so that later lines have a
// chance; see Lost.
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

// Flush writes the buffered lines.
func (b *Buffer) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flush()
}

// flush is Flush with the lock held.
func (b *Buffer) flush() error {
	if len(b.lines) == 0 {
		return nil
	}
	n, err := b.w.Write(b.lines)
	if err != nil {
		b.lost.Add(int64(len(b.lines) - n))
	}
	b.lines = b.lines[:0]
	if cap(b.lines) > 2*bufferSize { // after a very long line, free its memory
		b.lines = make([]byte, 0, bufferSize)
	}
	return err
}

// Lost returns the number of bytes that could not be written.
func (b *Buffer) Lost() int64 { return b.lost.Load() }

// Run writes the buffered lines every second, and when ctx ends. It returns the context's error, or the error of the
// last write.
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
			_ = b.Flush() // Lost counts it; the next write may succeed
		}
	}
}
