// Command turn is a TURN server with one user.
package main

import (
	"flag"
	"net"
	"os"
	"time"

	"github.com/pion/turn/v4"

	"github.com/cutover-go/cutover/reexec"
)

const realm = "example.com"

func main() {
	addr := flag.String("addr", ":3478", "listen on this `address`")
	ip := flag.String("ip", "127.0.0.1", "`address` that clients reach")
	user := flag.String("user", "user", "`name` of the user")
	password := flag.String("password", "", "`password` of the user")
	idle := flag.Duration("idle", 10*time.Minute, "forget a client that is silent for this `time`")
	flag.Parse()
	key := turn.GenerateAuthKey(*user, realm, *password)
	config := turn.ServerConfig{
		Realm:       realm,
		AuthHandler: func(name, _ string, _ net.Addr) ([]byte, bool) { return key, name == *user },
	}
	relay := &turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP(*ip), Address: "0.0.0.0"}
	serve := func(c net.PacketConn) error {
		config.PacketConnConfigs = []turn.PacketConnConfig{{PacketConn: c, RelayAddressGenerator: relay}}
		_, err := turn.NewServer(config)
		return err
	}
	os.Exit(reexec.Main(reexec.Options{Drain: time.Hour, StopDrain: 10 * time.Second},
		&reexec.PacketService{Name: "turn", Address: *addr, Flows: *idle, Serve: serve}))
}
