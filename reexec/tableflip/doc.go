// Package tableflip has the API of github.com/cloudflare/tableflip (v1.2.3) on package reexec.
// A program changes the import path and nothing else:
//
//	import "github.com/cutover-go/cutover/reexec/tableflip"
//
// Its upgrades are those of reexec then: one process accepts at any instant, systemd
// supervises the serving process, and listeners survive a crash and a restart in the fd store.
//
// # Differences
//
//   - Exit is closed when the connections of this process's listeners are closed, at the latest
//     30 seconds after the upgrade. tableflip closes it at once, so that a program that ends
//     with it cuts its clients. A program that has to end its own connections, such as a hub
//     of WebSockets, begins with it by OnDrain of Upgrader.Reexec.
//     After Stop, Exit is closed at once, as in tableflip.
//   - If the new process dies while the old one finishes its connections, the old one accepts
//     again, and Exit stays open.
//   - Ready blocks until the predecessor has stopped accepting. If that fails, the upgrade is
//     undone and Ready returns the error.
//   - An upgrade is possible while older processes finish their work, 16 of them at most.
//   - Listen returns types of this package, and not *net.TCPListener or *net.UDPConn. They have
//     SyscallConn, deadlines and, for UDP, ReadMsgUDP. A type assertion to a type of package
//     net fails.
//   - ListenWithCallback uses the socket of the callback's listener, and closes the listener. A
//     wrapper that the callback puts around it, such as one for TLS, must be put around the
//     result of ListenWithCallback.
//   - Accept does not return when this process is replaced or stopped. It returns after Close.
//   - AddListener and AddPacketConn, and Listen after Ready, leave the socket with the program:
//     both processes accept until the old one closes it, and its connections do not delay Exit.
//   - Under a service manager Stop does not remove the paths of unix sockets, because the next
//     process gets the sockets from the fd store. Ready does not remove the paths of inherited
//     sockets that the program does not use.
//   - Signals stay with the program. Without a handler of SIGTERM a stop cuts connections, and so
//     does a crash of the new process for those of the old one, because systemd then sends
//     SIGTERM to both.
//   - Only Linux is supported. On other systems New returns ErrNotSupported.
//   - In place (PID 1 of a container, see Options.Mode of package reexec), Upgrade does not return if it succeeds,
//     and idle connections delay the upgrade by up to 30 seconds.
//   - The names of sockets and files, with their addresses, have at most 200 characters.
//
// HTTP clients that keep their connections hold the old process for 30 seconds, and are cut
// then. Package rehttp moves these connections to the new process:
//
//	err = rehttp.Serve(ctx, upg.Reexec(), server, ln) // instead of Ready, server.Serve and Exit
//
// # Units
//
// The unit in the documentation of tableflip works, with PIDFile= and Options.PIDFile for the
// same file:
//
//	[Service]
//	ExecStart=/path/to/binary -some-flag /path/to/pid-file
//	ExecReload=/bin/kill -HUP $MAINPID
//	PIDFile=/path/to/pid-file
//
// Each upgrade checks that the file names the new process, because systemd follows that
// process when the old one exits. As with tableflip, a reload succeeds before the upgrade has
// begun and does not report its failure, a reload while the old process finishes its
// connections does nothing, systemd does not see the death of the new process meanwhile, and
// there is no fd store. Without PIDFile= and without Type=notify, Upgrade returns an error,
// because systemd would end the unit with the old process. These lines end all that:
//
//	[Service]
//	Type=notify
//	NotifyAccess=main
//	ExecReload=+/usr/bin/cutover-reload
//	TimeoutStopSec=45s
//	FileDescriptorStoreMax=64
//
// PIDFile= goes away. The command cutover-reload asks the process for the upgrade and returns
// its result, so a failed upgrade is a failed reload. The program needs no handler of SIGHUP
// then, and no PID file. `sdunits check` reports the lines that break an upgrade.
//
// A socket unit can pass a listener, if its FileDescriptorName= is the name that `sdunits
// status` shows: listener-tcp-localhost=3A8080 for Listen("tcp", "localhost:8080").
//
// # Tests
//
// A test compares the exported names with those of tableflip. The assertions of 20 of its 28 tests
// hold: TestTheAssertionsOfTableflipHold has them under the same names. The other 8 call functions
// that tableflip does not export. Its example for HTTP with Shutdown loses nothing in both units
// above, on systemd 247, 252 and 262, and the example of its first page, which writes no PID
// file, loses nothing in the second one.
package tableflip
