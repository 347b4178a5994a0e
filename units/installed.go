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

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// CheckInstalled checks a unit of a running systemd. It calls Check with the files that systemd
// has read, drop-ins included. It also compares the main process with these files: settings and
// addresses of an earlier version stay over an upgrade (restart-needed, socket-restart-needed,
// socket-stray). A name without a suffix is the name of a service. The sockets of the service
// are checked too.
//
// CheckInstalled runs systemctl up to four times, and ctx ends these commands. It needs no
// privileges. Without them it cannot read the environment and the sockets of another user's
// process, and compares the time of the file with the time of the start, as it does for a
// sandbox. For a unit that systemd does not have it returns an error wrapping fs.ErrNotExist,
// and without systemctl an error wrapping exec.ErrNotFound. Options.Root is not used.
//
// It does not use the bus, because the output of systemctl has been the same since 247,
// systemctl works where there is no bus, and an operator can run the same commands.
func CheckInstalled(ctx context.Context, unit string, o Options) (findings []Finding, applied int, err error) {
	o.Root = ""
	all, err := loadedUnits(ctx, unit, o.User)
	if err != nil {
		return nil, 0, fmt.Errorf("units: %w", err)
	}
	var files []unitfile.File
	for _, u := range all {
		files = append(files, u.files...)
	}
	if o.neighbours, err = neighbours(ctx, o.User); err != nil {
		return nil, 0, fmt.Errorf("units: %w", err)
	}
	findings, applied = check(merged.Group(files), o)
	for _, u := range all {
		m := merged.Merge(u.one("Id"), pointers(u.files))
		if u.one("NeedDaemonReload") == "yes" || !o.User && u.lacksDropIn() {
			f := wrongf(m, m.Missing("Unit", ""), "systemd has not read the files of %s as they are now", m.Name)
			findings = append(findings, reloadRule.finding(f[0]))
		}
		if applied > 0 {
			findings = append(findings, u.outdated(m, mainProcess(u, all))...)
		}
	}
	return findings, applied, nil
}

// A loadedUnit is a unit with the properties that systemctl shows and with its files.
type loadedUnit struct {
	properties
	files []unitfile.File
}

// properties is the output of `systemctl show`. Keys such as ExecStart= have several values.
type properties map[string][]string

func (p properties) one(key string) string {
	if len(p[key]) == 0 {
		return ""
	}
	return p[key][0]
}

// asked are the properties that show reads, together with those of limitProperties.
var asked = []string{"Id", "LoadState", "FragmentPath", "DropInPaths", "NeedDaemonReload", "Triggers", "TriggeredBy", "MainPID", "InactiveExitTimestamp", "StatusText",
	"ExecStart", "Environment", "EnvironmentFiles", "UnsetEnvironment", "User", "UMask", "OOMScoreAdjust", "NoNewPrivileges"}

// loadedUnits returns the unit called name, and the units that belong to it.
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
	// First the service of a socket, then all sockets of the service.
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

// neighbours returns all services that systemd has loaded, with the settings of directories.
func neighbours(ctx context.Context, user bool) (all []*merged.Unit, err error) {
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
		all = append(all, merged.Merge(p.one("Id"), []*unitfile.File{{Name: p.one("Id"), Text: text}}))
	}
	return all, nil
}

// read reads the unit's file and its drop-ins in the order of DropInPaths.
func (u *loadedUnit) read() error {
	if u.one("FragmentPath") == "" {
		return nil // a unit without a file, to which another unit refers
	}
	paths := append([]string{u.one("FragmentPath")}, cmdline.ShellWords(u.one("DropInPaths"))...)
	for i, p := range paths {
		name := u.one("Id")
		if i > 0 {
			name += ".d/" + path.Base(p) // also for a drop-in of an alias or of all services
		}
		f, err := merged.ReadFile(p, name)
		if errors.Is(err, fs.ErrNotExist) && i > 0 {
			continue // removed since the last daemon-reload: NeedDaemonReload says so
		}
		if err != nil {
			return err
		}
		u.files = append(u.files, f)
	}
	return nil
}

// lacksDropIn reports whether a drop-in exists that systemd has not read. NeedDaemonReload does
// not show a drop-in whose directory is newer than the last daemon-reload.
func (u *loadedUnit) lacksDropIn() bool {
	there, err := merged.Installed("", u.one("Id"))
	if err != nil {
		return false // the unit has another name, or comes from a generator
	}
	for _, f := range merged.DropIns(u.one("Id"), there) {
		read := func(r unitfile.File) bool { return path.Base(r.Name) == path.Base(f.Name) }
		if f.Text != "" && !slices.ContainsFunc(u.files, read) { // an empty one hides others
			return true
		}
	}
	return false
}

// started returns the time at which systemd last started the unit. An upgrade does not change it.
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

func pointers(files []unitfile.File) []*unitfile.File {
	list := make([]*unitfile.File, len(files))
	for i := range files {
		list[i] = &files[i]
	}
	return list
}
