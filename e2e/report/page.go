package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/digest"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"short": digest.Short, "count": digest.Count,
	"between": func(from, to time.Duration) time.Duration { return to - from },
	"seconds": func(d interface{ Seconds() float64 }) string { return fmt.Sprintf("%.2f s", d.Seconds()) },
}).Parse(pageText))

// A page holds the data of the template.
type page struct {
	*record.Report
	Digest              *digest.Digest
	Legend              []legend
	More                int // generations that are not in the legend
	Timeline, Detail    timeline
	DetailNumber        int
	Percentiles         template.HTML
	Descriptors, Memory template.HTML
	Data                string // the report without its requests and samples, as JSON
}

// legends is the most generations in the legend.
const legends = 16

// A legend is a generation with its colour.
type legend struct {
	Color template.CSS
	Name  string
	Count int
}

// writePage writes the page of r.
func writePage(w io.Writer, r *record.Report) (err error) {
	d := digest.Of(r)
	p := page{Report: r, Digest: d}
	for i, g := range d.Generations {
		if i == legends {
			p.More = len(d.Generations) - legends
			break
		}
		p.Legend = append(p.Legend, legend{template.CSS(css(generation(i))), generationName(g.Key, i), g.Requests})
	}
	if p.Timeline, err = drawTimeline(r, d, 0, r.Elapsed, 440); err != nil {
		return err
	}
	if from, to, number := closest(r); number > 0 {
		p.DetailNumber = number
		if p.Detail, err = drawTimeline(r, d, from, to, 300); err != nil {
			return err
		}
	}
	if p.Percentiles, err = drawPercentiles(d.All); err != nil {
		return err
	}
	if len(r.Samples) > 0 {
		if p.Descriptors, err = drawSamples(r, d, "descriptors", func(s record.Sample) float64 { return float64(s.Descriptors) }); err != nil {
			return err
		}
		if p.Memory, err = drawSamples(r, d, "resident MB", func(s record.Sample) float64 { return float64(s.Memory) / (1 << 20) }); err != nil {
			return err
		}
	}
	short := *r
	short.Requests, short.Samples = nil, nil
	data, err := json.MarshalIndent(short, "", " ")
	if err != nil {
		return err
	}
	p.Data = string(data)
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return err
	}
	_, err = b.WriteTo(w)
	return err
}

func generationName(k digest.Key, i int) string {
	switch {
	case k.Number > 0 && k.PID > 0:
		return fmt.Sprintf("generation %d, process %d", k.Number, k.PID)
	case k.Number > 0:
		return fmt.Sprintf("generation %d", k.Number)
	case k.PID > 0:
		return fmt.Sprintf("process %d", k.PID)
	}
	return fmt.Sprintf("unknown process %d", i)
}
