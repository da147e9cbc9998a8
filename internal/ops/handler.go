package ops

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// handler answers requests.
type handler struct {
	watch *Watch
	// details says whether the state may be looked at, or only whether the daemon is ready.
	details bool
	routes  []route
}

// route is one path and what is there.
type route struct {
	path, what string
	serve      http.HandlerFunc
}

// Handler answers GET and HEAD of /, /livez, /readyz, /metrics if the subject has some and, with details, /api/state. The page at / shows without details
// only whether the daemon is ready. It is safe from any goroutine, and no answer waits for the database.
func (w *Watch) Handler(details bool) http.Handler {
	h := &handler{watch: w, details: details}
	h.routes = []route{
		{"/", "a page for people", h.page},
		{"/livez", "200 while the process answers", h.livez},
		{"/readyz", "200 or 503: whether calls can expect to be served, and what is in the way (?format=text for people)", h.readyz},
	}
	if metrics := w.subject.Metrics; metrics != nil {
		h.routes = append(h.routes, route{"/metrics", "figures for Prometheus", metrics.ServeHTTP})
	}
	if details {
		h.routes = append(h.routes, route{"/api/state", "everything that is known, as JSON", h.state})
	}
	return h
}

// ServeHTTP finds the route. No other method than GET and HEAD has a meaning here.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	i := slices.IndexFunc(h.routes, func(known route) bool { return known.path == r.URL.Path })
	switch {
	case i < 0:
		h.notFound(w)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", "GET, HEAD")
		writeText(w, http.StatusMethodNotAllowed, h.routes[i].path+" can be read only: use GET or HEAD.\n")
	default:
		h.routes[i].serve(w, r)
	}
}

func (h *handler) notFound(w http.ResponseWriter) {
	var b strings.Builder
	b.WriteString("There is nothing here. Look at:\n\n")
	for _, known := range h.routes {
		fmt.Fprintf(&b, "  %-11s %s\n", known.path, known.what)
	}
	writeText(w, http.StatusNotFound, b.String())
}

// livez says that the process answers: a tree that gave up ends it.
func (h *handler) livez(w http.ResponseWriter, r *http.Request) {
	started := h.watch.subject.Started
	if wantsText(r) {
		writeText(w, http.StatusOK, "live since "+started.Format(time.RFC3339)+"\n")
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Live  bool      `json:"live"`
		Since time.Time `json:"since"`
	}{true, started})
}

func (h *handler) readyz(w http.ResponseWriter, r *http.Request) {
	v := h.watch.Verdict()
	code := http.StatusOK
	if !v.Ready {
		code = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter(v, time.Now())))
	}
	if wantsText(r) {
		writeText(w, code, v.text(time.Now()))
		return
	}
	writeJSON(w, code, v)
}

// retryAfter is when asking again makes sense, in whole seconds: with the next attempt, but soon, since the end of an
// outage is mostly found earlier.
func retryAfter(v Verdict, now time.Time) int {
	if wait := v.NextAttempt.Sub(now); wait > 0 {
		return min(1+int(wait/time.Second), 5)
	}
	return 1
}

func (h *handler) state(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, describe(h.watch.subject, h.watch.Verdict()))
}

// text is the verdict for people.
func (v Verdict) text(now time.Time) string {
	var b strings.Builder
	if v.Ready {
		b.WriteString(v.Reason)
	} else {
		b.WriteString("not ready: " + v.Reason)
	}
	fmt.Fprintf(&b, "\n  since         %s (%s)\n", v.Since.Format(time.RFC3339), ago(v.Since, now))
	if v.Cause != "" {
		fmt.Fprintf(&b, "  cause         %s\n", v.Cause)
	}
	if v.Attempts > 0 {
		fmt.Fprintf(&b, "  attempts      %d failed\n", v.Attempts)
	}
	if !v.NextAttempt.IsZero() {
		fmt.Fprintf(&b, "  next attempt  %s, or earlier if the server is found back\n", until(v.NextAttempt, now))
	}
	if v.Remedy != "" {
		fmt.Fprintf(&b, "  what to do    %s\n", v.Remedy)
	}
	return b.String()
}

// ago says how long ago t was, for people.
func ago(t, now time.Time) string { return short(now.Sub(t)) + " ago" }

// until says when t will be, for people.
func until(t, now time.Time) string {
	if wait := t.Sub(now); wait > 0 {
		return "in " + short(wait)
	}
	return "now"
}

// short rounds a duration to what a person wants to know.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	default:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
}

// wantsText tells whether the client asks for plain text. JSON is for everybody else, indented so that it can be read.
func wantsText(r *http.Request) bool {
	if format := r.URL.Query().Get("format"); format != "" {
		return format == "text"
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "text/plain") && !strings.Contains(accept, "json")
}

func writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // a client that has gone needs no answer
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		writeText(w, http.StatusInternalServerError, "The answer could not be written as JSON: "+err.Error()+"\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
}
