package notify

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxMessage is the largest message that the manager reads: NOTIFY_BUFFER_MAX of
// systemd 247 to 262. A longer one is dropped whole.
const maxMessage = 4096

// appendMessage checks assignments and appends the message that they make to buf.
func appendMessage(buf []byte, assignments []Assignment) ([]byte, error) {
	room, err := check(assignments)
	if err != nil {
		return nil, err
	}
	for i := range assignments {
		a := &assignments[i]
		if i > 0 {
			buf = append(buf, '\n')
		}
		buf = append(append(buf, a.key...), '=')
		if a.free {
			buf = appendFolded(buf, a.value, room)
			continue
		}
		buf = append(buf, a.value...)
		if a.stamp != "" {
			buf = append(append(buf, "\nMONOTONIC_USEC="...), a.stamp...)
		}
	}
	return buf, nil
}

// check reports the first mistake in assignments; without one it returns the
// bytes that are left for a free text.
func check(assignments []Assignment) (room int, err error) {
	if len(assignments) == 0 {
		return 0, errors.New("nothing to send")
	}
	room = maxMessage + len("\n")
	for i := range assignments {
		a := &assignments[i]
		if err := a.check(); err != nil {
			return 0, err
		}
		if err := a.conflict(assignments[:i]); err != nil {
			return 0, err
		}
		room -= a.size()
	}
	if room < 0 {
		return 0, fmt.Errorf("message of %d bytes: the manager drops what is longer than %d; send less at once", maxMessage-room, maxMessage)
	}
	return room, nil
}

// check returns the mistake in a alone.
func (a *Assignment) check() error {
	switch {
	case a.key == "":
		return errors.New("the zero Assignment says nothing")
	case a.err != nil:
		return a.err
	case a.needsFile() && a.file == nil:
		return fmt.Errorf("%s= without a file", a.key)
	case !a.free && strings.ContainsAny(a.value, "\n\r\x00"):
		return fmt.Errorf("%s=%q: a line break or NUL would end the assignment", a.key, a.value)
	case !a.free && !utf8.ValidString(a.value):
		return fmt.Errorf("%s=%q: not UTF-8", a.key, a.value)
	}
	return nil
}

// conflict returns an error if a cannot go into one message with another assignment.
func (a *Assignment) conflict(earlier []Assignment) error {
	for i := range earlier {
		e := &earlier[i]
		switch {
		case e.key == a.key:
			return fmt.Errorf("%s= twice in one message: the manager takes the first and drops the second", a.key)
		case e.file != nil && a.file != nil:
			return fmt.Errorf("%s= and %s= each need a message of their own for the descriptor", e.key, a.key)
		case e.isState() && a.isState() && !(e.key == "RELOADING" && a.key == "READY"):
			// Since 253 STOPPING wins over READY, READY over RELOADING; up to 252
			// the last one in the text wins.
			return fmt.Errorf("%s= and %s= in one message mean different things to different versions of systemd; send two", e.key, a.key)
		}
	}
	return nil
}

// needsFile reports whether a means nothing without a descriptor beside it.
func (a *Assignment) needsFile() bool {
	return a.key == "FDSTORE" || a.key == "BARRIER" || a.key == "MAINPIDFD"
}

// isState reports whether a moves the unit from one state to another.
func (a *Assignment) isState() bool {
	return a.key == "READY" || a.key == "RELOADING" || a.key == "STOPPING"
}

// size is the number of bytes that a takes, its line break included, a free text
// not counted.
func (a *Assignment) size() int {
	n := len(a.key) + len("=\n")
	if !a.free {
		n += len(a.value)
	}
	if a.stamp != "" {
		n += len("MONOTONIC_USEC=\n") + len(a.stamp)
	}
	return n
}
