// Package handover is the conversation between two generations of a program.
//
// A predecessor starts its successor with one end of an AF_UNIX SOCK_SEQPACKET
// pair. Each message on it is one frame; descriptors travel with it as
// SCM_RIGHTS. Time runs downwards:
//
//	predecessor                                        successor
//	     |------------------- Hello ------------------->|   version range, pid, generation
//	     |---------------- Descriptors ---------------->|   up to 253 of them, with their names; both
//	     |                                              |   messages wait in the line during the start
//	     |<------------------ Hello --------------------|   each takes the highest common version
//	     |<---------------- Received -------------------|   and so on until Last
//	     |                                              |   initialises
//	     |<------------- Ready or Failed ---------------|   Failed carries the reason
//	 gates shut                                         |
//	     |------------------- States ------------------>|   saved state, as sealed memfds, if there is any
//	     |--------------------- Go -------------------->|
//	     |                                          restores, gates open
//	     |<----------------- Serving -------------------|
//	     |                    trial                     |   if one was asked for
//	     |------------------ Command ------------------>|   a hint, if a command waits for the upgrade
//	     |------------------ LastGood ----------------->|   a hint, if the successor is to be proven
//	     |----------------- Committing ---------------->|   from here on EOF makes the successor main
//	 MAINPID= to the manager, confirmed                 |   Go again if the message cannot be sent
//	     |----------------- Committed ----------------->|
//	     |----------------- Draining ------------------>|   a hint, sent again when a number changes
//	     |                    drain                     |
//	     |--------------- Connections ----------------->|   idle ones, in a format of the Ready message;
//	     |<------------------ Taken --------------------|   both messages repeat
//	     |<----------------- Stopping ------------------|   the successor was told to stop
//	     |<------------------- Third -------------------|   a hint: the successor commits a third generation
//	     |<---------------- Superseded -----------------|   the successor has handed over to a third generation
//	     |<----------------- Goodbye -------------------|   the successor is drained; carries its line to the
//	    EOF                                             |   third generation and the pidfd of that process
//
// The successor has its end of the pair at descriptor 3. The environment variable
// CUTOVER_LINE names that number. If the successor reads EOF before Committing, the
// upgrade is undone: the successor accepts no more, hangs up, finishes its answers and
// exits. To take Go back, the predecessor shuts its end down for writing. It accepts
// again when it reads EOF.
//
// # Frame
//
//	+-----+-----+---------+------+----------------------+
//	| 'C' | 'O' | framing | kind | body: one JSON value |
//	+-----+-----+---------+------+----------------------+
//
// The framing byte is 1. A reader ignores unknown fields of a body. It also ignores
// unknown kinds from 128 on, so that a newer program can add hints without a new
// version. An unknown kind below 128 is an error. If a reader has no room for the
// descriptors of Connections, or of a kind from 128 on, it gets the message without them.
//
// A frame has at most 128 KiB. Longer lists are split into several messages, and a longer
// reason of a Failed is cut; bounds.go has the list.
//
// # Messages
//
//	kind  message      fields of the body                    descriptors
//	----  -----------  ------------------------------------  -------------------------------------
//	   1  Hello        min, max (versions), pid, ppid,
//	                   generation (of the predecessor),
//	                   trying (before an exec in place),
//	                   program (identity of the file)
//	   2  Descriptors  entries (each: name, index, origin,   one for each entry
//	                   unstored), last (true in the last batch)
//	   3  Received
//	   4  Ready        receives (formats of Connections by
//	                   listener, if any)
//	   5  Failed       reason
//	   6  Go
//	   7  Serving
//	   8  Committing   marked (the fd store has two marks)
//	   9  Committed
//	  10  Stopping
//	  11  Superseded
//	  12  Goodbye      pid (of the third generation),        pidfd of the third generation, line to it
//	                   superseded (the third generation has
//	                   handed over), receives (its formats)
//	  13  States       names, stored (names that the fd      a sealed memfd for each of names
//	                   store has)
//	  14  Connections  connections (each: name, format,      one for each
//	                   data in base64)
//	  15  Taken        refused (numbers within the batch),
//	                   ending (later batches are refused)
//	 128  Draining     generations (that are not gone),
//	                   generation (of the predecessor),
//	                   held (in work), left (seconds),
//	                   overdue (generations)
//	 129  (a hint)     receives (a part of those of the
//	                   next Ready or Goodbye)
//	 130  Forgotten    entries (files that the predecessor
//	                   has forgotten after Descriptors)
//	 133  Command                                            the conversation with the command
//	 134  Third        pid (of the third generation)         pidfd of the third generation, end of its mark;
//	                                                         none if the commit is taken back
//	 135  LastGood     names (entries of the fd store with   the executable, if it could be opened
//	                   the program)
//
// An entry is "unstored" if it belongs into the fd store and is not there yet. If the
// names in the fd store change after Go, the predecessor sends States with the new names
// and without descriptors before Committing.
//
// The ppid of a Hello is the pid of the manager. The index tells entries of one name
// apart. The origin says where a descriptor is kept while no process runs:
//
//	unit    a .socket unit keeps it
//	own     the fd store keeps it
//	inbox   an end of a pair by which processes pass datagrams to each other; it
//	outlet  lives as long as the processes that have it
//
// A generation that cannot use an entry hands it on, unless its origin is "own".
package handover
