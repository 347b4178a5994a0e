// Command everything is one program with four servers: HTTP, gRPC, UDP and a port for metrics.
package main

import (
	"context"
	"expvar"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"
)

var requests = expvar.NewInt("requests")

func main() {
	web := flag.String("http", ":8080", "serve HTTP on this `address`")
	rpc := flag.String("grpc", ":50051", "serve gRPC on this `address`")
	udp := flag.String("udp", ":7007", "answer datagrams on this `address`")
	metrics := flag.String("metrics", "localhost:9090", "serve metrics on this `address`")
	flag.Parse()

	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "pid=%d bytes=%d\n", os.Getpid(), n)
	})

	go func() { log.Fatal(http.ListenAndServe(*metrics, expvar.Handler())) }()
	go func() {
		ln, err := net.Listen("tcp", *rpc)
		if err != nil {
			log.Fatal(err)
		}
		s := grpc.NewServer()
		pb.RegisterTestServiceServer(s, service{})
		log.Fatal(s.Serve(ln))
	}()
	go func() {
		c, err := net.ListenPacket("udp", *udp)
		if err != nil {
			log.Fatal(err)
		}
		log.Fatal(echo(c))
	}()
	log.Fatal(http.ListenAndServe(*web, mux))
}

// echo returns each datagram.
func echo(c net.PacketConn) error {
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return err
		}
		requests.Add(1)
		if _, err := c.WriteTo(b[:n], from); err != nil {
			log.Print(err)
		}
	}
}

type service struct {
	pb.UnimplementedTestServiceServer
}

// UnaryCall returns its payload.
func (service) UnaryCall(_ context.Context, r *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	requests.Add(1)
	return &pb.SimpleResponse{Payload: r.Payload}, nil
}
