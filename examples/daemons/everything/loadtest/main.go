// Command loadtest asks the servers of the program everything, on connections that it keeps and
// on new ones, until its standard input ends. Its argument has the addresses of HTTP, gRPC, UDP
// and metrics, with a comma between them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/cutover-go/cutover/examples/daemons/internal/load"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: loadtest everything HTTP,GRPC,UDP,METRICS")
	}
	if err := load.Run(func(l *load.Load) error { return ask(os.Args[2], l) }); err != nil {
		log.Fatal(err)
	}
}

// ask asks four servers at once.
func ask(addresses string, l *load.Load) error {
	to := strings.Split(addresses, ",")
	if len(to) != 4 {
		return errors.New("want four addresses")
	}
	post := func(c *http.Client, address string) error {
		// A POST without Idempotency-Key is not sent twice by net/http once it was written.
		r, err := c.Post("http://"+address+"/", "text/plain", strings.NewReader("hello"))
		if err != nil {
			return err
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err == nil && r.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", r.Status, text)
		}
		return err
	}
	kept := make([]*http.Client, 16)
	for i := range kept {
		kept[i] = &http.Client{Transport: new(http.Transport)}
	}
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	l.Each("kept", len(kept), 20*time.Millisecond, func(i int) error { return post(kept[i], to[0]) })
	l.Each("new", 4, 20*time.Millisecond, func(int) error { return post(fresh, to[0]) })
	l.Each("metrics", 1, 100*time.Millisecond, func(int) error { return post(fresh, to[3]) })
	for range 8 {
		c, err := net.Dial("udp", to[2])
		if err != nil {
			return err
		}
		n := 0
		l.Each("udp", 1, 10*time.Millisecond, func(int) error { n++; return datagram(c, n) })
	}
	call := pb.SimpleRequest{Payload: &pb.Payload{Body: []byte("hello")}}
	for range 4 {
		c, err := grpc.NewClient(to[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		l.Each("grpc", 4, 20*time.Millisecond, func(int) error {
			_, err := pb.NewTestServiceClient(c).UnaryCall(context.Background(), &call)
			return err
		})
	}
	return nil
}

// datagram sends a number and waits for it.
func datagram(c net.Conn, n int) error {
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	text := fmt.Sprint(n)
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	b := make([]byte, 64)
	got, err := c.Read(b)
	if err == nil && string(b[:got]) != text {
		err = fmt.Errorf("answer %q to %q", b[:got], text)
	}
	return err
}
