package units

import "strings"

// socketUnit is the name of the unit of s. One socket has the service's name, so
// that the two belong together without further words; of several each has its own.
func (d Daemon) socketUnit(s Socket) string {
	if len(d.Sockets) == 1 {
		return d.Name + ".socket"
	}
	return d.Name + "-" + strings.Map(unitChar, s.Name) + ".socket"
}

// unitChar makes characters fit for a unit's name.
func unitChar(r rune) rune {
	if unitName.MatchString(string(r)) {
		return r
	}
	return '_'
}

func (d Daemon) socket(s Socket) []setting {
	list := []setting{{"Unit", "Description", literal(d.Description + ", its socket " + s.Name), ""}}
	list = append(list, d.survival()...)
	for _, address := range s.Listen {
		list = append(list, setting{"Socket", "Listen" + s.Kind, literal(address), ""})
	}
	if len(d.Sockets) > 1 {
		list = append(list, setting{"Socket", "Service", d.Name + ".service", ""})
	}
	list = append(list, setting{"Socket", "FileDescriptorName", literal(s.Name),
		`The name by which the program asks for it: u.Listen(ctx, "` + s.Name + `", ...).`})
	if d.Systemd < 252 && s.Kind != "Datagram" {
		list = append(list, setting{"Socket", "Backlog", "4096", "Clients wait in this queue while a restart is under way. 247 needs it set."})
	}
	return append(list, setting{"Install", "WantedBy", "sockets.target", ""})
}
