package rehttp

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// This file decides at the last moment, with the header of an answer, whether the answer
// says close. A request that has come until then is not left unanswered.

// writer is the part of net/http's ResponseWriters that both versions of HTTP have.
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

// writer1 and writer2 are net/http's ResponseWriters of HTTP/1 and HTTP/2.
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

// answer says close before the header is written, if says is true then.
type answer struct {
	writer
	says func() bool
	said bool // the header is written
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

// newAnswer returns w with that decision, and how to decide where the handler has written
// nothing. A ResponseWriter that is not net/http's decides at once.
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

// decide is called with the status of an answer.
func (a *answer) decide(status int) {
	if a.said || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	a.said = true
	if status != http.StatusSwitchingProtocols && a.says() {
		sayClose(a.Header())
	}
}

// sayClose adds close to the field Connection. It keeps other options than those of
// keep-alive, such as the Upgrade that a status 426 needs.
func sayClose(h http.Header) {
	value := []string{"close"} // net/http looks at the first
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

// options answers OPTIONS *, as net/http would without the handler: its answer can say
// close then, and is in Counts.
type options struct{ next http.Handler }

func (o options) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.RequestURI != "*" || r.Method != http.MethodOptions {
		o.next.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Length", "0")
	if r.ContentLength != 0 {
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 4<<10)) // a longer one ends the connection
	}
}
