package units_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cutover-go/cutover/internal/needs"
	"github.com/cutover-go/cutover/units"
)

// The tree has commands that root alone can replace, and others.
func TestCommandsOfRootThatOthersCanReplaceAreFound(t *testing.T) {
	needs.Root(t, "no other user can make files of root")
	root := t.TempDir()
	for _, dir := range []string{"", "bin", "shared", "deploy"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for _, file := range []string{"bin/good", "bin/users", "bin/groups", "shared/in", "deploy/in"} {
		must(t, os.WriteFile(filepath.Join(root, file), nil, 0o755))
	}
	must(t, os.Chmod(filepath.Join(root, "bin/groups"), 0o775))
	must(t, os.Chmod(filepath.Join(root, "shared"), 0o777))
	for _, file := range []string{"bin/users", "deploy"} {
		must(t, os.Lchown(filepath.Join(root, file), 1000, 0))
	}
	must(t, os.Symlink("users", filepath.Join(root, "bin/link")))
	for name, found := range map[string]bool{"bin/good": false, "bin/missing": false, "bin/users": true, "bin/link": true, "bin/groups": true, "shared/in": true, "deploy/in": true} {
		files := append(mustUnits(t, myapp()), inService("ExecReload=\nExecReload=+/"+name))
		for _, user := range []bool{false, true} { // in a user's manager + gives no rights
			findings, _ := units.Check(files, units.Options{Root: root, User: user})
			if got := slices.Contains(ids(findings), "exec-reload-root"); got != (found && !user) || len(findings) > 1 {
				t.Errorf("%s, user's manager %t: %v", name, user, findings)
			}
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
