package units

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
	"time"
)

// outdated returns what the main process does not have of the files of its unit. Of
// what /proc tells of a process the two are compared. The rest, such as most of a
// sandbox, counts as changed if the file that sets it is newer than the start.
func (u *loadedUnit) outdated(m *merged, p process) (findings []Finding) {
	section, r, known := "Service", restartRule, map[string]bool{}
	switch kindOf(m.name) {
	case "socket":
		section, r = "Socket", socketRestartRule
		if p.pid == 0 {
			break
		}
		for _, f := range elsewhere(m, p) {
			known[f.at.key] = true
			findings = append(findings, r.finding(f))
		}
	case "service":
		if p.pid == 0 {
			return nil
		}
		for _, f := range u.differences(m, p, known) {
			findings = append(findings, r.finding(f))
		}
		for _, text := range strays(u.one("StatusText")) {
			findings = append(findings, strayRule.finding(wrongf(m, lastWritten(m, "ExecStart"), "STATUS= of the main process: %s", text)[0]))
		}
	default:
		return nil
	}
	if started, ok := u.started(); ok {
		for _, f := range newer(m, section, started, known) {
			findings = append(findings, r.finding(f))
		}
	}
	return findings
}

// differences compares the process with the unit, and notes in known what it could
// compare.
func (u *loadedUnit) differences(m *merged, p process, known map[string]bool) (all []fault) {
	compare := func(key, want, has string, decided bool) {
		if !decided {
			return
		}
		known[key] = true
		if want != has {
			all = append(all, wrongf(m, lastWritten(m, key), "%s= is %s, the main process (%d) has %s", key, quoteEmpty(want), p.pid, quoteEmpty(has))...)
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
	if u.one("NoNewPrivileges") == "yes" { // with no it may be on as well, for a filter of system calls
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

// outputs returns the log files of the unit that the process has not open, and the files that
// it has open instead, by setting: after a rotation it goes on with the renamed file.
func (p process) outputs(m *merged) map[string][2]string {
	different := map[string][2]string{}
	for key, descriptor := range map[string]string{"StandardOutput": "1", "StandardError": "2"} {
		kind, name, _ := strings.Cut(lastWritten(m, key).value, ":")
		open := filepath.Join("/proc", strconv.Itoa(p.pid), "fd", descriptor)
		has, err := os.Readlink(open)
		if err != nil || !slices.Contains(fileOutputs, kind) {
			continue // another user's process, or no file
		}
		name = expand(m.name, name)
		of, errOpen := os.Stat(open)
		there, errThere := os.Stat(name)
		if errOpen != nil || errThere != nil || !os.SameFile(of, there) {
			different[key] = [2]string{name, has}
		}
	}
	return different
}

// arguments compares how the program was called, unless something else stands between
// systemd and it.
func (u *loadedUnit) arguments(p process) (want, has string, ok bool) {
	_, rest, _ := strings.Cut(u.one("ExecStart"), "argv[]=")
	line, _, _ := strings.Cut(rest, " ; ignore_errors=")
	// A program in between has gone, or is not followed: what it was given says nothing.
	c := &contract{service: &merged{}}
	wanted, stays := c.follow(shellWords(line))
	if len(wanted) == 0 || stays != nil || len(p.argv) == 0 || strings.Contains(line, "$") {
		return "", "", false
	}
	if wanted[0] != p.argv[0] && (!path.IsAbs(wanted[0]) || !path.IsAbs(p.argv[0])) {
		return "", "", false // the name of @, or of a program in PATH
	}
	// systemctl has lost where an argument with blanks begins and ends.
	return strings.Join(wanted, " "), strings.Join(shellWords(strings.Join(p.argv, " ")), " "), true
}

// environment returns the variables of the unit that the process has otherwise: what it
// should have, and has.
func (u *loadedUnit) environment(p process, known map[string]bool) (all [][2]string) {
	if p.environ == nil || u.one("EnvironmentFiles") != "" || u.one("UnsetEnvironment") != "" {
		return nil // may not be read; or is not Environment= alone
	}
	known["Environment"] = true
	for _, variable := range shellWords(u.one("Environment")) {
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

// newer returns one fault for each file of the unit that was changed after the start
// and sets something that a start is needed for, and for each environment file.
func newer(m *merged, section string, started time.Time, known map[string]bool) (all []fault) {
	first, keys := map[*File]assignment{}, map[*File][]string{}
	for _, a := range m.all {
		if a.section != section || byManager(a.key) {
			continue
		}
		if a.key == "EnvironmentFile" {
			all = append(all, newerEnvironment(m, a, started)...)
		}
		if known[a.key] || !changedAfter(a.file.Path, started) {
			continue
		}
		if keys[a.file] == nil {
			first[a.file] = a
		}
		if !slices.Contains(keys[a.file], a.key+"=") {
			keys[a.file] = append(keys[a.file], a.key+"=")
		}
	}
	for f, a := range first {
		all = append(all, wrongf(m, a, "changed since the start at %s, which had perhaps others: %s", started.Format(time.DateTime), strings.Join(keys[f], " "))...)
	}
	slices.SortFunc(all, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.at.file.Path, b.at.file.Path), cmp.Compare(a.at.line, b.at.line))
	})
	return all
}

func newerEnvironment(m *merged, a assignment, started time.Time) []fault {
	// A pattern that is none has no files, as it has for systemd.
	names, _ := filepath.Glob(strings.TrimPrefix(a.value, "-"))
	for _, name := range names {
		if changedAfter(name, started) {
			return wrongf(m, a, "%s was changed since the start at %s", name, started.Format(time.DateTime))
		}
	}
	return nil
}

// changedAfter compares seconds, as systemctl has no more: what happened within that of
// the start was before it, as far as can be known.
func changedAfter(name string, started time.Time) bool {
	info, err := os.Stat(name)
	return err == nil && info.ModTime().Truncate(time.Second).After(started)
}

// user returns the number of User=, without which it is the manager's own; "" for one
// that cannot be looked up, as not everybody can one of DynamicUser=.
func (u *loadedUnit) user(manager process) (uid string) {
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
