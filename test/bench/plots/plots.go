// Package plots draws what the benchmarks have measured, as SVG.
package plots

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// chart is one measure of all rows of a kind, a line for each contestant.
type chart struct {
	file    string
	title   string
	rows    string // what their names begin with
	x, y    string
	measure figures.Measure
}

var charts = []chart{
	{"acquire", "Acquire + release, 20 connections", "acquire/", "callers", "ns per lease", figures.Time},
	{"query", `QueryRow("select $1::int"), 20 connections`, "query/", "callers", "queries a second", figures.Throughput},
	{"query-p99", `QueryRow("select $1::int"), 20 connections`, "query/", "callers", "p99, ns", figures.P99},
	{"shared", `Shared statements, "select $1::int"`, "shared/", "callers", "queries a second", figures.Throughput},
	{"ask", "Ask: a question and its answer", "ask/", "askers", "ns per round trip", figures.Time},
	{"tell", "Tell: a message and its handling", "tell/", "senders", "ns per message", figures.Time},
	{"connections", "Acquire + release, 32 callers", "connections/", "connections", "ns per lease", figures.Time},
	{"connections-memory", "Memory of a connection", "connections/", "connections", "bytes each", figures.Memory},
	{"connections-idle", "Processor time while nobody calls", "connections/", "connections", "ns a second", figures.CPU},
	{"callers", "Acquire + release, 20 connections", "callers/", "callers", "ns per lease", figures.Time},
	{"waiters", "Memory of a waiting caller", "waiters/", "waiting callers", "bytes each", figures.Memory},
}

// File is a plot that was drawn.
type File struct {
	Name  string // without a folder
	Title string
}

// Draw writes into a folder the plots for which a report has the figures, and says which these are: first the one of all
// bounds, then the others.
func Draw(folder string, r *figures.Report) ([]File, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	var files []File
	if p, height := shares(r); p != nil {
		f := File{"bounds.svg", "How much of each bound is used"}
		if err := p.Save(18*vg.Centimeter*1.4, height, filepath.Join(folder, f.Name)); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		files = append(files, f)
	}
	for _, c := range charts {
		p, err := c.plot(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.file, err)
		}
		if p == nil {
			continue
		}
		f := File{c.file + ".svg", c.title + ": " + c.y}
		if err := p.Save(18*vg.Centimeter, 11*vg.Centimeter, filepath.Join(folder, f.Name)); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// palette tells contestants apart, also for those who see fewer colours (Okabe and Ito's). Ours is the first.
var palette = []color.RGBA{
	{0x00, 0x72, 0xb2, 0xff},
	{0xd5, 0x5e, 0x00, 0xff},
	{0x00, 0x9e, 0x73, 0xff},
	{0xcc, 0x79, 0xa7, 0xff},
	{0xe6, 0x9f, 0x00, 0xff},
	{0x56, 0xb4, 0xe9, 0xff},
}

// series is one contestant's line, with where the rounds lay.
type series struct {
	plotter.XYs
	plotter.YErrors
}

// lines collects the lines of a chart, and the names in the order of the rows.
func (c chart) lines(r *figures.Report) (names []string, lines map[string]*series) {
	lines = map[string]*series{}
	for _, o := range r.Outcomes {
		if !strings.HasPrefix(o.ID, c.rows) {
			continue
		}
		for _, name := range o.Order {
			s, ok := o.Of(name, c.measure)
			if !ok || s.Low <= 0 || o.X <= 0 { // neither has a place on a logarithmic scale
				continue
			}
			if lines[name] == nil {
				names, lines[name] = append(names, name), &series{}
			}
			l := lines[name]
			l.XYs = append(l.XYs, plotter.XY{X: o.X, Y: s.Median})
			l.YErrors = append(l.YErrors, struct{ Low, High float64 }{s.Median - s.Low, s.High - s.Median})
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return len(lines[name].XYs) < 2 }), lines
}

// plot is nil if there is no line to draw.
func (c chart) plot(r *figures.Report) (*plot.Plot, error) {
	names, lines := c.lines(r)
	if len(names) == 0 {
		return nil, nil
	}
	p := plain(c.title)
	p.X.Label.Text, p.Y.Label.Text = c.x, c.y
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.ConstantTicks(ticks(lines))
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	for i, name := range names {
		line, points, err := plotter.NewLinePoints(lines[name].XYs)
		if err != nil {
			return nil, err
		}
		bars, err := plotter.NewYErrorBars(lines[name])
		if err != nil {
			return nil, err
		}
		shade := palette[i%len(palette)]
		line.Color, points.Color, bars.Color = shade, shade, shade
		if i == 0 {
			line.Width = vg.Points(2.5)
		}
		points.Shape = draw.CircleGlyph{}
		p.Add(line, points, bars)
		p.Legend.Add(name, line, points)
	}
	p.Y.Max *= 3 // room for the legend
	return p, nil
}

// ticks are at the places where something was measured.
func ticks(lines map[string]*series) []plot.Tick {
	var at []float64
	for _, l := range lines {
		for _, xy := range l.XYs {
			at = append(at, xy.X)
		}
	}
	slices.Sort(at)
	var ticks []plot.Tick
	for _, x := range slices.Compact(at) {
		ticks = append(ticks, plot.Tick{Value: x, Label: fmt.Sprintf("%.0f", x)})
	}
	return ticks
}

func plain(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	for _, style := range []*font.Font{
		&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font,
	} {
		style.Variant = "Sans"
	}
	p.Title.Padding = vg.Points(8)
	p.Legend.Padding = vg.Points(1)
	return p
}

// share is one bound in the plot of all of them.
type share struct {
	figures.Spread
	label  string
	inside bool
}

// least and most are the ends of the scale: what is beyond them is drawn there.
const (
	least = 0.01
	most  = 100
)

// shares draws how much of what each bound allows was used: left of the line at 1 it is kept. It is nil if nothing was
// judged.
func shares(r *figures.Report) (*plot.Plot, vg.Length) {
	var all []share
	for _, o := range r.Outcomes {
		for _, v := range o.Verdicts() {
			if v.Rounds == 0 {
				continue
			}
			s := v.Share()
			for _, x := range []*float64{&s.Median, &s.Low, &s.High} {
				*x = min(max(*x, least), most)
			}
			all = append(all, share{s, fmt.Sprintf("%s: %s %s", o.ID, v.Measure, v.Bound), v.Inside()})
		}
	}
	if len(all) == 0 {
		return nil, 0
	}
	slices.Reverse(all) // the first row is at the top
	p := plain("How much of each bound is used: left of 1 it is kept")
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.X.Label.Text = "part of what the bound allows: median, least and largest round"
	labels := make([]string, len(all))
	for i, s := range all {
		labels[i] = s.label
		p.Add(mark(s, float64(i))...)
	}
	p.NominalY(labels...)
	p.Y.Tick.Label.Font.Size = vg.Points(8)
	at := func(x float64) *plotter.Line {
		l := &plotter.Line{XYs: plotter.XYs{{X: x, Y: -1}, {X: x, Y: float64(len(all))}}}
		l.Color, l.Width = color.Gray{0x60}, vg.Points(1)
		return l
	}
	p.Add(at(1))
	p.X.Min, p.X.Max = math.Min(p.X.Min, 0.1), math.Max(p.X.Max, 2)
	return p, vg.Points(float64(80 + 14*len(all)))
}

// mark is a point with the way from the least to the largest.
func mark(s share, y float64) []plot.Plotter {
	shade := palette[0]
	if !s.inside {
		shade = palette[1]
	}
	span := &plotter.Line{XYs: plotter.XYs{{X: s.Low, Y: y}, {X: s.High, Y: y}}}
	span.Color, span.Width = shade, vg.Points(1.5)
	point := &plotter.Scatter{XYs: plotter.XYs{{X: s.Median, Y: y}}}
	point.Color, point.Shape, point.Radius = shade, draw.CircleGlyph{}, vg.Points(3)
	return []plot.Plotter{span, point}
}
