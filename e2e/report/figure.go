package main

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// width of all figures, in points of the SVG. The page scales them.
const width = 1100

var (
	ink    = color.NRGBA{0x33, 0x3b, 0x46, 0xff}
	grid   = color.NRGBA{0xe4, 0xe8, 0xee, 0xff}
	danger = color.NRGBA{0xd9, 0x1c, 0x1c, 0xff}
	shade  = color.NRGBA{0x3b, 0x6f, 0xd4, 0x2e} // from the begin of an upgrade to its end
	faint  = color.NRGBA{0x3b, 0x6f, 0xd4, 0x12} // from there to the end of the drain
)

// generations are the colours of processes, in their order. Neighbours differ.
var generations = []color.NRGBA{
	{0x1f, 0x77, 0xb4, 0xff}, {0xf2, 0x8e, 0x1c, 0xff}, {0x2c, 0x9c, 0x4a, 0xff}, {0x8b, 0x5c, 0xc4, 0xff},
	{0x12, 0xa5, 0xb5, 0xff}, {0xb8, 0x86, 0x0b, 0xff}, {0xd4, 0x5b, 0xa0, 0xff}, {0x6b, 0x72, 0x80, 0xff},
}

func generation(i int) color.NRGBA { return generations[i%len(generations)] }

func css(c color.NRGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// newPlot returns an empty figure with an axis of time.
func newPlot(y string) *plot.Plot {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "seconds", y
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color, a.Label.TextStyle.Color, a.Tick.Label.Color, a.Tick.Color = ink, ink, ink, ink
		a.Label.TextStyle.Font.Size, a.Tick.Label.Font.Size = 11, 11
		a.Padding = 0
	}
	p.X.Tick.Marker = timeTicks{}
	return p
}

// svg draws p.
func svg(p *plot.Plot, height vg.Length) (template.HTML, error) {
	c := vgsvg.New(width, height)
	p.Draw(newCanvas(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", err
	}
	text := b.String()
	text = text[strings.Index(text, "<svg"):]                                                          // without the XML declaration, which HTML does not have
	text = strings.ReplaceAll(text, "font-family:Liberation Sans", "font-family:system-ui,sans-serif") // the letters are of equal width
	return template.HTML(text), nil
}

// latencyTicks are the ticks of a logarithmic axis of milliseconds.
type latencyTicks struct{}

func (latencyTicks) Ticks(least, most float64) (ticks []plot.Tick) {
	for e := math.Floor(math.Log10(least)); e <= math.Ceil(math.Log10(most)); e++ {
		for i := 1.0; i < 10; i++ {
			t := plot.Tick{Value: i * math.Pow(10, e)}
			if i == 1 || (i == 2 || i == 5) && most < 100*least {
				t.Label = latencyLabel(t.Value)
			}
			ticks = append(ticks, t)
		}
	}
	return ticks
}

func latencyLabel(ms float64) string {
	if ms >= 1000 {
		return fmt.Sprintf("%g s", ms/1000)
	}
	return fmt.Sprintf("%.3g ms", ms)
}

// timeTicks are the ticks of an axis of seconds: about a dozen with a label.
type timeTicks struct{}

func (timeTicks) Ticks(least, most float64) (ticks []plot.Tick) {
	step := 0.01
	for _, next := range []float64{0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600} {
		if (most-least)/step <= 14 {
			break
		}
		step = next
	}
	for n := math.Ceil(least / step); n*step <= most; n++ {
		ticks = append(ticks, plot.Tick{Value: n * step, Label: fmt.Sprintf("%.6g", n*step)})
	}
	return ticks
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
