// Package proof tests the upgrades of your daemon on a real systemd. It builds the program,
// installs the units, puts load on the daemon, and tells stories: a reload, a broken program,
// a slow start, a crash in the drain. Each story is a test that passes or names, in one
// paragraph, the lost requests, the part of the upgrade and the likely cause.
//
//	package main
//
//	import (
//		"testing"
//
//		"github.com/cutover-go/cutover/e2e/proof"
//	)
//
//	func TestMain(m *testing.M) { proof.Init(); m.Run() }
//
//	func TestUpgrades(t *testing.T) {
//		proof.Run(t, proof.Daemon{
//			Build: ".", Units: "units",
//			Probe: proof.HTTP("http://127.0.0.1:8080/healthz"),
//		})
//	}
//
// The daemon may use any library, or none: the package knows its program, its units and its
// addresses only. [Prove] does the same without package testing. Both return a
// [record.Report] with every request, for programs that draw or compare.
//
// # The stories
//
//   - units: sdunits check finds no setting that breaks an upgrade.
//   - reload under load: a reload replaces the process and loses no request, and the new process
//     does not die afterwards.
//   - broken program: the reload of a program that exits at once fails, and the old process
//     serves.
//   - slow start: the old process serves until a program that starts late is ready.
//   - hang in the start: the reload of a program that hangs fails in its time.
//   - kill of the main process: after SIGKILL another process serves, and no client is refused.
//   - death of the old process in the drain: the new process serves on.
//   - death of the new process in the drain: the old process, or the socket's queue, takes the
//     clients until systemd has started the next process.
//   - restart: systemctl restart refuses no client and cuts no request. A complete answer with
//     status 503 is no loss, because health checks of a process that stops answer so. The same
//     holds for close frame 1012 (Service Restart) of a WebSocket, also after a kill.
//   - crash loop of a new program: a program that exits at once is restarted again and again,
//     no client is refused meanwhile, and the repaired program serves without an operator.
//   - upgrades without growth: descriptors, threads, memory and processes after twenty upgrades
//     are those of the beginning, and no request is lost.
//
// A program breaks, hangs or starts late by a wrapper: a small program that the package builds
// and puts at the path in ExecStart=. It ends, sleeps, or executes the daemon's program after
// a pause. Commands of the unit, such as the one of ExecReload=, work as usual meanwhile. A
// restart follows each story that leaves a wrapper behind.
//
// # Lost requests
//
// A request is lost if it has no complete answer within its timeout. Requests start at a
// constant rate and none is repeated. Requests that a killed process had in work are excused
// and counted. A request in datagrams, QUIC among them, that times out is one of these if it
// was due before the next process served.
//
// # The manager
//
// The systemd of this machine is booted as PID 1 of new namespaces, over a throw-away
// overlay of the root file system, with a network that has a loopback device only. It needs
// root, Linux 5.14, a writable cgroup2 hierarchy and systemd 247. Otherwise package
// upgradetest stands for systemd, and the log says so: no sandbox, no users, and free ports,
// so a daemon that binds its address itself needs it free on this machine.
//
// Users that a unit names are made if they are missing. Units other than services and sockets
// are not installed. Init must run first in TestMain or main, because the package starts
// copies of the program.
package proof
