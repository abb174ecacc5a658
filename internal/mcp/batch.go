package mcp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxBatch is how many messages one request may hold. The oldest era knows batches, whose calls would all count as one.
const maxBatch = 20

// bounded returns an error for a batch of more than [maxBatch] messages. It leaves the body as it was.
func bounded(r *http.Request) error {
	if r.Method != http.MethodPost {
		return nil
	}
	from := r.Body
	in := bufio.NewReader(from)
	rest := func(first io.Reader) {
		r.Body = struct {
			io.Reader
			io.Closer
		}{first, from}
	}
	rest(in)
	for {
		b, err := in.ReadByte()
		if err != nil {
			return nil //nolint:nilerr // the handler reports it
		}
		if b == '[' {
			_ = in.UnreadByte()
			break
		}
		if b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			return in.UnreadByte()
		}
	}
	var read bytes.Buffer
	dec := json.NewDecoder(io.TeeReader(in, &read))
	_, err := dec.Token()
	for n := 0; err == nil && dec.More(); n++ {
		if n == maxBatch {
			return fmt.Errorf("a batch may hold %d messages: send the others in requests of their own", maxBatch)
		}
		var one json.RawMessage
		err = dec.Decode(&one)
	}
	if _, refused := errors.AsType[*http.MaxBytesError](err); refused {
		return err
	}
	rest(io.MultiReader(&read, in))
	return nil // what is no JSON the handler reports
}
