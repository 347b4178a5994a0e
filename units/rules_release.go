package units

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// releaseRules are rules on files that an upgrade picks up in part or not at all: a new release
// and a new log file.
var releaseRules = []*rule{{
	Rule: Rule{
		ID: "working-directory", Severity: Warning,
		Title: "a working directory behind a link changes only for a new generation",
		Why: "A process keeps the directory that the link led to at its start. `systemctl reload` starts the successor where the link leads then; " +
			"so does SIGHUP if the path of the program goes through the same link, and otherwise the successor starts in the old directory. The predecessor drains in the old directory. " +
			"A program that was built with a version of the library that does not follow the link again stays in the old directory until a restart.",
		Effect: "after the link has moved, requests that drain, and an upgrade by SIGHUP of a program elsewhere, use the old release; if it is deleted, they do not find their files",
		Fix:    "a directory that no release replaces, or upgrades by systemctl reload and old releases that stay until the drain has ended",
		Bad:    "[Service]\nWorkingDirectory=/srv/myapp/current\n",
		Fixed:  "[Service]\nWorkingDirectory=/srv/myapp\n",
	},
	find: func(svc *service) []fault {
		a := svc.of("WorkingDirectory")
		if link := svc.linkIn(merged.Expand(svc.unit.Name, strings.TrimLeft(a.Value, "-+!"))); link != "" {
			return wrongf(svc.unit, a, "WorkingDirectory=%s goes through the link %s", a.Value, link)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "release-mounted", Severity: Error,
		Title: "a mount must not go through the link to a release",
		Why: "systemd follows the link once, at the start, when it mounts RootDirectory=, BindPaths= or BindReadOnlyPaths=. A successor lives in the same mounts. " +
			"When the link moves to another release, the successor still finds the old one. A link inside of a mounted directory is followed again at each upgrade.",
		Effect: "an upgrade starts the old program again, and says success",
		Fix:    "a mount of the directory that has the link in it, and the link in ExecStart= and ExecReload=",
		Bad:    "[Service]\nExecStart=/opt/myapp/myapp\nExecReload=/opt/myapp/myapp reload\nBindReadOnlyPaths=/srv/myapp/current:/opt/myapp\n",
		Fixed:  "[Service]\nExecStart=/srv/myapp/current/myapp\nExecReload=/srv/myapp/current/myapp reload\nBindReadOnlyPaths=/srv/myapp\n",
	},
	find: releaseMounted,
}, {
	Rule: Rule{
		ID: "log-file", Severity: Warning,
		Title: "an upgrade keeps the log file that systemd has opened",
		Why: "systemd opens StandardOutput=append:, file: and truncate: at a start, and a successor inherits the open file. " +
			"After a rotation by rename each generation writes to the renamed file, also once it is deleted. systemd makes an empty new file for the reload command, so the rotation looks complete. " +
			"A file that a shell in ExecStart= has opened is the same.",
		Effect: "after a rotation by rename and `systemctl reload` the program writes to the old file until a restart",
		Fix:    "StandardOutput=journal, or a rotation that copies and truncates (copytruncate of logrotate) with append:",
		Bad:    "[Service]\nStandardOutput=append:/var/log/myapp.log\n",
		Fixed:  "[Service]\nStandardOutput=journal\n",
	},
	find: func(svc *service) (all []fault) {
		for _, key := range []string{"StandardOutput", "StandardError"} {
			a := svc.of(key)
			kind, file, ok := strings.Cut(a.Value, ":")
			if ok && !within(file, "/dev") && slices.Contains(merged.FileOutputs, kind) {
				all = append(all, wrongf(svc.unit, a, "%s=%s", key, a.Value)...)
			}
		}
		a, start := svc.binary()
		if file := cmdline.RedirectsTo(start.Text(svc.root)); file != "" {
			all = append(all, wrongf(svc.unit, a, "ExecStart=%s opens %s", a.Value, file)...)
		}
		return all
	},
}}

// releaseMounted finds mounts of the binaries whose source is behind a link.
func releaseMounted(svc *service) (all []fault) {
	if a := svc.of("RootDirectory"); a.Value != "" {
		if link := svc.linkIn(merged.Expand(svc.unit.Name, a.Value)); link != "" {
			all = append(all, wrongf(svc.unit, a, "RootDirectory=%s goes through the link %s", a.Value, link)...)
		}
	}
	for _, b := range binds(svc.unit) {
		has := func(program string) bool { return within(program, b.target) && program != b.target } // a file is binary-pinned
		if link := svc.linkIn(merged.Expand(svc.unit.Name, b.source)); link != "" && slices.ContainsFunc(svc.programs(), has) {
			all = append(all, wrongf(svc.unit, b.at, "%s=%s goes through the link %s", b.at.Key, b.at.Value, link)...)
		}
	}
	return all
}

// releaseLinks are common names of the link to a release.
var releaseLinks = strings.Fields("current latest live active release")

// linkIn returns the part of the path dir that is a link to a release. Where the machine
// does not have the directory, the name decides. Links that distributions make in / and
// /var are none.
func (svc *service) linkIn(dir string) string {
	for part := dir; path.IsAbs(part) && path.Dir(part) != part; part = path.Dir(part) {
		info, err := os.Lstat(filepath.Join(svc.root, part))
		isLink := err == nil && info.Mode()&os.ModeSymlink != 0 && path.Dir(part) != "/" && path.Dir(part) != "/var"
		if isLink || err != nil && slices.Contains(releaseLinks, path.Base(part)) {
			return part
		}
	}
	return ""
}
