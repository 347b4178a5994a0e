package rews

import (
	"bytes"
	"strings"
	"testing"
)

// TestFramesFollowsRFC6455 has streams and what may follow them.
func TestFramesFollowsRFC6455(t *testing.T) {
	long := func(b byte, n int) []byte { return appendFrame(nil, b, make([]byte, n), true) }
	for _, test := range []struct {
		name       string
		stream     []byte
		compressed bool
		want       string // what follows: next (between), open, closed, bad
	}{
		{"nothing", nil, false, "next"},
		{"empty text", long(0x81, 0), false, "next"},
		{"7 bits", long(0x82, 125), false, "next"},
		{"16 bits", long(0x82, 126), false, "next"},
		{"16 bits, most", long(0x82, 65535), false, "next"},
		{"64 bits", long(0x82, 65536), false, "next"},
		{"first fragment", long(0x01, 3), false, "open"},
		{"control frame between fragments", append(long(0x01, 3), long(0x89, 2)...), false, "open"},
		{"last fragment", bytes.Join([][]byte{long(0x01, 3), long(0x8a, 0), long(0x00, 9), long(0x80, 0)}, nil), false, "next"},
		{"part of a header", long(0x81, 300)[:3], false, "open"},
		{"part of a payload", long(0x81, 300)[:100], false, "open"},
		{"close", long(0x88, 2), false, "closed"},
		{"part of a close", long(0x88, 2)[:6], false, "open"},
		{"ping of 125 bytes", long(0x89, 125), false, "next"},
		{"ping of 126 bytes", long(0x89, 126), false, "bad"},
		{"fragmented ping", long(0x09, 1), false, "bad"},
		{"continuation of nothing", long(0x80, 1), false, "bad"},
		{"text within a message", append(long(0x01, 3), long(0x81, 2)...), false, "bad"},
		{"reserved opcode 3", long(0x83, 1), false, "bad"},
		{"reserved opcode 11", long(0x8b, 1), false, "bad"},
		{"RSV1", long(0xc1, 1), false, "bad"},
		{"RSV1 of a compressed message", long(0xc1, 1), true, "next"},
		{"RSV1 of a continuation", append(long(0x41, 3), long(0xc0, 2)...), true, "bad"},
		{"RSV1 of a ping", long(0xc9, 1), true, "bad"},
		{"RSV2", long(0xa1, 1), true, "bad"},
		{"RSV3", long(0x91, 1), true, "bad"},
		{"no mask", []byte{0x81, 1, 'a'}, false, "bad"},
		{"16 bits for 125", []byte{0x82, 0x80 | 126, 0, 125, 0, 0, 0, 0}, false, "bad"},
		{"64 bits for 65535", []byte{0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}, false, "bad"},
		{"length of 64 bits", []byte{0x82, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, false, "bad"},
	} {
		for _, piece := range []int{1, 2, 7, len(test.stream) + 1} {
			f := frames{masked: true, compressed: test.compressed}
			for rest := test.stream; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
				f.take(rest[:min(piece, len(rest))])
			}
			got := "open"
			switch {
			case f.bad:
				got = "bad"
			case f.closed():
				got = "closed"
			case f.between():
				got = "next"
			}
			if got != test.want {
				t.Errorf("%s in pieces of %d: %s, want %s", test.name, piece, got, test.want)
			}
		}
	}
}

func TestFramesOfAServerHaveNoMask(t *testing.T) {
	var f frames
	if f.take(appendFrame(nil, 0x81, []byte("a"), false)); !f.between() {
		t.Error("a frame without a mask is bad")
	}
	if f.take(appendFrame(nil, 0x81, []byte("a"), true)); !f.bad {
		t.Error("a frame with a mask is good")
	}
}

// FuzzFrames compares frames with a reader of whole frames: reads of need bytes end at the same
// places, whatever the bytes are.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 0x81, 1, 2, 3, 4, 'a', 0x88, 0x80, 1, 2, 3, 4})
	f.Add(appendFrame(appendFrame(nil, 1, make([]byte, 300), true), 0x80, nil, true))
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) > 1<<12 {
			return
		}
		follow, ends := frames{masked: true}, map[int]bool{}
		for at := 0; at < len(stream) && !follow.bad; {
			n := min(follow.need(), len(stream)-at)
			if n < 1 {
				t.Fatalf("need %d at %d", n, at)
			}
			follow.take(stream[at : at+n])
			if at += n; follow.n == 0 && follow.left == 0 && !follow.bad {
				ends[at] = true
			}
		}
		whole := bytes.NewReader(stream)
		for len(ends) > 0 {
			if _, _, err := readFrame(whole); err != nil {
				t.Fatalf("%v, but frames knows ends at %v", err, ends)
			}
			at := len(stream) - whole.Len()
			if !ends[at] {
				t.Fatalf("a frame ends at %d, frames knows %v", at, ends)
			}
			delete(ends, at)
		}
	})
}

func TestMovedDataKeepsItsEncoding(t *testing.T) {
	const golden = `{"head":191,"protocol":"chat"}` + "\n" +
		"GET /a?b=c HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nCookie: a=b\r\nSec-Websocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"Sec-Websocket-Protocol: chat\r\nSec-Websocket-Version: 13\r\nUpgrade: websocket\r\n\r\nstate\n\x00"
	newer := strings.Replace(golden, `{`, `{"later":[1],`, 1)
	for _, data := range []string{golden, newer} {
		m, err := decode([]byte(data))
		if err != nil {
			t.Fatal(err)
		}
		if m.request.RequestURI != "/a?b=c" || m.request.Host != "test" || string(m.state) != "state\n\x00" || m.agreed != (agreement{"chat", ""}) {
			t.Errorf("decoded %+v", m)
		}
		m.request.Header.Set("Sec-Websocket-Protocol", "news, chat") // as the client has offered
		m.request.Header.Set("Sec-Websocket-Extensions", "permessage-deflate")
		if got := string(m.encode()); got != golden {
			t.Errorf("encoded %q, want %q", got, golden)
		}
	}
}

func TestBadMovedDataIsAnError(t *testing.T) {
	for _, data := range []string{"", "{}", "{}\n", "x\n", `{"head":9}` + "\nGET", `{"head":-1}` + "\nGET / HTTP/1.1\r\n\r\n", `{"head":3}` + "\nGET"} {
		if m, err := decode([]byte(data)); err == nil {
			t.Errorf("decode(%q) = %+v", data, m)
		}
	}
}

func TestCompressionWithContextTakeoverKeepsState(t *testing.T) {
	for extensions, want := range map[string]bool{
		"": true,
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover": true,
		"permessage-deflate; client_no_context_takeover ;server_no_context_takeover": true,
		"permessage-deflate":                             false,
		"permessage-deflate; server_no_context_takeover": false,
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover, x": false,
		"x-other": false,
	} {
		if got := (agreement{extensions: extensions}).stateless(); got != want {
			t.Errorf("%q is stateless: %v", extensions, got)
		}
	}
}

// TestAgreementIgnoresTheOrderOfParameters because two libraries may write them differently.
func TestAgreementIgnoresTheOrderOfParameters(t *testing.T) {
	a := agreement{"p", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"}
	b := agreement{"p", "permessage-deflate;client_no_context_takeover;server_no_context_takeover"}
	if !a.equals(b) || a.equals(agreement{"q", b.extensions}) || a.equals(agreement{"p", ""}) {
		t.Error(a, b)
	}
}
