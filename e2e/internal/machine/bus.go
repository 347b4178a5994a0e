package machine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// A bus is a connection to the machine's systemd, as systemctl makes one. The start of systemctl
// takes ten times the processor time of an answer.
//
// It is good for one call. systemd sends each connection a message for each change of a unit, so
// an idle connection costs more than a new one.
type bus struct{ net.Conn }

const (
	managerName  = "org.freedesktop.systemd1"
	managerPath  = "/org/freedesktop/systemd1"
	managerOwner = managerName + ".Manager"
)

// withBus calls f with a new connection, which fails after the end of ctx.
func (m *Machine) withBus(ctx context.Context, f func(b *bus) error) error {
	c, err := m.dialManager(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })() // fails only if closed
	b := &bus{c}
	if err = b.authenticate(); err == nil {
		err = f(b)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// authenticate does the handshake with BEGIN before the answer, as systemctl does. systemd forgets
// a message that it reads together with BEGIN until another message comes.
func (b *bus) authenticate() error {
	if _, err := io.WriteString(b, "\x00AUTH EXTERNAL 30\r\nBEGIN\r\n"); err != nil {
		return err
	}
	var line []byte
	for c := make([]byte, 1); c[0] != '\n'; line = append(line, c[0]) {
		if _, err := io.ReadFull(b, c); err != nil {
			return fmt.Errorf("systemd does not answer: %w", err)
		}
	}
	if !bytes.HasPrefix(line, []byte("OK ")) {
		return fmt.Errorf("systemd answers %q", line)
	}
	return nil
}

// call calls a method and returns the answer. The error of a refusal is a [dbus.Error].
func (b *bus) call(object dbus.ObjectPath, owner, method string, args ...any) ([]any, error) {
	m := &dbus.Message{Type: dbus.TypeMethodCall, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(managerName),
		dbus.FieldPath:        dbus.MakeVariant(object),
		dbus.FieldInterface:   dbus.MakeVariant(owner),
		dbus.FieldMember:      dbus.MakeVariant(method),
	}}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	var text bytes.Buffer
	if err := m.EncodeTo(&text, binary.LittleEndian); err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(text.Bytes()[8:], 1) // the serial number, which must not be 0
	if _, err := b.Write(text.Bytes()); err != nil {
		return nil, err
	}
	for {
		m, err := b.receive()
		switch {
		case err != nil:
			return nil, err
		case m.Type == dbus.TypeMethodReply:
			return m.Body, nil
		case m.Type == dbus.TypeError:
			name, _ := m.Headers[dbus.FieldErrorName].Value().(string)
			return nil, dbus.Error{Name: name, Body: m.Body}
		}
	}
}

// receive returns the next message. It is read as a whole first, because the decoder panics if a
// read fails.
func (b *bus) receive() (*dbus.Message, error) {
	text := make([]byte, 16)
	if _, err := io.ReadFull(b, text); err != nil {
		return nil, err
	}
	if text[0] != 'l' {
		return nil, errors.New("the message is not little-endian")
	}
	body, fields := binary.LittleEndian.Uint32(text[4:]), binary.LittleEndian.Uint32(text[12:])
	rest := make([]byte, (int(fields)+7)&^7+int(body))
	if _, err := io.ReadFull(b, rest); err != nil {
		return nil, err
	}
	return dbus.DecodeMessage(bytes.NewReader(append(text, rest...)))
}

// unitPath is the object of a unit. All bytes of its name except letters and digits are escaped,
// and a digit at its start.
func unitPath(unit string) dbus.ObjectPath {
	var b strings.Builder
	b.WriteString(managerPath + "/unit/")
	for i := range len(unit) {
		switch c := unit[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return dbus.ObjectPath(b.String())
}
