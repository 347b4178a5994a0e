package rehttp

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// This file decides whether an answer says close. The decision is made when the header is
// written. A request that has arrived by then is still answered.

// writer has the methods that the ResponseWriters of net/http for HTTP/1 and HTTP/2 share.
type writer interface {
	http.ResponseWriter
	http.Flusher
	io.StringWriter
	FlushError() error
	CloseNotify() <-chan bool
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	EnableFullDuplex() error
}

// writer1 and writer2 are the ResponseWriters of net/http for HTTP/1 and HTTP/2.
type (
	writer1 interface {
		writer
		http.Hijacker
		io.ReaderFrom
	}
	writer2 interface {
		writer
		http.Pusher
	}
)

// answer calls says before the header is written, and adds "Connection: close" if it
// returns true.
type answer struct {
	writer
	says func() bool
	said bool // the decision is made
}

type (
	answer1 struct {
		*answer
		http.Hijacker
		from io.ReaderFrom
	}
	answer2 struct {
		*answer
		http.Pusher
	}
)

// newAnswer returns a ResponseWriter that writes to w and decides with the header. It also
// returns the answer, whose decide is called if the handler has written nothing. For a
// ResponseWriter that is not of net/http, newAnswer decides at once.
func newAnswer(w http.ResponseWriter, says func() bool) (http.ResponseWriter, *answer) {
	a := &answer{says: says}
	switch under := w.(type) {
	case writer1:
		a.writer = under
		return &answer1{a, under, under}, a
	case writer2:
		a.writer = under
		return &answer2{a, under}, a
	}
	a.said = true
	if says() {
		sayClose(w.Header())
	}
	return w, a
}

// decide makes the decision for an answer with this status.
func (a *answer) decide(status int) {
	if a.said || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	a.said = true
	if status != http.StatusSwitchingProtocols && a.says() {
		sayClose(a.Header())
	}
}

// sayClose adds the option close to the field Connection and removes keep-alive. It keeps
// other options, such as the Upgrade that a status 426 needs.
func sayClose(h http.Header) {
	value := []string{"close"} // net/http looks at the first option only
	for _, v := range h["Connection"] {
		for option := range strings.SplitSeq(v, ",") {
			option = strings.TrimSpace(option)
			if option != "" && !strings.EqualFold(option, "close") && !strings.EqualFold(option, "keep-alive") {
				value = append(value, option)
			}
		}
	}
	h["Connection"] = value
}

func (a *answer) WriteHeader(status int) {
	a.decide(status)
	a.writer.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.decide(http.StatusOK)
	return a.writer.Write(p)
}

func (a *answer) WriteString(s string) (int, error) {
	a.decide(http.StatusOK)
	return a.writer.WriteString(s)
}

func (a *answer) Flush() {
	a.decide(http.StatusOK)
	a.writer.Flush()
}

func (a *answer) FlushError() error {
	a.decide(http.StatusOK)
	return a.writer.FlushError()
}

func (a *answer1) ReadFrom(r io.Reader) (int64, error) {
	a.decide(http.StatusOK)
	return a.from.ReadFrom(r)
}

// options answers OPTIONS * like net/http. net/http would not call the handler, so its
// answer could not say close and would be missing in Counts.
type options struct{ next http.Handler }

func (o options) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.RequestURI != "*" || r.Method != http.MethodOptions {
		o.next.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Length", "0")
	if r.ContentLength != 0 {
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 4<<10)) // a longer body ends the connection
	}
}
