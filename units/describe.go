package units

import (
	"errors"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Describe is the inverse of Daemon.Units: it returns the Daemon that the units were written
// from, with the defaults filled in. Use it to write the units again for a newer library or
// another version of systemd. The result does not contain changes that were made by hand.
func Describe(files []File) (Daemon, error) {
	all := group(files)
	i := slices.IndexFunc(all, func(m *merged.Unit) bool { return m.Sections[metadata] != 0 })
	if i < 0 {
		return Daemon{}, errors.New("units: none of the units has an [X-Cutover] section, so they cannot be written anew: begin with `sdunits new`")
	}
	m := all[i]
	svc := &service{unit: m}
	svc.claim(all)
	d := readMetadata(m)
	d.Description = unliteral(m.Last("Unit", "Description").Value)
	d.User = svc.of("User").Value
	for _, a := range svc.unit.List("Service", "LoadCredential") {
		d.Credentials = append(d.Credentials, unliteral(a.Value))
	}
	_, start := svc.binary()
	d.Binary = start.Binary()
	if len(start.Argv) > 1 {
		d.Args = start.Argv[1:]
	}
	if reload := svc.unit.List("Service", "ExecReload"); len(reload) > 0 {
		cmd := cmdline.Parse(reload[0].Value)
		if cmd.Binary() != d.Binary && len(cmd.Argv) == 1 {
			d.Reload, d.ReloadCommand = nil, cmd.Binary()
		} else {
			d.Reload = cmd.Argv[1:]
		}
	}
	for _, s := range inOrder(svc.sockets, m.Words("Unit", "Requires")) {
		d.Sockets = append(d.Sockets, describeSocket(s))
	}
	d.Watch = slices.ContainsFunc(all, func(m *merged.Unit) bool { return m.Name == d.Name+"-upgrade.path" })
	return d.complete()
}

// inOrder returns sockets in the order of names.
func inOrder(sockets []*merged.Unit, names []string) []*merged.Unit {
	slices.SortStableFunc(sockets, func(a, b *merged.Unit) int {
		return slices.Index(names, a.Name) - slices.Index(names, b.Name)
	})
	return sockets
}

func describeSocket(m *merged.Unit) (s Socket) {
	s.Name = unliteral(m.Last("Socket", "FileDescriptorName").Value)
	for _, a := range m.Listening() {
		s.Listen = append(s.Listen, unliteral(a.Value))
		s.Kind = strings.TrimPrefix(a.Key, "Listen")
	}
	return s
}
