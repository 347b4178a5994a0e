package running

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
	"github.com/cutover-go/cutover/units/internal/merged"
)

// A Unit is a unit with the properties that systemctl shows and with its files.
type Unit struct {
	properties
	Files    []unitfile.File
	ofSystem bool // and not of a user's manager
}

// Merged returns the unit with its drop-ins.
func (u *Unit) Merged() *merged.Unit {
	files := make([]*unitfile.File, len(u.Files))
	for i := range u.Files {
		files[i] = &u.Files[i]
	}
	return merged.Merge(u.one("Id"), files)
}

// Stale reports whether systemd has not read the files as they are now.
func (u *Unit) Stale() bool {
	return u.one("NeedDaemonReload") == "yes" || u.ofSystem && u.lacksDropIn()
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

// Load returns the unit called name, and the units that belong to it, as systemd has loaded
// them. user asks the manager of the user.
func Load(ctx context.Context, name string, user bool) ([]Unit, error) {
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
			return slices.ContainsFunc(all, func(u Unit) bool { return u.one("Id") == n })
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
func show(ctx context.Context, user bool, names ...string) (all []Unit, err error) {
	found, err := query(ctx, user, slices.Concat(asked, limitProperties()), names...)
	if err != nil {
		return nil, err
	}
	for _, p := range found {
		u := Unit{properties: p, ofSystem: !user}
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

// Neighbours returns all services that systemd has loaded, with the settings of directories.
func Neighbours(ctx context.Context, user bool) (all []*merged.Unit, err error) {
	wanted := []string{"DynamicUser", "RuntimeDirectoryPreserve", "RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory"}
	found, err := query(ctx, user, append([]string{"Id"}, wanted...), "*.service")
	if err != nil {
		return nil, err
	}
	for _, p := range found {
		text := "[Service]\n"
		for _, key := range wanted {
			text += key + "=" + strings.ReplaceAll(p.one(key), "%", "%%") + "\n"
		}
		all = append(all, merged.Merge(p.one("Id"), []*unitfile.File{{Name: p.one("Id"), Text: text}}))
	}
	return all, nil
}

// read reads the unit's file and its drop-ins in the order of DropInPaths.
func (u *Unit) read() error {
	if u.one("FragmentPath") == "" {
		return nil // a unit without a file, to which another unit refers
	}
	paths := append([]string{u.one("FragmentPath")}, unitfile.ShellWords(u.one("DropInPaths"))...)
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
		u.Files = append(u.Files, f)
	}
	return nil
}

// lacksDropIn reports whether a drop-in exists that systemd has not read. NeedDaemonReload does
// not show a drop-in whose directory is newer than the last daemon-reload.
func (u *Unit) lacksDropIn() bool {
	there, err := merged.Installed("", u.one("Id"))
	if err != nil {
		return false // the unit has another name, or comes from a generator
	}
	for _, f := range merged.DropIns(u.one("Id"), there) {
		read := func(r unitfile.File) bool { return path.Base(r.Name) == path.Base(f.Name) }
		if f.Text != "" && !slices.ContainsFunc(u.Files, read) { // an empty one hides others
			return true
		}
	}
	return false
}

// started returns the time at which systemd last started the unit. An upgrade does not change it.
func (u *Unit) started() (time.Time, bool) {
	at, err := time.Parse("Mon 2006-01-02 15:04:05 MST", u.one("InactiveExitTimestamp"))
	return at, err == nil
}

// mainProcess returns the main process of unit u, or of the service that socket u starts.
// Its pid is 0 if the service does not run.
func mainProcess(u Unit, all []Unit) process {
	for _, other := range all {
		if other.one("Id") == u.one("Id") || slices.Contains(strings.Fields(u.one("Triggers")), other.one("Id")) {
			if pid, err := strconv.Atoi(other.one("MainPID")); err == nil && pid > 0 {
				return readProcess(pid)
			}
		}
	}
	return process{}
}
