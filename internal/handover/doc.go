// Package handover is the conversation between two generations of a program.
//
// A predecessor starts its successor with one end of an AF_UNIX SOCK_SEQPACKET
// pair. Each message on it is one frame; descriptors travel with it as
// SCM_RIGHTS. Time runs downwards:
//
//	predecessor                                        successor
//	     |------------------- Hello ------------------->|   version range, pid, generation
//	     |<------------------ Hello --------------------|   each takes the highest common version
//	     |---------------- Descriptors ---------------->|   up to 253 of them, with their names
//	     |<---------------- Received -------------------|   and so on until Last
//	     |                                              |   initialises
//	     |<------------- Ready or Failed ---------------|   Failed carries the reason
//	 gates shut                                         |
//	     |------------------- States ------------------>|   saved state, as sealed memfds
//	     |--------------------- Go -------------------->|
//	     |                                          restores, gates open
//	     |<----------------- Serving -------------------|
//	     |                    trial                     |   if one was asked for
//	     |------------------ Command ------------------>|   a hint, if a command waits for the upgrade
//	     |----------------- Committing ---------------->|   from here on EOF means: you are it
//	 MAINPID= to the manager, confirmed                 |   Go again if the manager cannot be told
//	     |----------------- Committed ----------------->|
//	     |----------------- Draining ------------------>|   a hint, and again when a number changes
//	     |                    drain                     |
//	     |--------------- Connections ----------------->|   such as are between two messages, if it said
//	     |<------------------ Taken --------------------|   in its Ready that it receives them, and so on
//	     |<----------------- Stopping ------------------|   it ends because it was told to
//	     |<---------------- Superseded -----------------|   it has handed over in its turn
//	     |<----------------- Goodbye -------------------|   it is drained; its line to the third
//	    EOF                                             |   generation and that one's pidfd come along
//
// The successor has its end of the pair at descriptor 3, which the environment
// variable CUTOVER_LINE says. Where it reads EOF before Committing, the upgrade is
// undone: it accepts no more, hangs up, finishes its answers and ends. To take Go
// back, the predecessor shuts its end down for writing; it accepts again when it
// reads EOF.
//
// # Frame
//
//	+-----+-----+---------+------+----------------------+
//	| 'C' | 'O' | framing | kind | body: one JSON value |
//	+-----+-----+---------+------+----------------------+
//
// The framing byte is 1. Fields of a body that a reader does not know are
// ignored. A kind that it does not know is an error below 128 and ignored from
// 128 on, so that a newer program can add hints without a new version.
//
// A frame has at most 128 KiB. What can be longer goes in several messages, and the
// reason of a Failed is cut; bounds.go has the list.
//
// # Messages
//
//	kind  message      fields of the body                    descriptors
//	----  -----------  ------------------------------------  -------------------------------------
//	   1  Hello        min, max (versions), pid, ppid,
//	                   generation (of the predecessor),
//	                   trying (before an exec in place)
//	   2  Descriptors  entries (each name, index, origin,    one for each entry
//	                   unstored), last (true in the last batch)
//	   3  Received
//	   4  Ready        receives (formats of Connections by
//	                   listener, if any)
//	   5  Failed       reason
//	   6  Go
//	   7  Serving
//	   8  Committing
//	   9  Committed
//	  10  Stopping
//	  11  Superseded
//	  12  Goodbye      pid, superseded (that process, too),  pidfd of the main process, line to it
//	                   receives (of that process)
//	  13  States       names, stored (names that the fd      a sealed memfd for each of names
//	                   store has)
//	  14  Connections  connections (each name, format,       one for each
//	                   data in base64)
//	  15  Taken        refused (numbers within the batch),
//	                   ending (and so will be all others)
//	 128  Draining     generations (that are not gone),
//	                   generation (of the predecessor),
//	                   held (in work), left (seconds),
//	                   overdue (generations)
//	 129  (a hint)     receives (a part of those of the
//	                   next Ready or Goodbye)
//	 130  Forgotten    entries (of files that the
//	                   predecessor has forgotten since)
//	 133  Command                                            the conversation with the command
//
// An entry is "unstored" if the fd store should have it and does not. A predecessor whose
// names in the fd store have changed since Go says States with them, and no descriptors,
// before Committing.
//
// The ppid of a Hello is the process that the manager is; index tells entries of
// one name apart; origin is "unit" for what a .socket unit keeps, "own" for what
// the fd store does. What has another origin lives as long as the processes that
// have it: "inbox" and "outlet" are the ends of the pairs by which processes pass
// datagrams to each other. A generation that cannot use an entry hands it on, unless
// its origin is "own".
package handover
