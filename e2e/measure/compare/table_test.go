package compare

import (
	"bytes"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

const ms = time.Millisecond

func sample() figures {
	return figures{Requests: 1234, Refused: 1, Cut: 2, Late: 3, Other: 4, Took: 70 * ms, P99: 5 * ms, P999: 150 * ms, Steady: 4 * ms,
		Memory: 20 << 20, Flood: 5, Bad: 2345, Slow: 6, Longest: 8100 * ms, Dropped: 7}
}

func TestTableHasTheMediansOfTheRuns(t *testing.T) {
	low, high := sample(), sample()
	low.Refused, high.Refused = 0, 900
	high.Reported, high.Repeated = true, 1
	two := table{manager: "systemd 252", absent: []string{"nginx, reload: no such file"},
		rows: []row{{way: ways[0], runs: []figures{high, sample(), low}}, {way: ways[1], runs: []figures{high}}}}
	var b bytes.Buffer
	if err := two.write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| this module, reload | 3 | 1,234 | 1 | 2 | 3 | 4 | 70.0 ms | 5.0 ms | 150 ms | 4.0 ms | 20 MB | 5 | 2,345 | no | 6 | 8.1 s | 7 |\n",
		"| this module, reload in place | 1 | 1,234 | 900 | 2 | 3 | 4 | 70.0 ms | 5.0 ms | 150 ms | 4.0 ms | 20 MB | 5 | 2,345 | yes | 6 | 8.1 s | 7 |\n",
		"this module, reload in place: 1 of the commands had no effect",
		"not measured: nginx, reload: no such file",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	if columns := strings.Count(two.rows[0].cells()[0], "|") + len(two.rows[0].cells()) + 1; strings.Count(heading, "|") != 2*(columns+1) {
		t.Errorf("%d columns, and the heading is %q", columns, heading)
	}
	if !two.broken() {
		t.Error("a row that must lose nothing may lose requests")
	}
}

func TestLostRequestsAreCountedByKind(t *testing.T) {
	var f figures
	f.count([]record.Request{{}, {Failure: record.Refused}, {Failure: record.Reset}, {Failure: record.EOF}, {Failure: record.Truncated},
		{Failure: record.Timeout}, {Failure: record.DialTimeout}, {Failure: record.BadAnswer}})
	if want := (figures{Refused: 1, Cut: 3, Late: 2, Other: 1}); f != want {
		t.Errorf("got %+v, want %+v", f, want)
	}
}

func TestKeptRunsAreReadBack(t *testing.T) {
	p := plan{kept: filepath.Join(t.TempDir(), "runs")}
	other := sample()
	other.Bad = 0
	for _, f := range []figures{sample(), other} {
		if err := p.keep(ways[0], f); err != nil {
			t.Fatal(err)
		}
	}
	got, err := p.earlier()
	if want := map[string][]figures{"overlap": {sample(), other}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("earlier() = %+v, %v, want %+v", got, err, want)
	}
}

func TestUnknownWayIsAnError(t *testing.T) {
	var b bytes.Buffer
	for _, args := range [][]string{{"-only", "overlap,lunch"}, {"-n", "0"}, {"more"}} {
		if status := Command(t.Context(), args, &b, &b); status != 2 {
			t.Errorf("%q: exit status %d, want 2", args, status)
		}
	}
}
