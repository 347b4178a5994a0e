package program_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/reexec/internal/program"
)

func TestACommandNeedsAnAbsolutePathAndAName(t *testing.T) {
	for _, bad := range []program.Command{{}, {Path: "a", Args: []string{"a"}}, {Path: "/a"}} {
		if _, err := bad.Checked(); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	c, err := program.Command{Path: "/a", Args: []string{"a"}, Env: []string{"X=1", "Y=2", "X=3"}}.Checked()
	if err != nil || slices.Contains(c.Env, "X=1") || !slices.Contains(c.Env, "X=3") {
		t.Errorf("environment %q, %v, want the last value of X", c.Env, err)
	}
}

func TestAnExecveKeepsTheVariablesOfThisProcess(t *testing.T) {
	c := program.Command{Path: "/a", Args: []string{"a"}, Env: []string{"WATCHDOG_PID=1", "LISTEN_FDS=2", "CUTOVER_LINE=3", "X=4"}}
	got := c.InPlace("CUTOVER_IMAGE=5").Env
	if want := []string{"WATCHDOG_PID=1", "X=4", "CUTOVER_IMAGE=5"}; !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}

func TestTheLineIsTakenOnce(t *testing.T) {
	if line, err := program.TakeLine(os.LookupEnv); line != nil || err != nil {
		t.Errorf("TakeLine without a predecessor = %v, %v", line, err)
	}
	for _, bad := range []string{"x", "2", "900"} {
		t.Setenv("CUTOVER_LINE", bad)
		if _, err := program.TakeLine(os.LookupEnv); err == nil || !strings.Contains(err.Error(), "unset it") {
			t.Errorf("TakeLine with CUTOVER_LINE=%s: %v, want advice", bad, err)
		}
		if _, ok := os.LookupEnv("CUTOVER_LINE"); ok {
			t.Error("the variable is left for other programs")
		}
	}
}

func TestOutputThatIsNotTheJournalIsStandardError(t *testing.T) {
	for _, stream := range []string{"", "1:2", "x"} {
		lookup := func(string) (string, bool) { return stream, stream != "" }
		if got, want := program.OutputOf(7, lookup), "its standard error has the reason"; got != want {
			t.Errorf("OutputOf with JOURNAL_STREAM=%q = %q, want %q", stream, got, want)
		}
	}
}
