package units

import (
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Rules on commands that systemd executes as root.

var privilegeRules = []*rule{{
	Rule: Rule{
		ID: "exec-reload-root", Severity: Error,
		Title: "only root may be able to replace a reload command that runs as root",
		Why: "With the prefix + systemd executes ExecReload= as root and without the sandbox. That saves the time for the sandbox, and is safe for a command that root alone can replace, such as cutover-reload. " +
			"A program in a directory that the service or another user may write to, or a file of environment variables there, is that user's: at the next reload it runs as root, with the MAINPID and RUNTIME_DIRECTORY that the user likes. " +
			"This is often the daemon itself, where a deployment without root replaces it. A file that is on this machine must belong to root, like each directory above it.",
		Effect: "a user who may write there, or a compromised service, becomes root at the next reload",
		Fix:    "ExecReload=+/usr/bin/cutover-reload, in a directory of root, or ExecReload= without +",
		Bad:    "[Service]\nStateDirectory=myapp\nExecReload=+/var/lib/myapp/current/myapp reload\n",
		Fixed:  "[Service]\nStateDirectory=myapp\nExecReload=/var/lib/myapp/current/myapp reload\n",
	},
	find: func(svc *service) (all []fault) {
		for _, a := range svc.unit.List("Service", "ExecReload") {
			cmd := cmdline.Parse(a.Value)
			if svc.user || !strings.Contains(cmd.Prefix, "+") {
				continue
			}
			if why := svc.replaceable(merged.Expand(svc.unit.Name, cmd.Binary())); why != "" {
				all = append(all, wrongf(svc.unit, a, "ExecReload=%s runs as root, and %s", a.Value, why)...)
			}
			for _, e := range svc.unit.List("Service", "EnvironmentFile") {
				if why := svc.replaceable(merged.Expand(svc.unit.Name, strings.TrimPrefix(e.Value, "-"))); why != "" {
					all = append(all, wrongf(svc.unit, e, "EnvironmentFile=%s is for ExecReload=%s, too, which runs as root, and %s", e.Value, a.Value, why)...)
				}
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "exec-reload-elevated", Severity: Error,
		Title: "the prefix ! of ExecReload= is neither fast nor safe",
		Why: "With ! systemd executes the command as root and in the sandbox of the service. So it still builds the sandbox. " +
			"With CapabilityBoundingSet= this root may not connect to the socket of the service, which belongs to the user of the service. The command is root for nothing.",
		Effect: "with an empty CapabilityBoundingSet= each `systemctl reload` fails with \"permission denied\"",
		Fix:    "ExecReload= without a prefix, or ExecReload=+/usr/bin/cutover-reload",
		Bad:    "[Service]\nExecReload=!/usr/bin/myapp reload\n",
		Fixed:  "[Service]\nExecReload=/usr/bin/myapp reload\n",
	},
	find: func(svc *service) (all []fault) {
		for _, a := range svc.unit.List("Service", "ExecReload") {
			if prefix := cmdline.Parse(a.Value).Prefix; strings.Count(prefix, "!") == 1 && !strings.Contains(prefix, "+") {
				all = append(all, wrongf(svc.unit, a, "ExecReload=%s", a.Value)...)
			}
		}
		return all
	},
}}

// writable are directories in which users other than root have files.
var writable = []string{"/home", "/tmp", "/var/tmp", "/dev/shm", "/run/user"}

// replaceable says why a user other than root can replace the file at name, "" if none can
// as far as it shows.
func (svc *service) replaceable(name string) string {
	if !path.IsAbs(name) {
		return ""
	}
	for _, d := range directories(svc.unit) {
		if within(name, d.path) {
			return d.path + " belongs to the user of the service (" + d.at.Key + "=)"
		}
	}
	if dir, a := covering(svc.unit, name, "ReadWritePaths", "ReadWriteDirectories"); dir != "" && dir != "/" {
		return a.Key + "=" + a.Value + " lets the service write to it"
	}
	if i := slices.IndexFunc(writable, func(dir string) bool { return within(name, dir) }); i >= 0 {
		return writable[i] + " is for files of users"
	}
	return svc.ownedByOthers(name)
}

// ownedByOthers looks at the file on this machine, at each directory above it, and at the
// same for the file to which links lead.
func (svc *service) ownedByOthers(name string) string {
	all := []string{name}
	// Below another root absolute links lead out of it, and are left out.
	if real, err := filepath.EvalSymlinks(filepath.Join(svc.root, name)); err == nil && strings.HasPrefix(real, svc.root) {
		all = append(all, strings.TrimPrefix(real, svc.root))
	}
	for _, file := range all {
		for part := path.Clean(file); ; part = path.Dir(part) {
			info, err := os.Lstat(filepath.Join(svc.root, part))
			if err == nil && info.Mode()&os.ModeSymlink == 0 && (owner(info) != 0 || info.Mode().Perm()&0o022 != 0) {
				return part + " is not root's alone"
			}
			if part == "/" {
				break
			}
		}
	}
	return ""
}

// owner returns the user ID of a file, 0 where files have none. The type with the field is
// another one on each system.
func owner(info os.FileInfo) int {
	stat := reflect.Indirect(reflect.ValueOf(info.Sys()))
	if stat.Kind() != reflect.Struct {
		return 0
	}
	uid := stat.FieldByName("Uid")
	if !uid.IsValid() || !uid.CanUint() {
		return 0
	}
	return int(uid.Uint())
}
