package speed

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

func TestMain(m *testing.M) {
	machine.Init()
	os.Exit(m.Run())
}

func TestTableHasRatiosOfMedians(t *testing.T) {
	b := &bench{absent: []string{"systemctl reload: no root"}}
	b.compare("cost / bare", "ms", []float64{3, 900, 5}, []float64{2, 2, 3})
	var out bytes.Buffer
	if err := b.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cost / bare", "5.0 ms", "2.0 ms", "2.50", "1.50 to 450.00", "not measured: systemctl reload: no root"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, &out)
		}
	}
}

func TestUnknownPartIsAnError(t *testing.T) {
	var out bytes.Buffer
	for _, args := range [][]string{{"-only", "lunch"}, {"-n", "0"}, {"more"}} {
		if status := Command(t.Context(), args, &out, &out); status != 2 {
			t.Errorf("%q: exit status %d, want 2", args, status)
		}
	}
}

// One round each, of which only the fact counts that it ends.
func TestUpgradesAndEchoesAreMeasured(t *testing.T) {
	b := &bench{rounds: 1, idles: []int{100}, log: t.Output()}
	if err := b.measure(t.Context(), []part{{"udp", (*bench).udp}, {"drain", (*bench).drains}}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := b.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"UDP echo", "system calls", "second upgrade / first"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, &out)
		}
	}
}
