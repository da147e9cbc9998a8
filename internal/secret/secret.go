// Package secret holds a text that must not be seen: a password, or a connection string with one.
package secret

import (
	"fmt"
	"io"
	"log/slog"
	"unique"
)

// redacted is all that anybody but a caller of Reveal ever gets.
const redacted = "[redacted]"

// Secret is a text that prints as [redacted] through every door: each verb of fmt, JSON, YAML, text, zerolog, slog,
// templates, errors and panics, also from inside other structs, pointers and maps. Reveal is the one way out.
//
// The zero value is the empty secret. Secrets are values: they may be copied, compared with == and used from any
// goroutine. UnmarshalText fills one from YAML, JSON or an environment variable.
//
// It is an array of one handle and not a string, because a string can be reached where no method is asked: fmt prints
// the bare text of an unexported field, of an argument to %p and of one to a misplaced %w, and JSON that of a map's
// key. Nor is it a struct: cleanenv leaves a struct unfilled without a word.
type Secret [1]unique.Handle[string]

// New returns the Secret that holds text.
func New(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// Reveal returns the text itself. What is done with it from here on is the caller's care.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s[0].Value()
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s == Secret{} }

// UnmarshalText takes the text as it is, blanks included.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = New(string(text))
	return nil
}

// String returns [redacted], for an empty secret as well.
func (Secret) String() string { return redacted }

// GoString returns [redacted].
func (Secret) GoString() string { return redacted }

// Format writes [redacted], whatever the verb, its flags and its width are.
func (Secret) Format(state fmt.State, _ rune) {
	// A fmt.State keeps what is written in memory, so there is no error to report.
	_, _ = io.WriteString(state, redacted)
}

// MarshalText returns [redacted]; JSON, YAML and XML use it.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns [redacted] to slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
