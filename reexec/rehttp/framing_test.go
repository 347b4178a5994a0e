package rehttp

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// get is the request of most clients.
const get = "GET /path?query=1 HTTP/1.1\r\nHost: test\r\nAccept: */*\r\n\r\n"

const (
	coded   = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
	counted = "PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: "
)

var framed = []struct {
	name, bytes string
	requests    int
	between     bool
}{
	{"nothing", "", 0, true},
	{"one", get, 1, true},
	{"pipelined", get + get + get, 3, true},
	{"part of a start line", get + "G", 1, false},
	{"part of a header", get + get[:len(get)-1], 1, false},
	{"length", counted + "3\r\n\r\nabc" + get, 2, true},
	{"part of a body", counted + "3\r\n\r\nab", 0, false},
	{"length 0", counted + "0\r\n\r\n", 1, true},
	{"length with blanks", counted + "\t 3 \r\n\r\nabc", 1, true},
	{"length in small letters", "PUT / HTTP/1.1\r\nHost: test\r\ncontent-length:3\r\n\r\nabc", 1, true},
	{"body that looks like a request", counted + strconv.Itoa(len(get)+1) + "\r\n\r\n" + get, 0, false},
	{"chunks", coded + "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", 1, true},
	{"chunks with zeros and blanks", coded + "003 \r\nabc\r\n00\t\r\n\r\n", 1, true},
	{"chunks with extensions", coded + "3;a=b\r\nabc\r\n0;last\r\n\r\n" + get, 2, true},
	{"chunks with trailers", coded + "1\r\na\r\n0\r\nChecksum: 1\r\nOther:\r\n\r\n" + get, 2, true},
	{"part of a chunk's end", coded + "1\r\na\r", 0, false},
	{"no end of trailers", coded + "1\r\na\r\n0\r\n", 0, false},
	{"coding in capitals", "POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n", 1, true},
	{"upgrade that nobody took", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", 1, true},
	{"expectation", counted + "3\r\nExpect: 100-continue\r\n\r\nabc", 1, true},
	{"expectation without body", counted + "3\r\nExpect: 100-continue\r\n\r\n", 0, false},
	{"long line", "GET /" + strings.Repeat("x", 5000) + " HTTP/1.1\r\nHost: a\r\nCookie: " + strings.Repeat("y", 9000) + "\r\n\r\n", 1, true},
}

// strange are all lost at some point.
var strange = map[string]string{
	"HTTP/1.0":                   "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"HTTP/2":                     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"HTTP/1.1 in small letters":  "GET / http/1.1\r\n\r\n",
	"blank after the version":    "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
	"tunnel":                     "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
	"line end before a request":  "POST / HTTP/1.1\r\nHost: a\r\n\r\n\r\n",
	"bare LF":                    "GET / HTTP/1.1\nHost: a\n\n",
	"bare LF in a header":        "GET / HTTP/1.1\r\nHost: a\n\r\n",
	"bare LF at its end":         "GET / HTTP/1.1\r\nHost: a\r\n\n",
	"fold":                       "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
	"fold by a tab":              "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n",
	"two lengths":                counted + "3\r\nContent-Length: 3\r\n\r\nabc",
	"two lengths that differ":    counted + "3\r\nContent-Length: 4\r\n\r\nabc",
	"length and coding":          counted + "3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"coding and length":          coded[:len(coded)-2] + "Content-Length: 3\r\n\r\n0\r\n\r\n",
	"negative length":            counted + "-3\r\n\r\nabc",
	"length with a sign":         counted + "+3\r\n\r\nabc",
	"hexadecimal length":         counted + "0x3\r\n\r\nabc",
	"list of lengths":            counted + "3, 3\r\n\r\nabc",
	"empty length":               counted + "\r\n\r\n",
	"length too large":           counted + "9223372036854775808\r\n\r\n",
	"length that is cut":         counted + strings.Repeat(" ", 200) + "3\r\n\r\nabc",
	"list of codings":            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
	"identity":                   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
	"two codings":                coded[:len(coded)-2] + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"quoted coding":              "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
	"chunk without size":         coded + "\r\n\r\n",
	"chunk with a sign":          coded + "+1\r\na\r\n",
	"chunk with 0x":              coded + "0x1\r\na\r\n",
	"chunk of 2^64+1":            coded + "10000000000000001\r\na\r\n",
	"chunk with a blank before":  coded + " 1\r\na\r\n",
	"blank before an extension":  coded + "1 ;a\r\na\r\n",
	"chunk longer than it says":  coded + "1\r\nab\r\n",
	"chunk shorter than it says": coded + "3\r\nab\r\n0\r\n\r\n",
	"bare LF after a chunk":      coded + "1\r\na\n",
	"bare LF after a size":       coded + "1\na\r\n",
	"CR in an extension":         coded + "1;\r;\r\na\r\n",
	"long extension":             coded + "1;" + strings.Repeat("a", 200) + "\r\na\r\n",
	"too many extensions":        coded + strings.Repeat("1;"+strings.Repeat("a", 100)+"\r\na\r\n", 100),
	"trailer without a colon":    coded + "0\r\nabc\r\n\r\n",
	"trailer without a name":     coded + "0\r\n: abc\r\n\r\n",
	"trailer with a fold":        coded + "0\r\nA: b\r\n c\r\n\r\n",
	"trailer with a control":     coded + "0\r\nA: \x01\r\n\r\n",
	"too many trailers":          coded + "0\r\n" + strings.Repeat("A: "+strings.Repeat("b", 100)+"\r\n", 30) + "\r\n",
	"TLS":                        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
}

func TestFramingFindsTheEndsOfRequests(t *testing.T) {
	for _, c := range framed {
		var f framing
		f.whole([]byte(c.bytes))
		if f.lost() || f.requests != c.requests || f.between() != c.between {
			t.Errorf("%s: %d requests, between %v, lost %v; want %d, %v", c.name, f.requests, f.between(), f.lost(), c.requests, c.between)
		}
		netHTTPAgrees(t, []byte(c.bytes))
	}
}

func TestFramingIsLostInAmbiguousRequests(t *testing.T) {
	for name, text := range strange {
		var f framing
		f.whole([]byte(text))
		if !f.lost() || f.between() {
			t.Errorf("%s: %d requests, and not lost", name, f.requests)
		}
		f.whole([]byte(get))
		if !f.lost() {
			t.Errorf("%s: found again", name)
		}
		netHTTPAgrees(t, []byte(text))
	}
}

func TestUpToEndStopsAtTheEndOfARequest(t *testing.T) {
	for _, first := range []string{get, counted + "3\r\n\r\nabc", coded + "1\r\na\r\n0\r\nA: b\r\n\r\n"} {
		var f framing
		if n := f.upToEnd([]byte(first + get)); n != len(first) || f.requests != 1 {
			t.Errorf("took %d of %q, %d requests", n, first+get, f.requests)
		}
	}
}

// Line ends may follow a POST.
func TestFramingKnowsThatTheLastRequestWasAPost(t *testing.T) {
	var f framing
	for _, text := range []string{"GET", "POST", "HEAD"} {
		f.whole([]byte(text + get[3:]))
		if f.post != (text == "POST") {
			t.Errorf("after %s: post %v", text, f.post)
		}
	}
}

// FuzzFraming compares framing with net/http for the same bytes, and with itself for the
// same bytes in other pieces.
func FuzzFraming(f *testing.F) {
	for _, c := range framed {
		f.Add([]byte(c.bytes), uint8(3))
	}
	for _, text := range strange {
		f.Add([]byte(text), uint8(7))
		f.Add([]byte(get+text), uint8(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, piece uint8) {
		if len(text) > 16<<10 {
			return // the comparison takes the square of it
		}
		netHTTPAgrees(t, text)
		var whole, pieces framing
		whole.whole(text)
		for rest, n := text, int(piece)+1; len(rest) > 0; {
			n = min(n, len(rest))
			pieces.whole(rest[:n])
			rest = rest[n:]
		}
		if whole.lost() != pieces.lost() || whole.requests != pieces.requests || whole.between() != pieces.between() {
			t.Errorf("in one piece: %d requests, between %v, lost %v; in pieces of %d: %d, %v, %v", whole.requests, whole.between(), whole.lost(),
				int(piece)+1, pieces.requests, pieces.between(), pieces.lost())
		}
	})
}

// netHTTPAgrees checks the proof by which a connection moves: where the framing has
// seen as many ends as net/http has begun requests, and nothing after them, then
// net/http, if it has read them all to their ends, has left nothing.
func netHTTPAgrees(t *testing.T, text []byte) {
	t.Helper()
	var f framing
	for n := 0; n < len(text); {
		n += f.upToEnd(text[n:])
		if f.between() {
			netHTTPReads(t, text[:n], f.requests)
		}
	}
}

func netHTTPReads(t *testing.T, text []byte, requests int) {
	t.Helper()
	all := bytes.NewReader(text)
	in := bufio.NewReader(all)
	for i := range requests {
		r, err := http.ReadRequest(in)
		if err != nil {
			return // the server answers 400 and closes
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("%q: net/http fails in body %d of %d: %v", text, i+1, requests, err)
			return
		}
	}
	if left := in.Buffered() + all.Len(); left > 0 {
		t.Errorf("%q: net/http leaves %d bytes after request %d", text, left, requests)
	}
}
