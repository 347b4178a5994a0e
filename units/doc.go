// Package units writes, checks and explains the systemd unit files of programs that are
// replaced while they run.
//
// Most failures of daemons that replace themselves are wrong units: a reload that always
// succeeds, a predecessor that systemd kills while it drains, a port that a crash closes.
// Such a unit works until the first failed upgrade or the first crash.
//
// # Write
//
// A [Daemon] describes the program. [Daemon.Units] returns its units, with the reason above
// each setting that the library needs:
//
//	daemon := units.Daemon{
//		Name:    "myapp",
//		Binary:  "/usr/bin/myapp",
//		Sockets: []units.Socket{{Name: "http", Listen: []string{"8080"}}},
//	}
//	files, err := daemon.Units() // myapp.service, myapp.socket
//
// [Daemon.Command] implements `myapp units`, `myapp units --install` and `myapp units --check`
// in the program itself. The command sdunits does the same without the program:
//
//	go run github.com/cutover-go/cutover/units/cmd/sdunits new -name myapp -binary /usr/bin/myapp -listen http=8080
//
// The section [X-Cutover] of the units contains the Daemon; systemd ignores that section.
// [Describe] reads it, and `sdunits new -from DIR` writes the units again.
//
// The units have Type=notify and an ExecReload= that waits, on every version: with
// notify-reload a reload cannot fail. They do not set FileDescriptorStorePreserve= and
// RestartMode=; the rules fd-store-preserve and restart-mode give the reasons.
//
// # Check
//
// [Check] checks unit files with their drop-ins. [Load] reads them from a directory or from
// the system's directories. Both need no systemd and no root:
//
//	myapp.service.d/limits.conf:3: error: KillMode=mixed [kill-mode]
//		will happen: mixed: requests that still drain are lost when the main process ends; ...
//		write:       KillMode=control-group
//
// The rules apply to services with an [X-Cutover] section and to services whose binary was
// built with the library. With Options.All they apply to all services.
//
// [Changes] compares two versions of units and returns the settings that an upgrade does not
// pick up: a successor has the environment, limits and sandbox of the last start by systemd.
// [CheckInstalled] asks a running systemd and compares the main process with the unit.
//
// # Explain
//
// Each [Rule] has a page with a unit that breaks the rule and the corrected unit. Tests check
// both, and for most rules a test in e2e shows the effect on a real systemd. `sdunits explain`
// lists the rules, and RULES.md has all pages.
//
// directives.txt has each directive of systemd 247 to 262 with a decision: the directive is
// harmless, a rule checks it, or the unit alone does not tell.
//
// The package compiles and works on every system. The units need systemd 247 or newer. See systemd.unit(5), systemd.service(5), systemd.socket(5), systemd.exec(5).
package units
