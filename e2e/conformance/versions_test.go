package conformance_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// A feature is something that not every version of systemd does.
type feature int

const (
	execPidVariable feature = iota
	crashWhileReloading
	notifyReload
	openFile
	weightiestState
	storeVariable
	storePreserve
	accessOverride
	otherErrors
	mainByPidfd
	mainWhileStopping
	acceptName
	unixPeer
	privatePIDs
	restartReset
	mainPidfdVariable
	cookieVariable
	listenPidfdVariable
	reloadByCommand
	reloadPost
	reloadGivesUp
	reloadCanceled
	stoppingIsFinal
	storeWithoutFile
	preserveUnreferenced
	preserveOnSuccess
)

// versions is the one place that says from which version on systemd has a feature,
// by its release notes or its source. The scenarios expect what it says, and
// VERSIONS.md repeats it.
var versions = [...]struct {
	since  int
	what   string // from then on
	before string
}{
	execPidVariable: {248, "`$SYSTEMD_EXEC_PID` for every command of the unit", "not set"},
	crashWhileReloading: {249, "a main process that dies between `RELOADING=1` and `READY=1` is restarted at once",
		"only when `TimeoutStartSec=` is over"},
	notifyReload: {253, "`Type=notify-reload`, `ReloadSignal=`: reload by a signal, answered by `RELOADING=1` with `MONOTONIC_USEC=`, then `READY=1`; " +
		"the state is called `reload-notify`",
		"the line is ignored: alone it leaves `Type=simple` without a notify socket, after `Type=notify` it changes nothing; the state is called `reload`"},
	openFile: {253, "`OpenFile=`", "the setting is ignored"},
	weightiestState: {253, "of `STOPPING=1`, `READY=1` and `RELOADING=1` in one message the first of these three counts",
		"the one that comes last in the message"},
	storeVariable: {254, "`$FDSTORE` says how much fits into the fd store", "a service cannot learn that from its environment"},
	storePreserve: {254, "`FileDescriptorStorePreserve=`: with `yes` the store outlives a stop, with `no` a stop for a restart loses it",
		"the setting is ignored: the store outlives a restart and no stop"},
	accessOverride: {254, "`NOTIFYACCESS=`", "ignored"},
	otherErrors:    {257, "`BUSERROR=` and `VARLINKERROR=` are kept, as `StatusBusError` and `StatusVarlinkError`", "ignored"},
	mainByPidfd: {257, "`MAINPIDFD=1` with a pidfd, and `MAINPIDFDID=` beside `MAINPID=`, which is refused if they do not agree",
		"both are ignored"},
	mainWhileStopping: {257, "`MAINPID=` is accepted while the service stops", "ignored then"},
	acceptName:        {257, "`FileDescriptorName=` names the connection of `Accept=yes`", "its name is always `connection`"},
	unixPeer:          {257, "`$REMOTE_ADDR` for `Accept=yes` on a unix socket, if the client has an address", "not set"},
	privatePIDs:       {257, "`PrivatePIDs=`", "the setting is ignored"},
	restartReset:      {258, "`RESTART_RESET=1`", "ignored"},
	mainPidfdVariable: {258, "`$MAINPIDFDID` beside `$MAINPID`", "not set"},
	cookieVariable:    {258, "`$SO_COOKIE` for `Accept=yes`", "not set"},
	listenPidfdVariable: {259, "`$LISTEN_PIDFDID` beside `$LISTEN_PID`; with `PrivatePIDs=` the latter is right, but the former is that of another process",
		"not set; with `PrivatePIDs=` `$LISTEN_PID` is wrong"},
	reloadByCommand: {259, "a reload is over when `ExecReload=` has ended, whatever was notified meanwhile",
		"after a `RELOADING=1` it waits for `READY=1`"},
	reloadPost: {259, "`ExecReloadPost=`, whose exit status makes a reload fail, also one of `Type=notify-reload`", "the setting is ignored"},
	reloadGivesUp: {259, "a reload whose `READY=1` does not come fails after `TimeoutStartSec=`",
		"it goes on for ever; a `READY=1` that comes at last ends it"},
	reloadCanceled:  {259, "a reload by signal fails if the main process exits meanwhile", "`systemctl reload` succeeds"},
	stoppingIsFinal: {259, "`READY=1` after `STOPPING=1` is ignored", "it takes `STOPPING=1` back if the service was starting"},
	preserveUnreferenced: {261, "`FileDescriptorStorePreserve=yes` works for every unit (also in 258.8, 259.6, 260.2)",
		"only for one that another loaded unit refers to; any other is unloaded when it stops, and its store lost"},
	storeWithoutFile: {261, "the fd store outlives a daemon-reload while the unit file is missing, as in the middle of a package upgrade",
		"it is lost"},
	preserveOnSuccess: {261, "`FileDescriptorStorePreserve=on-success`", "the value is ignored"},
}

// has reports whether the manager has a feature.
func (s *scene) has(f feature) bool {
	s.asked[f] = true
	return s.Version() >= versions[f].since
}

// since returns now if the manager has the feature, else before.
func since[T any](s *scene, f feature, now, before T) T {
	if s.has(f) {
		return now
	}
	return before
}

const versionsFile = "VERSIONS.md"

const versionsIntro = `# What differs between versions of systemd

What packages activation and notify do is the same on every version that they
support; the reaction of systemd is not. This is the table by which the conformance
suite knows what to expect. It runs on systemd 247, 252, 254, 257 and 262; where a
version in between is given, the release notes or the source of systemd say so, and
the suite has seen the one side and the other.

| since | from then on | before |
|---|---|---|
`

// versionsText is what VERSIONS.md has to say.
func versionsText() string {
	rows := slices.Clone(versions[:])
	slices.SortStableFunc(rows, func(a, b struct {
		since        int
		what, before string
	}) int {
		return cmp.Compare(a.since, b.since)
	})
	var b strings.Builder
	b.WriteString(versionsIntro)
	for _, r := range rows {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", r.since, r.what, r.before)
	}
	return b.String()
}

var update = flag.Bool("update", false, "write "+versionsFile)

func TestVersionsFileIsTheTable(t *testing.T) {
	if *update {
		if err := os.WriteFile(versionsFile, []byte(versionsText()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(versionsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != versionsText() {
		t.Errorf("%s does not say what the table in this file says; go test ./e2e/conformance -run VersionsFile -update writes it", versionsFile)
	}
}
