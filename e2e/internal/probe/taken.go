package probe

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/activation"
)

// Taken describes the descriptors that a probe has found: the text of its hello, as JSON.
type Taken struct {
	Raw        []Raw    // descriptors from 3 on, as the manager left them
	Passed     []Passed // the same, as package activation tells
	Duplicates []string // names of the sockets that package activation found twice
	TakeError  string
	TakeTime   time.Duration // of activation.Take
}

// A Raw describes a passed descriptor as the kernel reports it.
type Raw struct {
	Name        string // in LISTEN_FDNAMES
	Inode       uint64
	Cookie      uint64 // SO_COOKIE of a socket
	Content     string // of a memfd
	NonBlocking bool
}

// A Passed is a descriptor of package activation.
type Passed struct {
	Name, Kind, Network, Addr, Peer string
}

// rawDescriptors describes the passed descriptors without package activation.
func rawDescriptors() (all []Raw) {
	count, _ := strconv.Atoi(os.Getenv("LISTEN_FDS")) // 0 if it is not set
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range min(count, len(names)) {
		all = append(all, rawDescriptor(3+i, names[i]))
	}
	return all
}

func rawDescriptor(fd int, name string) Raw {
	r := Raw{Name: name}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil {
		r.Inode = st.Ino
	}
	if cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE); err == nil {
		r.Cookie = cookie
	}
	if seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err == nil && seals&unix.F_SEAL_WRITE != 0 {
		buf := make([]byte, 64)
		n, _ := unix.Pread(fd, buf, 0) // an unreadable file has no content
		r.Content = string(buf[:max(n, 0)])
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	r.NonBlocking = err == nil && flags&unix.O_NONBLOCK != 0
	return r
}

// take takes the passed descriptors, as a program does first.
func (p *program) take(taken *Taken) error {
	begin := time.Now()
	set, err := activation.Take()
	taken.TakeTime = time.Since(begin)
	if errors.Is(err, activation.ErrEnvironment) {
		taken.TakeError = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	p.set = set
	taken.Duplicates = set.Duplicates()
	for _, d := range set.All() {
		taken.Passed = append(taken.Passed, Passed{
			Name: d.Name, Kind: d.Kind.String(), Network: d.Network, Addr: text(d.Addr), Peer: text(d.Peer),
		})
	}
	return nil
}

func text(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}
