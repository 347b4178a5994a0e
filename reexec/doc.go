// Package reexec replaces a network daemon while it runs, without a connected client
// noticing.
//
// A program is a list of services, each a server with its sockets:
//
//	func main() {
//		os.Exit(reexec.Main(reexec.Options{},
//			rehttp.Service("http", ":8080", &http.Server{Handler: mux}),
//			reexec.Stream("smtp", ":25", smtpServer.Serve),
//			reexec.Packet("dns", ":53", serveUDP),
//		))
//	}
//
// [Main] has the commands for systemd, signals, the drain and the exit status. [Run] is Main
// for a program with its own commands. Most programs need nothing else: Main, [Stream],
// [Packet], [Options] and the services of rehttp, regrpc and rehttp3 in the folders below.
//
// The other names, by topic:
//
//   - Own services: [Service], [ServiceFunc], [StreamService], [PacketService]
//   - Step by step: [New], [Upgrader.Listen], [Upgrader.ListenPacket], [Upgrader.Ready],
//     [Upgrader.Hold], [Upgrader.Drain], [Upgrader.Close], and [Upgrader.Serve] for services
//   - More sockets: [Upgrader.ListenFunc], [Upgrader.ListenPacketFunc], [Upgrader.ListenFlows]
//   - An upgrade: [Reload], [Upgrader.Upgrade], [UpgradeError], [Command]
//   - The end: [Upgrader.OnDrain], [Upgrader.Draining], [Upgrader.Stopping], [Upgrader.Stop],
//     [Upgrader.Fail]
//   - State and files: [Upgrader.Save], [Upgrader.Restore], [State], [Upgrader.Checkpoint],
//     [Upgrader.Keep], [Upgrader.Claim], [Kept], [Upgrader.Secret]
//   - Connections that move: [Upgrader.Receive], [Upgrader.Move], [Moved]
//   - Observation: [Status], [Upgrader.Status], [Report], [Event], [Upgrader.Generation]
//   - Predecessor and manager: [Upgrader.WaitForPredecessor], [Upgrader.Notifier]
//
// # Step by step
//
// The same can be done by hand. A program asks an [Upgrader] for its listeners by name. A
// listener comes from a socket unit of systemd, from the fd store after a crash or restart,
// or from the process that this one replaces; otherwise the Upgrader binds it now. The code
// is the same in all four cases:
//
//	u, err := reexec.New(reexec.Options{})
//	...
//	defer u.Close()
//	ln, err := u.Listen(ctx, "http", "tcp", ":8080")
//	...
//	err = rehttp.Serve(ctx, u, &http.Server{Handler: mux}, ln)
//
// Package rehttp in the folder below serves HTTP in this way. A program with another
// protocol makes the calls itself: it calls [Upgrader.Ready], accepts, closes each
// connection when it is done, and waits in [Upgrader.Drain]. Each accepted connection
// holds the generation until it is closed. So the program ends its connections when the
// generation drains, by [Upgrader.OnDrain]: it finishes the work of each one, and closes or
// moves an idle one. A connection that is open at the drain deadline is cut.
//
// # An upgrade
//
// SIGHUP, [Upgrader.Upgrade] or the unit's ExecReload= command (see [Reload])
// begins it. This process, the predecessor, starts the program that is at its path now.
// The new process, the successor, gets every socket. Both processes have the sockets;
// only one of them accepts at any instant:
//
//	predecessor   accepts ────────────┐ gates shut      drains ───────── exits
//	                 │ starts         │ go    ▲              (its answers)
//	successor        └ initialises ─ ready ── accepts ───────────────────────
//	                                              │
//	manager                                  MAINPID=, READY=1
//
// Until the last line of the picture, the predecessor is the unit's main process. If the
// new program does not start, exits, hangs, panics, reports that it cannot serve, or dies
// in its trial, the upgrade fails: the predecessor opens its gates and accepts again.
//
// The commit is one datagram to the manager. It makes the successor the main process. The
// predecessor waits for proof of that: the manager removes an entry from the fd store when
// the successor asks for it, and obeys only the main process. A manager that refuses
// MAINPID= undoes the upgrade.
//
// The successor is a child of the manager (CLONE_PARENT), so the manager sees its death at
// once. If the successor dies while the predecessor still drains, the predecessor accepts
// again until the manager has restarted the unit.
//
// # Connections
//
// A connection between two messages can go on in the successor. Its goroutine calls
// [Upgrader.Move] with the state of the connection. The successor's Accept returns it as
// a [Moved]; the peer notices nothing:
//
//	defer u.OnDrain(func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })() // wakes the goroutine that reads conn
//	...
//	err := u.Move(ctx, "chat", conn, "chat/1", state)
//
// The successor calls [Upgrader.Receive] before Ready, as in examples/tally. Package
// rehttp moves idle HTTP connections by itself. Move also carries connections over a
// restart, in the fd store, if the unit's RestartKillSignal= is Options.RestartSignal. In
// place the new program inherits them.
//
// # Flows
//
// Connections of a protocol over UDP, such as QUIC, stay with the process that began
// them. All generations share the socket, and [Upgrader.ListenFlows] gives each process
// the datagrams of its connections. Package rehttp3, a separate module, serves HTTP/3 in
// this way.
//
// # Callbacks
//
// A program gives functions to an Upgrader: Options.Next, Observe and the handler of
// Logger, Save, Restore, the route of ListenFlows, the bind of ListenFunc,
// StreamService.Draining, the function of OnDrain. Each may call any method of the Upgrader.
//
//   - A function that panics has failed. The Upgrader logs the panic and its stack. If the
//     function is Next, Save or Restore, the upgrade is undone. A panic of the handler of
//     Logger is dropped. A route runs within the program's ReadFrom, and a bind within
//     ListenFunc: a panic reaches the caller of these.
//   - A function that blocks delays only later calls of the same kind: the later events of
//     Observe, the later lines of Logger. If it is Next, Save, Restore or a route, the
//     upgrade is undone when its time is over. SIGTERM, Stop and Close work meanwhile.
//   - A function that waits for an upgrade, while the upgrade waits for the function,
//     blocks in this sense.
//
// # Coming from tableflip
//
// Package tableflip, in a folder below, has the API of github.com/cloudflare/tableflip: a
// program changes the import path and nothing else. Its page lists the differences and the
// lines of a unit. A program that moves on to this package replaces these calls:
//
//	upg.Listen(network, addr)        u.Listen(ctx, name, network, addr)
//	Options.ListenConfig, callbacks  [Upgrader.ListenFunc], [Upgrader.ListenPacketFunc]
//	upg.Listener(network, addr)      u.ListenFunc(name, nil)
//	upg.AddFile, upg.File            [Upgrader.Keep], [Upgrader.Claim]
//	upg.Exit()                       [Upgrader.OnDrain], [Upgrader.Drain]
//	upg.WaitForParent                [Upgrader.WaitForPredecessor]
//	upg.HasParent()                  u.Generation() > 1
//
// # Coming from Shutdown, go-systemd, grace or overseer
//
// A server that ends by [net/http.Server.Shutdown] on SIGTERM becomes a service: its signal
// handler and its call of Shutdown go away, and the unit gets an ExecReload=. These calls are
// replaced:
//
//	signal.Notify, srv.Shutdown(ctx)        rehttp.Service, or rehttp.Serve
//	activation.Listeners() of go-systemd    u.Listen(ctx, name, network, address)
//	SdNotifyReady of go-systemd             u.Ready(ctx), which Main calls
//	gracehttp.Serve(a, b) and SIGUSR2       Main with two services, and SIGHUP
//	overseer.Run, state.Listener            Main, u.Listen; there is no master process
//	state.GracefulShutdown of overseer      u.OnDrain(f)
//	Fetcher of overseer                     the package manager, then systemctl reload
//
// # In place
//
// The mode of an upgrade is overlap, as above, or in place: execve(2) in the same process. For
// that the running process first starts the new program beside itself, up to Ready, which then
// returns ErrStopped; so a broken program is found. Then it shuts its gates, finishes its work
// and executes the new program, which inherits sockets and state. Meanwhile clients wait in the
// queues of the sockets. A failure after the execve is not undone; the manager restarts the
// unit.
//
// An Upgrader chooses in place for a process that is PID 1, and for a process whose parent ends
// with it, or starts it again, and cannot follow a successor. Such a parent is a PID 1 that is
// not systemd (docker run --init, tini, dumb-init, catatonit, a shell), a process outside of
// this PID namespace, a supervisor with a known name (runit, s6, supervisord, OpenRC and
// others), and each of these behind a shell script, sudo, timeout, flock and their like. It
// chooses overlap under systemd, a shell with job control, a test and any other program. Set
// Options.Mode to "in-place" under a supervisor with an unknown name, and on a host without
// memory for two processes.
//
// # Requirements
//
// The package needs Linux 5.3 for pidfds, and systemd 247 or newer, or no manager at all.
// The unit needs Type=notify, NotifyAccess=main, KillMode=control-group, an ExecReload=
// that runs [Reload], and a TimeoutStopSec= longer than Options.StopDrain plus 10 s. If the
// program binds sockets itself, the unit also needs FileDescriptorStoreMax=.
// examples/http/units shows a complete unit. A wrapper script must exec the program.
//
// On other systems the package compiles, and [New] returns an error wrapping
// [errors.ErrUnsupported].
package reexec
