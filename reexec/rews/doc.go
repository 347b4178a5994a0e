// Package rews lets established WebSockets go on in the next process of a program. No client
// sees its connection close, and each message arrives once, in both directions.
//
// The successor calls the program's own handler again, with the request of the handshake and
// a ResponseWriter whose Hijack returns the moved connection. Routes, authentication, and the
// library with its options are the program's. A program for gorilla/websocket:
//
//	package main
//
//	import (
//		"log"
//		"net/http"
//		"os"
//
//		"github.com/gorilla/websocket"
//
//		"github.com/cutover-go/cutover/reexec"
//		"github.com/cutover-go/cutover/reexec/rehttp"
//		"github.com/cutover-go/cutover/reexec/rews"
//	)
//
//	var upgrader websocket.Upgrader
//
//	func echo(w http.ResponseWriter, r *http.Request) {
//		c, err := upgrader.Upgrade(w, r, nil)
//		if err != nil {
//			log.Print(err)
//			return
//		}
//		defer c.Close()
//		if state, moved := rews.State(r); moved {
//			log.Printf("%s goes on: %s", r.RemoteAddr, state) // and gets no greeting
//		}
//		for {
//			kind, message, err := c.ReadMessage()
//			if err != nil {
//				rews.Leave(r, []byte("the room of the client"))
//				return
//			}
//			if c.WriteMessage(kind, message) != nil {
//				return
//			}
//		}
//	}
//
//	func main() {
//		http.HandleFunc("/echo", echo)
//		os.Exit(reexec.Main(reexec.Options{},
//			rehttp.Service("http", ":8080", &http.Server{Handler: rews.Handler(http.DefaultServeMux)})))
//	}
//
// An existing server needs three changes: [Handler], [Leave] after a failed read, and
// [State] if the handler keeps something about its client. A handler that writes from other
// goroutines stops them before Leave, so that the state says what they have written.
// examples/websocket pushes messages with gorilla/websocket and coder/websocket.
//
// # When a connection leaves
//
// When the generation drains, a read of the library fails with [ErrMoving] between two
// messages. The handler calls Leave and returns. Leave uses [reexec.Upgrader.Move], which also
// carries connections to a program that is replaced in place, and over a restart if the unit
// has RestartKillSignal= and systemd is 254 or newer.
//
// If the successor refuses the connection, or dies before it has the connection, the handler
// of this process is called again with the connection. So there is one path: a handler does
// not need to know where it goes on. If one of the two processes is killed within the moves, the
// other one goes on with each connection that it has, except that a predecessor under a service
// manager is restarted with its successor.
//
// These connections cannot move: connections under TLS in this process, connections that
// compress with context takeover, and connections of a program whose successor does not use
// this package. The same calls tell their clients to come again: the read fails with
// ErrMoving, and Leave writes the close frame 1012 (Service Restart), waits up to 5 s for the
// client's close frame, and closes. After an upgrade these clients take turns over the first
// quarter of Options.Drain. In a stop they are told at once. The same happens if the
// successor's handler does not take the connection, or answers with another subprotocol or
// extension than the client was promised. [rehttp.Server.Goodbye] is not called for
// connections of this package.
//
// # Why nothing is lost or doubled
//
// From the client: when the generation drains, each Read of the connection ends at most at the
// end of the frame that has begun. A library reads more only if the frame that it works on is
// incomplete. So when it reads after the last frame of a message, it has no byte of the next
// message, control frames are answered, and the program has processed every message that it
// was given. There Read returns ErrMoving. All later bytes are in the socket and move with it.
//
// To the client: a write goes to the socket at once, and moves with it. Leave waits for the end
// of a message that has begun. A later message fails with ErrMoving before its first byte, and
// belongs to the state of the program.
//
// A connection with a close frame in either direction does not move. A close frame that a
// library or program writes after ErrMoving is held: Leave drops it, and it is sent if the
// handler returns without Leave. Bytes that are no valid frame (RFC 6455) reach the library
// unchanged, and the connection does not move.
//
// # Limits
//
//   - The handler has to read, as each WebSocket server has to for pings and close frames.
//     CloseRead of coder/websocket reads: call Leave when its context is done.
//   - The handler stays until its read fails. A handler that returns earlier and leaves
//     goroutines behind calls Leave in the goroutine that reads, before anything closes the
//     connection.
//   - The handshake and the state have to fit into 32 KiB.
//   - A handshake that is valid once, such as a ticket in the URL, comes again: look at State.
//   - A message that is longer than the drain, in either direction, is cut at its deadline.
//   - If clients talk to each other through the memory of the process, they are in two
//     processes for some milliseconds. Such programs need a broker, or an offset in the state.
//   - In a handler of a moved connection, ConnState is not called, and rehttp.Counts has the
//     connection as hijacked.
//   - A program with Upgrade to another protocol gets ErrMoving once, at any byte. It calls
//     Leave between two of its messages, or with the part of a message in the state. Leave
//     closes a connection that cannot move.
//   - Server-sent events do not move: net/http has the framing of the answer, so no other
//     process can continue it. EventSource connects again with Last-Event-ID when the answer
//     ends, which loses no event. A handler ends its answer by Upgrader.OnDrain.
//
// [reexec.Upgrader.Move]: https://pkg.go.dev/github.com/cutover-go/cutover/reexec#Upgrader.Move
// [rehttp.Server.Goodbye]: https://pkg.go.dev/github.com/cutover-go/cutover/reexec/rehttp#Server
package rews
