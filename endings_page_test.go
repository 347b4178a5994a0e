package cutover_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTableOfEndingsNamesTestsThatExist checks the page about stops and drain deadlines.
func TestTableOfEndingsNamesTestsThatExist(t *testing.T) {
	exists := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range function.FindAllStringSubmatch(read(t, path), -1) {
			exists[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(read(t, "examples/README.md"), -1)
	const services = 8
	if len(named) < 2*services {
		t.Errorf("%d tests are named, want two for each of %d services", len(named), services)
	}
	for _, m := range named {
		if !exists[m[1]] {
			t.Errorf("examples/README.md names %s, which does not exist", m[1])
		}
	}
}
