package ops

import (
	"bytes"
	_ "embed" // for the page's text
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

//go:embed page.html
var pageText string

// pageTemplate escapes whatever is put into it for the place where it is put.
var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"short":   func(seconds float64) string { return short(time.Duration(seconds * float64(time.Second))) },
	"clock":   func(t time.Time) string { return t.Format("15:04:05.000") },
	"stamp":   func(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") },
	"healthy": func(s supervisor.State) bool { return s == supervisor.StateRunning },
}).Parse(pageText))

// page is what the template shows.
type page struct {
	Now     time.Time
	Verdict Verdict
	Version string
	Details bool
	Metrics bool // whether there are some
	State   state
	Nodes   []treeLine
}

// treeLine is a node of the tree in a table.
type treeLine struct {
	supervisor.Node
	Indent string
}

// Ago says how long ago t was.
func (p page) Ago(t time.Time) string { return ago(t, p.Now) }

// Until says when t will be.
func (p page) Until(t time.Time) string { return until(t, p.Now) }

func (h *handler) page(w http.ResponseWriter, _ *http.Request) {
	s := h.watch.subject
	p := page{Now: time.Now(), Verdict: h.watch.Verdict(), Version: s.Version, Details: h.details, Metrics: s.Metrics != nil}
	if h.details {
		p.State = describe(s, p.Verdict)
		depth := strings.Count(p.State.Tree.Path, "/")
		for n := range p.State.Tree.All() {
			p.Nodes = append(p.Nodes, treeLine{n, strings.Repeat("\u2003", strings.Count(n.Path, "/")-depth)})
		}
	}
	var body bytes.Buffer
	if err := pageTemplate.Execute(&body, p); err != nil {
		writeText(w, http.StatusInternalServerError, "The page could not be made: "+err.Error()+"\n")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body.Bytes()) // a client that has gone needs no answer
}
