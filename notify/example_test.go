//go:build linux

package notify_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/cutover-go/cutover/notify"
)

// A service starts, serves and stops. Here no manager listens, so that New
// returns nil, which every method accepts.
func Example() {
	ctx := context.Background()
	n, err := notify.New()
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()

	// ... open what the service needs ...
	if err := n.Send(ctx, notify.Ready, notify.Status("serving")); err != nil {
		log.Fatal(err)
	}
	// ... serve ...
	if err := n.Send(ctx, notify.Stopping); err != nil {
		log.Fatal(err)
	}
	fmt.Println("told or not, the service did its work")
	// Output: told or not, the service did its work
}

// printer opens a socket in place of systemd's. received prints the next message.
func printer() (address string, received func(), end func()) {
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		log.Fatal(err)
	}
	address = filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		log.Fatal(err)
	}
	received = func() {
		text := make([]byte, 4096)
		n, err := conn.Read(text)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n\n", text[:n])
	}
	return address, received, func() {
		conn.Close()
		os.RemoveAll(dir)
	}
}

// One message is acted upon as a whole. Any text makes a status.
func ExampleNotifier_Send() {
	address, received, end := printer()
	defer end()
	n, err := notify.Dial(address) // a service calls New
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cause := errors.Join(errors.New("new version refused"), errors.New("config: no listener"))
	if err := n.Send(ctx, notify.Ready, notify.Status(cause.Error())); err != nil {
		log.Fatal(err)
	}
	received()

	err = n.Send(ctx, notify.Ready, notify.Custom("X_NOTE", "two\nlines"))
	fmt.Println(err)
	// Output:
	// READY=1
	// STATUS=new version refused; config: no listener
	//
	// notify: X_NOTE="two\nlines": a line break or NUL would end the assignment
}

// State survives a restart as a sealed file in memory. What comes back from the
// store, by package activation, is read by ReadMemfd.
func ExampleNotifier_Store() {
	address, received, end := printer()
	defer end()
	n, err := notify.Dial(address) // a service calls New
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()

	ctx := context.Background()
	state, err := notify.Memfd("counter", []byte("42"))
	if err != nil {
		log.Fatal(err)
	}
	defer state.Close() // the manager has its own
	if err := n.Store(ctx, "counter", state); err != nil {
		log.Fatal(err)
	}
	received()

	counter, err := notify.ReadMemfd(state)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("counter %s\n\n", counter)

	if err := n.Remove(ctx, "counter"); err != nil {
		log.Fatal(err)
	}
	received()
	// Output:
	// FDSTORE=1
	// FDNAME=counter
	//
	// counter 42
	//
	// FDSTOREREMOVE=1
	// FDNAME=counter
}

// A check that fails lets the watchdog starve and tells the operator why.
func ExampleNotifier_RunWatchdog() {
	address, received, end := printer()
	defer end()
	n, err := notify.Dial(address) // a service calls New, and has WatchdogSec= in its unit
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := n.Send(ctx, notify.WatchdogTimeout(30*time.Second)); err != nil {
		log.Fatal(err)
	}
	received()

	done := make(chan error, 1)
	go func() { // ends with ctx
		done <- n.RunWatchdog(ctx, func(context.Context) error {
			return errors.New("disk is full")
		})
	}()
	received()
	cancel()
	fmt.Println(<-done)
	// Output:
	// WATCHDOG_USEC=30000000
	//
	// STATUS=watchdog: disk is full
	//
	// notify: watchdog not fed: disk is full
}
