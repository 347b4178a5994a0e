// Package seqpacket connects to AF_UNIX sockets of type SOCK_SEQPACKET, unix(7).
//
// It does without package net: a program that only asks a question starts in a third less
// time, and is linked statically also with cgo.
package seqpacket

// Peer is the process that listens at the other end, as it was when it called listen(2):
// SO_PEERCRED of unix(7). PID is 0 for a process of a PID namespace that this process
// cannot see.
type Peer struct{ PID, UID int }
