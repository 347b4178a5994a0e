//go:build linux

package reexec_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// talk is the format in which actors pass conversations on: how many lines were
// given back, and what was read of the next one.
const talk = "talk/1"

// converseAnywhere is converse, and goes on in the process that takes over.
func (a *actor) converseAnywhere(c net.Conn, release func()) {
	defer release()
	defer c.Close()
	count, partial := 0, ""
	if m, ok := c.(*reexec.Moved); ok {
		text, rest, _ := strings.Cut(string(m.Data), " ")
		count, _ = strconv.Atoi(text) // our own
		c, partial = m.Conn, rest
	} else {
		fmt.Fprintf(c, "%d\n", os.Getpid())
	}
	over := make(chan struct{})
	defer close(over)
	go func() { // ends with the conversation
		select {
		case <-protocol.Of(a.u).Draining():
			c.SetReadDeadline(time.Unix(1, 0))
		case <-over:
		}
	}()
	lines := bufio.NewReader(c)
	for {
		more, err := lines.ReadString('\n')
		partial += more
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			err := a.u.Move(context.Background(), "a", c, talk, fmt.Appendf(nil, "%d %s", count, partial))
			if err == nil {
				return
			}
			a.Report("stays", fmt.Sprintf("%v %v", c.RemoteAddr(), err))
			c.SetReadDeadline(time.Time{})
		case err != nil:
			return
		case partial == "who?\n":
			fmt.Fprintf(c, "%d %d\n", os.Getpid(), count)
			partial = ""
		case partial == "wait\n":
			a.Report("waits", "")
			<-a.goOn
			partial = ""
		default:
			fmt.Fprint(c, partial)
			count++
			partial = ""
		}
	}
}
