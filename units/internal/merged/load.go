package merged

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// searchDirs are the directories in which the system manager looks for unit files, in its
// order (systemd.unit(5), "System Unit Search Path").
var searchDirs = []string{
	"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
	"/run/systemd/generator.early", "/etc/systemd/system", "/etc/systemd/system.attached",
	"/run/systemd/system", "/run/systemd/system.attached", "/run/systemd/generator",
	"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
	"/run/systemd/generator.late",
}

// Load reads the files of a unit, of a file or of a directory called name, as package units
// documents for its Load.
func Load(root, name string) ([]unitfile.File, error) {
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		files, err := readDir(name)
		files = withoutAliases(files)
		if err == nil && len(files) == 0 {
			err = fmt.Errorf("%s has no unit files: %w%s", name, fs.ErrNotExist, aboutQuadlets(name))
		}
		return files, err
	case err == nil:
		return loadFile(name)
	case strings.ContainsRune(name, filepath.Separator) || !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return Installed(root, name)
}

// withoutAliases leaves out links to other units among files, as systemctl enable makes them
// for Alias=. An instance of a template is a unit.
func withoutAliases(files []unitfile.File) []unitfile.File {
	return slices.DeleteFunc(files, func(f unitfile.File) bool {
		target, err := filepath.EvalSymlinks(f.Path)
		base := filepath.Base(target)
		if err != nil || base == f.Name || isDropIn(f.Name) {
			return false
		}
		template, _, ok := strings.Cut(f.Name, "@")
		instance := ok && strings.HasPrefix(base, template+"@.")
		return !instance && slices.ContainsFunc(files, func(other unitfile.File) bool { return other.Name == base && other.Text == f.Text })
	})
}

// loadFile reads the file at path and the files that belong to it. For a drop-in it reads the
// unit.
func loadFile(path string) ([]unitfile.File, error) {
	dir, base := filepath.Split(path)
	if unit, isDropIn := strings.CutSuffix(filepath.Clean(dir), ".d"); isDropIn && filepath.Ext(base) == ".conf" {
		files, err := loadFile(unit)
		if err != nil {
			err = fmt.Errorf("%s is a drop-in, which needs its unit: %w", path, err)
		}
		return files, err
	}
	if isQuadlet(base) {
		return nil, fmt.Errorf("%s is a Quadlet, from which podman makes a unit: there are no rules for it, because podman is the main process of that unit", path)
	}
	if !slices.Contains(unitKinds, strings.TrimPrefix(filepath.Ext(base), ".")) {
		return nil, fmt.Errorf("%s is no unit file: the name must end in .service, .socket or another kind of unit", path)
	}
	f, err := ReadFile(path, base)
	if err != nil {
		return nil, err
	}
	if strings.ContainsRune(f.Text, 0) {
		return nil, fmt.Errorf("%s is no unit file: it is not text", path)
	}
	related, err := inDirs([]string{filepath.Clean(dir)}, append(siblings(base), base))
	return append([]unitfile.File{f}, related...), err
}

// unitKinds are the suffixes of units, systemd.unit(5).
var unitKinds = strings.Fields("service socket device mount automount swap target path timer slice scope")

// isQuadlet reports whether a file of this name is a Quadlet that makes a service
// (podman-systemd.unit(5)).
func isQuadlet(name string) bool {
	return slices.Contains([]string{".container", ".kube", ".pod"}, filepath.Ext(name))
}

// aboutQuadlets returns the part of an error that names the first Quadlet in dir, "" if there is
// none.
func aboutQuadlets(dir string) string {
	entries, _ := os.ReadDir(dir) // was read before
	for _, e := range entries {
		if isQuadlet(e.Name()) {
			return "; there are no rules for " + e.Name() + " and other Quadlets"
		}
	}
	return ""
}

// Installed reads the unit called name and its siblings from the standard directories.
func Installed(root, name string) ([]unitfile.File, error) {
	if !slices.Contains([]string{".service", ".socket", ".path"}, filepath.Ext(name)) {
		name += ".service"
	}
	dirs := make([]string, len(searchDirs))
	for i, dir := range searchDirs {
		dirs[i] = filepath.Join(root, dir)
	}
	files, err := inDirs(dirs, append([]string{name}, siblings(name)...))
	if err == nil && !slices.ContainsFunc(files, func(f unitfile.File) bool { return f.Name == name }) {
		err = fmt.Errorf("%s: %w in %s and the other directories of units", name, fs.ErrNotExist, filepath.Join(root, "/etc/systemd/system"))
	}
	return files, err
}

// siblings returns the units that usually belong to the unit called name.
func siblings(name string) []string {
	stem, kind, _ := unitfile.CutLast(name, ".")
	switch kind {
	case "service":
		return []string{stem + ".socket"}
	case "socket":
		return []string{stem + ".service"}
	}
	return nil
}
