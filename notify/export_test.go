package notify

import (
	"os"
	"time"
)

// Render is what Send makes of assignments.
func Render(assignments ...Assignment) ([]byte, error) { return appendMessage(nil, assignments) }

// RenderStore is what Store makes of one file that is given name.
func RenderStore(name string) ([]byte, error) {
	if err := new(Notifier).checkStore(name, 1); err != nil {
		return nil, err
	}
	return appendMessage(nil, storing(name, os.Stdin))
}

// ParseAddress parses an address as Dial does; what it returns can be compared.
func ParseAddress(text string) (any, error) { return parseAddress(text) }

// ReadEnvironment reads what New reads.
func ReadEnvironment(lookup func(string) (string, bool), pid int) (socket string, watchdog time.Duration, storeMax int, err error) {
	e, err := readEnvironment(lookup, pid)
	return e.socket, e.watchdog, e.storeMax, err
}

// A SendFunc sends one message without blocking.
type SendFunc = func(raw uintptr, text, rights []byte) error

// WrapSend puts wrap around the system call that n sends with.
func WrapSend(n *Notifier, wrap func(SendFunc) SendFunc) {
	s := n.socket.(*socket)
	s.sendmsg = wrap(s.sendmsg)
}

// NewCourier returns a Notifier that makes a connection for each message, in the
// way that vsock without datagrams asks for.
func NewCourier(open func() (*os.File, bool, error), connect func(raw uintptr) error) *Notifier {
	return &Notifier{turn: make(chan struct{}, 1), socket: &courier{open: open, connect: connect}}
}
