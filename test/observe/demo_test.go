package observe

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/demo"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

// What Prometheus asks for: the text that everybody understands, and the form that has native histograms.
const (
	asText     = "text/plain;version=0.0.4"
	asProtobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)

// page is one answer of /metrics.
type page struct {
	contentType string
	body        []byte
}

// output is what the demo writes. It says when its metrics can be had.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	url  chan string
}

var metricsAt = regexp.MustCompile(`its metrics at (\S+)\n`)

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m := metricsAt.FindSubmatch(p); m != nil {
		o.url <- string(m[1])
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// scrapes are how often a demo is asked. In between it lives through kills of its server.
const (
	scrapes     = 8
	scrapeEvery = 750 * time.Millisecond
)

// record runs a demo and asks it for its metrics again and again, in each form.
func record(t *testing.T) map[string][]page {
	t.Helper()
	pgtest.Require(t)
	out := &output{url: make(chan string, 1)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- demo.Run(ctx, demo.Options{
			Every: 2 * time.Second, For: time.Minute, Callers: 32, Ops: "127.0.0.1:0", Out: out,
		})
	}()
	pages := map[string][]page{}
	select {
	case url := <-out.url:
		tick := time.NewTicker(scrapeEvery)
		defer tick.Stop()
		for range scrapes {
			<-tick.C
			for _, form := range []string{asText, asProtobuf} {
				pages[form] = append(pages[form], scrape(t, url, form))
			}
		}
	case err := <-ended:
		require.NoError(t, err, "the demo did not begin: %s", out)
	}
	stop()
	require.NoError(t, <-ended, "%s", out)
	return pages
}

func scrape(t *testing.T, url, form string) page {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	request.Header.Set("Accept", form)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return page{contentType: answer.Header.Get("Content-Type"), body: body}
}
