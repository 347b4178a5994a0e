package units

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/listen"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Rules on .socket units.

var socketRules = []*rule{{
	Rule: Rule{
		ID: "socket-required", Severity: Warning,
		Title: "the service should require its sockets",
		Why: "A .socket unit starts its service, but not the other way round: `systemctl start myapp` without Requires= gets no LISTEN_FDS. " +
			"The program then binds the address itself, or fails if the socket listens.",
		Effect: "started without its socket, the program binds the address itself, and the .socket unit cannot start any more",
		Fix:    "Requires= and After= with the .socket unit in [Unit]",
		Bad:    "[Unit]\n# no Requires=\n",
		Fixed:  "[Unit]\nRequires=myapp.socket\n",
	},
	find: func(svc *service) []fault {
		needed := slices.Concat(svc.unit.UnitNames("Unit", "Requires", "BindsTo"), svc.unit.UnitNames("Service", "Sockets"))
		return svc.each(func(s *merged.Unit) []fault {
			if slices.Contains(needed, s.Name) {
				return nil
			}
			return wrongf(svc.unit, svc.unit.Missing("Unit", "Requires"), "nothing requires %s", s.Name)
		})
	},
}, {
	Rule: Rule{
		ID: "socket-accept", Severity: Error,
		Title:  "Accept= must be no",
		Why:    "With yes systemd accepts the connections and starts a process for each. There is no listener that a successor could take over.",
		Effect: "the program gets a connection where it wants a listener, and does not start",
		Fix:    "Accept=no",
		Bad:    "[Socket]\nAccept=yes\n",
		Fixed:  "[Socket]\nAccept=no\n",
	},
	find: onSocket("Accept"),
}, {
	Rule: Rule{
		ID: "socket-stdin", Severity: Error,
		Title:  "the socket must come as a descriptor, not as standard input",
		Why:    "StandardInput=socket is for inetd's programs: the socket is descriptor 0 and not in LISTEN_FDS. StandardOutput=socket and StandardError=socket do the same with the descriptors 1 and 2.",
		Effect: "the program finds no socket, and binds the address itself or fails",
		Fix:    "no StandardInput=socket",
		Bad:    "[Service]\nStandardInput=socket\n",
		Fixed:  "[Service]\n# no StandardInput=\n",
	},
	find: func(svc *service) (all []fault) {
		for _, key := range []string{"StandardInput", "StandardOutput", "StandardError"} {
			if a := svc.of(key); a.Value == "socket" {
				all = append(all, wrongf(svc.unit, a, "%s=socket", key)...)
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "socket-service", Severity: Error,
		Title:  "Service= gives the socket to another service",
		Why:    "A .socket unit belongs to one service: the service in Service=, or else the service of the same name.",
		Effect: "the program does not get the socket, and cannot bind the address either",
		Fix:    "no Service=, or this service in it",
		Bad:    "[Socket]\nService=other.service\n",
		Fixed:  "[Socket]\n# no Service=\n",
	},
	find: func(svc *service) (all []fault) {
		for _, s := range svc.unusedSockets {
			all = append(all, wrongf(s, s.Last("Socket", "Service"), "Service=%s, not %s", s.SocketService(), svc.unit.Name)...)
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "socket-name", Severity: Warning,
		Title:  "FileDescriptorName= should be the name that the program asks for",
		Why:    "The default is the name of the unit, with .socket. A program that asks for \"http\" is not given \"myapp.socket\", and binds the address itself.",
		Effect: "the program does not find the socket by its name, and binds the address itself or fails",
		Fix:    `FileDescriptorName= with the name in u.Listen(ctx, "http", ...)`,
		Bad:    "[Socket]\n# no FileDescriptorName=\n",
		Fixed:  "[Socket]\nFileDescriptorName=http\n",
	},
	find: func(svc *service) []fault {
		return svc.each(func(s *merged.Unit) []fault {
			if a := s.Last("Socket", "FileDescriptorName"); a.Value == "" {
				return wrongf(s, a, "no FileDescriptorName=, which means %s", s.Name)
			}
			return nil
		})
	},
}, {
	Rule: Rule{
		ID: "socket-name-invalid", Severity: Error,
		Title: "a socket's name is printable ASCII without a colon",
		Why: "A name with a colon, a control character or more than 255 characters is ignored with a warning, and the unit's name takes its place. " +
			"Names that begin with \"cutover.\" are the library's own in the fd store, and it leaves room for them: 200 characters.",
		Effect: "systemd ignores the name, or the library refuses it: the program does not find its socket",
		Fix:    "FileDescriptorName=http",
		Bad:    "[Socket]\nFileDescriptorName=http:8080\n",
		Fixed:  "[Socket]\nFileDescriptorName=http-8080\n",
	},
	find: func(svc *service) []fault {
		return svc.each(func(s *merged.Unit) []fault {
			a := s.Last("Socket", "FileDescriptorName")
			if why := badSocketName(unliteral(a.Value)); a.Value != "" && why != "" {
				return wrongf(s, a, "FileDescriptorName=%s: %s", a.Value, why)
			}
			return nil
		})
	},
}, {
	Rule: Rule{
		ID: "socket-name-twice", Severity: Error,
		Title:  "two .socket units of a service need two names",
		Why:    "The order in which systemd passes the sockets of several units is not defined, and differs between versions. Only names tell them apart; several addresses in one unit keep their order.",
		Effect: "one listener of the program has the clients of both sockets; a program that calls Listen once per socket gets them in an order that changes from start to start",
		Fix:    "another FileDescriptorName= in one of them, or both addresses in one .socket unit",
		Bad:    "[Unit]\nRequires=myapp.socket admin.socket\n# in admin.socket\n[Socket]\nService=myapp.service\nListenStream=8081\nFileDescriptorName=http\nBacklog=4096\n",
		Fixed:  "[Unit]\nRequires=myapp.socket admin.socket\n# in admin.socket\n[Socket]\nService=myapp.service\nListenStream=8081\nFileDescriptorName=admin\nBacklog=4096\n",
	},
	find: func(svc *service) []fault {
		first := map[string]string{}
		return svc.each(func(s *merged.Unit) []fault {
			a := s.Last("Socket", "FileDescriptorName")
			name := merged.Expand(s.Name, a.Value)
			other, again := first[name]
			first[name] = s.Name
			if !again || a.Value == "" {
				return nil
			}
			return wrongf(s, a, "FileDescriptorName=%s, as in %s", a.Value, other)
		})
	},
}, {
	Rule: Rule{
		ID: "socket-address-twice", Severity: Error,
		Title:  "an address can be listened on once",
		Why:    "The second socket fails with \"Address already in use\", and with it the .socket unit and all that requires it. A port alone, [::] and 0.0.0.0 also take the port of each single address, and the first two that of IPv4 unless BindIPv6Only=ipv6-only.",
		Effect: "one of the two units cannot start",
		Fix:    "each Listen*= address once",
		Bad:    "[Unit]\nRequires=myapp.socket admin.socket\n# in admin.socket\n[Socket]\nService=myapp.service\nListenStream=8080\nFileDescriptorName=admin\nBacklog=4096\n",
		Fixed:  "[Unit]\nRequires=myapp.socket admin.socket\n# in admin.socket\n[Socket]\nService=myapp.service\nListenStream=8081\nFileDescriptorName=admin\nBacklog=4096\n",
	},
	find: func(svc *service) []fault {
		var before []listen.Line
		return svc.each(func(s *merged.Unit) (all []fault) {
			for _, a := range s.Listening() {
				line := listen.Line{Unit: s, At: a}
				if i := slices.IndexFunc(before, line.Collides); i >= 0 {
					all = append(all, wrongf(s, a, "%s=%s, and %s=%s in %s", a.Key, a.Value, before[i].At.Key, before[i].At.Value, before[i].Unit.Name)...)
				}
				before = append(before, line)
			}
			return all
		})
	},
}, {
	Rule: Rule{
		ID: "socket-backlog", Severity: Warning,
		Title: "Backlog= must have room for the clients that wait during a restart",
		Why: "The queue holds the clients that connect while no process accepts. When it is full, clients wait for seconds or are refused. From 252 on the default is the limit of the kernel; " +
			"247 has 128 or 4096, which depends on its C library. net.core.somaxconn (4096) limits the queue: for a longer one, raise that too.",
		Effect: "under load a restart holds clients up or refuses them; on 247 already at 128",
		Fix:    "Backlog=4096",
		Bad:    "[Socket]\nBacklog=16\n",
		Fixed:  "[Socket]\nBacklog=4096\n",
	},
	find: backlog,
}, {
	Rule: Rule{
		ID: "socket-remove-on-stop", Severity: Warning,
		Title:  "RemoveOnStop= should be no",
		Why:    "With yes the path of a unix socket, FIFO or queue goes away when the .socket unit stops, as in a restart of both units, while the program still listens on it.",
		Effect: "clients get \"no such file\" while the .socket unit is restarted, and those of a service that goes on running too",
		Fix:    "no RemoveOnStop=",
		Bad:    "[Socket]\nListenStream=/run/myapp.sock\nRemoveOnStop=yes\n",
		Fixed:  "[Socket]\nListenStream=/run/myapp.sock\n# no RemoveOnStop=\n",
	},
	find: func(svc *service) []fault {
		return svc.each(func(s *merged.Unit) []fault {
			a, on := s.Is("Socket", "RemoveOnStop")
			hasPath := slices.ContainsFunc(s.Listening(), func(l unitfile.Assignment) bool { return strings.HasPrefix(l.Value, "/") })
			if !on || !hasPath && len(s.List("Socket", "Symlinks")) == 0 {
				return nil
			}
			return wrongf(s, a, "RemoveOnStop=%s", a.Value)
		})
	},
}, {
	Rule: Rule{
		ID: "socket-flush-pending", Severity: Error,
		Title:  "FlushPending= must be no",
		Why:    "With yes systemd empties the queue of the socket when the service has ended: it accepts and closes every connection that waits there for the next process.",
		Effect: "clients that waited for the end of a restart or a crash are cut off",
		Fix:    "no FlushPending=",
		Bad:    "[Socket]\nFlushPending=yes\n",
		Fixed:  "[Socket]\n# no FlushPending=\n",
	},
	find: onSocket("FlushPending"),
}, {
	Rule: Rule{
		ID: "socket-trigger-limit", Severity: Warning,
		Title: "the trigger limit should not be tighter than systemd's own",
		Why: "Each time a client comes and the service does not run, systemd counts a trigger: 20 in 2 s are the most. When that is hit the .socket unit fails (Result=trigger-limit-hit) " +
			"and closes the listener. A program that crashes under load gets there fast.",
		Effect: "a few crashes under load close the socket, and clients are refused until an operator starts it",
		Fix:    "no TriggerLimitBurst=, or TriggerLimitIntervalSec=0",
		Bad:    "[Socket]\nTriggerLimitBurst=3\n",
		Fixed:  "[Socket]\n# no TriggerLimitBurst=\n",
	},
	find: triggerLimit,
}}

// onSocket finds a boolean setting of sockets that is on.
func onSocket(key string) func(*service) []fault {
	return func(svc *service) []fault {
		return svc.each(func(s *merged.Unit) []fault {
			if a, on := s.Is("Socket", key); on {
				return wrongf(s, a, "%s=%s", key, a.Value)
			}
			return nil
		})
	}
}

func backlog(svc *service) []fault {
	return svc.each(func(s *merged.Unit) []fault {
		if !slices.ContainsFunc(s.Listening(), func(l unitfile.Assignment) bool { return l.Key == "ListenStream" || l.Key == "ListenSequentialPacket" }) {
			return nil // datagrams wait elsewhere
		}
		a := s.Last("Socket", "Backlog")
		n, err := strconv.ParseUint(a.Value, 10, 32)
		switch {
		case err != nil && svc.systemd >= 252:
			return nil
		case err != nil:
			return wrongf(s, a, "no Backlog=, which systemd %d may take for 128", svc.systemd)
		case n < 128:
			return wrongf(s, a, "Backlog=%d", n)
		}
		return nil
	})
}

func triggerLimit(svc *service) []fault {
	return svc.each(func(s *merged.Unit) []fault {
		at := s.Last("Socket", "TriggerLimitBurst")
		burst, err := strconv.Atoi(at.Value)
		if err != nil {
			burst, at = 20, s.Last("Socket", "TriggerLimitIntervalSec")
		}
		interval, err := unitfile.Span(s.Last("Socket", "TriggerLimitIntervalSec").Value)
		if err != nil {
			interval = 2 * time.Second
		}
		if interval == 0 || burst == 0 || interval/time.Duration(burst) <= 100*time.Millisecond {
			return nil
		}
		return wrongf(s, at, "%d triggers within %v close the socket", burst, interval)
	})
}
