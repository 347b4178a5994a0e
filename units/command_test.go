package units_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

func TestCommandPrintsAndInstalls(t *testing.T) {
	d := myapp()
	d.Binary = "" // this program
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if status := d.Command(nil, &out, &errs); status != 0 || errs.Len() > 0 {
		t.Fatalf("status %d, %s", status, &errs)
	}
	for _, want := range []string{"# myapp.service\n[Unit]\n", "\n# myapp.socket\n", "ExecStart=" + self + "\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	dir := filepath.Join(t.TempDir(), "new")
	out.Reset()
	if status := d.Command([]string{"--install", "--dir", dir}, &out, &errs); status != 0 {
		t.Fatalf("status %d, %s", status, &errs)
	}
	files, err := units.Load("", dir)
	if err != nil || len(files) != 2 || !strings.Contains(out.String(), "systemctl enable --now myapp.service myapp.socket") {
		t.Errorf("%d files, %v; %s", len(files), err, &out)
	}
}

func TestCommandSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-h"}, 0, "--install"},
		{[]string{"--nothing"}, 2, "not defined"},
		{[]string{"more"}, 2, "unexpected argument"},
		{[]string{"--check"}, 1, "--install writes them"},
	} {
		var out, errs bytes.Buffer
		if status := myapp().Command(c.args, &out, &errs); status != c.status || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%v: status %d, %s", c.args, status, &errs)
		}
	}
	var out, errs bytes.Buffer
	if status := (units.Daemon{}).Command(nil, &out, &errs); status != 1 || !strings.Contains(errs.String(), "no socket") {
		t.Errorf("status %d, %s", status, &errs)
	}
}
