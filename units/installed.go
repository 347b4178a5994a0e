package units

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CheckInstalled checks a unit as a running systemd has it: Check with the files that
// it has read, drop-ins included, and beyond that what the main process has of an
// earlier version of them, and would keep over an upgrade (restart-needed). A name
// without a suffix is that of a service; the sockets that start it are checked too.
//
// It runs systemctl, once or twice, which ctx ends. That needs no privileges; without
// them the environment of another user's process cannot be read, and counts as a
// sandbox does: by the time at which a file was changed. A unit that systemd does not
// have is an error wrapping fs.ErrNotExist; no systemctl is one wrapping
// exec.ErrNotFound. Options.Root does not count.
//
// systemctl and not the bus: what it prints has been the same since 247, it finds the
// manager also where there is no bus, and people can try what it is asked.
func CheckInstalled(ctx context.Context, unit string, o Options) (findings []Finding, applied int, err error) {
	o.Root = ""
	all, err := loadedUnits(ctx, unit, o.User)
	if err != nil {
		return nil, 0, fmt.Errorf("units: %w", err)
	}
	var files []File
	for _, u := range all {
		files = append(files, u.files...)
	}
	if o.neighbours, err = neighbours(ctx, o.User); err != nil {
		return nil, 0, fmt.Errorf("units: %w", err)
	}
	findings, applied = Check(files, o)
	for _, u := range all {
		m := merge(u.one("Id"), pointers(u.files))
		if u.one("NeedDaemonReload") == "yes" || !o.User && u.lacksDropIn() {
			f := wrongf(m, m.missing("Unit", ""), "systemd has not read the files of %s as they are now", m.name)
			findings = append(findings, reloadRule.finding(f[0]))
		}
		if applied > 0 {
			findings = append(findings, u.outdated(m, mainProcess(u, all))...)
		}
	}
	return findings, applied, nil
}

// A loadedUnit is a unit as systemctl shows it, with its files.
type loadedUnit struct {
	properties
	files []File
}

// properties are what `systemctl show` prints; ExecStart= and its like more than once.
type properties map[string][]string

func (p properties) one(key string) string {
	if len(p[key]) == 0 {
		return ""
	}
	return p[key][0]
}

// asked are the properties that count; limits come to them.
var asked = []string{"Id", "LoadState", "FragmentPath", "DropInPaths", "NeedDaemonReload", "Triggers", "TriggeredBy", "MainPID", "InactiveExitTimestamp", "StatusText",
	"ExecStart", "Environment", "EnvironmentFiles", "UnsetEnvironment", "User", "UMask", "OOMScoreAdjust", "NoNewPrivileges"}

// loadedUnits returns the unit called name, and those that belong to it.
func loadedUnits(ctx context.Context, name string, user bool) ([]loadedUnit, error) {
	if path.Ext(name) == "" || !slices.Contains([]string{".service", ".socket", ".path"}, path.Ext(name)) {
		name += ".service"
	}
	all, err := show(ctx, user, name)
	if err != nil {
		return nil, err
	}
	if state := all[0].one("LoadState"); state == "not-found" || all[0].one("FragmentPath") == "" {
		return nil, fmt.Errorf("%s: systemd has no such unit (%s): %w", name, state, fs.ErrNotExist)
	}
	// A socket's service, and then all sockets of that; a service has the latter only.
	for _, relation := range []string{"Triggers", "TriggeredBy"} {
		var more []string
		for _, u := range all {
			more = append(more, strings.Fields(u.one(relation))...)
		}
		more = slices.DeleteFunc(more, func(n string) bool {
			return slices.ContainsFunc(all, func(u loadedUnit) bool { return u.one("Id") == n })
		})
		if len(more) > 0 {
			found, err := show(ctx, user, more...)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	return all, nil
}

// show asks systemd for units and reads their files.
func show(ctx context.Context, user bool, names ...string) (all []loadedUnit, err error) {
	found, err := query(ctx, user, slices.Concat(asked, limitProperties()), names...)
	if err != nil {
		return nil, err
	}
	for _, p := range found {
		u := loadedUnit{properties: p}
		if err := u.read(); err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

// query runs systemctl show.
func query(ctx context.Context, user bool, wanted []string, names ...string) (all []properties, err error) {
	args := []string{"show", "--no-pager", "--property=" + strings.Join(wanted, ",")}
	if user {
		args = append(args, "--user")
	}
	cmd := exec.CommandContext(ctx, "systemctl", append(append(args, "--"), names...)...)
	// Times in UTC: the names of other zones cannot be read back.
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC", "SYSTEMD_COLORS=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("systemctl show %s: %w %s", strings.Join(names, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	for block := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n\n") {
		p := properties{}
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			p[key] = append(p[key], value)
		}
		all = append(all, p)
	}
	return all, nil
}

// neighbours returns all services that systemd has loaded, as far as their directories go.
func neighbours(ctx context.Context, user bool) (all []*merged, err error) {
	wanted := []string{"DynamicUser", "RuntimeDirectoryPreserve", "RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory"}
	found, err := query(ctx, user, append([]string{"Id"}, wanted...), "*.service")
	if err != nil {
		return nil, err
	}
	for _, p := range found {
		text := "[Service]\n"
		for _, key := range wanted {
			text += key + "=" + literal(p.one(key)) + "\n"
		}
		all = append(all, merge(p.one("Id"), []*File{{Name: p.one("Id"), Text: text}}))
	}
	return all, nil
}

// read reads the unit's file and its drop-ins, which systemd has put in order.
func (u *loadedUnit) read() error {
	if u.one("FragmentPath") == "" {
		return nil // a unit that something refers to, and nobody has written
	}
	paths := append([]string{u.one("FragmentPath")}, shellWords(u.one("DropInPaths"))...)
	for i, p := range paths {
		name := u.one("Id")
		if i > 0 {
			name += ".d/" + path.Base(p) // also of a drop-in for an alias, or for all of a kind
		}
		f, err := readFile(p, name)
		if errors.Is(err, fs.ErrNotExist) && i > 0 {
			continue // since the last daemon-reload, which NeedDaemonReload says
		}
		if err != nil {
			return err
		}
		u.files = append(u.files, f)
	}
	return nil
}

// lacksDropIn reports whether there is a drop-in that systemd has not read. It says so
// itself, but of one in a directory that has come since the last daemon-reload.
func (u *loadedUnit) lacksDropIn() bool {
	there, err := installed("", u.one("Id"))
	if err != nil {
		return false // by another name, or made by a generator
	}
	for _, f := range dropIns(u.one("Id"), there) {
		read := func(r File) bool { return path.Base(r.Name) == path.Base(f.Name) }
		if f.Text != "" && !slices.ContainsFunc(u.files, read) { // an empty one hides others
			return true
		}
	}
	return false
}

// started is when systemd last started the unit; an upgrade does not change it.
func (u *loadedUnit) started() (time.Time, bool) {
	at, err := time.Parse("Mon 2006-01-02 15:04:05 MST", u.one("InactiveExitTimestamp"))
	return at, err == nil
}

// mainProcess returns the main process of unit u, or of the service that socket u starts.
// Its pid is 0 if the service does not run.
func mainProcess(u loadedUnit, all []loadedUnit) process {
	for _, other := range all {
		if other.one("Id") == u.one("Id") || slices.Contains(strings.Fields(u.one("Triggers")), other.one("Id")) {
			if pid, err := strconv.Atoi(other.one("MainPID")); err == nil && pid > 0 {
				return readProcess(pid)
			}
		}
	}
	return process{}
}

func pointers(files []File) []*File {
	list := make([]*File, len(files))
	for i := range files {
		list[i] = &files[i]
	}
	return list
}
