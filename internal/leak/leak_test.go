//go:build linux

package leak_test

import (
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/leak"
)

// TestWhatIsLeftIsFound is not parallel: it counts the descriptors of the process.
func TestWhatIsLeftIsFound(t *testing.T) {
	if code := leak.Check(func() int { return 0 }); code != 0 {
		t.Errorf("exit status %d with nothing left", code)
	}
	var left *os.File
	if code := leak.Check(func() int {
		left, _ = os.Open(os.DevNull)
		return 0
	}); code != 1 {
		t.Errorf("exit status %d with a descriptor left", code)
	}
	left.Close()
}

// TestATimerIsNoLeak has a timer that fires all the time, so a goroutine of it can start
// after any look at the goroutines.
func TestATimerIsNoLeak(t *testing.T) {
	for range 20 {
		var timer *time.Timer
		var stopped atomic.Bool
		ready := make(chan struct{})
		timer = time.AfterFunc(time.Microsecond, func() {
			if <-ready; !stopped.Load() {
				timer.Reset(100 * time.Microsecond)
			}
		})
		if code := leak.Check(func() int {
			close(ready)
			return 0
		}); code != 0 {
			t.Errorf("exit status %d with a timer", code)
		}
		stopped.Store(true)
	}
}

// TestSplicePipesAreNone copies from one TCP connection to another, which package net
// does through a pipe that it keeps.
func TestSplicePipesAreNone(t *testing.T) {
	var during []string
	if code := leak.Check(func() int {
		client, server := connected(t)
		back, sink := connected(t)
		client.Write([]byte("spliced"))
		client.Close()
		if n, err := io.Copy(sink, server); n != 7 || err != nil {
			t.Errorf("copied %d, %v", n, err)
		}
		for _, c := range []net.Conn{server, back, sink} {
			c.Close()
		}
		during = leak.Descriptors()
		return 0
	}); code != 0 {
		t.Errorf("exit status %d with nothing left", code)
	}
	if !slices.ContainsFunc(during, func(open string) bool { return strings.Contains(open, " pipe:") }) {
		t.Errorf("package net keeps no pipe: %q", during)
	}
}

func connected(t *testing.T) (client, server net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}
