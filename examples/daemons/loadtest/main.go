// Command loadtest is a client of the servers in this module: `loadtest smtp 127.0.0.1:25`. It
// asks on connections that it keeps and on new ones until its standard input ends, sends
// nothing twice, and prints what was answered as JSON.
package main

import (
	"log"
	"os"

	"github.com/cutover-go/cutover/examples/daemons/internal/load"
)

// clients start the loads by protocol.
var clients = map[string]func(address string, l *load.Load) error{
	"bbolt":    bboltLoad,
	"goproxy":  proxyLoad,
	"imap":     imapLoad,
	"mqtt":     mqttLoad,
	"mysql":    mysqlLoad,
	"registry": registryLoad,
	"smtp":     smtpLoad,
	"ssh":      sshLoad,
	"turn":     turnLoad,
}

func main() {
	if len(os.Args) != 3 || clients[os.Args[1]] == nil {
		log.Fatal("usage: loadtest bbolt|goproxy|imap|mqtt|mysql|registry|smtp|ssh|turn ADDRESS")
	}
	err := load.Run(func(l *load.Load) error { return clients[os.Args[1]](os.Args[2], l) })
	if err != nil {
		log.Fatal(err)
	}
}
