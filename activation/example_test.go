package activation_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/notify"
)

// A server that takes its listeners from a .socket unit with
//
//	[Socket]
//	ListenStream=8080
//	FileDescriptorName=http
//
// and binds for itself when it is started by hand.
func Example() {
	set, err := activation.Take()
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	listeners, err := set.Listeners("http")
	if err != nil {
		log.Fatal(err)
	}
	if len(listeners) == 0 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		listeners = append(listeners, ln)
	}

	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello")
	})}
	served := make(chan error, len(listeners))
	for _, ln := range listeners {
		go func() { served <- server.Serve(ln) }() // ends by server.Close
	}

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + listeners[0].Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	response.Body.Close()
	fmt.Println(string(body))

	server.Close()
	for range listeners {
		<-served
	}
	// Output: hello
}

// A program that cannot do without its socket says what the unit lacks.
func ExampleSet_One() {
	set, err := activation.Take()
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()

	_, err = set.One("dns")
	if errors.Is(err, activation.ErrNotPassed) {
		fmt.Println(err)
	}
	// Output: activation: descriptor "dns": not passed: nothing is left to claim: start the service through a .socket unit that says FileDescriptorName=dns
}

// What nobody claims is closed, and taken out of the file descriptor store as well:
// it would come again at the next start. That of a .socket unit is not in the store,
// and comes again all the same.
func ExampleSet_Names() {
	set, err := activation.Take()
	if err != nil {
		log.Fatal(err)
	}
	n, err := notify.New() // nil where there is no manager, and does nothing
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()

	listeners, err := set.Listeners("http")
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := set.Conns("session")
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range append(set.Names(), set.Duplicates()...) {
		if err := n.Remove(context.Background(), name); err != nil {
			log.Fatal(err)
		}
	}
	if err := set.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(listeners), "listeners,", len(sessions), "sessions")
	// Output: 0 listeners, 0 sessions
}

// A generic program decides by the kind of each descriptor.
func ExampleSet_All() {
	set, err := activation.Take()
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	for _, d := range set.All() {
		switch d.Kind {
		case activation.KindListener:
			ln, err := d.Listener()
			if err != nil {
				log.Fatal(err)
			}
			defer ln.Close()
			fmt.Println("serving on", ln.Addr())
		case activation.KindConnection:
			fmt.Println("serving", d.Peer)
		default:
			fmt.Println("not for us:", d) // Close of the Set closes it
		}
	}
	fmt.Println("ready")
	// Output: ready
}
