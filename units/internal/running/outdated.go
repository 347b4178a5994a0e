package running

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// A Kind is a kind of difference between the main process and the files of its unit.
type Kind int

const (
	SettingDiffers Kind = iota // of a service, which an upgrade does not pick up
	SocketDiffers              // a setting or an address of a .socket unit
	ProgramDiffers             // the process executes another program than the file on disk
	SocketStray                // STATUS= says that a socket serves another address
)

// A Difference is a line of a unit of which the main process has something else.
type Difference struct {
	Kind  Kind
	At    unitfile.Assignment // the line
	Wrong string              // the value in the unit, and the one of the process
}

// Outdated returns the differences between the files of unit u and the main process of its
// service, which is one of all. It compares the settings that /proc shows. Other settings, such
// as most of a sandbox, count as changed if the file that sets them is newer than the start.
func (u *Unit) Outdated(all []Unit) (found []Difference) {
	m, p := u.Merged(), mainProcess(*u, all)
	section, known := "Service", map[string]bool{}
	switch merged.Kind(m.Name) {
	case "socket":
		section = "Socket"
		if p.pid == 0 {
			break
		}
		for _, d := range elsewhere(m, p) {
			known[d.At.Key] = true
			found = append(found, d)
		}
	case "service":
		if p.pid == 0 {
			return nil
		}
		found = append(u.differences(m, p, known), u.replaced(m, p)...)
		for _, text := range strays(u.one("StatusText")) {
			found = append(found, differs(SocketStray, m.LastWritten("ExecStart"), "STATUS= of the main process: %s", text)...)
		}
	default:
		return nil
	}
	if started, ok := u.started(); ok {
		found = append(found, newer(m, section, started, known)...)
	}
	return found
}

// differs returns one difference.
func differs(k Kind, at unitfile.Assignment, format string, args ...any) []Difference {
	return []Difference{{k, at, fmt.Sprintf(format, args...)}}
}

// differences compares the process with the unit, and adds the settings that it could compare
// to known.
func (u *Unit) differences(m *merged.Unit, p process, known map[string]bool) (all []Difference) {
	compare := func(key, want, has string, decided bool) {
		if !decided {
			return
		}
		known[key] = true
		if want != has {
			all = append(all, differs(SettingDiffers, m.LastWritten(key), "%s= is %s, the main process (%d) has %s", key, quoteEmpty(want), p.pid, quoteEmpty(has))...)
		}
	}
	manager := p.parent()
	for _, l := range limits {
		want, has := l.want(u.properties), p.limits[l.proc]
		if closest := want.within(manager.limits[l.proc].hard); l.of(closest) == l.of(has) {
			want = closest
		}
		compare("Limit"+l.name, l.of(want), l.of(has), want.hard != "" && has.hard != "")
	}
	status := func(key, property, field string) {
		want, has := u.one(property), p.status[field]
		compare(key, want, has, want != "" && has != "")
	}
	status("UMask", "UMask", "Umask")
	compare("OOMScoreAdjust", u.one("OOMScoreAdjust"), p.score, u.one("OOMScoreAdjust") != "" && p.score != "")
	if u.one("NoNewPrivileges") == "yes" { // no may be yes in the process, because of a filter of system calls
		compare("NoNewPrivileges", "yes", map[string]string{"0": "no", "1": "yes"}[p.status["NoNewPrivs"]], p.status["NoNewPrivs"] != "")
	}
	want, has := u.user(manager), p.uid()
	compare("User", want, has, want != "" && has != "")
	for key, file := range p.outputs(m) {
		compare(key, file[0], file[1], true)
	}
	want, has, ok := u.arguments(p)
	compare("ExecStart", want, has, ok)
	for _, a := range u.environment(p, known) {
		compare("Environment", a[0], a[1], true)
	}
	return all
}

// strays returns the parts of a STATUS= of the library that name a socket which does not
// serve the address that the unit or the program says.
func strays(status string) (all []string) {
	for part := range strings.SplitSeq(status, "; ") {
		moved := strings.HasPrefix(part, "socket ") && strings.Contains(part, " listens on ") && strings.Contains(part, ", not on ")
		if moved || strings.HasPrefix(part, "no Listen has claimed ") {
			all = append(all, part)
		}
	}
	return all
}

// outputs returns, by setting, the log file of the unit and the file that the process has open
// instead: after a rotation the process writes to the renamed file.
func (p process) outputs(m *merged.Unit) map[string][2]string {
	different := map[string][2]string{}
	for key, descriptor := range map[string]string{"StandardOutput": "1", "StandardError": "2"} {
		kind, name, _ := strings.Cut(m.LastWritten(key).Value, ":")
		open := filepath.Join("/proc", strconv.Itoa(p.pid), "fd", descriptor)
		has, err := os.Readlink(open)
		if err != nil || !slices.Contains(merged.FileOutputs, kind) {
			continue // another user's process, or no file
		}
		name = merged.Expand(m.Name, name)
		of, errOpen := os.Stat(open)
		there, errThere := os.Stat(name)
		if errOpen != nil || errThere != nil || !os.SameFile(of, there) {
			different[key] = [2]string{name, has}
		}
	}
	return different
}

// arguments compares the arguments of the process with ExecStart=. ok is false if another
// program starts the daemon.
func (u *Unit) arguments(p process) (want, has string, ok bool) {
	wanted := u.program()
	if len(wanted) == 0 || len(p.argv) == 0 || strings.Contains(u.commandLine(), "$") {
		return "", "", false
	}
	if wanted[0] != p.argv[0] && (!path.IsAbs(wanted[0]) || !path.IsAbs(p.argv[0])) {
		return "", "", false // argv[0] is the name after @, or a program in PATH
	}
	// The output of systemctl does not show where an argument with blanks begins and ends.
	return strings.Join(wanted, " "), strings.Join(unitfile.ShellWords(strings.Join(p.argv, " ")), " "), true
}

// environment returns pairs for the variables that differ: the one of the unit and the one of
// the process.
func (u *Unit) environment(p process, known map[string]bool) (all [][2]string) {
	if p.environ == nil || u.one("EnvironmentFiles") != "" || u.one("UnsetEnvironment") != "" {
		return nil // it cannot be read, or does not come from Environment= alone
	}
	known["Environment"] = true
	for _, variable := range unitfile.ShellWords(u.one("Environment")) {
		name, _, _ := strings.Cut(variable, "=")
		has := "no " + name
		for _, v := range p.environ {
			if strings.HasPrefix(v, name+"=") {
				has = v
			}
		}
		if has != variable {
			all = append(all, [2]string{variable, has})
		}
	}
	return all
}

// user returns the uid of User=, or of the manager without User=. It returns "" for a name that
// cannot be looked up, such as a name of DynamicUser=.
func (u *Unit) user(manager process) (uid string) {
	name := u.one("User")
	if name == "" {
		return manager.uid()
	}
	if _, err := strconv.Atoi(name); err == nil {
		return name
	}
	found, err := user.Lookup(name)
	if err != nil {
		return ""
	}
	return found.Uid
}

func quoteEmpty(s string) string { return cmp.Or(s, fmt.Sprintf("%q", s)) }
