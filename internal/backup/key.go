package backup

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
)

// A Key encrypts copies, and decrypts them if it contains a secret. The zero key does not encrypt.
type Key struct {
	recipients []age.Recipient
	identities []age.Identity
	phrase     string // "" for an age key
}

// ReadKey reads a key from a file: age identities (AGE-SECRET-KEY-1…), which encrypt and decrypt, age recipients
// (age1…), which only encrypt, or, if the first line is neither, a passphrase. A path of "" means no key.
func ReadKey(path string) (Key, error) {
	if path == "" {
		return Key{}, nil
	}
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return Key{}, fmt.Errorf("read the backup key: %w", err)
	}
	k, err := parseKey(data)
	if err != nil {
		return k, fmt.Errorf("backup key %s: %w", path, err)
	}
	return k, nil
}

func parseKey(data []byte) (Key, error) {
	var k Key
	text := strings.TrimSpace(string(data))
	switch {
	case text == "":
		return k, fmt.Errorf("the file is empty: want an age identity, age recipients or a passphrase")
	case strings.Contains(text, "AGE-SECRET-KEY-"):
		ids, err := age.ParseIdentities(bytes.NewReader(data))
		if err != nil {
			return k, err
		}
		for _, id := range ids {
			if x, ok := id.(*age.X25519Identity); ok {
				k.recipients = append(k.recipients, x.Recipient())
			}
		}
		k.identities = ids
		if len(k.recipients) == 0 {
			return k, fmt.Errorf("no identity in it can encrypt: want AGE-SECRET-KEY-1…")
		}
		return k, nil
	case strings.HasPrefix(text, "age1"), strings.HasPrefix(text, "#"):
		var err error
		k.recipients, err = age.ParseRecipients(bytes.NewReader(data))
		return k, err
	}
	phrase, _, _ := strings.Cut(text, "\n")
	phrase = strings.TrimSpace(phrase)
	const least = 16
	if len(phrase) < least {
		return k, fmt.Errorf("the passphrase has %d characters: want %d or more", len(phrase), least)
	}
	r, err := age.NewScryptRecipient(phrase)
	if err != nil {
		return k, err
	}
	id, err := age.NewScryptIdentity(phrase)
	if err != nil {
		return k, err
	}
	return Key{recipients: []age.Recipient{r}, identities: []age.Identity{id}, phrase: phrase}, nil
}

// Encrypts reports whether the key encrypts copies.
func (k Key) Encrypts() bool { return len(k.recipients) > 0 }

// seal returns a writer that encrypts into w; its Close does not close w.
func (k Key) seal(w io.Writer) (io.WriteCloser, error) {
	if !k.Encrypts() {
		return keepOpen{w}, nil
	}
	return age.Encrypt(w, k.recipients...)
}

// open returns a reader that decrypts what seal has written.
func (k Key) open(r io.Reader, encrypted bool) (io.Reader, error) {
	if !encrypted {
		return r, nil
	}
	if len(k.identities) == 0 {
		return nil, fmt.Errorf("the backup is encrypted, and there is no key that can read it: name the file of its " +
			"identity or passphrase with --backup-key-file")
	}
	out, err := age.Decrypt(r, k.identities...)
	if err != nil {
		return nil, fmt.Errorf("the key does not open the backup: %w", err)
	}
	return out, nil
}

type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }
