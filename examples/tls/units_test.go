package main

import (
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

func TestUnitsAreWhatSdunitsWrites(t *testing.T) {
	files, err := units.Load("", "units")
	if err != nil {
		t.Fatal(err)
	}
	d, err := units.Describe(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []int{260, 259} {
		d.Systemd = version
		written, err := d.Units()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(written[0].Text, "\nRefreshOnReload=credentials\n"); got != (version == 260) {
			t.Errorf("units for systemd %d have RefreshOnReload=: %v", version, got)
		}
		for i, f := range written {
			if version == 260 && f.Text != files[i].Text {
				t.Errorf("units/%s is not what sdunits writes:\n%s", f.Name, f)
			}
		}
	}
}
