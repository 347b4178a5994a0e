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
//	     |----------------- Committing ---------------->|   from here on EOF means: you are it
//	 MAINPID= to the manager, confirmed                 |
//	     |----------------- Committed ----------------->|
//	     |----------------- Draining ------------------>|   a hint, and again when the number changes
//	     |                    drain                     |
//	     |<----------------- Stopping ------------------|   it ends because it was told to
//	     |<---------------- Superseded -----------------|   it has handed over in its turn
//	     |<----------------- Goodbye -------------------|   it is drained; its line to the third
//	    EOF                                             |   generation and that one's pidfd come along
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
package handover
