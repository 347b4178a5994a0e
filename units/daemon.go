package units

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/listen"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Hardening selects the sandbox of a service. Upgrades, restarts and the recovery from a
// crash work in every sandbox.
type Hardening string

const (
	// None sets the user only. It helps to find out whether a sandbox causes a problem.
	None Hardening = "none"

	// Standard is a sandbox in which almost every server works (systemd-analyze security:
	// at most 4.0).
	Standard Hardening = "standard"

	// Strict removes everything that a server written in Go does not need (at most 1.2, and
	// 0.3 for a server with Network false).
	Strict Hardening = "strict"
)

// A Daemon describes a program that uses the library, as far as its units depend on it. Name,
// Binary and Sockets (or Binds) are required. Each other field works as its zero value.
type Daemon struct {
	// Name is the name of the service without .service, and of its runtime directory.
	Name string

	// Description is the text of Description=, one line. "" means Name.
	Description string

	// Binary is the absolute path of the program. An upgrade starts the file that is at this
	// path by then: a deployment replaces the file or moves a symbolic link.
	Binary string

	// Args are the arguments in ExecStart=.
	Args []string

	// Reload are the arguments in ExecReload=, with which the binary calls reexec.Reload.
	// Nil means one argument, "reload".
	Reload []string

	// ReloadCommand is the absolute path of an installed cutover-reload
	// (reexec/cmd/cutover-reload), which takes the place of the binary in ExecReload=. systemd
	// executes it with the prefix +: as root and without a sandbox, which takes longer to build
	// than an upgrade takes. Only root may be able to replace that file. "" means that the
	// binary asks, with the arguments in Reload.
	ReloadCommand string

	// Sockets are the sockets that systemd binds and keeps for the program.
	Sockets []Socket

	// Binds is the number of sockets that the program binds itself. The fd store keeps them
	// over a crash and a restart.
	Binds int

	// Conns is the number of idle connections that the program may leave in the fd store for
	// the next process when it is restarted. systemd then sends SIGUSR2 for a restart
	// (RestartKillSignal=), and reexec.Options.RestartSignal must name that signal. Zero means
	// none: systemd sends SIGTERM for a restart as for a stop, and idle connections are closed.
	Conns int

	// Network says that the program opens network sockets itself, to listen or to connect.
	// Under Strict, false removes the network, and only the listeners in Sockets remain.
	Network bool

	// User is the user of the service. "" means DynamicUser=yes: systemd allocates a user at
	// each start.
	User string

	// Credentials are keys, passwords and other files that the service's user may not read,
	// as NAME:PATH. systemd reads PATH as root at each start and gives the program a copy,
	// $CREDENTIALS_DIRECTORY/NAME. A successor reads the same copy, with Systemd 260 and newer a
	// new one (RefreshOnReload=).
	Credentials []string

	// Hardening selects the sandbox. "" means Standard.
	Hardening Hardening

	// ReadyTimeout, Trial, Drain and StopDrain have the values of the fields in
	// reexec.Options. Zero means the default there: 30 s, no trial, 30 s, the value of Drain.
	ReadyTimeout, Trial, Drain, StopDrain time.Duration

	// Systemd is the oldest major version that the units are for. Zero means 247.
	Systemd int

	// SoftReboot keeps the sockets open over `systemctl soft-reboot` (systemd 254), so that
	// clients wait instead of being refused. The service then ends with SIGTERM and, at once,
	// SIGKILL: requests in work at that moment are cut. False closes the sockets.
	SoftReboot bool

	// Watch adds a .path unit that reloads the service when the binary is replaced.
	Watch bool
}

// A Socket is a name and the addresses on which systemd listens under that name.
type Socket struct {
	// Name is the name that the program passes to u.Listen(ctx, Name, ...).
	Name string

	// Listen are addresses as in ListenStream=: 8080, 127.0.0.1:8080, [::1]:8080,
	// /run/myapp.sock, @abstract, vsock::8080.
	Listen []string

	// Kind is Stream, Datagram or SequentialPacket. "" means Stream.
	Kind string
}

// oldest is the oldest version of systemd that the library works with.
const oldest = 247

// maxName is the longest name of a socket: FDNAME= allows 255 bytes, and the library adds a
// prefix.
const maxName = 200

// maxStored keeps the soft limit of descriptors below the hard limit in the units. The manager
// compares each descriptor with all others, which takes seconds from a few thousand on.
const maxStored = 1 << 16

var (
	unitName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	control  = regexp.MustCompile(`[\x00-\x1f\x7f]`)
)

// complete fills in the defaults of zero values and returns an error for a value that systemd
// refuses.
func (d Daemon) complete() (Daemon, error) {
	d.Description = cmp.Or(d.Description, d.Name)
	d.Hardening = cmp.Or(d.Hardening, Standard)
	d.ReadyTimeout = cmp.Or(d.ReadyTimeout, 30*time.Second)
	d.Drain = cmp.Or(d.Drain, 30*time.Second)
	d.StopDrain = cmp.Or(d.StopDrain, d.Drain)
	d.Systemd = cmp.Or(d.Systemd, oldest)
	if d.Reload == nil && d.ReloadCommand == "" {
		d.Reload = []string{"reload"}
	}
	d.Sockets = slices.Clone(d.Sockets)
	for i := range d.Sockets {
		d.Sockets[i].Kind = cmp.Or(d.Sockets[i].Kind, "Stream")
	}
	if err := errors.Join(d.checkProgram(), d.checkCredentials(), d.checkNumbers(), d.checkSockets(), d.checkPaths()); err != nil {
		return d, fmt.Errorf("units: %w", err)
	}
	return d, nil
}

func (d Daemon) checkProgram() error {
	var errs []error
	if why := badName(d.Name); why != "" {
		errs = append(errs, fmt.Errorf("name %q: %s", d.Name, why))
	}
	if !path.IsAbs(d.Binary) || path.Clean(d.Binary) != d.Binary || strings.Contains(d.Binary, `\`) {
		errs = append(errs, fmt.Errorf("binary %q: systemd wants an absolute path", d.Binary))
	}
	if d.ReloadCommand != "" && (!path.IsAbs(d.ReloadCommand) || path.Clean(d.ReloadCommand) != d.ReloadCommand || strings.Contains(d.ReloadCommand, `\`)) {
		errs = append(errs, fmt.Errorf("reload command %q: systemd wants an absolute path", d.ReloadCommand))
	}
	if d.ReloadCommand != "" && d.Reload != nil {
		errs = append(errs, fmt.Errorf("reload command %q: has no arguments, and Reload has %q: set one of the two", d.ReloadCommand, d.Reload))
	}
	if strings.TrimSpace(d.Description) != d.Description || strings.HasSuffix(d.Description, `\`) {
		errs = append(errs, fmt.Errorf("description %q: a unit file cannot say blanks around it, or a backslash at its end", d.Description))
	}
	for _, text := range slices.Concat([]string{d.Description, d.Binary, d.ReloadCommand}, d.Args, d.Reload) {
		if control.MatchString(text) {
			errs = append(errs, fmt.Errorf("%q has a control character, which a unit file cannot say", text))
		}
	}
	if d.User != "" && !userName.MatchString(d.User) {
		errs = append(errs, fmt.Errorf("user %q: no user's name", d.User))
	}
	return errors.Join(errs...)
}

// badName says why name cannot be that of a service, "" if it can.
func badName(name string) string {
	switch stem, kind, _ := unitfile.CutLast(name, "."); {
	case strings.Contains(name, "@"):
		return "a template is not written: write the units of one instance, and then name them NAME@.service and put %i into their addresses and RuntimeDirectory="
	case !unitName.MatchString(name) || len(name) > maxName:
		return "letters, digits and ._- make a unit's name"
	case strings.HasPrefix(name, "."):
		return "systemd does not read hidden files"
	case kind == "service" || kind == "socket":
		return "the name is that without ." + kind + ": " + stem
	}
	return ""
}

// checkCredentials refuses values that LoadCredential= cannot have.
func (d Daemon) checkCredentials() error {
	var errs []error
	seen := map[string]bool{}
	for _, c := range d.Credentials {
		name, file, _ := strings.Cut(c, ":")
		switch {
		case !unitName.MatchString(name) || name == "." || name == "..":
			errs = append(errs, fmt.Errorf("credential %q: NAME:PATH, with letters, digits and ._- in the name", c))
		case !path.IsAbs(file) || path.Clean(file) != file || control.MatchString(file) || strings.TrimSpace(file) != file || strings.HasSuffix(file, `\`):
			errs = append(errs, fmt.Errorf("credential %q: systemd wants an absolute path", c))
		case seen[name]:
			errs = append(errs, fmt.Errorf("credential %q: the name is there twice", c))
		}
		seen[name] = true
	}
	return errors.Join(errs...)
}

func (d Daemon) checkNumbers() error {
	var errs []error
	if !slices.Contains([]Hardening{None, Standard, Strict}, d.Hardening) {
		errs = append(errs, fmt.Errorf("hardening %q: none, standard or strict", d.Hardening))
	}
	if d.Systemd < oldest || d.Systemd > 9999 {
		errs = append(errs, fmt.Errorf("systemd %d: the library needs %d or newer", d.Systemd, oldest))
	}
	for name, span := range map[string]time.Duration{"ready timeout": d.ReadyTimeout, "trial": d.Trial, "drain": d.Drain, "stop drain": d.StopDrain} {
		if span < 0 || span%time.Millisecond != 0 {
			errs = append(errs, fmt.Errorf("%s %v: whole milliseconds, not negative", name, span))
		}
	}
	if d.StopDrain > d.Drain {
		errs = append(errs, fmt.Errorf("stop drain %v: at most the drain, %v", d.StopDrain, d.Drain))
	}
	if d.SoftReboot && d.Systemd < 254 {
		errs = append(errs, fmt.Errorf("soft-reboot needs systemd 254 or newer, the units are for %d", d.Systemd))
	}
	if d.Binds < 0 || d.Binds > maxStored {
		errs = append(errs, fmt.Errorf("binds %d sockets itself: 0 to %d", d.Binds, maxStored))
	}
	if d.Conns < 0 || d.Conns > maxStored {
		errs = append(errs, fmt.Errorf("leaves %d connections in the fd store: 0 to %d", d.Conns, maxStored))
	}
	return errors.Join(errs...)
}

func (d Daemon) checkSockets() error {
	var errs []error
	if len(d.Sockets) == 0 && d.Binds == 0 {
		errs = append(errs, errors.New("no socket: say which systemd binds, or how many the program binds itself"))
	}
	seen, units := map[string]bool{}, map[string]string{}
	for _, s := range d.Sockets {
		errs = append(errs, s.check())
		unit := d.socketUnit(s)
		switch other, again := units[unit]; {
		case seen[s.Name]:
			errs = append(errs, fmt.Errorf("socket %q: twice; one socket may have several addresses", s.Name))
		case again:
			errs = append(errs, fmt.Errorf("sockets %q and %q: both would be in %s; choose names that differ in letters, digits or ._-", other, s.Name, unit))
		}
		seen[s.Name], units[unit] = true, s.Name
	}
	return errors.Join(errs...)
}

// checkPaths refuses paths of unix sockets that could not stay where they are.
func (d Daemon) checkPaths() error {
	var errs []error
	own := "/run/" + d.Name
	for _, s := range d.Sockets {
		for _, address := range s.Listen {
			if p := merged.Expand("", literal(address)); p == own || within(p, own+controlDirectory) {
				errs = append(errs, fmt.Errorf("socket %q: address %q: %s is the service's runtime directory; a path such as %s/%s.sock is possible", s.Name, address, own, own, s.Name))
			}
		}
	}
	if d.User == "" {
		for _, p := range d.bindsBelow(own) {
			errs = append(errs, fmt.Errorf("argument with %s: systemd removes %s at each restart, or with DynamicUser= lets only root in; "+
				"name a user, or let systemd listen on the path", p, own))
		}
	}
	return errors.Join(errs...)
}

// bindsBelow returns the paths of sockets in dir that the arguments name and no unit has.
func (d Daemon) bindsBelow(dir string) (paths []string) {
	for _, arg := range d.Args {
		p := socketPath(arg)
		passed := func(s Socket) bool {
			return slices.ContainsFunc(s.Listen, func(address string) bool { return merged.Expand("", literal(address)) == p })
		}
		if within(p, dir) && !slices.ContainsFunc(d.Sockets, passed) {
			paths = append(paths, p)
		}
	}
	return paths
}

func (s Socket) check() error {
	if why := badSocketName(s.Name); why != "" {
		return fmt.Errorf("socket %q: %s", s.Name, why)
	}
	if !slices.Contains(kinds, s.Kind) {
		return fmt.Errorf("socket %q: kind %q is none of %s", s.Name, s.Kind, strings.Join(kinds, ", "))
	}
	if len(s.Listen) == 0 {
		return fmt.Errorf("socket %q: no address", s.Name)
	}
	for _, address := range s.Listen {
		if address == "" || control.MatchString(address) || strings.TrimSpace(address) != address || strings.HasSuffix(address, `\`) {
			return fmt.Errorf("socket %q: address %q", s.Name, address)
		}
		if why := listen.BadAddress(s.Kind, address); why != "" {
			return fmt.Errorf("socket %q: address %q: %s", s.Name, address, why)
		}
	}
	return nil
}

// kinds are the Listen*= settings of sockets that the library knows.
var kinds = []string{"Stream", "Datagram", "SequentialPacket"}

// badSocketName says why a name cannot be that of a socket, "" if it can:
// systemd's rule, fdname_is_valid, and the library's own.
func badSocketName(name string) string {
	switch {
	case name == "" || len(name) > maxName:
		return fmt.Sprintf("a name has 1 to %d characters", maxName)
	case strings.TrimSpace(name) != name || strings.HasSuffix(name, `\`):
		return "a unit file cannot say blanks around a name, or a backslash at its end"
	case strings.HasPrefix(name, "cutover."):
		return "the library's own names in the fd store begin so"
	}
	for _, c := range []byte(name) {
		if c < ' ' || c > '~' || c == ':' {
			return "a name is printable ASCII without a colon"
		}
	}
	return ""
}
