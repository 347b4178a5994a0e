//go:build linux

package startup_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/reexec/internal/startup"
)

// release makes dir/releases/n with the folder data.
func release(t *testing.T, dir, n string) string {
	t.Helper()
	path := filepath.Join(dir, "releases", n)
	if err := os.MkdirAll(filepath.Join(path, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func link(t *testing.T, to, at string) {
	t.Helper()
	_ = os.Remove(at) // or there is none yet
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func TestSuccessorGetsTheDirectoryOfTheCurrentRelease(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	old, current := release(t, dir, "7"), filepath.Join(dir, "current")
	link(t, old, current)
	var d startup.WorkDir
	unit := func(key string) (string, bool) { return "1f", key == "INVOCATION_ID" }
	d.Init(filepath.Join(old, "data"), filepath.Join(current, "app"), unit)
	link(t, release(t, dir, "8"), current)
	if got, want := d.Now(), filepath.Join(current, "data"); got != want {
		t.Errorf("directory %s, want %s", got, want)
	}
	for invocation, want := range map[string]string{"1f": dir, "2e": filepath.Join(current, "data")} {
		forget := d.Hear(ask.Request{Dir: dir, Invocation: invocation})
		if got := d.Now(); got != want {
			t.Errorf("directory %s after a command of invocation %s, want %s", got, invocation, want)
		}
		forget()
	}
	if err := os.RemoveAll(current); err != nil {
		t.Fatal(err)
	}
	if got, want := d.Now(), filepath.Join(old, "data"); got != want {
		t.Errorf("directory %s without the link, want %s", got, want)
	}
}

func TestProgramPathIsThatOfTheRunningFile(t *testing.T) {
	running, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ execPath, argv0, want string }{
		{running, "another name", running},
		{"/proc/self/fd/3", running, running},
		{"/usr/bin/replaced", "another name", "/usr/bin/replaced"},
		{filepath.Base(running), "x", running},
		{"elsewhere/" + filepath.Base(running), "./" + filepath.Base(running), running}, // after a chdir
	} {
		if got, err := startup.ProgramPath(filepath.Dir(running), tt.execPath, tt.argv0); got != tt.want || err != nil {
			t.Errorf("ProgramPath(%q, %q) = %q, %v, want %q", tt.execPath, tt.argv0, got, err, tt.want)
		}
	}
}

func TestEnvironKeepsWhatTheProgramHasRemoved(t *testing.T) {
	e := startup.ReadEnviron()
	for _, key := range []string{"PATH"} {
		was, ok := os.LookupEnv(key)
		if !ok {
			t.Fatal("PATH is not set")
		}
		t.Setenv(key, "")
		if err := os.Unsetenv(key); err != nil {
			t.Fatal(err)
		}
		if got, ok := e.Lookup(key); !ok || got != was {
			t.Errorf("%s = %q, %v, want %q", key, got, ok, was)
		}
	}
}
