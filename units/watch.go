package units

import "github.com/cutover-go/cutover/units/internal/cmdline"

// watcher is the unit that waits for a new binary.
func (d Daemon) watcher() []setting {
	return []setting{
		{"Unit", "Description", literal(d.Description + ", upgrade when its binary is replaced"), ""},
		{"Path", "PathChanged", literal(d.Binary), "Replace it by rename, as packages do: a file that is being written cannot be started."},
		{"Install", "WantedBy", "multi-user.target", ""},
	}
}

// upgrader is the unit that the watcher starts.
func (d Daemon) upgrader() []setting {
	service := d.Name + ".service"
	return []setting{
		{"Unit", "Description", literal(d.Description + ", upgrade"), ""},
		{"Unit", "StartLimitIntervalSec", "0", "However often the binary is replaced: a limit would end the watch."},
		{"Service", "Type", "oneshot", ""},
		{"Service", "ExecCondition", cmdline.Quote("/bin/systemctl", "--quiet", "is-active", service), "A service that does not run is not to be upgraded."},
		{"Service", "ExecStart", cmdline.Quote("/bin/systemctl", "reload", service), "Not restart: a new program that is broken must not stop the old one."},
	}
}
