package running

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// The main process is this test.
func TestTheMainProcessIsComparedWithTheFileOnDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc of Linux")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(base, text string) string {
		t.Helper()
		name := filepath.Join(dir, base)
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return name
	}
	same := write("same", string(text))
	text[len(text)-1]++
	other := write("other", string(text))
	script := write("script", "#!/bin/sh\nserve \"$@\"\nexit 0\n")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	const differs, gone = "is another program than the one that the main process", "does not exist, and the main process"
	m := merged.Merge("myapp.service", []*unitfile.File{{Name: "myapp.service", Text: "[Service]\nExecStart=/usr/bin/myapp\n"}})
	for _, tt := range []struct{ argv, runs, want string }{
		{self, self, ""},
		{link, link, ""},
		{same, same, ""},
		{script, "/bin/sh", ""},
		{script, script, differs},
		{"myapp", "myapp", ""},
		{"/bin/sh -c myapp&", "myapp", ""},
		{other, "/usr/bin/myapp", ""}, // restart-needed says that ExecStart= has changed
		{other, other, differs},
		{other, "myapp", differs},
		{dir + "/gone", dir + "/gone", gone},
	} {
		u := Unit{properties: properties{"ExecStart": {"{ path=" + tt.argv + " ; argv[]=" + tt.argv + " ; ignore_errors=no }"}}}
		got := u.replaced(m, process{pid: os.Getpid(), argv: []string{tt.runs}})
		if (len(got) > 0) != (tt.want != "") || len(got) > 0 && !strings.Contains(got[0].Wrong, tt.want) {
			t.Errorf("ExecStart=%s, argv[0] %s: %v, want %q", tt.argv, tt.runs, got, tt.want)
		}
	}
}
