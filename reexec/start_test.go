//go:build linux

package reexec_test

import (
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// A reload waits while the packages of the successor are initialised. A table that a function
// builds there costs a tenth of the start, because each step touches new memory.
func TestPackagesAllocateNothingBeforeMain(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("coverage adds variables to the packages")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	trace, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, trace)
	}
	lines := regexp.MustCompile(`(?m)^init (\S+) .* (\d+) allocs$`).FindAllStringSubmatch(string(trace), -1)
	if len(lines) == 0 {
		t.Fatalf("no package in the trace:\n%s", trace)
	}
	ours := regexp.MustCompile(`^github\.com/cutover-go/cutover/(activation|notify|internal/.*|reexec/internal/.*|reexec/re.*)$`)
	for _, l := range lines {
		if ours.MatchString(l[1]) && l[2] != "0" {
			t.Errorf("%s allocates %s times: make its variables data that the compiler lays out", l[1], l[2])
		}
	}
}
