// Command websocket is a WebSocket server that returns each message.
package main

import (
	"flag"
	"log"
	"net/http"
	"os"

	"github.com/gorilla/websocket"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
	"github.com/cutover-go/cutover/reexec/rews"
)

var upgrader websocket.Upgrader

func main() {
	addr := flag.String("addr", ":8082", "listen on this `address`")
	flag.Parse()
	http.HandleFunc("/echo", echo)
	os.Exit(reexec.Main(reexec.Options{}, rehttp.Service("http", *addr, &http.Server{Handler: rews.Handler(http.DefaultServeMux)})))
}

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		log.Print(err)
		return
	}
	defer c.Close()
	for {
		kind, message, err := c.ReadMessage()
		if err != nil {
			rews.Leave(r, nil)
			return
		}
		if err := c.WriteMessage(kind, message); err != nil {
			return
		}
	}
}
