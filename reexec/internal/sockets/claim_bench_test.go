//go:build linux

package sockets_test

import (
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
)

// The time of a successor for each listener of its predecessor, beside net.FileListener.
func BenchmarkListenerOfThePredecessor(b *testing.B) {
	for _, n := range []int{4, 400, 4000} {
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("@%s/%d", b.Name(), n)})
		if err != nil {
			b.Fatal(err)
		}
		defer ln.Close()
		entries := make([]handover.Entry, n)
		for i := range entries {
			entries[i] = handover.Entry{Name: "http", Index: i, Origin: handover.OriginUnit}
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				fds := copies(b, ln, n)
				b.StartTimer()
				s := sockets.FromPredecessor(entries, fds, drain.NewCounter(func() {}), slog.New(slog.DiscardHandler))
				for range n {
					if _, err := s.Listen(b.Context(), "http", "unix", ""); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				_ = s.Close() // the socket is the one of ln
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/listener")
		})
		b.Run(fmt.Sprintf("%d/bare", n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				fds := copies(b, ln, n)
				all := make([]net.Listener, 0, n)
				b.StartTimer()
				for _, f := range fds {
					l, err := f.Listener()
					if err != nil {
						b.Fatal(err)
					}
					l.(*net.UnixListener).SetUnlinkOnClose(false)
					all = append(all, l)
				}
				b.StopTimer()
				for _, l := range all {
					_ = l.Close() // as above
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/listener")
		})
	}
}

func copies(b *testing.B, of syscall.Conn, n int) (all []*fd.FD) {
	for range n {
		f, err := fd.DupOf(of)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}
