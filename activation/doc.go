// Package activation takes over the sockets and files that systemd opens for a
// service before it starts it.
//
// # Socket activation in short
//
// A .socket unit tells systemd to open a socket and to start the .service unit of
// the same name with it. The program does not bind anything: it finds the socket,
// already listening, as an open file descriptor. Port 80 needs no privilege then;
// clients that come while the program starts, restarts or crashes wait in the
// socket's queue instead of being refused; and sandboxing may forbid the program
// to open sockets at all.
//
//	# hello.socket                      # hello.service
//	[Socket]                            [Service]
//	ListenStream=8080                   ExecStart=/usr/bin/hello
//	FileDescriptorName=http
//
// The program asks for the listener by its name:
//
//	set, err := activation.Take()             // once, early in main
//	...
//	defer set.Close()                         // closes the unclaimed descriptors
//	listeners, err := set.Listeners("http")   // one for each Listen line
//
// [Take] is the whole protocol; the other functions read the [Set] that it
// returns. A program that was started by hand gets an empty Set and no error, and
// binds its sockets itself; the package example does both. To try a program without
// installing units:
//
//	systemd-socket-activate --listen=8080 --fdname=http ./hello
//
// # Names
//
// Every descriptor has a name, and one name may be that of several descriptors: all
// sockets of a .socket unit share one, in the order of the unit's Listen lines. Set
// FileDescriptorName=. Without it the name is one of these, which a unit should not
// use for anything else:
//
//	hello.socket   the .socket unit's own name
//	connection     Accept=yes; before systemd 257 in spite of FileDescriptorName=
//	stored         put into the file descriptor store without a valid name
//	unknown        the manager gave no names (systemd before 227, other managers)
//	notes.txt      OpenFile= without a name: the file's
//
// The order of the descriptors of two units, and of those from the file descriptor
// store, means nothing and changes; only names tell them apart. A name may be empty
// or have spaces in it.
//
// # Kinds
//
// The kind of a descriptor, its network and its addresses come from the kernel:
//
//	Kind               Listen setting                                  method
//	KindListener       ListenStream=, ListenSequentialPacket=          Listener, Listeners
//	KindDatagram       ListenDatagram=                                 PacketConn, PacketConns
//	KindConnection     ListenStream= with Accept=yes                   Conn, Conns
//	KindNetlink        ListenNetlink=                                  File, Files
//	KindFIFO           ListenFIFO=                                     File, Files
//	KindSpecial        ListenSpecial=                                  File, Files
//	KindMessageQueue   ListenMessageQueue=                             File, Files
//	KindRegular        OpenFile=, ListenSpecial= on /proc or /sys      File, Files
//
// Internet, unix (by path and abstract) and vsock sockets all become listeners and
// connections; package net has no vsock, so those are types of this package, which
// also have SetDeadline and SyscallConn. The file descriptor store returns any
// descriptor that was put into it. A descriptor of the wrong kind is an error that
// names the setting that the unit needs, and the descriptor stays unclaimed.
//
// # Ownership
//
// Every descriptor has one owner. The Set owns what Take found, until Claim, One or
// a typed method such as Listeners hands it to the caller, or a method of a
// [Descriptor] uses it up. Close of the Set closes the rest. All are close-on-exec
// from the moment of Take. Nothing is left to the garbage collector. A Set and its
// descriptors are for one goroutine at a time.
//
// Closing a listener or a connection closes this process's descriptor. systemd
// keeps a duplicate of each socket of a .socket unit, so the socket goes on
// listening, and the path of a unix socket stays.
//
// Take changes no flag that the descriptors share with systemd. NonBlocking= in the
// service sets O_NONBLOCK of the sockets of a .socket unit. Claiming makes listeners,
// packet connections and connections non-blocking, because Go needs that; files
// stay as they came.
//
// # The file descriptor store
//
// With FileDescriptorStoreMax= a service can leave descriptors with systemd, which
// come back at its next start after those of its .socket units, newest first. They
// stay in the store. A program that no longer needs a descriptor must remove it from
// the store by name, or it comes again. [Set.Names] lists the unclaimed names. A
// listener of a .socket unit that was also stored comes twice; Take keeps the
// unit's copy and reports the other one by [Set.Duplicates]. Package notify stores
// and removes descriptors.
//
// # When nothing arrives
//
// Take returns an empty Set if LISTEN_PID is not this process. The usual reasons:
//
//   - A shell script starts the program without exec: LISTEN_PID is the shell's.
//   - The service was started without its .socket unit. Requires=hello.socket and
//     After=hello.socket in hello.service, or Sockets=, prevent that.
//   - The command is not ExecStart=. The others, ExecReload= included, get nothing.
//   - StandardInput=socket: the connection is standard input, as with inetd.
//   - Another package called first, and took the descriptors.
//
// If the variables contradict each other, the open descriptors or the process, Take
// returns an error that wraps [ErrEnvironment].
//
// # Versions
//
// Linux with any systemd from 227 on, tested from 247 on. LISTEN_PIDFDID, which
// systemd sets from 259 on, must name this process where the kernel can tell (6.9).
// With PrivatePIDs= systemd 257 and 258 put a wrong number into LISTEN_PID; Take
// recognises that by SYSTEMD_EXEC_PID, and takes the descriptors. On other systems
// the package compiles and the Set is empty. The table e2e/conformance/VERSIONS.md of
// this module lists the other differences between versions; its tests read it.
//
// # Coming from go-systemd
//
// The package of the same name in github.com/coreos/go-systemd takes everything
// with each call, and so serves programs with one type of socket. Here one Take
// comes first and each claim takes its part:
//
//	go-systemd/v22/activation            here, after set, err := activation.Take()
//	Listeners()                          set.Listeners(name)
//	ListenersWithNames()                 set.Listeners(name); set.Names() for the names
//	TLSListeners(config), ...WithNames   tls.NewListener(ln, config) for each of set.Listeners(name)
//	PacketConns()                        set.PacketConns(name)
//	Files(true)                          d.File() for each d of set.All()
//	FilesWithNames()                     set.Files(name)
//	Files(false)                         nothing: the environment is always cleaned
//
// Other differences: claims are by name, so give each unit a FileDescriptorName=
// or use the unit's name ("hello.socket"). There are no nil elements for sockets of
// another type; that is an error. A malformed environment is an error, not an empty
// slice. Unclaimed descriptors stay open until Close of the Set, and can be listed.
// Do not use both packages in one program: the first one gets all descriptors.
//
// Protocol: sd_listen_fds(3), systemd.socket(5).
package activation
