package rews

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// format names the encoding of the data that a connection moves with: a line of JSON, the
// handshake as an HTTP request, and the program's state. Unknown fields of the JSON are ignored.
const format = "upgraded/1"

// moved is the data that goes with a connection to the next process.
type moved struct {
	request *http.Request // the handshake
	agreed  agreement
	state   []byte
}

// prefix is the first line of the data.
type prefix struct {
	Head       int    `json:"head"` // length of the handshake
	Protocol   string `json:"protocol,omitempty"`
	Extensions string `json:"extensions,omitempty"`
}

var errData = errors.New("the data of the moved connection is incomplete")

// encode returns the data. Its handshake asks for exactly the protocol and the extensions
// that the client was promised.
func (m moved) encode() []byte {
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", m.request.Method, m.request.RequestURI, m.request.Host)
	h := m.request.Header.Clone()
	if isWebSocket(h) {
		replace(h, "Sec-Websocket-Protocol", m.agreed.protocol)
		replace(h, "Sec-Websocket-Extensions", m.agreed.extensions)
	}
	_ = h.Write(&head) // a Buffer takes all
	head.WriteString("\r\n")
	line, err := json.Marshal(prefix{head.Len(), m.agreed.protocol, m.agreed.extensions})
	if err != nil {
		panic(err) // strings and numbers have a JSON form
	}
	return bytes.Join([][]byte{line, append(head.Bytes(), m.state...)}, []byte("\n"))
}

func replace(h http.Header, name, value string) {
	h.Del(name)
	if value != "" {
		h.Set(name, value)
	}
}

// decode is the inverse of encode.
func decode(data []byte) (m moved, err error) {
	line, rest, ok := bytes.Cut(data, []byte("\n"))
	if !ok {
		return m, errData
	}
	var p prefix
	if err := json.Unmarshal(line, &p); err != nil {
		return m, err
	}
	if p.Head < 0 || p.Head > len(rest) {
		return m, errData
	}
	m.request, err = http.ReadRequest(bufio.NewReader(bytes.NewReader(rest[:p.Head])))
	m.agreed, m.state = agreement{p.Protocol, p.Extensions}, rest[p.Head:]
	return m, err
}
