package units_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

// tree writes files below a new directory.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		if err := (units.File{Name: filepath.Base(name), Text: text}).Install(filepath.Join(root, filepath.Dir(name))); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func names(root string, files []units.File) (list []string) {
	for _, f := range files {
		rest, err := filepath.Rel(root, f.Path)
		if err != nil {
			rest = f.Path
		}
		list = append(list, rest)
	}
	slices.Sort(list)
	return list
}

func TestLoadFindsWhatBelongsToAUnit(t *testing.T) {
	root := tree(t, map[string]string{
		"usr/lib/systemd/system/a.service":                "[Service]\n",
		"usr/lib/systemd/system/a.socket":                 "[Socket]\n",
		"usr/lib/systemd/system/b.socket":                 "[Socket]\nService=a.service\n",
		"usr/lib/systemd/system/c.service":                "[Service]\n",
		"usr/lib/systemd/system/a.service.d/vendor.conf":  "[Service]\n",
		"etc/systemd/system/a.service.d/site.conf":        "[Service]\nKillMode=mixed\n",
		"etc/systemd/system/a.service.d/site.conf.bak":    "[Service]\n",
		"run/systemd/system/service.d/all.conf":           "[Service]\n",
		"etc/systemd/system/multi-user.target.wants/x":    "",
		"usr/lib/systemd/system/other.service.d/not.conf": "[Service]\n",
	})
	const lib, etc = "usr/lib/systemd/system/", "etc/systemd/system/"
	all := []string{etc + "a.service.d/site.conf", "run/systemd/system/service.d/all.conf", lib + "a.service",
		lib + "a.service.d/vendor.conf", lib + "a.socket", lib + "b.socket"}
	for _, name := range []string{"a", "a.service"} {
		files, err := units.Load(root, name)
		if err != nil || !slices.Equal(names(root, files), all) {
			t.Errorf("Load(%s) = %v, %v", name, names(root, files), err)
		}
		if got := ids(mustCheckAll(files)); !slices.Contains(got, "kill-mode") {
			t.Errorf("Load(%s): the drop-in of /etc does not count: %v", name, got)
		}
	}
	file, err := units.Load("", filepath.Join(root, lib, "a.service"))
	if want := []string{lib + "a.service", lib + "a.service", lib + "a.service.d/vendor.conf", lib + "a.socket", lib + "b.socket"}; err != nil || !slices.Equal(names(root, file), want) {
		t.Errorf("Load of a file = %v, %v", names(root, file), err)
	}
	dropIn, err := units.Load("", filepath.Join(root, lib, "a.service.d/vendor.conf"))
	if err != nil || !slices.Equal(names(root, dropIn), names(root, file)) {
		t.Errorf("Load of a drop-in = %v, %v", names(root, dropIn), err)
	}
	dir, err := units.Load("", filepath.Join(root, lib))
	if err != nil || len(dir) != 6 {
		t.Errorf("Load of a directory = %v, %v", names(root, dir), err)
	}
}

func mustCheckAll(files []units.File) []units.Finding {
	findings, _ := units.Check(files, units.Options{All: true})
	return findings
}

func TestLoadSaysWhatIsMissing(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"nothing", "./nothing.service", filepath.Join(root, "no")} {
		if files, err := units.Load(root, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Load(%s) = %v, %v", name, files, err)
		}
	}
}

func TestFirstFileOfANameCounts(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/systemd/system/a.service":     "[Service]\nType=notify\nExecStart=/a\nExecReload=/a reload\nKillMode=control-group\n",
		"usr/lib/systemd/system/a.service": "[Service]\nKillMode=mixed\n",
	})
	files, err := units.Load(root, "a")
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(mustCheckAll(files)); slices.Contains(got, "kill-mode") {
		t.Errorf("the unit of /usr/lib counts: %v", got)
	}
}

// TestNothingIsFoundWhereNothingIs reads every unit that this machine has, and
// whatever $CUTOVER_UNITS lists: none of them is ours.
func TestNothingIsFoundWhereNothingIs(t *testing.T) {
	dirs := []string{"/usr/lib/systemd/system", "/etc/systemd/system"}
	if more := os.Getenv("CUTOVER_UNITS"); more != "" {
		dirs = append(dirs, filepath.SplitList(more)...)
	}
	total := 0
	for _, dir := range dirs {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue // nor does a machine without systemd have any
		}
		files, err := units.Load("", dir)
		if err != nil {
			t.Fatal(err)
		}
		findings, applied := units.Check(files, units.Options{})
		for _, f := range findings {
			t.Error(f)
		}
		if applied != 0 {
			t.Errorf("%s: %d units are taken for ours", dir, applied)
		}
		mustCheckAll(files) // must not panic
		total += len(files)
	}
	t.Logf("%d files", total)
}

func TestUnitOfABinaryBuiltWithTheLibraryCounts(t *testing.T) {
	self, err := os.Executable() // of this module
	if err != nil {
		t.Fatal(err)
	}
	for binary, want := range map[string]int{self: 1, "/bin/sh": 0, "/nothing": 0} {
		file := units.File{Name: "a.service", Text: "[Service]\nExecStart=" + binary + " serve\n"}
		if _, applied := units.Check([]units.File{file}, units.Options{}); applied != want {
			t.Errorf("%s: applied to %d, want %d", binary, applied, want)
		}
	}
}

func TestChangesNeedARestartOrNot(t *testing.T) {
	for text, want := range map[string][]string{
		"[Service]\nEnvironment=A=1\n":                                nil,
		"[Service]\nEnvironment=A=2\n":                                {"restart-needed"},
		"[Service]\nEnvironment=A=1\nLimitNOFILE=5\nUser=a\n":         {"restart-needed", "restart-needed"},
		"[Service]\nEnvironment=A=1\nRestart=always\nMemoryMax=1G\n":  nil,
		"[Service]\nEnvironment=A=1\nMemoryDenyWriteExecute=yes\n":    {"restart-needed"},
		"[Unit]\nDescription=new\n[Service]\nEnvironment=A=1\n":       nil,
		"[Service]\nEnvironment=A=2\nEnvironment=\nEnvironment=A=1\n": nil,
		"[Service]\nEnvironment=A=1\nPrivateTmp=yes\nPrivateTmp=\n":   {"restart-needed"},
		"[Service]\nEnvironment=A=1\nNice=5\nNice=0\n":                {"restart-needed"},
	} {
		old := []units.File{{Name: "a.service", Text: "[Service]\nEnvironment=A=1\n"}}
		if got := ids(units.Changes(old, []units.File{{Name: "a.service", Text: text}})); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	twice := []units.File{{Name: "a.service", Text: "[Service]\nNice=5\n"}, {Name: "a.service.d/a.conf", Text: "[Service]\nNice=7\n"}}
	if got := units.Changes(twice, []units.File{{Name: "a.service", Text: "[Service]\nNice=7\n"}}); len(got) > 0 {
		t.Errorf("a drop-in that went into the unit: %v", got)
	}
	got := units.Changes([]units.File{{Name: "a.service", Text: "[Service]\nUser=a\n"}}, []units.File{{Name: "a.service", Text: "[Service]\n"}})
	if len(got) != 1 || !strings.Contains(got[0].Wrong, "User= was a, is not set") || got[0].Line != 1 {
		t.Errorf("a setting that went away: %v", got)
	}
}

func TestLinkForAnAliasIsNoUnit(t *testing.T) {
	dir := t.TempDir()
	text := "[Service]\nExecStart=/usr/bin/x\nRuntimeDirectory=x\n[Install]\nAlias=web.service\n"
	if err := os.WriteFile(filepath.Join(dir, "x.service"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("x.service", filepath.Join(dir, "web.service")); err != nil {
		t.Fatal(err)
	}
	files, err := units.Load("", dir)
	if err != nil || len(files) != 1 || files[0].Name != "x.service" {
		t.Errorf("Load = %v, %v, want x.service alone", files, err)
	}
}

func TestServiceIsKnownByItsAlias(t *testing.T) {
	service := "[Unit]\nRequires=web.socket\n[Service]\nType=notify\nExecStart=/usr/bin/x\n[Install]\nAlias=web.service\n"
	socket := "[Unit]\nPartOf=web.service\n[Socket]\nListenStream=80\nFileDescriptorName=http\n"
	var found []string
	for _, f := range mustCheckAll([]units.File{{Name: "x.service", Text: service}, {Name: "web.socket", Text: socket}}) {
		if f.Unit == "web.socket" {
			found = append(found, f.Rule)
		}
	}
	if !slices.Contains(found, "socket-stops") {
		t.Errorf("%v, want socket-stops", found)
	}
}

func TestAQuadletIsNamedAsSuch(t *testing.T) {
	const dir = "../examples/http/container"
	for _, name := range []string{dir, dir + "/cutover-http.container"} {
		files, err := units.Load("", name)
		if err == nil || !strings.Contains(err.Error(), "there are no rules for") {
			t.Errorf("Load(%s) = %v, %v; want an error that says that there are no rules", name, files, err)
		}
	}
}
