package daemon

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
)

func TestTheLevelOfTheLogChangesWhileItRuns(t *testing.T) {
	var out bytes.Buffer
	b, err := newLogbook(config.Log{Level: "warn", Format: "json"}, &out)
	require.NoError(t, err)
	below := b.logger.With().Str("actor", "x").Logger() // loggers that were handed out follow

	below.Info().Msg("quiet")
	require.Empty(t, out.String())
	require.NoError(t, b.setLevel("debug"))
	below.Debug().Msg("loud")
	var line struct{ Level, Message, Actor, Time string }
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, []string{"debug", "loud", "x"}, []string{line.Level, line.Message, line.Actor})
	at, err := time.Parse(timeFormat, line.Time)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)

	out.Reset()
	require.Error(t, b.setLevel("loud"))
	below.Debug().Msg("as before")
	require.NotEmpty(t, out.String())
	below.Log().Msg("of no level")
	require.Contains(t, out.String(), "of no level")
}

func TestTheConsoleIsForPeople(t *testing.T) {
	var out bytes.Buffer
	b, err := newLogbook(config.Log{Level: "info", Format: "console"}, &out)
	require.NoError(t, err)
	b.logger.Info().Str("key", "value").Msg("words")
	require.Regexp(t, `^\d\d:\d\d:\d\d\.\d\d\d INF words key=value\n$`, out.String())
}

func TestAnUnknownLevel(t *testing.T) {
	_, err := newLogbook(config.Log{Level: "loud"}, nil)
	require.ErrorContains(t, err, "log.level")
}
