package units

import (
	"path"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// The file system as the service sees it.

// covering returns the longest path in the settings keys that contains name, and its line.
func covering(m *merged.Unit, name string, keys ...string) (longest string, at unitfile.Assignment) {
	for _, a := range m.List("Service", keys...) {
		for _, word := range strings.Fields(a.Value) {
			dir := path.Clean(strings.TrimLeft(word, "-+"))
			if within(name, dir) && len(dir) > len(longest) {
				longest, at = dir, a
			}
		}
	}
	return longest, at
}

func within(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

// programs returns the binaries of ExecStart= and ExecReload= that systemd executes in the
// sandbox, each once. It leaves out shells, because the distribution's links lead to other
// paths.
func (svc *service) programs() (paths []string) {
	for _, a := range svc.unit.Lists("Service", "ExecStart", "ExecReload") {
		cmd := cmdline.Parse(a.Value)
		binary := cmd.Binary()
		if !strings.Contains(cmd.Prefix, "+") && path.IsAbs(binary) && !cmdline.IsShell(binary) && !slices.Contains(paths, binary) {
			paths = append(paths, binary)
		}
	}
	return paths
}

// A mount is one entry of BindPaths= or BindReadOnlyPaths=, which are one list.
type mount struct {
	source, target string
	at             unitfile.Assignment
}

func binds(m *merged.Unit) (all []mount) {
	for _, a := range m.List("Service", "BindPaths", "BindReadOnlyPaths") {
		for _, word := range strings.Fields(a.Value) {
			parts := strings.Split(strings.TrimLeft(word, "-"), ":")
			target := parts[0]
			if len(parts) > 1 && parts[1] != "" {
				target = parts[1]
			}
			all = append(all, mount{path.Clean(parts[0]), path.Clean(target), a})
		}
	}
	return all
}

func bound(m *merged.Unit, name string) bool {
	return slices.ContainsFunc(binds(m), func(b mount) bool { return within(name, b.target) })
}

// hides returns the setting that hides name from the service.
func (svc *service) hides(name string) (unitfile.Assignment, bool) {
	if bound(svc.unit, name) {
		return unitfile.Assignment{}, false
	}
	if dir, a := covering(svc.unit, name, "InaccessiblePaths", "InaccessibleDirectories"); dir != "" {
		return a, true
	}
	if a, emptied := svc.empties(name); emptied {
		return a, true
	}
	return svc.hidesHome(name)
}

// hidesHome is hides for ProtectHome= and PrivateTmp=.
func (svc *service) hidesHome(name string) (unitfile.Assignment, bool) {
	in := func(dirs ...string) bool {
		return slices.ContainsFunc(dirs, func(dir string) bool { return within(name, dir) })
	}
	home := svc.of("ProtectHome")
	if (unitfile.IsYes(home.Value) || home.Value == "tmpfs") && in("/home", "/root", "/run/user") {
		return home, true
	}
	tmp := svc.of("PrivateTmp")
	if (unitfile.IsYes(tmp.Value) || tmp.Value == "disconnected") && in("/tmp", "/var/tmp") {
		return tmp, true
	}
	return unitfile.Assignment{}, false
}

// otherRoot returns the setting by which name is in another root than that of the host.
// Directories that systemd makes are in both.
func (svc *service) otherRoot(name string) (unitfile.Assignment, bool) {
	shared := slices.ContainsFunc(directories(svc.unit), func(d directory) bool { return within(name, d.path) })
	for _, key := range []string{"RootDirectory", "RootImage"} {
		if a := svc.of(key); a.Value != "" && a.Value != "/" && !shared && !bound(svc.unit, name) {
			return a, true
		}
	}
	return unitfile.Assignment{}, false
}

// empties returns the TemporaryFileSystem= over name.
func (svc *service) empties(name string) (unitfile.Assignment, bool) {
	for _, a := range svc.unit.List("Service", "TemporaryFileSystem") {
		for _, word := range strings.Fields(a.Value) {
			if dir, _, _ := strings.Cut(word, ":"); within(name, path.Clean(dir)) {
				return a, true
			}
		}
	}
	return unitfile.Assignment{}, false
}

// rooted reports whether the service has another file at name than the host.
func (svc *service) rooted(name string) bool {
	_, emptied := svc.empties(path.Dir(name))
	return emptied || svc.of("RootDirectory").Value != ""
}
