package activation

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
)

// ErrNotPassed is wrapped by the error of [Set.One] for a name that nothing was
// passed under, or nothing that is still unclaimed.
var ErrNotPassed = errors.New("not passed")

// Claim returns the descriptors called name in the order passed, and makes them
// the caller's: Close of the Set leaves them alone. It returns nil if there are
// none. Several are normal: all sockets of one .socket unit have the same name,
// in the order of the unit's Listen*= lines.
func (s *Set) Claim(name string) []*Descriptor {
	var claimed, rest []*Descriptor
	for _, d := range s.All() {
		if d.Name == name {
			claimed = append(claimed, d)
		} else {
			rest = append(rest, d)
		}
	}
	s.unclaimed = rest
	return claimed
}

// One claims the only descriptor called name. None is an error wrapping
// [ErrNotPassed]; several are an error, too. Both errors name the setting that the
// unit needs, and neither claims anything. Use Claim or Listeners if the program
// also works without the descriptor.
func (s *Set) One(name string) (*Descriptor, error) {
	switch named := s.named(name); len(named) {
	case 1:
		return s.Claim(name)[0], nil
	case 0:
		return nil, fmt.Errorf("activation: descriptor %q: %w: %s", name, ErrNotPassed, s.missing(name))
	default:
		return nil, fmt.Errorf("activation: descriptor %q: %d were passed, want one: give each Listen line a .socket unit "+
			"and a FileDescriptorName= of its own, or claim them all", name, len(named))
	}
}

// named returns the unclaimed descriptors called name.
func (s *Set) named(name string) []*Descriptor {
	return slices.DeleteFunc(s.All(), func(d *Descriptor) bool { return d.Name != name })
}

// missing says how a descriptor called name would have come.
func (s *Set) missing(name string) string {
	all := s.All()
	if len(all) == 0 {
		return "nothing is left to claim: start the service through a .socket unit that says FileDescriptorName=" + name
	}
	there := make([]string, len(all))
	for i, d := range all {
		there[i] = d.String()
	}
	return fmt.Sprintf("the .socket unit must say FileDescriptorName=%s; there are %s", name, strings.Join(there, ", "))
}

// Listeners claims the descriptors called name as listeners, in the order passed.
// It returns nil and no error if there are none. If one is of another kind nothing
// is claimed, and the error names the setting that the unit needs; if the kernel
// refuses one, all of that name are closed.
//
// The caller owns the listeners. Closing one does not remove the path of a unix
// socket, which belongs to the .socket unit.
func (s *Set) Listeners(name string) ([]net.Listener, error) {
	return claimAs(s, name, KindListener, (*Descriptor).Listener)
}

// PacketConns claims the descriptors called name as datagram sockets; as Listeners.
func (s *Set) PacketConns(name string) ([]net.PacketConn, error) {
	return claimAs(s, name, KindDatagram, (*Descriptor).PacketConn)
}

// Conns claims the descriptors called name as connections; as Listeners. A service
// that is started once for each connection (Accept=yes) has one, which systemd
// before 257 calls "connection" whatever the unit says.
func (s *Set) Conns(name string) ([]net.Conn, error) {
	return claimAs(s, name, KindConnection, (*Descriptor).Conn)
}

// Files claims the descriptors called name as files, whatever they are.
func (s *Set) Files(name string) []*os.File {
	var files []*os.File
	for _, d := range s.Claim(name) {
		files = append(files, d.File())
	}
	return files
}

func claimAs[T io.Closer](s *Set, name string, kind Kind, turn func(*Descriptor) (T, error)) ([]T, error) {
	for _, d := range s.named(name) {
		if err := d.want(kind); err != nil {
			return nil, fmt.Errorf("activation: %w", err)
		}
	}
	var turned []T
	claimed := s.Claim(name)
	for i, d := range claimed {
		t, err := turn(d)
		if err != nil {
			closeAll(claimed[i:])
			closeAll(turned)
			return nil, err
		}
		turned = append(turned, t)
	}
	return turned, nil
}

// closeAll closes descriptors that were claimed together with a failed one. The
// caller reports the error of the failed one.
func closeAll[T io.Closer](cs []T) {
	for _, c := range cs {
		_ = c.Close()
	}
}
