// Package listen reads the addresses of .socket units as systemd does: which ones it refuses, which
// two the kernel does not let listen at once, and which ones a process listens on.
package listen
