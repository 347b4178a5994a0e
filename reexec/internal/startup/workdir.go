package startup

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/cutover-go/cutover/internal/ask"
)

// A WorkDir is the working directory at the start of a generation. A successor gets the
// directory that a new start by the manager would use. The two differ if WorkingDirectory=
// leads through a link such as /srv/app/current and the link has changed. getcwd(2) returns
// no links, and systemd does not set $PWD (247 to 262).
type WorkDir struct {
	path string // directory at the start; "" if it was deleted
	link string // path through a link to the directory, see linkTo; "" if there is none

	invocation string                 // INVOCATION_ID of the unit's start, "" without a manager
	told       atomic.Pointer[string] // directory of the reload command that waits; nil if there is none
}

// Init sets the directory of the start of the program with the path program.
func (d *WorkDir) Init(dir, program string, lookup func(string) (string, bool)) {
	d.path, d.link = dir, linkTo(dir, program)
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

// Hear keeps the directory of a reload command until forget is called. The manager sets that
// directory by the current unit file. Commands of another invocation of the unit do not
// count, because a person may have started them.
func (d *WorkDir) Hear(r ask.Request) (forget func()) {
	if d.invocation == "" || r.Invocation != d.invocation {
		r.Dir = ""
	}
	d.told.Store(&r.Dir)
	return func() { d.told.CompareAndSwap(&r.Dir, nil) }
}

// Now returns the directory for a successor. If no known directory exists, it returns "": the
// successor inherits the directory of this process, even a deleted one, because the removal
// of a release must not prevent the next release.
func (d *WorkDir) Now() string {
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
