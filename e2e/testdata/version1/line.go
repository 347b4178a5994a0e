package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
)

// The kinds of messages, by their numbers in the documentation of the protocol.
const (
	hello       = 1
	descriptors = 2
	received    = 3
	ready       = 4
	failed      = 5
	goAhead     = 6
	serving     = 7
	committing  = 8
	committed   = 9
	stopping    = 10
	superseded  = 11
	goodbye     = 12
	states      = 13
	draining    = 128
)

// known are the kinds that must be understood. Others from 128 on may be skipped.
var known = []byte{hello, descriptors, received, ready, failed, goAhead, serving, committing, committed,
	stopping, superseded, goodbye, states, draining}

// body has the fields of all messages.
type body struct {
	Min         int      `json:"min,omitempty"`
	Max         int      `json:"max,omitempty"`
	PID         int      `json:"pid,omitempty"`
	PPID        int      `json:"ppid,omitempty"`
	Generation  int      `json:"generation,omitempty"`
	Entries     []entry  `json:"entries,omitempty"`
	Last        bool     `json:"last,omitempty"`
	Reason      string   `json:"reason,omitempty"`
	Names       []string `json:"names,omitempty"`
	Stored      []string `json:"stored,omitempty"`
	Generations int      `json:"generations,omitempty"`

	// Novelty is an unknown field.
	Novelty any `json:"novelty,omitempty"`
}

type entry struct {
	Name   string `json:"name"`
	Index  int    `json:"index"`
	Origin string `json:"origin"`
}

type message struct {
	kind byte
	body
	files []*os.File
}

// A line is one end of the conversation of two generations.
type line struct{ conn *net.UnixConn }

func newLine(f *os.File) (*line, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return &line{c.(*net.UnixConn)}, nil
}

// say writes one message. A chatty program also sends unknown messages.
func (l *line) say(kind byte, b body, files ...*os.File) error {
	if manner == "chatty" {
		b.Novelty = map[string]any{"said": []int{1, 2, 3}}
		null, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		defer null.Close()
		if err := l.write(200, body{Novelty: "a hint"}, null); err != nil {
			return err
		}
	}
	return l.write(kind, b, files...)
}

func (l *line) write(kind byte, b body, files ...*os.File) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	var raw []int
	for _, f := range files {
		raw = append(raw, int(f.Fd()))
	}
	_, _, err = l.conn.WriteMsgUnix(append([]byte{'C', 'O', 1, kind}, text...), syscall.UnixRights(raw...), nil)
	return err
}

// hear reads the next message that means something.
func (l *line) hear() (m message, err error) {
	for {
		m, err = l.read()
		if err != nil || slices.Contains(known, m.kind) {
			return m, err
		}
		for _, f := range m.files {
			f.Close()
		}
		if m.kind < 128 {
			return m, fmt.Errorf("kind %d is unknown", m.kind)
		}
	}
}

func (l *line) read() (m message, err error) {
	frame, oob := make([]byte, 128<<10+1), make([]byte, syscall.CmsgSpace(4*253))
	n, oobn, _, _, err := l.conn.ReadMsgUnix(frame, oob)
	if err != nil {
		return m, err
	}
	if n < 4 || string(frame[:3]) != "CO\x01" {
		return m, fmt.Errorf("%q is no frame of version 1", frame[:n])
	}
	m.kind = frame[3]
	if m.files, err = files(oob[:oobn]); err != nil {
		return m, err
	}
	return m, json.Unmarshal(frame[4:n], &m.body)
}

func files(oob []byte) (all []*os.File, err error) {
	parts, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		raw, err := syscall.ParseUnixRights(&part)
		if err != nil {
			return nil, err
		}
		for _, fd := range raw {
			syscall.CloseOnExec(fd)
			all = append(all, os.NewFile(uintptr(fd), "received"))
		}
	}
	return all, nil
}

// expect reads a message that must be of one kind.
func (l *line) expect(kind byte) (message, error) {
	m, err := l.hear()
	switch {
	case err != nil:
		return m, err
	case m.kind == failed:
		return m, errors.New(m.Reason)
	case m.kind != kind:
		return m, fmt.Errorf("got kind %d instead of %d", m.kind, kind)
	}
	return m, nil
}

// greet exchanges greetings.
func (l *line) greet(ours body) (theirs message, err error) {
	ours.Min, ours.Max = 1, 1
	if manner == "speaks2" {
		ours.Min, ours.Max = 2, 2
	}
	if err := l.say(hello, ours); err != nil {
		return theirs, err
	}
	theirs, err = l.expect(hello)
	if err == nil && (theirs.Min > 1 || theirs.Max < 1) {
		err = fmt.Errorf("the other program speaks versions %d to %d", theirs.Min, theirs.Max)
	}
	return theirs, err
}

// over reports whether err says that the other side is gone.
func over(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) }
