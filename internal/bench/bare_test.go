//go:build bench

package bench

import (
	"encoding/json"
	"net/http"
	"os"
	"strconv"
)

// A bareAnswer is what a bare handler writes for a path.
type bareAnswer struct {
	Body string
	ETag string
}

// serveBare is the least that answers with given bytes: net/http and a map.
func serveBare(addr, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	var given map[string]bareAnswer
	if err := json.Unmarshal(data, &given); err != nil {
		panic(err)
	}
	type answer struct {
		body         []byte
		etag, length string
	}
	answers := map[string]*answer{}
	for path, a := range given {
		answers[path] = &answer{[]byte(a.Body), a.ETag, strconv.Itoa(len(a.Body))}
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := answers[r.URL.Path]
		if a == nil {
			return
		}
		h := w.Header()
		h.Set("Etag", a.etag)
		if r.Header.Get("If-None-Match") == a.etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", a.length)
		w.Write(a.body)
	})
	if err := http.ListenAndServe(addr, handler); err != nil {
		panic(err)
	}
}
