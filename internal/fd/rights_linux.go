package fd

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Rights encodes fds as an SCM_RIGHTS control message. The FDs stay the
// caller's; the kernel duplicates them while the message is sent.
func Rights(fds []*FD) []byte {
	if len(fds) == 0 {
		return nil
	}
	raw := make([]int, len(fds))
	for i, f := range fds {
		raw[i] = f.Raw()
	}
	return unix.UnixRights(raw...)
}

// ParseRights returns the descriptors that came with a message, oob being what
// net.UnixConn.ReadMsgUnix returned; that call made them close-on-exec. The
// caller owns them. On error those that were found are closed.
func ParseRights(oob []byte) (_ []*FD, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, os.NewSyscallError("parse control message", err)
	}
	var fds []*FD
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS {
			continue
		}
		raws, perr := unix.ParseUnixRights(&m)
		err = errors.Join(err, perr)
		for _, raw := range raws {
			fds = append(fds, New(raw))
		}
	}
	if err != nil {
		CloseAll(fds)
		return nil, os.NewSyscallError("parse rights", err)
	}
	return fds, nil
}

// Truncated reports whether the flags of net.UnixConn.ReadMsgUnix say that a part
// of the message was lost: it was too long, or there was no room for its
// descriptors in the buffer or in the process (RLIMIT_NOFILE).
func Truncated(flags int) bool { return flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 }
