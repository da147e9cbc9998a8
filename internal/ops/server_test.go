package ops

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// client keeps no connections, so that none outlives its test.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// get returns the answer's code and body.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := client.Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(body)
}

func listen(t *testing.T, h http.Handler) *Server {
	t.Helper()
	l, err := Listen("127.0.0.1", 0)
	require.NoError(t, err)
	s := NewServer(l, h, nil)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestTheServerKeepsItsAddressOverItsLives(t *testing.T) {
	s := listen(t, watchOver(wellPool(), goodTree).Handler(true))
	require.Equal(t, "ops", s.String())
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx) }()
		require.Eventually(t, func() bool {
			conn, err := net.Dial("tcp", s.Address())
			if err == nil {
				conn.Close()
			}
			return err == nil
		}, 5*time.Second, time.Millisecond)
		code, _ := get(t, s.URL()+"livez")
		require.Equal(t, http.StatusOK, code)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	}
}

func TestARequestUnderWayEndsBeforeTheServer(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		writeText(w, http.StatusOK, "done")
	}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()

	type answer struct {
		code int
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		r, err := client.Get(s.URL())
		if err != nil {
			answered <- answer{err: err}
			return
		}
		r.Body.Close()
		answered <- answer{code: r.StatusCode}
	}()
	<-entered
	cancel()
	require.Eventually(t, func() bool { // nobody new is let in
		conn, err := net.Dial("tcp", s.Address())
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, 5*time.Second, time.Millisecond)
	select {
	case <-ended:
		t.Fatal("the server stopped while a request was under way")
	default:
	}
	close(leave)
	require.Equal(t, answer{code: http.StatusOK}, <-answered)
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestATakenPortIsSaidClearly(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = Listen("127.0.0.1", port)
	require.ErrorContains(t, err, "cannot listen on 127.0.0.1:"+strconv.Itoa(port))
	require.ErrorContains(t, err, "address already in use")
	require.ErrorContains(t, err, "OPS_PORT")

	_, err = Listen("192.0.2.1", 0)
	require.ErrorContains(t, err, "OPS_HOST")
}

func TestALaterLifeWithoutItsPortFails(t *testing.T) {
	s := listen(t, http.NotFoundHandler())
	require.NoError(t, s.Close())
	taken, err := net.Listen("tcp", s.Address())
	require.NoError(t, err)
	defer taken.Close()
	require.ErrorContains(t, s.Serve(t.Context()), "cannot listen")
}

func TestAListenerThatFailsEndsTheLife(t *testing.T) {
	s := listen(t, http.NotFoundHandler())
	require.NoError(t, s.first.Close())
	require.ErrorContains(t, s.Serve(t.Context()), "stopped accepting")
}

func TestAPanicInAHandlerIsLogged(t *testing.T) {
	var log bytes.Buffer
	logger := zerolog.New(zerolog.SyncWriter(&log))
	s := listen(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("bang") }))
	s.log = &logger
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	_, err := client.Get(s.URL())
	require.Error(t, err)
	cancel()
	<-ended
	require.Contains(t, log.String(), "bang")
}
