package units

import (
	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// softRebootRules is about units that are to stay over `systemctl soft-reboot`: those that
// sdunits new -survive soft-reboot has written, and changes of them.
var softRebootRules = []*rule{{
	Rule: Rule{
		ID: "soft-reboot", Severity: Error,
		Title: "a unit that stays over a soft-reboot has no default dependencies",
		Why: "A soft-reboot (254) stops every unit with default dependencies, and every other unit without IgnoreOnIsolate=yes. It closes the sockets of a .socket unit, and empties the fd store of a service. " +
			"The service and its .socket units need both lines: if only the .socket units stay, a client makes systemd start the service in the middle of the shutdown, which fails and closes the socket. " +
			"FileDescriptorStorePreserve=yes is enough only from 261 on (258.8, 259.6, 260.2), and only for a service without .socket units: before, systemd forgets the service with its store.",
		Effect: "`systemctl soft-reboot` closes sockets, and clients are refused until the service has started again",
		Fix:    "DefaultDependencies=no and IgnoreOnIsolate=yes in the service and in each of its .socket units, as `sdunits new -survive soft-reboot` writes them",
		Bad:    "[Unit]\nDefaultDependencies=no\n# no IgnoreOnIsolate=\n[X-Cutover]\nSystemd=254\nSoftReboot=yes\n# in myapp.socket.d/stay.conf\n[Unit]\nDefaultDependencies=no\nIgnoreOnIsolate=yes\n",
		Fixed:  "[Unit]\nDefaultDependencies=no\nIgnoreOnIsolate=yes\n[X-Cutover]\nSystemd=254\nSoftReboot=yes\n# in myapp.socket.d/stay.conf\n[Unit]\nDefaultDependencies=no\nIgnoreOnIsolate=yes\n",
	},
	find: func(svc *service) (all []fault) {
		if !svc.program.SoftReboot {
			return nil
		}
		if a := svc.of("FileDescriptorStorePreserve"); unitfile.IsYes(a.Value) && len(svc.sockets) == 0 && svc.systemd >= 261 {
			return nil
		}
		return append(endsAtSoftReboot(svc.unit), svc.each(endsAtSoftReboot)...)
	},
}}

// endsAtSoftReboot finds the lines of a unit, or their absence, by which a soft-reboot ends it.
func endsAtSoftReboot(m *merged.Unit) (all []fault) {
	if a := m.Last("Unit", "DefaultDependencies"); !unitfile.IsNo(a.Value) {
		all = append(all, wrongf(m, a, "%s", is("DefaultDependencies", a.Value, "yes"))...)
	}
	if a, on := m.Is("Unit", "IgnoreOnIsolate"); !on {
		all = append(all, wrongf(m, a, "%s", is("IgnoreOnIsolate", a.Value, "no"))...)
	}
	return all
}
