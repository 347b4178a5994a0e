package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/digest"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

//go:embed picture.svg
var pictureText string

var pictureTemplate = template.Must(template.New("picture").Funcs(template.FuncMap{
	"count": digest.Count, "text": template.HTMLEscapeString,
	"add": func(a, b float64) float64 { return tenth(a + b) }, "sub": func(a, b float64) float64 { return tenth(a - b) },
}).Parse(pictureText))

// The area of the points within the picture, and the time around the upgrade.
const (
	left, right   = 64.0, 868.0
	top, bottom   = 84.0, 300.0
	before, after = 1200 * time.Millisecond, 1500 * time.Millisecond
	cell          = 2 // size of a point
)

// A picture holds the data of picture.svg, in points of the SVG.
type picture struct {
	Requests, Lost       int // due in the picture
	Rate                 int // requests a second
	Manager              string
	Left, Right          float64
	Top, Bottom          float64
	Begin, Done, Drained float64 // of the upgrade
	Took                 string
	Rows, Columns        []label
	Old, New, Crosses    string // paths
}

// A label is a line of the grid.
type label struct {
	At   float64
	Text string
}

// writePicture writes the first upgrade of r as an SVG that shows each request as a point.
func writePicture(w io.Writer, r *record.Report) error {
	i := slices.IndexFunc(r.Events, func(e record.Event) bool { return e.Upgrades() && e.Before != e.After && e.Drained > 0 })
	if i < 0 {
		return errors.New("the report has no upgrade from one process to another")
	}
	return pictureTemplate.Execute(w, pictureOf(r, r.Events[i]))
}

func pictureOf(r *record.Report, e record.Event) picture {
	from, to := max(0, e.At-before), e.Drained+after
	least, most := latencyRange(r, from, to)
	x := func(t time.Duration) float64 {
		return tenth(left + (right-left)*float64(t-from)/float64(to-from))
	}
	y := func(ms float64) float64 {
		return tenth(bottom - (bottom-top)*math.Log(ms/least)/math.Log(most/least))
	}
	p := picture{
		Rate: rate(r), Manager: r.Environment.Manager,
		Left: left, Right: right, Top: top, Bottom: bottom,
		Begin: x(e.At), Done: x(e.Done), Drained: x(e.Drained),
		Took: digest.Short(e.Done - e.At),
	}
	for ms := math.Pow(10, math.Ceil(math.Log10(least))); ms <= most; ms *= 10 {
		p.Rows = append(p.Rows, label{y(ms), latencyLabel(ms)})
	}
	for s := math.Ceil((from - e.At).Seconds()); s <= (to - e.At).Seconds(); s++ {
		name := fmt.Sprintf("%+g s", s)
		if s == 0 {
			name = "0 s" // also of a negative zero
		}
		p.Columns = append(p.Columns, label{x(e.At + time.Duration(s*float64(time.Second))), name})
	}
	old, successor := newDots(), newDots()
	var crosses strings.Builder
	for _, q := range r.Requests {
		if q.Due < from || q.Due > to {
			continue
		}
		p.Requests++
		px, py := x(q.Due), y(max(least, milliseconds(q.Took)))
		switch {
		case q.Lost():
			p.Lost++
			fmt.Fprintf(&crosses, "M%g %gl8 8m0-8l-8 8", px-4, py-4)
		case digest.KeyOf(r, q).PID == e.Before:
			old.add(px, py)
		default:
			successor.add(px, py)
		}
	}
	p.Old, p.New, p.Crosses = old.path.String(), successor.path.String(), crosses.String()
	return p
}

func tenth(v float64) float64 { return math.Round(v*10) / 10 }

// rate returns how many requests are due each second.
func rate(r *record.Report) int {
	var all float64
	for _, l := range r.Loads {
		all += l.Rate
	}
	return int(math.Round(all))
}

// dots is the path of the answers of one process. Answers in the same cell are one dot.
type dots struct {
	taken map[[2]int]bool
	path  strings.Builder
}

func newDots() *dots { return &dots{taken: map[[2]int]bool{}} }

func (d *dots) add(x, y float64) {
	at := [2]int{int(x) / cell * cell, int(y) / cell * cell}
	if !d.taken[at] {
		d.taken[at] = true
		fmt.Fprintf(&d.path, "M%d %dh2v2h-2z", at[0], at[1])
	}
}
