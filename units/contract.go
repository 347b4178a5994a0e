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

// A contract is a service that uses the library, with its sockets and the facts about its program.
type contract struct {
	service *merged.Unit
	sockets []*merged.Unit
	strays  []*merged.Unit // sockets with the service's name that another service gets
	others  []*merged.Unit // all units that were read, the service included
	root    string         // of the files that the units name
	program Daemon         // from the facts in the unit; complete except for names
	systemd int
	user    bool // the manager is that of a user, who has all rights that its services have
}

// contracts returns the services to which the rules apply. Other services may upgrade in
// another way, in which the same settings are right.
func contracts(all []*merged.Unit, o Options) []*contract {
	var list []*contract
	for _, m := range all {
		if merged.Kind(m.Name) != "service" || !o.applies(m) {
			continue
		}
		c := &contract{service: m, program: readFacts(m), root: o.Root, user: o.User, others: slices.Concat(all, o.neighbours)}
		if o.Program != nil && o.Program.Name+".service" == m.Name {
			c.program = *o.Program
		}
		c.systemd = c.program.Systemd
		if o.Systemd != 0 {
			c.systemd = o.Systemd
		}
		m.Systemd = c.systemd
		c.claim(all)
		list = append(list, c)
	}
	return list
}

// claim finds the sockets of the service.
func (c *contract) claim(all []*merged.Unit) {
	for _, s := range all {
		switch {
		case merged.Kind(s.Name) != "socket":
		case slices.Contains(c.service.Names(), s.SocketService()) || slices.Contains(c.service.UnitNames("Service", "Sockets"), s.Name):
			s.Systemd = c.systemd
			c.sockets = append(c.sockets, s)
		case s.Name == strings.TrimSuffix(c.service.Name, ".service")+".socket":
			c.strays = append(c.strays, s)
		}
	}
}

// applies reports whether the program of service m uses the library, by the unit or by the
// binary.
func (o Options) applies(m *merged.Unit) bool {
	if o.All || m.Sections[facts] != 0 || o.Program != nil && o.Program.Name+".service" == m.Name {
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

// readFacts returns the Daemon that the section [X-Cutover] of the unit describes. A missing
// line counts as the zero value.
func readFacts(m *merged.Unit) Daemon {
	d := Daemon{Name: strings.TrimSuffix(m.Name, ".service"), Hardening: Hardening(m.Last(facts, "Hardening").Value)}
	d.Systemd, _ = strconv.Atoi(m.Last(facts, "Systemd").Value) // 0: not said
	d.Binds, _ = strconv.Atoi(m.Last(facts, "Binds").Value)
	d.Conns, _ = strconv.Atoi(m.Last(facts, "Conns").Value)
	_, d.Network = m.Is(facts, "Network")
	_, d.SoftReboot = m.Is(facts, "SoftReboot")
	d.ReadyTimeout, _ = unitfile.Span(m.Last(facts, "ReadyTimeout").Value)
	d.Trial, _ = unitfile.Span(m.Last(facts, "Trial").Value)
	d.Drain, _ = unitfile.Span(m.Last(facts, "Drain").Value)
	d.StopDrain, _ = unitfile.Span(m.Last(facts, "StopDrain").Value)
	// Only the defaults count here, so an error about a missing field is ignored.
	full, _ := d.complete()
	return full
}

// of returns the last assignment of a setting in [Service].
func (c *contract) of(key string) unitfile.Assignment { return c.service.Last("Service", key) }

// on reports whether a boolean setting in [Service] is on.
func (c *contract) on(key string) (unitfile.Assignment, bool) { return c.service.Is("Service", key) }

// span returns a time setting of [Service], or its default.
func (c *contract) span(key string, fallback time.Duration) (unitfile.Assignment, time.Duration) {
	a := c.of(key)
	if d, err := unitfile.Span(a.Value); err == nil {
		return a, d
	}
	return a, fallback
}

// number returns a numeric setting of [Service], or its default.
func (c *contract) number(key string, fallback int) (unitfile.Assignment, int) {
	a := c.of(key)
	if n, err := strconv.Atoi(a.Value); err == nil {
		return a, n
	}
	return a, fallback
}

// binary returns the command of the last ExecStart= line.
func (c *contract) binary() (unitfile.Assignment, cmdline.Command) {
	list := c.service.List("Service", "ExecStart")
	if len(list) == 0 {
		return c.service.Missing("Service", "ExecStart"), cmdline.Command{}
	}
	last := list[len(list)-1]
	return last, cmdline.Parse(last.Value)
}

// each returns the faults that find returns for each socket.
func (c *contract) each(find func(*merged.Unit) []fault) (all []fault) {
	for _, s := range c.sockets {
		all = append(all, find(s)...)
	}
	return all
}
