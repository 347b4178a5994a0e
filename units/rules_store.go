package units

import (
	"math"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// Rules on the fd store, which keeps the sockets that the program has bound itself.

var storeRules = []*rule{{
	Rule: Rule{
		ID: "fd-store", Severity: Error,
		Title: "a program that binds sockets itself needs the fd store",
		Why: "The library puts such a socket into systemd's fd store, from where it comes back after a crash or a restart. " +
			"Without FileDescriptorStoreMax= there is no store, and nothing tells the program so before 254.",
		Effect: "after a crash or a restart the port is closed until the program has bound it again: clients are refused",
		Fix:    "FileDescriptorStoreMax=64, or a .socket unit for each socket",
		Bad:    "[Service]\n# no FileDescriptorStoreMax=\n",
		Fixed:  "[Service]\nFileDescriptorStoreMax=64\n",
	},
	find: func(svc *service) []fault {
		if a, n := svc.number("FileDescriptorStoreMax", 0); n == 0 && (svc.program.Binds > 0 || svc.program.Conns > 0 || len(svc.sockets) == 0) {
			return wrongf(svc.unit, a, "%s", is("FileDescriptorStoreMax", a.Value, "0"))
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "fd-store-small", Severity: Error,
		Title: "FileDescriptorStoreMax= must have room for all that the program leaves there",
		Why: "That is every socket that it binds itself, and the idle connections that it leaves there over a restart. " +
			"systemd closes a descriptor that does not fit, and the rest of the message. Before 254 the sender does not notice; the journal says \"Cannot store more fds\". Since 254 the library knows the limit: saving state fails, and STATUS= says to raise FileDescriptorStoreMax=.",
		Effect: "some sockets are closed at a crash or a restart, and their clients refused; or connections are cut off",
		Fix:    "FileDescriptorStoreMax= of twice the sockets that the program binds, 64 at least, and of its connections (Conns= in [X-Cutover])",
		Bad:    "[Service]\nFileDescriptorStoreMax=64\nRestartKillSignal=SIGUSR2\n[X-Cutover]\nBinds=3\nConns=1024\n",
		Fixed:  "[Service]\nFileDescriptorStoreMax=1088\nRestartKillSignal=SIGUSR2\n[X-Cutover]\nBinds=3\nConns=1024\n",
	},
	find: func(svc *service) []fault {
		if a, n := svc.number("FileDescriptorStoreMax", 0); n > 0 && n < svc.program.Binds+svc.program.Conns {
			return wrongf(svc.unit, a, "FileDescriptorStoreMax=%d, the program binds %d and may leave %d connections", n, svc.program.Binds, svc.program.Conns)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "fd-limit", Severity: Error,
		Title: "the soft LimitNOFILE= must be above the number of descriptors that a start gets",
		Why: "The new process gets its limit before it gets its descriptors. With the default soft limit of 1024 a store of about 1015 makes every start fail with 202/FDS, " +
			"the unit fails, and the store is emptied. A Go program raises its own soft limit, so the fault shows at the first restart. All versions.",
		Effect: "once the store is full, a restart fails with status=202/FDS and everything in it is lost",
		Fix:    "LimitNOFILE= with a soft limit above FileDescriptorStoreMax=, the units' sockets and 16 more, such as 16384:524288",
		Bad:    "[Service]\nFileDescriptorStoreMax=4096\nLimitNOFILE=1024:524288\n",
		Fixed:  "[Service]\nFileDescriptorStoreMax=4096\nLimitNOFILE=16384:524288\n",
	},
	find: func(svc *service) []fault {
		_, store := svc.number("FileDescriptorStoreMax", 0)
		need := store + 16
		for _, s := range svc.sockets {
			need += len(s.Listening())
		}
		if a := svc.of("LimitNOFILE"); softLimit(a.Value) < need {
			return wrongf(svc.unit, a, "%s, a start can be handed %d descriptors", is("LimitNOFILE", a.Value, "1024:524288"), need)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "fd-store-preserve", Severity: Warning,
		Title: "FileDescriptorStorePreserve= should be left at restart",
		Why: "no empties the store at each restart and crash. yes keeps the sockets open over a stop, so that clients hang instead of being refused, and has bugs: on 254, after a stop, " +
			"the .socket unit no longer starts the service; up to 257 a service that nothing refers to is forgotten with its store. Before 254 the line is ignored. The rule soft-reboot has the settings of a soft-reboot.",
		Effect: "no: sockets that the program bound are closed by each restart; yes: after a stop they stay open, and on 254 the .socket unit no longer starts the service",
		Fix:    "no FileDescriptorStorePreserve=",
		Bad:    "[Service]\nFileDescriptorStorePreserve=no\n[X-Cutover]\nSystemd=254\n",
		Fixed:  "[Service]\n# no FileDescriptorStorePreserve=\n[X-Cutover]\nSystemd=254\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("FileDescriptorStorePreserve"); unitfile.IsNo(a.Value) || unitfile.IsYes(a.Value) && svc.systemd <= 257 {
			return wrongf(svc.unit, a, "FileDescriptorStorePreserve=%s", a.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "proc-subset", Severity: Warning,
		Title: "ProcSubset=pid shortens the queue of sockets that the program binds",
		Why: "Go asks /proc/sys/net/core/somaxconn how long the queue of a new socket may be, and takes 128 where it cannot read that. " +
			"ProcSubset=pid hides it. That queue holds the clients during a restart.",
		Effect: "the sockets that the program binds have a queue of 128; more clients than that are held up or refused while it restarts",
		Fix:    "no ProcSubset=, or .socket units, whose queues systemd makes",
		Bad:    "[Service]\nProcSubset=pid\n",
		Fixed:  "[Service]\n# no ProcSubset=\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("ProcSubset"); a.Value == "pid" && (svc.program.Binds > 0 || len(svc.sockets) == 0) {
			return wrongf(svc.unit, a, "ProcSubset=pid")
		}
		return nil
	},
}}

// softLimit is the soft half of a Limit*= setting, or systemd's default for files.
func softLimit(value string) int {
	soft, _, _ := strings.Cut(value, ":")
	if soft == "infinity" {
		return math.MaxInt
	}
	if n, err := strconv.Atoi(soft); err == nil {
		return n
	}
	return 1024
}
