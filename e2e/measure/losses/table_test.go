package losses

import (
	"strings"
	"testing"
	"time"
)

func sample() table {
	return table{
		stage: "systemd 252", upgrades: 100,
		ours: result{busy: 0.307, upgrading: 12 * time.Millisecond, steady: 10 * time.Millisecond, beside: 11 * time.Millisecond, rows: []row{
			{Load: "kept", Requests: 12345, P50: 400 * time.Microsecond, P99: 2 * time.Millisecond, P999: 3 * time.Millisecond, Max: 250 * time.Millisecond, Steady: 2 * time.Millisecond, Beside: 2200 * time.Microsecond},
			{Load: "new", Requests: 10, Lost: 2, Declined: 3},
		}},
		recipe: result{rows: []row{{Load: "kept", Requests: 12000, Lost: 34, Closed: 56, P999: 4 * time.Millisecond}}},
	}
}

func TestTableComparesEachLoadWithTheRecipe(t *testing.T) {
	var b strings.Builder
	if err := sample().write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"100 upgrades, systemd 252; processors 31 % busy between them\n",
		"| kept | 12,345 | 0 | 0 | 0.4 ms | 2.0 ms | 3.0 ms | 250 ms | 2.0 ms | 1.50 | 1.10 | 12,000 | 34 | 56 | 4.0 ms |\n",
		"| new | 10 | 2 | 0 | - | - | - | - | - | - | - | - | - | - | - |\n",
		"the p99.9 is 12.0 ms with an upgrade, 10.0 ms without (ratio 1.20), and 11.0 ms beside a start (ratio 1.10).\n",
		"new: 3 requests were given back unread by a GOAWAY, and answered on another connection.\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	if n := sample().lost(); n != 2 {
		t.Errorf("lost() = %d, want 2", n)
	}
}

func TestRowsOfOtherProgramsAreReadBack(t *testing.T) {
	var b strings.Builder
	if err := sample().writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := readJSON(strings.NewReader(b.String()))
	if err != nil || len(rows) != 2 || rows[0] != sample().ours.rows[0] || rows[1] != sample().ours.rows[1] {
		t.Errorf("readJSON = %+v, %v, want what was written", rows, err)
	}
	for _, bad := range []string{"not JSON", `{"load":"x"}`, `{"requests":1}`, `{"load":"x","requests":1,"lots":2}`} {
		if rows, err := readJSON(strings.NewReader(bad)); err == nil {
			t.Errorf("readJSON(%q) = %+v, want an error", bad, rows)
		}
	}
}

func TestProgramOfOtherRowsThatFailsOrSaysNothingIsAnError(t *testing.T) {
	for _, command := range []string{"", "false", "true"} {
		if rows, err := foreign(t.Context(), command); err == nil {
			t.Errorf("foreign(%q) = %+v, want an error", command, rows)
		}
	}
	rows, err := foreign(t.Context(), `echo {"load":"x","requests":1}`)
	if err != nil || len(rows) != 1 || rows[0] != (row{Load: "x", Requests: 1}) {
		t.Errorf("foreign = %+v, %v, want one row", rows, err)
	}
}
