package asynclog

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// writing runs a log in fake time; f logs.
func writing(t *testing.T, to zerolog.Logger, f func(t *testing.T, l *Log)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := New(&to)
		go l.Run()
		f(t, l)
	})
}

func TestALineArrivesAsItWasLogged(t *testing.T) {
	say := func(l *zerolog.Logger) {
		l.Info().Str("b", `quo"te`).Int("a", 7).AnErr("why", errors.New("no \x00 reason")).Bool("b", true).Msg("hello\nworld")
		l.Warn().Bytes("stack", []byte("a\tb")).Dur("took", time.Second).Interface("all", map[string]int{"x": 1}).Send()
		l.Log().Msg("no level")
		l.Debug().Msg("not important enough")
	}
	var direct, late bytes.Buffer
	like := func(w *bytes.Buffer) zerolog.Logger {
		return zerolog.New(w).With().Str("app", "mine").Logger().Level(zerolog.InfoLevel)
	}
	l := like(&direct)
	say(&l)
	writing(t, like(&late), func(t *testing.T, l *Log) {
		say(l.Logger())
		require.True(t, l.Close(time.Second))
	})
	require.Equal(t, direct.String(), late.String())
	require.Equal(t, 3, strings.Count(late.String(), "\n"))
}

func TestWhatIsLoggedBeforeRunWaits(t *testing.T) {
	var out bytes.Buffer
	to := zerolog.New(&out)
	l := New(&to)
	l.Logger().Info().Msg("early")
	go l.Run()
	require.True(t, l.Close(time.Minute))
	require.Contains(t, out.String(), "early")
}

func TestASilentLog(t *testing.T) {
	l := New(nil)
	go l.Run()
	l.Logger().Error().Msg("to nobody")
	require.True(t, l.Close(time.Minute))
}

func TestAPanickingHookLosesItsLineAlone(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("oh") }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			to := zerolog.New(&out).Hook(zerolog.HookFunc(func(_ *zerolog.Event, _ zerolog.Level, message string) {
				if message == "2" {
					end()
				}
			}))
			writing(t, to, func(t *testing.T, l *Log) {
				for n := range 4 {
					l.Logger().Info().Msg(fmt.Sprint(n))
				}
				require.True(t, l.Close(time.Second))
			})
			require.Equal(t, 3, strings.Count(out.String(), "\n"))
		})
	}
}

// stuck is a writer that takes nothing until it is told.
type stuck struct {
	bytes.Buffer
	free chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.free
	return s.Buffer.Write(p)
}

func TestABlockedWriterHoldsNobodyUpAndLossesAreTold(t *testing.T) {
	out := &stuck{}
	writing(t, zerolog.New(out), func(t *testing.T, l *Log) {
		out.free = make(chan struct{})
		for n := range queue + 100 {
			l.Logger().Info().Int("n", n).Msg("line")
		}
		synctest.Wait()
		close(out.free)
		require.True(t, l.Close(time.Second))
	})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	told := false
	for _, line := range lines {
		told = told || strings.Contains(line, `"level":"warn","event":"lines_lost","actor":"log","count":`)
	}
	require.True(t, told)
	require.InDelta(t, queue+1, len(lines), 1, "the one in hand, those that waited, and what was said of the others")
}

func TestCloseWaitsNoLongerThanItsGrace(t *testing.T) {
	out := &stuck{}
	writing(t, zerolog.New(out), func(t *testing.T, l *Log) {
		out.free = make(chan struct{})
		l.Logger().Info().Msg("in hand")
		l.Logger().Info().Msg("waiting")
		synctest.Wait()
		began := time.Now()
		require.False(t, l.Close(time.Second))
		require.Equal(t, time.Second, time.Since(began))
		close(out.free)
		<-l.done
		require.NotContains(t, out.String(), "waiting", "nobody waits for it any more")
	})
}

func TestALineInAnotherForm(t *testing.T) {
	var out bytes.Buffer
	writing(t, zerolog.New(&out), func(t *testing.T, l *Log) {
		_, err := l.Write([]byte("plain"))
		require.NoError(t, err)
		_, err = l.Write([]byte(`{"a":1,"b":nonsense}`))
		require.NoError(t, err)
		require.True(t, l.Close(time.Second))
	})
	require.Equal(t, "{\"message\":\"plain\"}\n{\"a\":1}\n", out.String())
}
