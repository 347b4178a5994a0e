// Package control is the conversation of an operator's command, such as
// `myapp reload`, with the main process of a service.
//
// The main process listens on an AF_UNIX SOCK_SEQPACKET socket: in the unit's
// runtime directory, where there is one, else in the abstract namespace under a
// name that carries its pid. The command sends one [Request], waits, and gets one
// [Answer]; hanging up before that takes the request back. Both are one JSON
// value each. Unknown fields are ignored; an unknown verb gets an answer with
// an error, so that the two programs need not be of one version.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Verbs.
const (
	Upgrade = "upgrade" // replace the process; the answer comes when it is done
	Status  = "status"  // say how it is going
)

// Request is what the command asks.
type Request struct {
	Version int    `json:"version"` // 1
	Verb    string `json:"verb"`

	// Dir is the working directory of a command that the manager has started for the unit
	// whose INVOCATION_ID is Invocation.
	Dir        string `json:"dir,omitempty"`
	Invocation string `json:"invocation,omitempty"`
}

// Answer is the result. Error is empty on success.
type Answer struct {
	Error      string `json:"error,omitempty"`
	Generation int    `json:"generation,omitempty"` // the one that serves now
	PID        int    `json:"pid,omitempty"`
	State      string `json:"state,omitempty"`
	Successor  int    `json:"successor,omitempty"`  // pid
	Draining   int    `json:"draining,omitempty"`   // older generations
	Held       int    `json:"held,omitempty"`       // what these have in work
	Left       int    `json:"left,omitempty"`       // seconds, until the last of them must have ended
	NotStored  string `json:"not_stored,omitempty"` // why the fd store lacks something, at most 512 bytes
}

const (
	// maxMessage bounds a request and an answer: programs built before maxReceived read no
	// more.
	maxMessage = 64 << 10

	// maxReceived is the longest answer that is read. Programs that were built before
	// maxMessage held for answers send as much as a socket takes.
	maxReceived = 256 << 10

	// maxError is how many bytes of an error are sent. In JSON a byte takes six at most.
	maxError = 9 << 10
)

// maxPath is the longest path that fits into sockaddr_un with its NUL, unix(7).
const maxPath = 107

// maxPID is the largest process id, PID_MAX_LIMIT in include/linux/threads.h.
const maxPID = 4 << 20

// Address returns where the main process pid listens: a path, or an abstract name
// that begins with "@". The environment decides, which systemd makes the same for
// ExecStart= and ExecReload= processes (systemd.exec(5), RuntimeDirectory=).
func Address(lookup func(string) (string, bool), pid int) string {
	if dirs, ok := lookup("RUNTIME_DIRECTORY"); ok && dirs != "" {
		dir, _, _ := strings.Cut(dirs, ":")
		if p := filepath.Join(dir, "control.sock"); len(unpublished(p, maxPID)) <= maxPath {
			return p
		}
	}
	// Two containers with one network namespace both have a process 1.
	namespace, _ := os.Readlink("/proc/self/ns/pid") // without /proc: the same "" for both sides
	return fmt.Sprintf("@cutover/%s/%d", namespace, pid)
}

func write(c *net.UnixConn, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxMessage {
		return fmt.Errorf("message of %d bytes, at most %d are possible", len(b), maxMessage)
	}
	_, err = c.Write(b)
	return err
}

// read reads one message of less than limit bytes.
func read(c *net.UnixConn, limit int, v any) error {
	buf := make([]byte, limit)
	n, err := c.Read(buf)
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("the other side hung up")
	}
	if n == len(buf) {
		return fmt.Errorf("unreadable message: %d bytes or more", limit)
	}
	if err := json.Unmarshal(buf[:n], v); err != nil {
		return fmt.Errorf("unreadable message: %w", err)
	}
	return nil
}
