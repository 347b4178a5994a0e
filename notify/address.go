package notify

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/fd"
)

// maxPath is the room in sun_path of unix(7) without the NUL that ends a path or
// begins an abstract name.
const maxPath = 107

// An address is the manager's: unix if that is not empty, else vsock.
type address struct {
	unix  string
	vsock fd.Vsock
}

// parseAddress parses the forms that sd_notify(3) allows for $NOTIFY_SOCKET.
func parseAddress(text string) (address, error) {
	if strings.HasPrefix(text, "vsock") {
		v, err := parseVsock(text)
		return address{vsock: v}, err
	}
	name, abstract := strings.CutPrefix(text, "@")
	switch {
	case !abstract && !strings.HasPrefix(text, "/"), name == "":
		return address{}, errors.New("neither an absolute path, nor @ and an abstract name, nor vsock:CID:PORT")
	case len(name) > maxPath:
		return address{}, fmt.Errorf("longer than the %d bytes of a unix socket address", maxPath)
	case strings.ContainsRune(name, 0):
		return address{}, errors.New("has a NUL")
	}
	return address{unix: text}, nil
}

// parseVsock parses vsock:CID:PORT (systemd 253), and the forms that fix the
// type of the socket (256).
func parseVsock(text string) (fd.Vsock, error) {
	kinds := map[string]fd.VsockKind{
		"vsock":           fd.VsockAny,
		"vsock-dgram":     fd.VsockDatagram,
		"vsock-seqpacket": fd.VsockPacket,
		"vsock-stream":    fd.VsockStream,
	}
	scheme, rest, _ := strings.Cut(text, ":")
	kind, known := kinds[scheme]
	cid, port, found := strings.Cut(rest, ":")
	if !known || !found {
		return fd.Vsock{}, errors.New("not of the form vsock:CID:PORT, vsock-stream:CID:PORT, vsock-dgram:CID:PORT or vsock-seqpacket:CID:PORT")
	}
	c, err := parseVsockNumber("CID", cid)
	if err != nil {
		return fd.Vsock{}, err
	}
	p, err := parseVsockNumber("port", port)
	return fd.Vsock{Kind: kind, CID: c, Port: p}, err
}

// parseVsockNumber parses a CID or a port. All ones is "any", to which no message
// can be sent.
func parseVsockNumber(what, text string) (uint32, error) {
	const wildcard = 1<<32 - 1
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == wildcard {
		return 0, fmt.Errorf("%s %q is not a number below %d", what, text, uint32(wildcard))
	}
	return uint32(n), nil
}
