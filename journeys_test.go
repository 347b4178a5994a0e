package cutover_test

import (
	"os"
	"regexp"
	"testing"
)

// step is a file and a function in CONTRIBUTING.md.
var step = regexp.MustCompile("`([a-z/_]+\\.go)` `(\\w+)`")

func TestJourneysNameFunctionsThatExist(t *testing.T) {
	guide, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := step.FindAllStringSubmatch(string(guide), -1)
	if len(steps) < 20 {
		t.Fatalf("%d steps in CONTRIBUTING.md, want the three journeys", len(steps))
	}
	for _, s := range steps {
		code, err := os.ReadFile(s[1])
		if err != nil {
			t.Error(err)
			continue
		}
		if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + s[2] + `[\[(]`).Match(code) {
			t.Errorf("%s has no function %s", s[1], s[2])
		}
	}
}
