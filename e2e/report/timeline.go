package main

import (
	"fmt"
	"html/template"
	"image/color"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/cutover-go/cutover/e2e/internal/digest"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

func newCanvas(c *vgsvg.Canvas) draw.Canvas { return draw.New(c) }

// spot is the size of a point. Requests of one process that fall on the same spot are one
// point.
const spot = 2.2

// A timeline is the figure of all requests in a part of a run.
type timeline struct {
	HTML           template.HTML
	Drawn, Answers int // points, and the answers that they stand for
	Lost           int
}

// drawTimeline draws the requests of r that were due between from and to.
func drawTimeline(r *record.Report, d *digest.Digest, from, to time.Duration, height vg.Length) (t timeline, err error) {
	p := newPlot("latency")
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, latencyTicks{}
	p.X.Min, p.X.Max = from.Seconds(), max(to, from+time.Millisecond).Seconds()
	p.Y.Min, p.Y.Max = latencyRange(r, from, to)
	lines := plotter.NewGrid()
	lines.Vertical.Color, lines.Horizontal.Color = grid, grid
	p.Add(&bands{r.Events}, lines)
	indexes := map[digest.Key]int{}
	for i, g := range d.Generations {
		indexes[g.Key] = i
	}
	all := &points{of: make([]plotter.XYs, len(d.Generations))}
	var lost plotter.XYs
	for _, q := range r.Requests {
		if q.Due < from || q.Due > to {
			continue
		}
		at := plotter.XY{X: q.Due.Seconds(), Y: max(p.Y.Min, milliseconds(q.Took))}
		if q.Lost() {
			lost = append(lost, at)
			continue
		}
		i := indexes[digest.KeyOf(r, q)]
		all.of[i] = append(all.of[i], at)
		t.Answers++
	}
	p.Add(all, &crosses{lost}, &marks{r.Events})
	t.HTML, err = svg(p, height)
	t.Drawn, t.Lost = all.drawn, len(lost)
	return t, err
}

// latencyRange returns the ends of the axis, in milliseconds.
func latencyRange(r *record.Report, from, to time.Duration) (least, most float64) {
	least, most = 1, 10
	for _, q := range r.Requests {
		if q.Due >= from && q.Due <= to {
			least, most = min(least, milliseconds(q.Took)), max(most, milliseconds(q.Took))
		}
	}
	return max(0.01, least*0.8), most * 2.5 // with room for the names of the upgrades
}

// points are the answers by process.
type points struct {
	of    []plotter.XYs
	drawn int
}

// Plot draws all points of a process as one path: one element for each would be ten times
// as long.
func (s *points) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i, of := range s.of {
		taken := map[[2]int]bool{}
		var path vg.Path
		for _, at := range of {
			px, py := x(at.X), y(at.Y)
			cell := [2]int{int(px / spot), int(py / spot)}
			if taken[cell] {
				continue
			}
			taken[cell] = true
			path.Move(vg.Point{X: px - spot/2, Y: py - spot/2})
			path.Line(vg.Point{X: px + spot/2, Y: py - spot/2})
			path.Line(vg.Point{X: px + spot/2, Y: py + spot/2})
			path.Line(vg.Point{X: px - spot/2, Y: py + spot/2})
			path.Close()
		}
		s.drawn += len(taken)
		if len(path) > 0 {
			c.SetColor(generation(i))
			c.Fill(path)
		}
	}
}

// crosses are the lost requests. Each of them is drawn.
type crosses struct{ at plotter.XYs }

func (s *crosses) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	var path vg.Path
	for _, at := range s.at {
		px, py := x(at.X), y(at.Y)
		for _, up := range []vg.Length{-4, 4} {
			path.Move(vg.Point{X: px - 4, Y: py - up})
			path.Line(vg.Point{X: px + 4, Y: py + up})
		}
	}
	if len(path) > 0 {
		c.SetLineStyle(draw.LineStyle{Color: danger, Width: 1.6})
		c.Stroke(path)
	}
}

// bands shade the upgrades: from the begin to the end of the command, and fainter until
// the process before had ended.
type bands struct{ events []record.Event }

func (s *bands) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	for _, e := range s.events {
		if e.Kind == record.Deploy || e.Kind == record.Start || e.Kind == record.Stop {
			continue
		}
		band(c, x(e.At.Seconds()), x(max(e.Done, e.At).Seconds()), shade)
		band(c, x(e.Done.Seconds()), x(e.Drained.Seconds()), faint)
	}
}

func band(c draw.Canvas, from, to vg.Length, fill color.Color) {
	from, to = max(from, c.Min.X), min(to, c.Max.X)
	if from >= to {
		return
	}
	c.FillPolygon(fill, []vg.Point{{X: from, Y: c.Min.Y}, {X: to, Y: c.Min.Y}, {X: to, Y: c.Max.Y}, {X: from, Y: c.Max.Y}})
}

// marks are a line and a name for each upgrade and each kill.
type marks struct{ events []record.Event }

func (s *marks) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	style := p.X.Tick.Label
	style.Font.Size = 10
	style.XAlign, style.YAlign = draw.XLeft, draw.YTop
	end, row := vg.Length(math.Inf(-1)), 0 // of the name before
	number := 0
	for _, e := range s.events {
		if e.Kind == record.Deploy || e.Kind == record.Start || e.Kind == record.Stop {
			continue
		}
		number++
		px := x(e.At.Seconds())
		if px < c.Min.X || px > c.Max.X {
			continue
		}
		line := ink
		if e.Kind == record.Kill || e.Error != "" {
			line = danger
		}
		c.StrokeLine2(draw.LineStyle{Color: line, Width: 0.8}, px, c.Min.Y, px, c.Max.Y)
		style.Color = line
		name := markName(e, number)
		if px < end {
			row = (row + 1) % 3
		} else {
			row = 0
		}
		c.FillText(style, vg.Point{X: px + 2, Y: c.Max.Y - 2 - vg.Length(row)*11}, name)
		end = px + 4 + style.Rectangle(name).Max.X
	}
}

func markName(e record.Event, number int) string {
	switch {
	case e.Kind == record.Kill:
		return "kill"
	case e.Error != "":
		return fmt.Sprintf("%d refused", number)
	}
	return fmt.Sprintf("%d %s", number, e.Kind)
}
