package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/conformance/internal/order"
)

// rawDescriptors looks at what was passed without the help of package activation.
func rawDescriptors() (all []order.Raw) {
	count, _ := strconv.Atoi(os.Getenv("LISTEN_FDS")) // 0 if it is not set
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range min(count, len(names)) {
		all = append(all, rawDescriptor(3+i, names[i]))
	}
	return all
}

func rawDescriptor(fd int, name string) order.Raw {
	r := order.Raw{Name: name}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil {
		r.Inode = st.Ino
	}
	if cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE); err == nil {
		r.Cookie = cookie
	}
	if seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err == nil && seals&unix.F_SEAL_WRITE != 0 {
		buf := make([]byte, 64)
		n, _ := unix.Pread(fd, buf, 0) // what cannot be read is no content
		r.Content = string(buf[:max(n, 0)])
	}
	return r
}
