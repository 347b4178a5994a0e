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
)

// A contract is a service that uses the library, with its sockets and the facts about its program.
type contract struct {
	service *merged
	sockets []*merged
	strays  []*merged // sockets with the service's name that another service gets
	others  []*merged // all units that were read, the service included
	root    string    // of the files that the units name
	program Daemon    // from the facts in the unit; complete except for names
	systemd int
	user    bool // the manager is that of a user, who has all rights that its services have
}

// contracts returns the services to which the rules apply. Other services may upgrade in
// another way, in which the same settings are right.
func contracts(all []*merged, o Options) []*contract {
	var list []*contract
	for _, m := range all {
		if kindOf(m.name) != "service" || !o.applies(m) {
			continue
		}
		c := &contract{service: m, program: readFacts(m), root: o.Root, user: o.User, others: slices.Concat(all, o.neighbours)}
		if o.Program != nil && o.Program.Name+".service" == m.name {
			c.program = *o.Program
		}
		c.systemd = c.program.Systemd
		if o.Systemd != 0 {
			c.systemd = o.Systemd
		}
		m.systemd = c.systemd
		c.claim(all)
		list = append(list, c)
	}
	return list
}

// claim finds the sockets of the service.
func (c *contract) claim(all []*merged) {
	for _, s := range all {
		switch {
		case kindOf(s.name) != "socket":
		case slices.Contains(c.service.names(), socketService(s)) || slices.Contains(c.service.unitNames("Service", "Sockets"), s.name):
			s.systemd = c.systemd
			c.sockets = append(c.sockets, s)
		case s.name == strings.TrimSuffix(c.service.name, ".service")+".socket":
			c.strays = append(c.strays, s)
		}
	}
}

// applies reports whether the program of service m uses the library, by the unit or by the
// binary.
func (o Options) applies(m *merged) bool {
	if o.All || m.sections[facts] != 0 || o.Program != nil && o.Program.Name+".service" == m.name {
		return true
	}
	for _, a := range m.lists("Service", "ExecStart", "ExecReload") {
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

func kindOf(unit string) string {
	_, kind, _ := unitfile.CutLast(unit, ".")
	return kind
}

// socketService returns the name of the service that gets the sockets of socket unit m.
func socketService(m *merged) string {
	if a := m.last("Socket", "Service"); a.Value != "" {
		return expand(m.name, a.Value)
	}
	return strings.TrimSuffix(m.name, ".socket") + ".service"
}

// readFacts returns the Daemon that the section [X-Cutover] of the unit describes. A missing
// line counts as the zero value.
func readFacts(m *merged) Daemon {
	d := Daemon{Name: strings.TrimSuffix(m.name, ".service"), Hardening: Hardening(m.last(facts, "Hardening").Value)}
	d.Systemd, _ = strconv.Atoi(m.last(facts, "Systemd").Value) // 0: not said
	d.Binds, _ = strconv.Atoi(m.last(facts, "Binds").Value)
	d.Conns, _ = strconv.Atoi(m.last(facts, "Conns").Value)
	_, d.Network = m.is(facts, "Network")
	_, d.SoftReboot = m.is(facts, "SoftReboot")
	d.ReadyTimeout, _ = unitfile.Span(m.last(facts, "ReadyTimeout").Value)
	d.Trial, _ = unitfile.Span(m.last(facts, "Trial").Value)
	d.Drain, _ = unitfile.Span(m.last(facts, "Drain").Value)
	d.StopDrain, _ = unitfile.Span(m.last(facts, "StopDrain").Value)
	// Only the defaults count here, so an error about a missing field is ignored.
	full, _ := d.complete()
	return full
}

// of returns the last assignment of a setting in [Service].
func (c *contract) of(key string) unitfile.Assignment { return c.service.last("Service", key) }

// on reports whether a boolean setting in [Service] is on.
func (c *contract) on(key string) (unitfile.Assignment, bool) { return c.service.is("Service", key) }

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
	list := c.service.list("Service", "ExecStart")
	if len(list) == 0 {
		return c.service.missing("Service", "ExecStart"), cmdline.Command{}
	}
	last := list[len(list)-1]
	return last, cmdline.Parse(last.Value)
}

// each returns the faults that find returns for each socket.
func (c *contract) each(find func(*merged) []fault) (all []fault) {
	for _, s := range c.sockets {
		all = append(all, find(s)...)
	}
	return all
}
