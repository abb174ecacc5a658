package interchange

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"tenet/internal/knowledge"
)

// content returns the canonical JSON of what writers decide in a document: everything but the stamps.
func content(d knowledge.Document) ([]byte, error) {
	bare, err := knowledge.Clone(d)
	if err != nil {
		return nil, err
	}
	*bare.Stamps() = knowledge.Stamp{}
	return knowledge.Canonical(bare)
}

func sameContent(a, b knowledge.Document) (bool, error) {
	x, err := content(a)
	if err != nil {
		return false, err
	}
	y, err := content(b)
	return bytes.Equal(x, y), err
}

// extraOf returns the free values of a document; nil for kinds that have none.
func extraOf(d knowledge.Document) *map[string]any {
	if c := knowledge.CommonOf(d); c != nil {
		return &c.Extra
	}
	return nil
}

// An origin is the part of extra that says where a document was imported from.
type origin struct {
	source, path string
	entry        string // what names the document among those of its file; "" for one that is all of it
	digest       string // of the document as it was imported
	pruned       bool   // retired by an import whose source no longer held it
	off          bool   // retired by an import whose file has it switched off
	status       string // that it was created with, where a person said which: then the file does not decide it
}

// originOf returns where a document was imported from, or false.
func originOf(d knowledge.Document) (origin, bool) {
	extra := extraOf(d)
	if extra == nil {
		return origin{}, false
	}
	m, ok := (*extra)[importedFrom].(map[string]any)
	if !ok {
		return origin{}, false
	}
	var o origin
	o.source, _ = m["source"].(string)
	o.path, _ = m["path"].(string)
	o.entry, _ = m["entry"].(string)
	o.digest, _ = m["digest"].(string)
	o.off, _ = m["off"].(bool)
	o.status, _ = m["status"].(string)
	o.pruned, _ = m["pruned"].(bool)
	return o, o.source != ""
}

// statusOf returns the status of a rule, "" for other kinds.
func statusOf(d knowledge.Document) string {
	if rule, ok := d.(*knowledge.Rule); ok {
		return rule.Status
	}
	return ""
}

// setEntry stores what identifies a document within its file.
func setEntry(d knowledge.Document, name string) {
	if o, ok := originOf(d); ok {
		o.entry = name
		o.put(d)
	}
}

func (o origin) put(d knowledge.Document) {
	m := map[string]any{"source": o.source, "path": o.path, "digest": o.digest}
	if o.entry != "" {
		m["entry"] = o.entry
	}
	if o.pruned {
		m["pruned"] = true
	}
	if o.off {
		m["off"] = true
	}
	if o.status != "" {
		m["status"] = o.status
	}
	(*extraOf(d))[importedFrom] = m
}

// digest returns the hash of a document as imported: active, without stamps and origin. If the digest differs from the
// one in its origin, the document was edited since. Empty values are left out, so that a field added by a later version
// does not count as an edit.
func digest(d knowledge.Document) (string, error) {
	bare, err := knowledge.Clone(d)
	if err != nil {
		return "", err
	}
	*bare.Stamps() = knowledge.Stamp{}
	bare.SetActive(true)
	if rule, ok := bare.(*knowledge.Rule); ok {
		if o, _ := originOf(bare); o.status != "" {
			rule.Status = ""
		}
	}
	if extra := extraOf(bare); extra != nil {
		delete(*extra, importedFrom)
	}
	b, err := knowledge.Canonical(bare)
	if err != nil {
		return "", err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "", err
	}
	if b, err = json.Marshal(compact(v)); err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16]), nil
}

// compact returns a JSON value without empty members.
func compact(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = compact(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			if e = compact(e); !saysNothing(e) {
				out[k] = e
			}
		}
		return out
	}
	return v
}

func saysNothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case json.Number:
		return v == "0"
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// sign stores the digest of an imported document in its origin.
func sign(d knowledge.Document) error {
	o, ok := originOf(d)
	if !ok {
		return nil
	}
	var err error
	if o.digest, err = digest(d); err != nil {
		return err
	}
	o.off = !d.Active()
	o.put(d)
	return nil
}
