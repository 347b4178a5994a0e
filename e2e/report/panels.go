package main

import (
	"html/template"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/cutover-go/cutover/e2e/internal/digest"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// drawPercentiles draws the latency by the fraction of answers that were faster.
func drawPercentiles(all digest.Load) (template.HTML, error) {
	p := newPlot("latency")
	p.X.Label.Text = "percentile"
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, latencyTicks{}
	lines := plotter.NewGrid()
	lines.Vertical.Color, lines.Horizontal.Color = grid, grid
	p.Add(lines)
	var ticks plot.ConstantTicks
	least, most := 1.0, 10.0 // milliseconds
	for i, l := range []digest.Latency{all.Steady, all.During} {
		var curve plotter.XYs
		for _, step := range percentiles {
			if l.Count > 0 && step.enough <= l.Count {
				y := max(0.01, milliseconds(l.Quantile(step.q)))
				curve = append(curve, plotter.XY{X: step.at, Y: y})
				least, most = min(least, y), max(most, y)
			}
		}
		if len(curve) == 0 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(curve)
		if err != nil {
			return "", err
		}
		line.Color, line.Width = generation(i), 2
		dots.Color, dots.Shape, dots.Radius = generation(i), draw.CircleGlyph{}, 3
		p.Add(line, dots)
	}
	for _, step := range percentiles {
		ticks = append(ticks, plot.Tick{Value: step.at, Label: step.name})
	}
	p.X.Tick.Marker = ticks
	p.X.Min, p.X.Max = -0.2, float64(len(percentiles))-0.8
	p.Y.Min, p.Y.Max = least*0.7, most*1.5
	return svg(p, 260)
}

// percentiles are the points of the curves, evenly spaced. Each needs some answers.
var percentiles = []struct {
	q      float64
	name   string
	at     float64
	enough int
}{
	{0.5, "p50", 0, 1}, {0.75, "p75", 1, 4}, {0.9, "p90", 2, 10}, {0.95, "p95", 3, 20}, {0.99, "p99", 4, 100},
	{0.995, "p99.5", 5, 200}, {0.999, "p99.9", 6, 1000}, {1, "max", 7, 1},
}

// drawSamples draws a figure of each process over time.
func drawSamples(r *record.Report, d *digest.Digest, y string, of func(record.Sample) float64) (template.HTML, error) {
	p := newPlot(y)
	p.X.Min, p.X.Max, p.Y.Min = 0, r.Elapsed.Seconds(), 0
	lines := plotter.NewGrid()
	lines.Vertical.Color, lines.Horizontal.Color = grid, grid
	p.Add(&bands{r.Events}, lines)
	var order []int
	by := map[int]plotter.XYs{}
	for _, s := range r.Samples {
		if by[s.PID] == nil {
			order = append(order, s.PID)
		}
		by[s.PID] = append(by[s.PID], plotter.XY{X: s.At.Seconds(), Y: of(s)})
		p.Y.Max = max(p.Y.Max, of(s)*1.1)
	}
	for _, pid := range order {
		line, err := plotter.NewLine(by[pid])
		if err != nil {
			return "", err
		}
		line.Color, line.Width = generation(indexOf(d, pid)), vg.Length(2)
		p.Add(line)
	}
	return svg(p, 220)
}

// indexOf returns the last generation of a process.
func indexOf(d *digest.Digest, pid int) (index int) {
	for i, g := range d.Generations {
		if g.Key.PID == pid {
			index = i
		}
	}
	return index
}

// closest returns the part of the run around its most telling upgrade: the one with the
// most lost requests, else the one with the latest answer.
func closest(r *record.Report) (from, to time.Duration, number int) {
	const before, after = 300 * time.Millisecond, 700 * time.Millisecond
	var worst time.Duration
	n := 0
	for _, e := range r.Events {
		if e.Kind == record.Deploy || e.Kind == record.Start || e.Kind == record.Stop {
			continue
		}
		n++
		if e.Kind == record.Kill || e.Error != "" {
			continue
		}
		var score time.Duration
		for _, q := range r.Requests {
			switch {
			case q.Due < e.At-before || q.Due > max(e.Done, e.At)+after:
			case q.Lost():
				score += time.Hour
			default:
				score = max(score, score.Truncate(time.Hour)+q.Took)
			}
		}
		if score > worst {
			worst, from, to, number = score, max(0, e.At-before), max(e.Done, e.At)+after, n
		}
	}
	return from, to, number
}
