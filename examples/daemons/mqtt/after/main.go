// Command mqtt is an MQTT broker for clients of a trusted network.
package main

import (
	"flag"
	"log"
	"net"
	"os"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/remqtt"
)

func main() {
	addr := flag.String("addr", ":1883", "listen on this `address`")
	flag.Parse()
	broker := mqtt.New(nil)
	if err := broker.AddHook(new(auth.AllowHook), nil); err != nil {
		log.Fatal(err)
	}
	os.Exit(reexec.Main(reexec.Options{}, remqtt.Stream("mqtt", *addr, func(ln net.Listener) error {
		if err := broker.AddListener(listeners.NewNet("mqtt", ln)); err != nil {
			return err
		}
		return broker.Serve()
	})))
}
