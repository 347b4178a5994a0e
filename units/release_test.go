package units_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

// TestReleaseLinksAreFound has a tree with a link to a release, and a folder that is
// called as people call such links.
func TestReleaseLinksAreFound(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"srv/app/releases/1/data", "srv/other/current", "var/lib/private/app"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"srv/app/now": "releases/1", "var/run": "../run"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]string{
		"/srv/app/now":            "/srv/app/now",
		"-/srv/app/now/data":      "/srv/app/now",
		"/srv/app/releases/1":     "",
		"/srv/other/current":      "",
		"/srv/elsewhere/current":  "/srv/elsewhere/current",
		"/srv/elsewhere/latest/a": "/srv/elsewhere/latest",
		"/var/run/app":            "",
		"/srv/elsewhere/currency": "",
		"~":                       "",
	} {
		findings, _ := units.Check(append(mustUnits(t, myapp()), inService("WorkingDirectory="+dir)), units.Options{Root: root})
		if want == "" && len(findings) > 0 || want != "" && (len(findings) != 1 || !strings.HasSuffix(findings[0].Wrong, "the link "+want)) {
			t.Errorf("%s: %v, want %q", dir, findings, want)
		}
	}
}

func TestRotatedLogFilesAreFound(t *testing.T) {
	i := newInstallation(t)
	i.write("myapp.service.d/a.conf", "[Service]\nStandardOutput=append:"+i.dir+"/log\nStandardError=append:/dev/null\n")
	findings, _, err := i.check("myapp")
	if got := ids(findings); err != nil || !slices.Equal(got, []string{"log-file", "restart-needed", "restart-needed"}) {
		t.Errorf("%v, %v", findings, err)
	}
}
