// Package units is the contract with systemd on paper: it writes the unit files of
// programs that are replaced while they run, checks those that people wrote, and
// explains what will happen in an upgrade where one is wrong.
//
// Most failures of daemons that replace themselves are wrong units: a reload that
// says success whatever happens, a predecessor killed while it drains, a port that a
// crash closes. None of these shows before the day it matters.
//
// # Write
//
// A [Daemon] says what the program is; [Daemon.Units] says it to systemd, with the
// reason above each setting that the library needs:
//
//	daemon := units.Daemon{
//		Name:    "myapp",
//		Binary:  "/usr/bin/myapp",
//		Sockets: []units.Socket{{Name: "http", Listen: []string{"8080"}}},
//	}
//	files, err := daemon.Units() // myapp.service, myapp.socket
//
// A program offers its own units as `myapp units`, `myapp units --install` and
// `myapp units --check` by [Daemon.Command]. Without a program there is sdunits:
//
//	go run github.com/cutover-go/cutover/units/cmd/sdunits new -name myapp -binary /usr/bin/myapp -listen http=8080
//
// What the units were made from is in their section [X-Cutover], which systemd does
// not read; [Describe] reads it, so that `sdunits new -from DIR` writes them anew.
//
// The units are of Type=notify with an ExecReload= that waits, on every version: with
// notify-reload a reload cannot fail. FileDescriptorStorePreserve= and RestartMode=
// are left alone, for reasons that the rules fd-store-preserve and restart-mode give.
//
// # Check
//
// [Check] reads unit files with their drop-ins, as [Load] finds them in a directory
// or where the system has them, and needs no systemd and no root:
//
//	myapp.service.d/limits.conf:3: error: KillMode=mixed [kill-mode]
//		will happen: mixed: requests that still drain are lost when the main process ends; ...
//		write:       KillMode=control-group
//
// The rules are for programs that use the library, which others need not follow: a
// service counts if it has an [X-Cutover] section or if its binary was built with
// the library. [Options] can say so of all.
//
// [Changes] compares two versions of units and says what an upgrade does not pick up:
// a successor has the environment, limits and sandbox of the last start by systemd.
// [CheckInstalled] asks a running systemd, and compares its main process with the unit.
//
// # Explain
//
// Each [Rule] has a page with a unit that it finds and the same unit mended; both are
// tested, and for most rules a test in e2e shows on a real systemd that what the page
// says happens. `sdunits explain` lists them; RULES.md has all, with what is found.
//
// directives.txt has each directive that systemd knows, from 247 to 262, with a decision:
// it is harmless, a rule looks at it, or the unit alone does not tell.
//
// The package works on every system; the units it is about are of systemd 247 and
// newer. See systemd.unit(5), systemd.service(5), systemd.socket(5), systemd.exec(5).
package units
