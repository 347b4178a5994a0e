package units_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cutover-go/cutover/units"
)

// FuzzParse holds that no text breaks the rules, and that described units can be written.
func FuzzParse(f *testing.F) {
	for _, text := range installedUnits(f) {
		f.Add(text)
	}
	f.Add("[Service]\nExecStart=+/usr/bin/setpriv --reuid x /y\nExecReload=/bin/sh -ec 'a || b | c; exit 0'\nExecStop=/bin/kill -s 9 x\nRuntimeDirectory=%i a:b")
	f.Fuzz(func(t *testing.T, text string) {
		files := []units.File{{Name: "x.service", Text: text}, {Name: "x.socket", Text: text}, {Name: "x.service.d/a.conf", Text: text}}
		units.Check(files, units.Options{All: true})
		units.Changes(files[:1], files)
		if d, err := units.Describe(files); err == nil {
			if _, err := d.Units(); err != nil {
				t.Fatalf("%q is described as %+v, which is none: %v", text, d, err)
			}
		}
	})
}

// installedUnits are some texts of what is on this machine.
func installedUnits(tb testing.TB) (texts []string) {
	tb.Helper()
	for _, dir := range []string{"/lib/systemd/system", "../examples/http/units"} {
		names, err := filepath.Glob(dir + "/s*.s*")
		if err != nil {
			tb.Fatal(err)
		}
		more, err := filepath.Glob(dir + "/c*.s*")
		if err != nil {
			tb.Fatal(err)
		}
		for _, name := range append(names, more...) {
			text, err := os.ReadFile(name)
			if err == nil && len(texts) < 60 { // a directory of drop-ins is no file
				texts = append(texts, string(text))
			}
		}
	}
	return texts
}
