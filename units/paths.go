package units

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Paths of unix sockets, and the directories that systemd removes or replaces.

// A directory is one that systemd makes for a service: RuntimeDirectory= and its like.
type directory struct {
	path    string
	of      *merged.Unit
	at      unitfile.Assignment
	removed bool // at a stop, and at a restart or a crash unless Preserve says otherwise
	private bool // below a directory that only root may enter
}

// directoryBases are the settings of systemd.exec(5) that make directories, and where.
var directoryBases = map[string]string{
	"RuntimeDirectory": "/run", "StateDirectory": "/var/lib", "CacheDirectory": "/var/cache", "LogsDirectory": "/var/log",
}

// directories returns the directories that systemd makes for service m.
//
// With DynamicUser= it makes them below a directory called private, which has mode 0700,
// and a link in their place. A runtime directory that it removes at each stop stays where
// it is. All of that is the same from 247 to 262.
func directories(m *merged.Unit) (all []directory) {
	_, dynamic := m.Is("Service", "DynamicUser")
	preserve := m.Last("Service", "RuntimeDirectoryPreserve").Value
	for key, base := range directoryBases {
		runtime := key == "RuntimeDirectory"
		for _, a := range m.List("Service", key) {
			for _, word := range wordsOf(a.Value) {
				// NAME:LINK (250) makes a link, NAME:LINK:ro (257) a read-only directory.
				for i, name := range strings.SplitN(word, ":", 3) {
					if name == "" || i == 2 {
						continue
					}
					all = append(all, directory{
						path: path.Join(base, merged.ExpandPath(m.Name, name)), of: m, at: a,
						removed: runtime && !unitfile.IsYes(preserve),
						private: dynamic && (!runtime || unitfile.IsYes(preserve) || preserve == "restart"),
					})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b directory) int { return strings.Compare(a.path, b.path) })
	return all
}

// A place is the path of a unix socket and the line that names it.
type place struct {
	path string
	unit *merged.Unit
	at   unitfile.Assignment
}

// systemdBinds returns the paths that the .socket units listen on or link to.
func (svc *service) systemdBinds() (all []place) {
	for _, s := range svc.sockets {
		for _, a := range slices.Concat(s.Listening(), s.List("Socket", "Symlinks")) {
			for _, word := range wordsOf(a.Value) {
				if p := merged.ExpandPath(s.Name, word); strings.HasPrefix(p, "/") {
					all = append(all, place{p, s, a})
				}
			}
		}
	}
	return all
}

// programBinds returns the paths of sockets that the program is told of, by its arguments
// or its environment, and that no .socket unit has.
func (svc *service) programBinds() (all []place) {
	passed := svc.systemdBinds()
	for _, a := range svc.unit.Lists("Service", "ExecStart", "Environment") {
		for _, word := range cmdline.Parse(a.Value).Words() {
			p := socketPath(svc.path(word))
			known := func(other place) bool { return other.path == p }
			if p != "" && !slices.ContainsFunc(passed, known) {
				all = append(all, place{p, svc.unit, a})
			}
		}
	}
	return all
}

// path returns text with specifiers replaced, and variables such as ${RUNTIME_DIRECTORY}.
func (svc *service) path(text string) string {
	for key, base := range directoryBases {
		names := svc.unit.Words("Service", key)
		variable := strings.ToUpper(strings.TrimSuffix(key, "Directory")) + "_DIRECTORY"
		if len(names) == 1 && strings.Contains(text, variable) {
			name, _, _ := strings.Cut(names[0], ":")
			dir := path.Join(base, name)
			text = strings.NewReplacer("${"+variable+"}", dir, "$"+variable, dir).Replace(text)
		}
	}
	return merged.ExpandPath(svc.unit.Name, text)
}

var (
	unixScheme = regexp.MustCompile(`^(?:unix|unixgram|unixpacket):(?://)?`)
	socketFile = regexp.MustCompile(`\.(?:sock|socket|ipc)$`)
)

// socketPath returns the path of a unix socket in an argument such as
// -listen=unix:/run/app/http.sock, "" if it has none.
func socketPath(arg string) string {
	if i := strings.LastIndexByte(arg, '='); i >= 0 {
		arg = arg[i+1:]
	}
	plain := unixScheme.ReplaceAllString(arg, "")
	if !strings.HasPrefix(plain, "/") || plain == arg && !socketFile.MatchString(plain) {
		return ""
	}
	return merged.Expand("", plain)
}
