package reexec

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/cutover-go/cutover/internal/control"
)

// A workDir is the directory that a generation was started in. A successor is to work in
// the directory that a new start by the manager would give it: where WorkingDirectory=
// leads through a link such as /srv/app/current, the two differ once the link has moved.
// getcwd(2) has no links, and systemd does not set $PWD (247 to 262).
type workDir struct {
	path string // at the start; "" if it was deleted before
	link string // a path with a link to it, by the path of the program; "" if there is none

	invocation string                 // INVOCATION_ID of the unit's start, "" without a manager
	told       atomic.Pointer[string] // where the manager has started the reload command that waits; nil if none does
}

// init finds out what is known of the directory that the program was started in.
func (d *workDir) init(program Command, lookup func(string) (string, bool)) {
	d.path, d.link = program.Dir, linkTo(program.Dir, program.Path)
	d.invocation, _ = lookup("INVOCATION_ID")
}

// linkTo returns the path to dir that shares a link with the path of the program: the
// program /srv/app/current/bin/app and the directory /srv/app/releases/7/data give
// /srv/app/current/data. It returns "" if no link in the path of the program leads to dir
// or a directory above it.
func linkTo(dir, program string) string {
	if dir == "" {
		return ""
	}
	for above := filepath.Dir(program); above != "/" && above != "."; above = filepath.Dir(above) {
		real, err := filepath.EvalSymlinks(above)
		if err != nil || real == above || real == "/" {
			continue
		}
		if rest, ok := strings.CutPrefix(dir, real); ok && (rest == "" || rest[0] == '/') {
			return above + rest
		}
	}
	return ""
}

// hear takes the directory of a reload command, which the manager has set up by the unit
// as it is now, until forget is called. Only a command of the same invocation of the unit
// is one of the manager's.
func (d *workDir) hear(r control.Request) (forget func()) {
	if d.invocation == "" || r.Invocation != d.invocation {
		r.Dir = ""
	}
	d.told.Store(&r.Dir)
	return func() { d.told.CompareAndSwap(&r.Dir, nil) }
}

// now returns the directory for a successor. If none of those that are known is left, it
// returns "": the successor inherits the directory of this process, even a deleted one,
// because a release that was removed must not prevent the next one.
func (d *workDir) now() string {
	paths := []string{d.link, d.path}
	if told := d.told.Load(); told != nil {
		paths = append([]string{*told}, paths...)
	}
	for _, path := range paths {
		if info, err := os.Stat(path); path != "" && err == nil && info.IsDir() {
			return path
		}
	}
	return ""
}

// workPlace fills in where a reload command was started, if the manager itself has
// executed it: a shell in between sets PWD, and may have gone elsewhere.
func workPlace(r control.Request, lookup func(string) (string, bool)) control.Request {
	if _, shell := lookup("PWD"); shell {
		return r
	}
	if r.Invocation, _ = lookup("INVOCATION_ID"); r.Invocation != "" {
		r.Dir, _ = os.Getwd() // "" if it was deleted: the main process then knows no better
	}
	return r
}
