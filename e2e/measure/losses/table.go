package losses

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// A row holds the measurements of one load. A program of -also prints it as a line of
// JSON; durations are in nanoseconds, and unknown fields are left out.
type row struct {
	Load     string        `json:"load"`
	Requests int           `json:"requests"`           // that were due, with the time around the upgrades
	Lost     int           `json:"lost"`               // without a whole and right answer
	Closed   int           `json:"closed"`             // kept connections that the server has ended
	Dials    int           `json:"dials"`              // connections that were opened meanwhile
	Declined int           `json:"declined,omitempty"` // given back by HTTP/2, answered elsewhere
	P50      time.Duration `json:"p50,omitempty"`      // of the answers during upgrades
	P99      time.Duration `json:"p99,omitempty"`
	P999     time.Duration `json:"p999,omitempty"`
	Max      time.Duration `json:"max,omitempty"`
	Steady   time.Duration `json:"steady,omitempty"` // p99.9 without upgrades
	Beside   time.Duration `json:"beside,omitempty"` // p99.9 beside restarts of the same program, with -beside
}

// enough latencies make a p99.9 that is not the longest one.
const enough = 1000

// latencies enters those of requests during upgrades and at other times.
func (r *row) latencies(up, steady, beside *load.Histogram) {
	r.P50, r.P99, r.Max = up.Quantile(0.50), up.Quantile(0.99), up.Max()
	if up.Count() >= enough && steady.Count() >= enough {
		r.P999, r.Steady = up.Quantile(0.999), steady.Quantile(0.999)
	}
	if beside.Count() >= enough {
		r.Beside = beside.Quantile(0.999)
	}
}

// add adds the counts of other.
func (r *row) add(other row) {
	r.Requests += other.Requests
	r.Lost += other.Lost
	r.Closed += other.Closed
	r.Dials += other.Dials
	r.Declined += other.Declined
}

// A table holds all measurements.
type table struct {
	stage        string
	upgrades     int
	ours, recipe result
}

// lost returns what our server has lost.
func (t table) lost() (n int) {
	for _, r := range t.ours.rows {
		n += r.Lost
	}
	return n
}

func (t table) writeJSON(w io.Writer) error {
	for _, r := range t.ours.rows {
		if err := json.NewEncoder(w).Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func readJSON(r io.Reader) (rows []row, err error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	for {
		var one row
		switch err := d.Decode(&one); {
		case err == io.EOF:
			return rows, nil
		case err != nil:
			return rows, err
		case one.Load == "" || one.Requests == 0:
			return rows, fmt.Errorf("row %d has no load, or no requests", len(rows)+1)
		}
		rows = append(rows, one)
	}
}

// write writes the table in Markdown.
func (t table) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d upgrades, %s; processors %.0f %% busy between them\n\n", t.upgrades, t.stage, 100*t.ours.busy)
	b.WriteString("| load | requests | lost | closed | p50 | p99 | p99.9 | max | steady p99.9 | ratio | beside a start | recipe: requests | lost | closed | p99.9 |\n" +
		"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range append(slices.Clone(t.ours.rows), t.ours.short) {
		cells := append([]string{r.Load}, r.cells()...)
		b.WriteString("| " + strings.Join(append(cells, t.besides(r.Load)...), " | ") + " |\n")
	}
	fmt.Fprintf(&b, "\nclosed: kept connections that the server ended. p50 to max: of what was answered during upgrades, from when it\n"+
		"was due; an upgrade is the %v from the reload until the old process has gone; steady: in the times between,\n"+
		"as long, in which a manager is asked for the state as often as for an upgrade; ratio: of the two p99.9, where\n"+
		"there are 1,000 answers of each; beside a start: the same ratio while the bare program is restarted without an\n"+
		"upgrade (-beside).\n", whole)
	if o := t.ours; o.upgrading > 0 && o.steady > 0 {
		fmt.Fprintf(&b, "Of the short requests in the median window the p99.9 is %s with an upgrade, %s without (ratio %s)", short(o.upgrading), short(o.steady), over(o.upgrading, o.steady))
		if o.beside > 0 {
			fmt.Fprintf(&b, ", and %s beside a start (ratio %s)", short(o.beside), over(o.beside, o.steady))
		}
		b.WriteString(".\n")
	}
	for _, r := range t.ours.rows {
		if r.Declined > 0 {
			fmt.Fprintf(&b, "%s: %d requests were given back unread by a GOAWAY, and answered on another connection.\n", r.Load, r.Declined)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r row) cells() []string {
	return []string{count(r.Requests), count(r.Lost), count(r.Closed), short(r.P50), short(r.P99), short(r.P999), short(r.Max), short(r.Steady), over(r.P999, r.Steady), over(r.Beside, r.Steady)}
}

// over writes the ratio of two latencies, if both were measured.
func over(a, b time.Duration) string {
	if a == 0 || b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}

// besides returns the recipe's cells for the same load.
func (t table) besides(load string) []string {
	for _, r := range append(slices.Clone(t.recipe.rows), t.recipe.short) {
		if r.Load == load {
			return []string{count(r.Requests), count(r.Lost), count(r.Closed), short(r.P999)}
		}
	}
	return []string{"-", "-", "-", "-"}
}

// short writes d in milliseconds.
func short(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	digits := 1
	if d >= 100*time.Millisecond {
		digits = 0
	}
	return strconv.FormatFloat(d.Seconds()*1000, 'f', digits, 64) + " ms"
}

// count writes n with its thousands apart.
func count(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
