package proof

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/units"
)

// A setting is one line of a unit file.
type setting struct {
	file         units.File
	line         int // from 1
	section, key string
	value        string
}

// String is the setting with its place, as compilers write it.
func (s setting) String() string {
	return fmt.Sprintf("%s:%d: %s=%s", filepath.Base(s.file.Path), s.line, s.key, s.value)
}

// unitFiles are the units of the daemon, with the facts that the stories need.
type unitFiles struct {
	files    []units.File
	service  string // the name of the tested service
	settings []setting
}

// readUnits reads the units in folder. service is the tested one, "" for the only one.
func readUnits(folder, service string) (*unitFiles, error) {
	files, err := units.Load("", folder)
	if err != nil {
		return nil, err
	}
	var services []string
	for _, f := range files {
		if path.Ext(f.Name) == ".service" {
			services = append(services, f.Name)
		}
	}
	switch {
	case service != "" && !slices.Contains(services, service):
		return nil, fmt.Errorf("no %s in %s, which has %s", service, folder, strings.Join(services, ", "))
	case service == "" && len(services) != 1:
		return nil, fmt.Errorf("%d services in %s: Daemon.Service has to name one of %s", len(services), folder, strings.Join(services, ", "))
	case service == "":
		service = services[0]
	}
	if strings.Contains(service, "@.") {
		return nil, fmt.Errorf("%s is a template: an instance of it is needed", service)
	}
	u := &unitFiles{files: files, service: service}
	for _, f := range files {
		u.settings = append(u.settings, parse(f)...)
	}
	return u, nil
}

// parse returns the settings of f. A setting with continued lines has the number of the first.
func parse(f units.File) (all []setting) {
	section, whole, begun := "", "", 0
	for i, line := range strings.Split(f.Text, "\n") {
		line = strings.TrimSpace(line)
		if line != "" && strings.ContainsRune("#;", rune(line[0])) {
			continue
		}
		if whole == "" {
			begun = i + 1
		}
		if rest, more := strings.CutSuffix(line, `\`); more {
			whole += rest + " "
			continue
		}
		whole += line
		key, value, found := strings.Cut(whole, "=")
		switch {
		case strings.HasPrefix(whole, "["):
			section = strings.Trim(whole, "[]")
		case found:
			all = append(all, setting{f, begun, section, strings.TrimSpace(key), strings.TrimSpace(value)})
		}
		whole = ""
	}
	return all
}

// of returns the settings called key of a unit and its drop-ins, without those that an empty
// assignment has removed.
func (u *unitFiles) of(unit, key string) (found []setting) {
	for _, s := range u.settings {
		if s.key != key || s.file.Name != unit && path.Dir(s.file.Name) != unit+".d" {
			continue
		}
		if s.value == "" {
			found = nil
			continue
		}
		found = append(found, s)
	}
	return found
}

// last returns the setting of the service that counts, false if it has none.
func (u *unitFiles) last(key string) (setting, bool) {
	all := u.of(u.service, key)
	if len(all) == 0 {
		return setting{}, false
	}
	return all[len(all)-1], true
}

// value returns the value of a setting of the service, or that of systemd's default.
func (u *unitFiles) value(key, without string) string {
	if s, ok := u.last(key); ok {
		return s.value
	}
	return without
}

// says names a setting of the service: the line, or the section that lacks it.
func (u *unitFiles) says(key string) string {
	if s, ok := u.last(key); ok {
		return s.String()
	}
	return fmt.Sprintf("%s has no %s=", u.service, key)
}

// sockets returns the names of the socket units of the service.
func (u *unitFiles) sockets() (names []string) {
	for _, f := range u.files {
		if path.Ext(f.Name) != ".socket" {
			continue
		}
		target := strings.TrimSuffix(f.Name, ".socket") + ".service"
		if s := u.of(f.Name, "Service"); len(s) > 0 {
			target = s[len(s)-1].value
		}
		if target == u.service {
			names = append(names, f.Name)
		}
	}
	return names
}

// listens returns the addresses of the socket units.
func (u *unitFiles) listens() (all []setting) {
	for _, name := range u.sockets() {
		for _, key := range []string{"ListenStream", "ListenDatagram", "ListenSequentialPacket"} {
			all = append(all, u.of(name, key)...)
		}
	}
	return all
}

// notPrograms run another program, which an upgrade starts again with them.
var notPrograms = []string{"sh", "bash", "dash", "env", "nice", "ionice", "sudo", "su", "runuser", "setpriv", "chroot", "nsenter", "python3", "perl"}

// program returns the path of the program, and of the one of ExecReload= ("" without it).
func (u *unitFiles) program() (start, reload string, err error) {
	s, ok := u.last("ExecStart")
	if !ok {
		return "", "", fmt.Errorf("%s has no ExecStart=", u.service)
	}
	start, err = commandPath(s)
	if err != nil {
		return "", "", err
	}
	if base := path.Base(start); slices.Contains(notPrograms, base) {
		return "", "", fmt.Errorf("%v does not fit: the built program has to be at the path of ExecStart=, and %s is another program", s, base)
	}
	if r, ok := u.last("ExecReload"); ok {
		reload, err = commandPath(r)
	}
	return start, reload, err
}

// commandPath returns the path of a command line of systemd.service(5).
func commandPath(s setting) (string, error) {
	word, _, _ := strings.Cut(s.value, " ")
	word = strings.Trim(strings.TrimLeft(word, "-@:+!|"), `"'`)
	switch {
	case !strings.HasPrefix(word, "/"):
		return "", fmt.Errorf("%v: the path of the program is not absolute", s)
	case strings.Contains(word, "%") || strings.Contains(word, "$"):
		return "", errors.New(s.String() + ": a path with specifiers or variables is not supported")
	}
	return path.Clean(word), nil
}
