// Package reexec replaces a network daemon while it runs, and nobody connected
// notices.
//
// A program asks an [Upgrader] for its listeners by name. They come from systemd's
// socket units, from its fd store after a crash or restart, from the process that
// this one replaces, or are bound now; the program cannot tell, and need not:
//
//	u, err := reexec.New(reexec.Options{Signals: true})
//	...
//	defer u.Close()
//	ln, err := u.Listen(ctx, "http", "tcp", ":8080")
//	...
//	err = rehttp.Serve(ctx, u, &http.Server{Handler: mux}, ln)
//
// Package rehttp in the folder below serves HTTP so. Another protocol does the
// same by hand: call [Upgrader.Ready], accept, close each connection when it is done,
// and wait in [Upgrader.Drain]. Each accepted connection holds the generation until it
// is closed. So when [Upgrader.Draining] is closed, the program ends its connections:
// it finishes the work of each one, and closes or moves an idle one. A connection that
// is open at the drain deadline is cut.
//
// # An upgrade
//
// SIGHUP, [Upgrader.Upgrade] or the unit's ExecReload= command (see [Reload])
// begins it. This process, the predecessor, starts the program that lies at its
// path now, the successor, and hands it every socket. Both have them; only one
// accepts at any instant:
//
//	predecessor   accepts ────────────┐ gates shut      drains ───────── exits
//	                 │ starts         │ go    ▲              (its answers)
//	successor        └ initialises ─ ready ── accepts ───────────────────────
//	                                              │
//	manager                                  MAINPID=, READY=1
//
// Until the last line the old process is the unit's main process, and whatever
// goes wrong, it opens its gates again and the upgrade has failed: the new program
// does not start, exits, hangs, panics, says why it cannot, or dies in its trial.
// With the commit, one datagram to the manager, the successor is the main process. The
// predecessor lets go when the manager has obeyed the successor as the main process: it
// removes an entry from the fd store. A manager that refuses MAINPID= undoes the upgrade.
// It is a child of the manager (CLONE_PARENT), so that its death is seen at once;
// if that happens while the predecessor still drains, the predecessor accepts
// again until the manager's restart.
//
// # Connections
//
// A connection between two messages can go on in the successor. Its goroutine
// calls [Upgrader.Move] with what has to be known of it, and it comes out of the
// successor's Accept as a [Moved]; the peer notices nothing:
//
//	case <-u.Draining(): // wakes the goroutine that reads conn, by a read deadline
//	err := u.Move(ctx, "chat", conn, "chat/1", state)
//
// The successor has to say before Ready that it takes them ([Upgrader.Receive]).
// examples/tally does so. Package rehttp moves idle HTTP connections by itself. The
// same call carries them over a restart, in the fd store, if the unit's
// RestartKillSignal= is Options.RestartSignal; and by inheritance in place.
//
// # Flows
//
// Connections of a protocol over UDP, such as QUIC, stay with the process that began
// them. [Upgrader.ListenFlows] gives each process its own datagrams of a socket that
// all share; examples/http3 serves HTTP/3 so.
//
// # Callbacks
//
// A program gives functions to an Upgrader: Options.Next, Observe and the handler of
// Logger, Save, Restore, the limit of ReceiveIdle, done of Offer, the route of
// ListenFlows. Each may call any method of the Upgrader.
//
//   - One that panics has failed. The panic and its stack are logged. If the function
//     is Next, Save or Restore, the upgrade is undone. A panic of the handler of Logger
//     is dropped. A route runs within the program's own ReadFrom, and so does its panic.
//   - One that blocks holds up its own kind: the later events of Observe, the later
//     lines of Logger. If it is Next, Save, Restore or a route, the upgrade is undone
//     when its time is over. SIGTERM, Stop and Close work meanwhile.
//   - A function that waits for the upgrade that waits for it is one that blocks.
//
// # In place
//
// A process that is PID 1, as in a container, or whose parent ends with it, such as an
// init for one program, cannot have a successor beside it. It tries the new program first, beside itself and up to
// Ready, then shuts its gates, finishes its work, and executes the program in its
// own place (see [Mode]). Sockets and state go by inheritance.
//
// # Requirements
//
// Linux 5.3 for pidfds; systemd 247 or newer, or no manager at all. The unit needs
// Type=notify, NotifyAccess=main, KillMode=control-group, and an ExecReload= that
// runs [Reload]; FileDescriptorStoreMax= if the program binds sockets itself;
// TimeoutStopSec= above Options.Drain and 10 s. examples/http/units shows a
// complete one. A wrapper script must exec the program.
//
// On other systems the package compiles, and [New] returns an error wrapping
// [errors.ErrUnsupported].
package reexec
