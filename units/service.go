package units

import (
	"debug/buildinfo"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// A service is the unit of a program that uses the library, with its sockets and the metadata of the
// program.
type service struct {
	unit          *merged.Unit
	sockets       []*merged.Unit
	unusedSockets []*merged.Unit // sockets with the service's name that another service gets
	others        []*merged.Unit // all units that were read, the service included
	root          string         // of the files that the units name
	program       Daemon         // from the metadata in the unit; complete except for names
	systemd       int
	user          bool // the manager is that of a user, who has all rights that its services have
}

// services returns the services to which the rules apply. Other services may upgrade in
// another way, in which the same settings are right.
func services(all []*merged.Unit, o Options) []*service {
	var list []*service
	for _, m := range all {
		if merged.Kind(m.Name) != "service" || !o.applies(m) {
			continue
		}
		svc := &service{unit: m, program: readMetadata(m), root: o.Root, user: o.User, others: slices.Concat(all, o.neighbours)}
		if o.Program != nil && o.Program.Name+".service" == m.Name {
			svc.program = *o.Program
		}
		svc.systemd = svc.program.Systemd
		if o.Systemd != 0 {
			svc.systemd = o.Systemd
		}
		m.Systemd = svc.systemd
		svc.claim(all)
		list = append(list, svc)
	}
	return list
}

// claim finds the sockets of the service.
func (svc *service) claim(all []*merged.Unit) {
	for _, s := range all {
		switch {
		case merged.Kind(s.Name) != "socket":
		case slices.Contains(svc.unit.Names(), s.SocketService()) || slices.Contains(svc.unit.UnitNames("Service", "Sockets"), s.Name):
			s.Systemd = svc.systemd
			svc.sockets = append(svc.sockets, s)
		case s.Name == strings.TrimSuffix(svc.unit.Name, ".service")+".socket":
			svc.unusedSockets = append(svc.unusedSockets, s)
		}
	}
}

// applies reports whether the program of service m uses the library, by the unit or by the
// binary.
func (o Options) applies(m *merged.Unit) bool {
	if o.All || m.Sections[metadata] != 0 || o.Program != nil && o.Program.Name+".service" == m.Name {
		return true
	}
	for _, a := range m.Lists("Service", "ExecStart", "ExecReload") {
		if o.startsLibrary(cmdline.Parse(a.Value)) {
			return true
		}
	}
	return false
}

// startsLibrary reports whether a command line has a program with the library. The program may
// be an argument of another program.
func (o Options) startsLibrary(cmd cmdline.Command) bool {
	return slices.ContainsFunc(cmd.Words(), func(word string) bool {
		name := strings.Trim(word, ";&|()")
		return path.IsAbs(name) && usesLibrary(filepath.Join(o.Root, name))
	})
}

const module = "github.com/cutover-go/cutover"

// usesLibrary reports whether the program at path is a Go program that was built with the
// library. It returns false for a file that cannot be read.
func usesLibrary(path string) bool {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return false
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return true
		}
	}
	return info.Main.Path == module
}

// readMetadata returns the Daemon that the section [X-Cutover] of the unit describes. A missing
// line counts as the zero value.
func readMetadata(m *merged.Unit) Daemon {
	d := Daemon{Name: strings.TrimSuffix(m.Name, ".service"), Hardening: Hardening(m.Last(metadata, "Hardening").Value)}
	d.Systemd, _ = strconv.Atoi(m.Last(metadata, "Systemd").Value) // 0: not said
	d.Binds, _ = strconv.Atoi(m.Last(metadata, "Binds").Value)
	d.Conns, _ = strconv.Atoi(m.Last(metadata, "Conns").Value)
	_, d.Network = m.Is(metadata, "Network")
	_, d.SoftReboot = m.Is(metadata, "SoftReboot")
	d.ReadyTimeout, _ = unitfile.Span(m.Last(metadata, "ReadyTimeout").Value)
	d.Trial, _ = unitfile.Span(m.Last(metadata, "Trial").Value)
	d.Drain, _ = unitfile.Span(m.Last(metadata, "Drain").Value)
	d.StopDrain, _ = unitfile.Span(m.Last(metadata, "StopDrain").Value)
	// Only the defaults count here, so an error about a missing field is ignored.
	full, _ := d.complete()
	return full
}

// of returns the last assignment of a setting in [Service].
func (svc *service) of(key string) unitfile.Assignment { return svc.unit.Last("Service", key) }

// on reports whether a boolean setting in [Service] is on.
func (svc *service) on(key string) (unitfile.Assignment, bool) { return svc.unit.Is("Service", key) }

// span returns a time setting of [Service], or its default.
func (svc *service) span(key string, fallback time.Duration) (unitfile.Assignment, time.Duration) {
	a := svc.of(key)
	if d, err := unitfile.Span(a.Value); err == nil {
		return a, d
	}
	return a, fallback
}

// number returns a numeric setting of [Service], or its default.
func (svc *service) number(key string, fallback int) (unitfile.Assignment, int) {
	a := svc.of(key)
	if n, err := strconv.Atoi(a.Value); err == nil {
		return a, n
	}
	return a, fallback
}

// binary returns the command of the last ExecStart= line.
func (svc *service) binary() (unitfile.Assignment, cmdline.Command) {
	list := svc.unit.List("Service", "ExecStart")
	if len(list) == 0 {
		return svc.unit.Missing("Service", "ExecStart"), cmdline.Command{}
	}
	last := list[len(list)-1]
	return last, cmdline.Parse(last.Value)
}

// each returns the faults that find returns for each socket.
func (svc *service) each(find func(*merged.Unit) []fault) (all []fault) {
	for _, s := range svc.sockets {
		all = append(all, find(s)...)
	}
	return all
}
