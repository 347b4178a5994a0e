// Package notify reports the state of this process to the service manager, systemd:
// that it is ready, reloads or stops, its status, its main process, its signs of
// life, and the files to keep for it. It is the protocol of sd_notify(3), complete
// up to systemd 262.
//
//	n, err := notify.New() // nil without a manager, and nil does nothing
//	if err != nil {
//		return err
//	}
//	defer n.Close()
//	...
//	err = n.Send(ctx, notify.Ready, notify.Status("serving on :8080"))
//
// # How it works
//
// The manager has a datagram socket and names it to the services that may use it
// in $NOTIFY_SOCKET. A service sends it messages of KEY=VALUE lines, with a
// descriptor beside some of them. The kernel tells the manager which process has
// sent a message. The manager never answers: it drops a message that is too long,
// has a mistake or comes from the wrong process, and at best its log says so. This
// package therefore checks a message as a whole before it sends it, and Barrier
// returns when the manager has processed all earlier messages.
//
// # Settings of the unit
//
//   - Type=notify makes the manager wait for Ready before it starts the units that
//     are ordered after this one. Type=notify-reload (systemd 253) also makes it send
//     SIGHUP for `systemctl reload`; answer with Reloading and then Ready.
//   - NotifyAccess= names the processes whose messages count. With these types it is
//     main: only the main process, not its children, may send. Access changes it at
//     run time.
//   - WatchdogSec= starts the watchdog. The manager kills the service unless a sign of
//     life comes at least that often; RunWatchdog sends it.
//   - FileDescriptorStoreMax= limits the number of files that the manager keeps for the
//     unit. Without it Store has no effect. LimitNOFILE= must be larger still.
//
// # Messages
//
// Send takes the assignments of one message. The manager authorises a message
// once and then acts upon it as a whole, in a fixed order: the main process first,
// then stopping, ready and reloading, status, errors, timeouts, watchdog. So
// MAINPID= and READY=1 in one message replace the main process in one step.
//
// A status may be any text and is made to fit. Send refuses every other message that
// the manager would drop or misread, and sends nothing of it: values with line
// breaks, 4097 bytes, one key twice, Ready together with Stopping.
//
// # The file descriptor store
//
// Store gives the manager duplicates of open files: listening sockets, a memfd with
// state, idle connections. The manager keeps them over a restart and over a crash
// of the service, and passes them to the new process as it passes the sockets of a
// .socket unit; package activation takes them. The store has no order: only the
// names have a meaning, and several files of one name come back in any order.
//
// # The watchdog across an upgrade
//
// $WATCHDOG_PID names the process that the manager started. Start a successor
// without it, but with $WATCHDOG_USEC and $NOTIFY_SOCKET: then New applies the
// watchdog to the successor. The predecessor ends its RunWatchdog and sends MAINPID=
// with a Ping in the same message; then the successor calls RunWatchdog.
//
// # Coming from go-systemd's package daemon
//
//	daemon.SdNotify(false, daemon.SdNotifyReady)    n.Send(ctx, notify.Ready)
//	daemon.SdNotify(false, "STATUS="+text)          n.Send(ctx, notify.Status(text))
//	SdNotifyReloading + "\n" + SdNotifyMonotonicUsec()  n.Send(ctx, notify.Reloading())
//	daemon.SdWatchdogEnabled(false), a ticker       n.RunWatchdog(ctx, check)
//	(true, nil), (false, nil)                       n != nil, n == nil
//	unsetEnvironment                                not done: a successor needs the variables
//
// New is called once and the Notifier kept: the socket is opened once instead of
// for every message. A text with a line break, which there becomes another
// assignment, is made one line or refused. Send can be given a deadline, where
// SdNotify blocks while the manager does not read. Descriptors and barriers, which
// that package does not have, are Store, Remove and Barrier.
//
// # Coming from mdlayher/sdnotify
//
//	sdnotify.New(), sdnotify.Open(path)   notify.New(), notify.Dial(path)
//	errors.Is(err, os.ErrNotExist)        n == nil: there is no error
//	n.Notify(sdnotify.Ready)              n.Send(ctx, notify.Ready)
//	n.Notify(sdnotify.Reloading)          n.Send(ctx, notify.Reloading())
//	n.Notify(sdnotify.Statusf("%d", x))   n.Send(ctx, notify.Status(fmt.Sprintf("%d", x)))
//
// The nil Notifier is the same. A socket that is named but missing is an error
// here, since the manager that named it waits for Ready. Reloading has the
// timestamp without which Type=notify-reload does not count it, and a manager's
// socket that was replaced is dialled again.
//
// # Versions and other systems
//
// Every message is the same for every version of systemd, and a version that does
// not know an assignment ignores it; least versions are given where they matter. The
// table e2e/conformance/VERSIONS.md of this module lists the differences between
// 247 and 262; its tests read it.
//
// The package compiles on every system. Outside Linux $NOTIFY_SOCKET is not set, and
// New returns nil.
package notify
