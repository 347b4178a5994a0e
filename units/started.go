package units

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/cmdline"
)

// started returns the last ExecStart= line, the program that it executes in the end, and the
// program that stays between systemd and it, nil if none is known.
func (svc *service) started() (at unitfile.Assignment, start cmdline.Command, last []string, stays *cmdline.Obstacle) {
	at, start = svc.binary()
	switch {
	case strings.Contains(start.Prefix, "|"):
		return at, start, nil, &cmdline.Obstacle{Program: "the shell of User=", Shell: true}
	case svc.isDaemon(start):
		return at, start, start.Argv, nil
	}
	last, stays = cmdline.Follow(svc.root, start.Argv)
	return at, start, last, stays
}

// isDaemon reports whether a command is the daemon itself, also if its name is that of another
// program: ExecReload= asks a program of the library in one word.
func (svc *service) isDaemon(start cmdline.Command) bool {
	name := start.Binary()
	if !path.IsAbs(name) || cmdline.IsShell(name) {
		return false
	}
	if usesLibrary(filepath.Join(svc.root, name)) {
		return true
	}
	asks := func(a unitfile.Assignment) bool {
		argv := cmdline.Parse(a.Value).Argv
		return len(argv) == 2 && argv[0] == name && !strings.HasPrefix(argv[1], "-") && !path.IsAbs(argv[1])
	}
	return slices.ContainsFunc(svc.unit.List("Service", "ExecReload"), asks) && !slices.ContainsFunc(start.Argv[1:], path.IsAbs)
}
