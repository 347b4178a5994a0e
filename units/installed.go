package units

import (
	"context"
	"fmt"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/merged"
	"github.com/cutover-go/cutover/units/internal/running"
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
	all, err := running.Load(ctx, unit, o.User)
	if err != nil {
		return nil, 0, fmt.Errorf("units: %w", err)
	}
	var files []unitfile.File
	for _, u := range all {
		files = append(files, u.Files...)
	}
	if o.neighbours, err = running.Neighbours(ctx, o.User); err != nil {
		return nil, 0, fmt.Errorf("units: %w", err)
	}
	findings, applied = check(merged.Group(files), o)
	for _, u := range all {
		m := u.Merged()
		if u.Stale() {
			f := wrongf(m, m.Missing("Unit", ""), "systemd has not read the files of %s as they are now", m.Name)
			findings = append(findings, reloadRule.finding(f[0]))
		}
		if applied == 0 {
			continue
		}
		for _, d := range u.Outdated(all) {
			findings = append(findings, outdatedRules[d.Kind].finding(fault{m, d.At, d.Wrong}))
		}
	}
	return findings, applied, nil
}

// outdatedRules has the rule for each kind of difference between a process and its unit.
var outdatedRules = map[running.Kind]*rule{
	running.SettingDiffers: restartRule, running.SocketDiffers: socketRestartRule, running.ProgramDiffers: replacedRule, running.SocketStray: strayRule,
}
