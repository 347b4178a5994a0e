package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// A control is the socket at which a reload command asks for an upgrade.
type control struct {
	asked       chan command
	bound, name string
}

// A command is one that waits for its answer.
type command struct{ conn net.Conn }

// listenControl opens the socket beside its name, which is the predecessor's.
func listenControl() (*control, error) {
	dir := os.Getenv("RUNTIME_DIRECTORY")
	c := &control{
		asked: make(chan command),
		bound: filepath.Join(dir, fmt.Sprintf(".%d.sock", os.Getpid())),
		name:  filepath.Join(dir, "control.sock"),
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: c.bound, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	go c.accept(l) // ends with the process
	return c, nil
}

func (c *control) publish() error { return os.Rename(c.bound, c.name) }

func (c *control) accept(l *net.UnixListener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		var request struct{ Verb string }
		buf := make([]byte, 64<<10)
		n, _ := conn.Read(buf) // nothing, if it has gone
		if json.Unmarshal(buf[:n], &request) != nil || request.Verb != "upgrade" {
			command{conn}.answer(0, fmt.Errorf("%q is no request for an upgrade", buf[:n]))
			continue
		}
		c.asked <- command{conn}
	}
}

// answer says which generation serves now, or why there is no new one.
func (c command) answer(generation int, err error) {
	defer c.conn.Close()
	result := map[string]any{"generation": generation}
	if err != nil {
		result = map[string]any{"error": err.Error()}
	}
	text, _ := json.Marshal(result) // numbers and text always can be
	c.conn.Write(text)
}
