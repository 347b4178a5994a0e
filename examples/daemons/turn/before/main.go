// Command turn is a TURN server with one user.
package main

import (
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/pion/turn/v4"
)

const realm = "example.com"

func main() {
	addr := flag.String("addr", ":3478", "listen on this `address`")
	ip := flag.String("ip", "127.0.0.1", "`address` that clients reach")
	user := flag.String("user", "user", "`name` of the user")
	password := flag.String("password", "", "`password` of the user")
	flag.Parse()
	key := turn.GenerateAuthKey(*user, realm, *password)
	config := turn.ServerConfig{
		Realm:       realm,
		AuthHandler: func(name, _ string, _ net.Addr) ([]byte, bool) { return key, name == *user },
	}
	relay := &turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP(*ip), Address: "0.0.0.0"}
	c, err := net.ListenPacket("udp4", *addr)
	if err != nil {
		log.Fatal(err)
	}
	config.PacketConnConfigs = []turn.PacketConnConfig{{PacketConn: c, RelayAddressGenerator: relay}}
	srv, err := turn.NewServer(config)
	if err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	if err := srv.Close(); err != nil {
		log.Fatal(err)
	}
}
