package main

import "log/slog"

// redacted stands where a secret would.
const redacted = "**redacted**"

// A secret is a setting that is never shown: it prints, logs and encodes as a placeholder. A conversion to string opens
// it.
type secret string

// String hides the secret.
func (s secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the secret from %#v too.
func (s secret) GoString() string { return s.String() }

// MarshalText hides the secret from JSON and YAML.
func (s secret) MarshalText() ([]byte, error) { //nolint:unparam // the interface wants the error
	return []byte(s.String()), nil
}

// LogValue hides the secret from logs.
func (s secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
