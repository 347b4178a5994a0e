// Package ask is the side of an operator's command, such as `myapp reload`, in its
// conversation with the main process of a service. Package control is the other side.
//
// The main process listens on an AF_UNIX SOCK_SEQPACKET socket. The socket lies in the
// runtime directory of the unit. Without such a directory it has an abstract name that
// contains the pid. The command sends one [Request] and receives one [Answer]; each is
// one JSON value. A command that hangs up before the answer takes its request back.
//
// The two programs may have different versions: unknown fields are ignored, and the
// answer to an unknown verb is an error.
//
// The command may run as root and outside of the sandbox, while the main process is
// compromised. SECURITY.md lists the attacks and the defences.
//
// The package is small because a command that imports nothing else starts quickly: it uses
// neither package net nor a package that does.
package ask

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Verbs.
const (
	Upgrade = "upgrade" // replaces the process; the answer follows the end of the upgrade
	Status  = "status"  // reports the state of the process
)

// Request is the message of the command.
type Request struct {
	Version int    `json:"version"` // always 1
	Verb    string `json:"verb"`

	// Dir is the working directory of the command, and Invocation its INVOCATION_ID. Both
	// are empty for a command without INVOCATION_ID, such as one in a shell.
	Dir        string `json:"dir,omitempty"`
	Invocation string `json:"invocation,omitempty"`
}

// Answer is the result. Error is empty on success.
type Answer struct {
	Error      string `json:"error,omitempty"`
	Code       string `json:"code,omitempty"`       // error of package reexec that Error wraps; "" from an older program
	Phase      string `json:"phase,omitempty"`      // step of an undone upgrade; Successor is its process
	Generation int    `json:"generation,omitempty"` // number of the main process
	PID        int    `json:"pid,omitempty"`        // pid of the main process
	State      string `json:"state,omitempty"`      // state of the main process
	Successor  int    `json:"successor,omitempty"`  // pid of the successor, 0 without one
	Draining   int    `json:"draining,omitempty"`   // number of older generations that drain
	Held       int    `json:"held,omitempty"`       // connections and other holds of the older generations
	Left       int    `json:"left,omitempty"`       // seconds until their last drain deadline
	NotStored  string `json:"not_stored,omitempty"` // reason why the fd store is incomplete, at most 512 bytes

	Detail *Detail `json:"detail,omitempty"` // nil from an older program
}

const (
	// MaxMessage bounds a sent request or answer. Older programs read messages of up to
	// this size.
	MaxMessage = 64 << 10

	// maxReceived bounds a received answer. Older programs send answers that are longer
	// than MaxMessage.
	maxReceived = 256 << 10

	// MaxError bounds a sent error, in bytes. JSON needs at most six bytes for one.
	MaxError = 9 << 10
)

// maxPath is the longest path that fits into sockaddr_un with its NUL, unix(7).
const maxPath = 107

// maxPID is the largest process id, PID_MAX_LIMIT in include/linux/threads.h.
const maxPID = 4 << 20

// Address returns the address of the main process pid: a path, or an abstract name that
// begins with "@". The environment decides. It is the same for the ExecStart= and
// ExecReload= processes of a unit (systemd.exec(5), RuntimeDirectory=).
func Address(lookup func(string) (string, bool), pid int) string {
	if dirs, ok := lookup("RUNTIME_DIRECTORY"); ok && dirs != "" {
		dir, _, _ := strings.Cut(dirs, ":")
		if p := filepath.Join(dir, "control.sock"); len(Unpublished(p, maxPID)) <= maxPath {
			return p
		}
	}
	// Two containers can share a network namespace, and each has a process 1.
	namespace, _ := os.Readlink("/proc/self/ns/pid") // without /proc, both sides use ""
	return fmt.Sprintf("@cutover/%s/%d", namespace, pid)
}

// Unpublished returns the path of the socket of the process pid before its process
// publishes it at address.
func Unpublished(address string, pid int) string {
	return filepath.Join(filepath.Dir(address), "."+strconv.Itoa(pid)+".sock")
}

// Send writes one message.
func Send(c io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > MaxMessage {
		return fmt.Errorf("message of %d bytes, at most %d are possible", len(b), MaxMessage)
	}
	_, err = c.Write(b)
	return err
}

// Receive reads one message of less than limit bytes.
func Receive(c io.Reader, limit int, v any) error {
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
