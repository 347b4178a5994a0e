package machine

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// DialContext connects to addr in the machine's network; paths of unix sockets are the
// machine's as well. The connection is an ordinary one of this process; while it is
// open, the machine's network outlives the machine. An internet address must be a
// number: there is no resolver in the machine.
//
// It fits [net/http.Transport.DialContext].
func (m *Machine) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	// net resolves a name in other goroutines, and would then make the socket in one:
	// outside.
	if !strings.HasPrefix(network, "unix") {
		if _, err := netip.ParseAddrPort(addr); err != nil {
			return nil, fmt.Errorf("machine: dial a numeric address: %w", err)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(m.threads.open, func() { cancel(errClosed) })()
	var c net.Conn
	var err error
	if terr := m.threads.do(ctx, func() { c, err = new(net.Dialer).DialContext(ctx, network, addr) }); terr != nil {
		return nil, terr
	}
	return c, err
}
