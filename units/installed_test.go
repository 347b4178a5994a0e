package units_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/units"
)

// systemctl stands for the program: it prints what the test has written for each unit.
// The real one is asked in e2e. The script starts no other program, because a test runs it often.
const systemctl = `#!/bin/sh
[ -n "$UNITS_TEST_FAILS" ] && { echo "$UNITS_TEST_FAILS" >&2; exit 1; }
while [ "$1" != -- ]; do shift; done
shift
first=yes
for unit; do
	[ -n "$first" ] || echo
	first=
	if [ -e "$UNITS_TEST_SHOWN/$unit" ]; then
		while read -r line; do printf '%s\n' "$line"; done <"$UNITS_TEST_SHOWN/$unit"
	else
		printf 'Id=%s\nLoadState=not-found\n' "$unit"
	fi
done
`

// An installation is a unit that a systemd has loaded, whose main process is the test.
type installation struct {
	testing.TB
	dir    string
	shown  string
	change map[string]string // properties of the service that are otherwise
}

func newInstallation(t testing.TB) *installation {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc of Linux")
	}
	i := &installation{t, t.TempDir(), t.TempDir(), map[string]string{}}
	for _, f := range mustUnits(t, myapp()) {
		i.write(f.Name, f.Text)
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(systemctl), 0o755); err != nil {
		t.Fatal(err)
	}
	switch env := t.(type) {
	case *testing.T:
		env.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		env.Setenv("UNITS_TEST_SHOWN", i.shown)
	}
	return i
}

// write writes a file that is older than the start of the service.
func (i *installation) write(name, text string) {
	i.Helper()
	if err := (units.File{Name: filepath.Base(name), Text: text}).Install(filepath.Join(i.dir, filepath.Dir(name))); err != nil {
		i.Fatal(err)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(i.dir, name), old, old); err != nil {
		i.Fatal(err)
	}
}

// touch makes a file newer than the start.
func (i *installation) touch(name string) {
	i.Helper()
	if err := os.Chtimes(filepath.Join(i.dir, name), time.Now(), time.Now()); err != nil {
		i.Fatal(err)
	}
}

// check has the service be as its files and change say.
func (i *installation) check(unit string) ([]units.Finding, int, error) {
	i.Helper()
	dropIns, err := filepath.Glob(filepath.Join(i.dir, "myapp.service.d", "*.conf"))
	if err != nil {
		i.Fatal(err)
	}
	since := time.Now().Add(-time.Hour).UTC().Format("Mon 2006-01-02 15:04:05 MST")
	i.show("myapp.service", map[string]string{
		"Id": "myapp.service", "LoadState": "loaded", "FragmentPath": filepath.Join(i.dir, "myapp.service"), "DropInPaths": strings.Join(dropIns, " "),
		"NeedDaemonReload": "no", "TriggeredBy": "myapp.socket", "MainPID": fmt.Sprint(os.Getpid()), "InactiveExitTimestamp": since,
	}, i.change)
	i.show("myapp.socket", map[string]string{
		"Id": "myapp.socket", "LoadState": "loaded", "FragmentPath": filepath.Join(i.dir, "myapp.socket"), "Triggers": "myapp.service",
		"TriggeredBy": "", "NeedDaemonReload": "no", "InactiveExitTimestamp": since,
	}, nil)
	return units.CheckInstalled(context.Background(), unit, units.Options{})
}

func (i *installation) show(unit string, properties, change map[string]string) {
	i.Helper()
	var text strings.Builder
	for key, value := range change {
		properties[key] = value
	}
	for key, value := range properties {
		fmt.Fprintf(&text, "%s=%s\n", key, value)
	}
	if err := os.WriteFile(filepath.Join(i.shown, unit), []byte(text.String()), 0o644); err != nil {
		i.Fatal(err)
	}
}

func TestInstalledUnitIsCheckedWithItsSockets(t *testing.T) {
	i := newInstallation(t)
	for _, name := range []string{"myapp", "myapp.service", "myapp.socket"} {
		if findings, applied, err := i.check(name); len(findings) > 0 || applied != 1 || err != nil {
			t.Errorf("%s: %v, applied to %d, %v", name, findings, applied, err)
		}
	}
	i.write("myapp.service.d/a.conf", "[Service]\nKillMode=mixed\n")
	i.write("myapp.socket", "[Socket]\nListenStream=80\nFileDescriptorName=http\nBacklog=1\n")
	for _, name := range []string{"myapp", "myapp.socket"} {
		findings, _, err := i.check(name)
		if got := ids(findings); !slices.Equal(got, []string{"kill-mode", "socket-backlog"}) || err != nil {
			t.Errorf("%s: %v, %v", name, findings, err)
		}
	}
}

func TestProcessIsComparedWithItsUnit(t *testing.T) {
	own := func(what string) string {
		out, err := exec.Command("sh", "-c", what).Output() // which inherits all that counts
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	path := os.Getenv("PATH") // of the process at its start: an installation changes it
	i, uid := newInstallation(t), own("id -u")
	core := strings.Fields(strings.ReplaceAll(own("grep 'Max core' /proc/self/limits"), "unlimited", "infinity"))
	for _, c := range []struct{ property, value, want string }{
		{"LimitCORE", core[5], ""},
		{"LimitCORE", "4711", "LimitCORE= is 4711, the main process"},
		{"LimitNOFILESoft", "4711", ""}, // Go changes that
		{"UMask", own("umask"), ""},
		{"UMask", "0123", "UMask= is 0123, the main process"},
		{"User", own("id -un"), ""},
		{"User", uid, ""},
		{"User", "65533", "User= is 65533, the main process"},
		{"User", "nobody-at-all", ""},
		{"OOMScoreAdjust", own("cat /proc/self/oom_score_adj"), ""},
		{"OOMScoreAdjust", "321", "OOMScoreAdjust= is 321"},
		{"Environment", "PATH=" + path, ""},
		{"Environment", `"UNITS_TEST_NONE=a \"b\" \$c"`, `Environment= is UNITS_TEST_NONE=a "b" $c, the main process`},
		{"ExecStart", "{ path=" + os.Args[0] + " ; argv[]=" + strings.Join(os.Args, " ") + " ; ignore_errors=no ; start_time=[n/a] }", ""},
		{"ExecStart", "{ path=" + os.Args[0] + " ; argv[]=" + os.Args[0] + " -other ; ignore_errors=no ; start_time=[n/a] }", "ExecStart= is " + os.Args[0] + " -other"},
		{"ExecStart", "{ path=/usr/bin/other ; argv[]=/usr/bin/other -v ; ignore_errors=no ; start_time=[n/a] }", "ExecStart= is /usr/bin/other -v, the main process"},
		{"ExecStart", "{ path=/bin/env ; argv[]=/bin/env A=b x ; ignore_errors=no }", ""},
		{"MainPID", "0", ""},
	} {
		i.change = map[string]string{c.property: c.value}
		if c.property == "LimitCORE" {
			i.change["LimitCORESoft"] = core[4]
			if c.want != "" {
				i.change["LimitCORESoft"] = c.value
			}
		}
		if c.property != "User" {
			i.change["User"] = uid
		}
		findings, _, err := i.check("myapp")
		if err != nil || (c.want == "") != (len(findings) == 0) {
			t.Errorf("%s=%s: %v, %v", c.property, c.value, findings, err)
		}
		for _, f := range findings {
			if f.Rule != "restart-needed" || !strings.Contains(f.Wrong, c.want) {
				t.Errorf("%s=%s: %v, want %q", c.property, c.value, f, c.want)
			}
		}
	}
}

func TestFilesThatAreNewerThanTheStartMayNeedOne(t *testing.T) {
	i := newInstallation(t)
	i.write("myapp.service.d/a.conf", "[Service]\nTimeoutStopSec=50s\nLimitCORE=1\nPrivateDevices=yes\nPrivateDevices=yes\nProtectClock=yes\nEnvironmentFile=-"+i.dir+"/env\n")
	i.write("env", "A=1\n")
	if findings, _, err := i.check("myapp"); len(findings) > 0 || err != nil {
		t.Errorf("all older than the start: %v, %v", findings, err)
	}
	i.touch("env")
	i.touch("myapp.service.d/a.conf")
	i.touch("myapp.socket")
	findings, _, err := i.check("myapp")
	if got := ids(findings); err != nil || !slices.Equal(got, []string{"restart-needed", "restart-needed", "socket-restart-needed"}) {
		t.Fatalf("%v, %v", findings, err)
	}
	if f := findings[0]; f.Line != 3 || !strings.HasSuffix(f.Wrong, "perhaps also: LimitCORE= PrivateDevices= ProtectClock= EnvironmentFile=") {
		t.Errorf("of the drop-in: %v", f)
	}
	if f := findings[1]; f.Line != 7 || !strings.Contains(f.Wrong, "/env was changed since the start") {
		t.Errorf("of the environment file: %v", f)
	}
}

func TestInstalledUnitThatIsNotThere(t *testing.T) {
	i := newInstallation(t)
	if findings, _, err := i.check("nothing"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "nothing.service") {
		t.Errorf("%v, %v", findings, err)
	}
	t.Setenv("UNITS_TEST_FAILS", "no bus")
	if findings, _, err := i.check("myapp"); err == nil || !strings.Contains(err.Error(), "no bus") {
		t.Errorf("%v, %v", findings, err)
	}
	t.Setenv("PATH", t.TempDir())
	if findings, _, err := i.check("myapp"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("%v, %v", findings, err)
	}
}

func TestInstalledServicesShareNoRuntimeDirectory(t *testing.T) {
	i := newInstallation(t)
	all := func(other string) string {
		return "Id=myapp.service\nRuntimeDirectory=myapp\n\nId=other.service\nRuntimeDirectory=" + other + "\n"
	}
	for other, want := range map[string][]string{"other": nil, "myapp": {"runtime-directory-shared"}, "myapp/other": {"runtime-directory-shared"}} {
		if err := os.WriteFile(filepath.Join(i.shown, "*.service"), []byte(all(other)), 0o644); err != nil {
			t.Fatal(err)
		}
		findings, _, err := i.check("myapp")
		if got := ids(findings); err != nil || !slices.Equal(got, want) {
			t.Errorf("beside RuntimeDirectory=%s: %v, %v; want %v", other, got, err, want)
		}
	}
}
