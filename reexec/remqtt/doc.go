// Package remqtt lets the sessions of an MQTT server go on in the next process of a program.
// No client sees its connection close, and no message gets lost, also between clients that
// connected before and after the upgrade. It needs no change of the server: any server with an
// accept loop works, for MQTT 3.1, 3.1.1 and 5. A program for mochi-mqtt/server:
//
//	package main
//
//	import (
//		"log"
//		"net"
//		"os"
//
//		mqtt "github.com/mochi-mqtt/server/v2"
//		"github.com/mochi-mqtt/server/v2/hooks/auth"
//		"github.com/mochi-mqtt/server/v2/listeners"
//
//		"github.com/cutover-go/cutover/reexec"
//		"github.com/cutover-go/cutover/reexec/remqtt"
//	)
//
//	func main() {
//		broker := mqtt.New(nil)
//		if err := broker.AddHook(new(auth.AllowHook), nil); err != nil {
//			log.Fatal(err)
//		}
//		os.Exit(reexec.Main(reexec.Options{}, remqtt.Stream("mqtt", ":1883", func(ln net.Listener) error {
//			if err := broker.AddListener(listeners.NewNet("mqtt", ln)); err != nil {
//				return err
//			}
//			return broker.Serve()
//		})))
//	}
//
// # All sessions at once
//
// Two servers that run side by side would not hear each other's clients. So all sessions move
// together, and clients wait meanwhile:
//
//  1. The successor accepts new connections, but its server does not see them yet.
//  2. In the predecessor no packet of a client reaches the server any more. The server answers
//     the packets before, and all messages that it has for a client come out. This package knows that
//     from a message that each session sends to itself, on a topic that begins with $cutover/.
//     Two rounds of that make sure that each message went through the server.
//  3. The successor's server is told the facts of the old one: first the retained messages, then
//     CONNECT and the subscriptions of each client. Its answers do not reach the clients.
//  4. When every session is there, the packets of the clients flow, and the new connections
//     reach the server.
//
// # What moves
//
//   - Bytes that the client has sent and that the server has not seen, a part of a packet
//     included. Bytes for a client that reads slowly.
//   - Messages to a client without its acknowledgment. This package takes the acknowledgment.
//     Identifiers of the new server that the client still uses get other numbers, and
//     Receive Maximum holds.
//   - Messages of QoS 2 of a client between PUBREC and PUBREL.
//   - Subscriptions with their options. Retained messages are not sent again.
//   - Sessions of clients that are not connected, if the client has asked for a session that
//     outlives its connection, with the messages that wait for the client.
//   - Retained messages, see [Service.KeepsRetained] and [Login].
//   - The will: the old server does not publish it, the new server has it.
//
// # Limits
//
//   - The server must process the packets of one client in order, have one queue in order for
//     each client, and let each client subscribe to and publish on topics that begin with
//     $cutover/. Otherwise the session does not move, the log says why, and the client is told
//     to come again.
//   - A client that is told to come again gets DISCONNECT in MQTT 5, with reason 0x9c (Use
//     another server) in an upgrade and 0x8b (Server shutting down) in a stop, and a closed
//     connection before MQTT 5. The will is not published. These clients are told so: clients
//     under TLS in this process, clients with enhanced authentication, a client in the middle
//     of a message of more than 1 MiB, and each client if the program is replaced in place,
//     restarted, or upgraded to a build without this package.
//   - A session is told the password of its CONNECT packet again. A token that is no longer valid
//     ends the session.
//   - A server has one Service. The sessions of two Services move at different times, so messages
//     between clients of one server can get lost in an upgrade if it has two.
//   - Topic aliases are not used: the package removes Topic Alias Maximum.
//   - With Options.Trial new clients wait until the trial is over.
//   - Messages that the program publishes by itself, through an API of the server, can get lost
//     after the drain has begun. The statistics of a server begin again.
//   - A will that is delayed, and whose client has gone, is not published.
//   - If the successor dies within an upgrade, sessions whose sockets have moved are cut. Their
//     clients come again, as after a crash. All other sessions go on in the predecessor, unless a
//     service manager restarts the unit. The predecessor keeps the messages of the sessions that
//     outlive their connections; a client can get one again that the successor has delivered.
//   - If the predecessor dies within an upgrade, the successor goes on with each session that it
//     has. If it has a session without the socket, the client gets its messages when it comes again,
//     provided that the session outlives its connection.
//   - All clients wait until the slowest one has finished: up to 2 s for the rest of a message of
//     more than 1 MiB, and up to 10 s in each round, with 2 ms more for each session, if a server
//     does not finish with one of them. That session does not move, and the others do. A move of
//     10,000 sessions takes 5 s on two busy processors.
//   - The Session Expiry Interval of a client that is not connected begins again.
package remqtt
