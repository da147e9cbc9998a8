package config

import (
	"errors"
	"strings"
	"time"
)

// Duration is a span of time that is written as seconds ("10", "0.5") or with units ("500ms", "1h30m").
type Duration time.Duration

// errDuration says nothing about the text: it may be a password that stands in the wrong line.
var errDuration = errors.New("not a duration")

// UnmarshalText reads either spelling. It serves the file and the environment alike.
func (d *Duration) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	if s != "" && strings.Trim(s, "+-.0123456789") == "" {
		s += "s"
	}
	parsed, err := time.ParseDuration(s)
	if err != nil {
		return errDuration
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText writes the duration with units.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String returns the duration with units: "500ms", "1m30s".
func (d Duration) String() string { return time.Duration(d).String() }

// roundUp returns how many units the duration takes, so that a span below one unit does not become 0, which means off.
func (d Duration) roundUp(unit time.Duration) int64 {
	whole := int64(time.Duration(d) / unit)
	if time.Duration(d)%unit > 0 {
		whole++
	}
	return whole
}
