package ops

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// ask sends one request to a handler.
func ask(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// aching is a watch over a daemon that has something to tell.
func aching() *Watch {
	p := wellPool()
	p.stat.Outage, p.contact = down(time.Now().Add(-3*time.Second)), poolactor.Contact{}
	p.stat.Waiting, p.stat.Revoked, p.stat.TurnedAway, p.stat.Shed = 7, 5, 12, 34
	p.slots = []poolactor.SlotState{{Slot: 3, State: "leased", PID: 4711, Age: time.Minute, Leases: 9, Unused: time.Second}}
	p.holders = []poolactor.Holder{{Label: `<script>alert("x")</script>`, For: 1500 * time.Millisecond, Overdue: true, PID: 4711, Slot: 3}}
	tree := func() supervisor.Node {
		n := goodTree()
		retry := at(&n, poolPath+"/upkeep/retry")
		retry.State, retry.LastError, retry.LastErrorAt = supervisor.StateBackoff, "panic: <b>bang</b>", time.Now()
		return n
	}
	w := watchOver(p, tree)
	w.subject.Journal.add(Event{At: time.Now(), Who: "root/edge/ops", What: "crashed", Error: "a & b"})
	return w
}

func TestReadyzOfAReadyDaemon(t *testing.T) {
	h := watchOver(wellPool(), goodTree).Handler(true)
	w := ask(h, http.MethodGet, "/readyz")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	var v Verdict
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
	require.True(t, v.Ready)
	require.WithinDuration(t, time.Now(), v.Since, time.Minute)
}

func TestReadyzInAnOutage(t *testing.T) {
	h := aching().Handler(true)
	w := ask(h, http.MethodGet, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	body := map[string]any{}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	require.Equal(t, false, body["ready"])
	require.Equal(t, "the database cannot be reached", body["reason"])
	require.Equal(t, "connection refused", body["cause"])
	require.EqualValues(t, 3, body["attempts"])
	for _, key := range []string{"since", "next_attempt", "what_to_do"} {
		require.NotEmpty(t, body[key], key)
	}

	for _, w := range []*httptest.ResponseRecorder{
		ask(h, http.MethodGet, "/readyz?format=text"),
		ask(h, http.MethodGet, "/readyz", "Accept", "text/plain"),
	} {
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Contains(t, w.Header().Get("Content-Type"), "text/plain")
		for _, part := range []string{"not ready: the database cannot be reached", "3s ago", "cause", "3 failed", "in 1", "what to do"} {
			require.Contains(t, w.Body.String(), part)
		}
	}
}

func TestLivezAnswersInAnOutage(t *testing.T) {
	h := aching().Handler(true)
	w := ask(h, http.MethodGet, "/livez")
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `"live": true`)
	require.Contains(t, ask(h, http.MethodHead, "/livez?format=text").Body.String(), "live since")
}

func TestStateShowsEverything(t *testing.T) {
	w := ask(aching().Handler(true), http.MethodGet, "/api/state")
	require.Equal(t, http.StatusOK, w.Code)
	var s state
	require.NoError(t, json.Unmarshal([]byte(strings.NewReplacer(
		`"running"`, "2", `"backoff"`, "3", `"group"`, "1", `"service"`, "0", `"tree"`+`,`, "2,").Replace(w.Body.String())), &s))
	require.Equal(t, "v1.2.3", s.Version)
	require.Equal(t, server{Host: "db.example", Port: 5432, Database: "app", User: "me"}, s.Server)
	require.Equal(t, 7, s.Pool.Waiting)
	require.Equal(t, []int64{5, 12, 34}, []int64{s.Pool.Revoked, s.Pool.TurnedAway, s.Pool.Shed})
	require.Equal(t, "connection refused", s.Pool.Outage.Cause)
	require.Equal(t, []slot{{Slot: 3, State: "leased", PID: 4711, Age: 60, Leases: 9, Unused: 1}}, s.Slots)
	require.Equal(t, []lease{{Label: `<script>alert("x")</script>`, PID: 4711, Slot: 3, Held: 1.5, Overdue: true}}, s.Leases)
	require.Equal(t, "crashed", s.Events[0].What)
	retry := at(&s.Tree, poolPath+"/upkeep/retry")
	require.Equal(t, supervisor.StateBackoff, retry.State)
	require.False(t, s.Ready.Ready)
}

func TestStateOfAQuietDaemonHasNoNulls(t *testing.T) {
	body := ask(watchOver(wellPool(), goodTree).Handler(true), http.MethodGet, "/api/state").Body.String()
	require.Contains(t, body, `"leases": []`)
	require.Contains(t, body, `"slots": []`)
	require.Contains(t, body, `"events": []`)
	require.Contains(t, body, `"outage": null`)
}

func TestThePageEscapesEverything(t *testing.T) {
	w := ask(aching().Handler(true), http.MethodGet, "/")
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Header().Get("Content-Type"), "text/html")
	require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
	body := w.Body.String()
	for _, part := range []string{
		"not ready: the database cannot be reached", "3s ago", "what to do:", "me@db.example:5432/app", "v1.2.3",
		"&lt;script&gt;", "&lt;b&gt;bang&lt;/b&gt;", "a &amp; b", "4711", `<td class="bad">1.5s`, "leases taken away",
		"<b>12</b> calls too many", "<b>34</b> shed", "backoff", "</html>",
	} {
		require.Contains(t, body, part)
	}
	require.NotContains(t, body, "<script")
	require.NotContains(t, body, "<b>bang")
}

func TestWithoutDetailsOnlyReadinessIsShown(t *testing.T) {
	h := aching().Handler(false)
	body := ask(h, http.MethodGet, "/").Body.String()
	require.Contains(t, body, "not ready: the database cannot be reached")
	require.NotContains(t, body, "4711")
	require.NotContains(t, body, "db.example")
	require.NotContains(t, body, "/api/state")
	require.Equal(t, http.StatusNotFound, ask(h, http.MethodGet, "/api/state").Code)
	require.Equal(t, http.StatusServiceUnavailable, ask(h, http.MethodGet, "/readyz").Code)
}

func TestOtherMethodsAndPaths(t *testing.T) {
	h := aching().Handler(true)
	for _, path := range []string{"/", "/livez", "/readyz", "/api/state"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			w := ask(h, method, path)
			require.Equal(t, http.StatusMethodNotAllowed, w.Code, "%s %s", method, path)
			require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
		}
	}
	for _, path := range []string{"/nowhere", "/readyz/", "/api", "/livez/x"} {
		w := ask(h, http.MethodGet, path)
		require.Equal(t, http.StatusNotFound, w.Code)
		for _, known := range []string{"/livez", "/readyz", "/api/state"} {
			require.Contains(t, w.Body.String(), known)
		}
	}
}

func TestTimesForPeople(t *testing.T) {
	for says, d := range map[string]time.Duration{
		"300ms": 312 * time.Millisecond, "1.5s": 1520 * time.Millisecond, "12s": 12400 * time.Millisecond,
		"3m5s": 185 * time.Second, "26h30m": 26*time.Hour + 30*time.Minute + 20*time.Second,
	} {
		require.Equal(t, says, short(d))
	}
	require.Equal(t, "now", until(now, now))
	require.Equal(t, 1, retryAfter(Verdict{}, now))
	require.Equal(t, 3, retryAfter(Verdict{NextAttempt: now.Add(2500 * time.Millisecond)}, now))
	require.Equal(t, 5, retryAfter(Verdict{NextAttempt: now.Add(time.Minute)}, now))
}

func TestAnErrorOfNothing(t *testing.T) {
	require.Empty(t, errorText(nil))
	require.Equal(t, "x", errorText(errors.New("x")))
}

func TestMetricsAreServedWhereThereAreSome(t *testing.T) {
	w := watchOver(wellPool(), goodTree)
	require.Equal(t, http.StatusNotFound, ask(w.Handler(true), http.MethodGet, "/metrics").Code)
	require.NotContains(t, ask(w.Handler(true), http.MethodGet, "/").Body.String(), "/metrics")
	w.subject.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "figures\n") })
	for _, details := range []bool{true, false} {
		require.Contains(t, ask(w.Handler(details), http.MethodGet, "/").Body.String(), `href="/metrics"`)
		require.Equal(t, "figures\n", ask(w.Handler(details), http.MethodGet, "/metrics").Body.String())
		require.Equal(t, http.StatusMethodNotAllowed, ask(w.Handler(details), http.MethodPost, "/metrics").Code)
	}
}
