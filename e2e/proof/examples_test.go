package proof_test

import (
	"path/filepath"
	"testing"

	"github.com/cutover-go/cutover/e2e/proof"
)

// query asks for the TXT record of example, see RFC 1035.
const query = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x00\x00\x10\x00\x01"

func TestExamplesPassEveryStory(t *testing.T) {
	if !*full {
		t.Skip("-full tells the stories to the examples")
	}
	// The example keeps each connection in the fd store, and systemd from 254 on starts a process
	// for each entry that it closes: more of them fill the table of processes of a busy machine.
	tally := proof.TCPLine("127.0.0.1:7070", "1")
	tally.Rate = 10
	for name, probe := range map[string]proof.Probe{
		"http":      proof.HTTP("http://127.0.0.1:8080/"),
		"tally":     tally,
		"fasthttp":  proof.HTTP("http://127.0.0.1:8081/"),
		"metrics":   proof.HTTP("http://127.0.0.1:8180/"),
		"websocket": proof.WebSocket("ws://127.0.0.1:8082/gorilla", "hello"),
		"grpc":      proof.GRPC("http://127.0.0.1:50051"),
		"dns":       proof.UDP("127.0.0.1:5300", []byte(query)),
	} { // a test of examples/http3 has the QUIC client
		t.Run(name, func(t *testing.T) {
			t.Parallel() // a story waits more than it works
			d := proof.Daemon{Dir: "../../examples/" + name, Build: ".", Units: "units", Systemd: *version, Probe: probe}
			if *programs != "" {
				d.Build, d.Binary = "", filepath.Join(*programs, name)
			}
			proof.Run(t, d)
		})
	}
}
