//go:build linux

package upgradetest

import (
	"errors"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
	"golang.org/x/sys/unix"
)

// A socketConfig holds the settings of a .socket file.
type socketConfig struct {
	unitConfig
	listen          []listenLine
	service         string
	fdName          string
	backlog         int
	reusePort       bool
	freeBind        bool
	noDelay         bool
	keepAlive       bool
	flushPending    bool
	removeOnStop    bool
	ipv6Only        string
	mode            int
	dirMode         int
	triggerInterval time.Duration
	triggerBurst    int
}

// A listenLine is one Listen*= line.
type listenLine struct {
	kind    string // "Stream", "Datagram", "SequentialPacket", "FIFO"
	address string
}

func parseSocket(name string, lines []unitfile.Assignment, version int) (*socketConfig, []string, error) {
	c := &socketConfig{
		unitConfig: defaultUnitConfig(), service: strings.TrimSuffix(name, ".socket") + ".service", fdName: name,
		backlog: unix.SOMAXCONN, ipv6Only: "default", mode: 0o666, dirMode: 0o755,
		triggerInterval: 2 * time.Second, triggerBurst: 20,
	}
	warnings, err := readSettings(c, lines, "Socket", socketSettings(), version)
	if err != nil {
		return nil, nil, err
	}
	more, err := readSettings(&c.unitConfig, lines, "Unit", unitSettings(), version)
	if err != nil {
		return nil, nil, err
	}
	if len(c.listen) == 0 {
		return nil, nil, errors.New("the unit has no ListenStream= or another Listen*= line that could be read")
	}
	return c, append(warnings, more...), nil
}

func socketSettings() settings[socketConfig] {
	type c = socketConfig
	t := settings[c]{
		"Service":                 field(parseText, func(c *c) *string { return &c.service }),
		"FileDescriptorName":      field(parseFDName, func(c *c) *string { return &c.fdName }),
		"Backlog":                 field(parseBacklog, func(c *c) *int { return &c.backlog }),
		"ReusePort":               field(parseBool, func(c *c) *bool { return &c.reusePort }),
		"FreeBind":                field(parseBool, func(c *c) *bool { return &c.freeBind }),
		"NoDelay":                 field(parseBool, func(c *c) *bool { return &c.noDelay }),
		"KeepAlive":               field(parseBool, func(c *c) *bool { return &c.keepAlive }),
		"FlushPending":            field(parseBool, func(c *c) *bool { return &c.flushPending }),
		"RemoveOnStop":            field(parseBool, func(c *c) *bool { return &c.removeOnStop }),
		"BindIPv6Only":            field(oneOf("default", "both", "ipv6-only"), func(c *c) *string { return &c.ipv6Only }),
		"SocketMode":              field(parseOctal, func(c *c) *int { return &c.mode }),
		"DirectoryMode":           field(parseOctal, func(c *c) *int { return &c.dirMode }),
		"TriggerLimitIntervalSec": field(unitfile.Span, func(c *c) *time.Duration { return &c.triggerInterval }),
		"TriggerLimitBurst":       field(parseCount, func(c *c) *int { return &c.triggerBurst }),
		"Accept":                  refusedBut[c]("no", "0", "false", "off"),
	}
	for _, kind := range []string{"Stream", "Datagram", "SequentialPacket", "FIFO"} {
		t["Listen"+kind] = setting[c]{read: func(c *c, value string) error { return c.addListen(kind, value) }}
	}
	for _, name := range []string{"ListenSpecial", "ListenNetlink", "ListenMessageQueue", "ListenUSBFunction",
		"SocketUser", "SocketGroup", "SocketProtocol", "ExecStartPre", "ExecStartPost", "ExecStopPre", "ExecStopPost"} {
		t[name] = refusedBut[c]()
	}
	return t
}

func (c *socketConfig) addListen(kind, address string) error {
	if address == "" {
		c.listen = nil
		return nil
	}
	l := listenLine{kind, address}
	if _, _, err := l.sockaddr(); err != nil {
		return err
	}
	c.listen = append(c.listen, l)
	return nil
}

func parseFDName(value string) (string, error) {
	if !validName(value) {
		return "", errors.New("not a valid descriptor name: it must be printable ASCII without a colon")
	}
	return value, nil
}

func parseBacklog(value string) (int, error) {
	n, err := parseCount(value)
	return min(n, unix.SOMAXCONN), err // the kernel caps it as well
}
