package program

import (
	"fmt"
	"os"
	"strings"
)

// This file tells an operator where the output of a successor is that ended before it could send
// its reason: a panic, log.Fatal, an error before New. A reason that New, Main or Fail has goes
// over the line, and needs none of this.
//
// The predecessor has no copy of that output. A pipe between the successor's standard error and
// the journal would break two things. A program chooses its log handler at the start, often before
// New, by JOURNAL_STREAM, which names the device and inode of standard error, or by isatty. And a
// Go program that writes to the pipe after the predecessor's end dies by SIGPIPE. The journal is
// no help either, because the user of a service may not read it.
//
// So the successor inherits standard error, and the journal has its last lines under its own
// pid: a process writes them, and journald takes the pid of each line from the socket.

// OutputOf returns where the output of the process pid, which has our standard error, is.
func OutputOf(pid int, lookup func(string) (string, bool)) string {
	if stream, ok := lookup("JOURNAL_STREAM"); ok && isStandardError(stream) {
		return fmt.Sprintf("journalctl _PID=%d shows its output", pid)
	}
	return "its standard error has the reason"
}

// isStandardError reports whether the socket of JOURNAL_STREAM=DEVICE:INODE is our standard
// error (systemd.exec(5)). All sockets have one device.
func isStandardError(stream string) bool {
	_, inode, ok := strings.Cut(stream, ":")
	target, err := os.Readlink("/proc/self/fd/2")
	return ok && err == nil && target == "socket:["+inode+"]"
}
