package units

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// stopMargin is the time of a stop besides the drain: a predecessor answers for a crashed
// successor (10 s), and a margin.
const stopMargin = 15 * time.Second

// The fd store is small: one entry for each socket the program binds itself, twice
// that while an upgrade changes them.
const leastStore = 64

// handedLimit is the soft limit of descriptors that the service starts with. A Go
// program raises it to the hard one.
const handedLimit = 16384

// controlDirectory is the part of the runtime directory that the control socket has for
// itself where sockets of the units lie beside it.
const controlDirectory = "/control"

// metadata is the section with the Daemon that the units were written from. systemd ignores
// sections that begin with X- (systemd.unit(5)).
const metadata = "X-Cutover"

func (d Daemon) service() []setting {
	all := []setting{{"Unit", "Description", literal(d.Description), ""}}
	all = append(all, d.dependencies()...)
	all = append(all, d.life()...)
	all = append(all, d.resources()...)
	all = append(all, d.sandbox()...)
	all = append(all, setting{"Install", "WantedBy", "multi-user.target", ""})
	return append(all, d.metadata()...)
}

func (d Daemon) dependencies() (list []setting) {
	var names []string
	for _, s := range d.Sockets {
		names = append(names, d.socketUnit(s))
	}
	if sockets := strings.Join(names, " "); sockets != "" {
		list = append(list,
			setting{"Unit", "Requires", sockets, "Never without its sockets: the program would bind some of its own."},
			setting{"Unit", "After", sockets, ""})
	}
	list = append(list, d.survival()...)
	return append(list, setting{"Unit", "StartLimitIntervalSec", "0", "A start limit that is hit drops the fd store and closes the sockets."})
}

// survival returns the settings of a unit that a soft-reboot does not stop. systemd stops every
// unit with default dependencies, which closes sockets and empties the fd store.
func (d Daemon) survival() []setting {
	if !d.SoftReboot {
		return nil
	}
	return []setting{
		{"Unit", "DefaultDependencies", "no", "A soft-reboot closes no socket: clients wait until the service has started again."},
		{"Unit", "IgnoreOnIsolate", "yes", ""},
		{"Unit", "After", "sysinit.target", ""},
		{"Unit", "Conflicts", "reboot.target kexec.target poweroff.target halt.target", "Every other shutdown stops it."},
		{"Unit", "Before", "reboot.target kexec.target poweroff.target halt.target", ""},
	}
}

// life returns the settings of start, upgrade and stop.
func (d Daemon) life() []setting {
	const s = "Service"
	list := []setting{
		{s, "Type", "notify", "Not notify-reload: with that a reload cannot fail (and before 253 it is no type)."},
		{s, "NotifyAccess", "main", ""},
		{s, "ExecStart", cmdline.Quote(append([]string{d.Binary}, d.Args...)...), ""},
		d.reload(),
		{s, "TimeoutStartSec", formatSpan(d.ReadyTimeout),
			"For a start, and for a broken new program that does not even get to ask: once it\n" +
				"has been asked, the main process itself extends the time for the upgrade."},
		{s, "TimeoutStopSec", formatSpan(d.StopDrain + stopMargin), fmt.Sprintf("Longer than the drain (%s).", formatSpan(d.StopDrain))},
		{s, "KillMode", "control-group", "Both generations get SIGTERM at a stop; mixed would kill the one that drains."},
	}
	if d.Conns > 0 {
		list = append(list, setting{s, "RestartKillSignal", "SIGUSR2", "Tells a restart from a stop: idle connections go to the fd store, for the next process."})
	}
	return append(list, setting{s, "Restart", "on-failure", ""}, setting{s, "RestartSec", "100ms", ""})
}

func (d Daemon) reload() setting {
	s := setting{"Service", "ExecReload", cmdline.Quote(append([]string{d.Binary}, d.Reload...)...),
		"Asks the main process to replace itself and waits; its exit status is the result."}
	if d.ReloadCommand != "" {
		s.value = "+" + cmdline.Quote(d.ReloadCommand)
		s.why += "\n+: as root, without the sandbox, which takes longer to build than the upgrade takes."
	}
	return s
}

func (d Daemon) resources() []setting {
	const s = "Service"
	store, whose := max(leastStore, 2*d.Binds)+d.Conns, "For sockets that the program binds itself: they outlive its death here."
	if d.Conns > 0 {
		whose += "\nAnd for " + strconv.Itoa(d.Conns) + " idle connections over a restart."
	}
	list := []setting{
		{s, "FileDescriptorStoreMax", strconv.Itoa(store), whose},
		{s, "LimitNOFILE", fmt.Sprintf("%d:524288", max(handedLimit, 2*store)),
			"More than the store and the units' sockets together, else 202/FDS at a restart."},
		{s, "OOMPolicy", "continue", "An OOM kill of the process that drains must not stop the one that serves."},
	}
	return append(list, d.runtimeDirectory()...)
}

// runtimeDirectory returns the settings of the directory of the control socket. systemd removes
// the directory and its files at a stop, so a path that clients know must be elsewhere, or the
// directory must be kept.
func (d Daemon) runtimeDirectory() []setting {
	const s = "Service"
	own := "/run/" + d.Name
	for _, socket := range d.Sockets {
		if slices.ContainsFunc(socket.Listen, func(address string) bool { return within(merged.Expand("", literal(address)), own) }) {
			return []setting{{s, "RuntimeDirectory", d.Name + controlDirectory,
				"Where the control socket lies. systemd removes it at each restart, and only the last part: the sockets in\n" + own + " stay."}}
		}
	}
	list := []setting{{s, "RuntimeDirectory", d.Name, "Where the control socket lies."}}
	if len(d.bindsBelow(own)) > 0 {
		list = append(list, setting{s, "RuntimeDirectoryPreserve", "restart", "The path of a socket that the program binds lies in it, too."})
	}
	return list
}

// metadata returns the section that Check and Describe read.
func (d Daemon) metadata() []setting {
	list := []setting{
		{metadata, "Systemd", strconv.Itoa(d.Systemd), "What this was made from, for sdunits; systemd does not read it."},
		{metadata, "Hardening", string(d.Hardening), ""},
		{metadata, "ReadyTimeout", formatSpan(d.ReadyTimeout), ""},
		{metadata, "Trial", formatSpan(d.Trial), ""},
		{metadata, "Drain", formatSpan(d.Drain), ""},
		{metadata, "Binds", strconv.Itoa(d.Binds), ""},
		{metadata, "Conns", strconv.Itoa(d.Conns), ""},
		{metadata, "Network", yesNo(d.Network), ""},
	}
	if d.StopDrain != d.Drain {
		list = append(list, setting{metadata, "StopDrain", formatSpan(d.StopDrain), ""})
	}
	if d.SoftReboot {
		list = append(list, setting{metadata, "SoftReboot", "yes", ""})
	}
	return list
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// formatSpan writes a span of whole milliseconds as systemd reads it.
func formatSpan(d time.Duration) string {
	if d%time.Second != 0 {
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}
