package rehttp3

import (
	"encoding/hex"
	"net/netip"
	"testing"
)

func newIDs(t *testing.T) *ids {
	t.Helper()
	n := new(ids)
	if err := n.setKey([]byte("0123456789abcdef")); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRouteReadsTheFirstConnectionID(t *testing.T) {
	n := newIDs(t)
	made, err := generator{n, 0x01020304}.GenerateConnectionID()
	if err != nil || made.Len() != idLen {
		t.Fatal(made, err)
	}
	id, foreign := string(made.Bytes()), "0123456789abcdef"
	tests := []struct {
		name, datagram string
		owner          uint32
	}{
		{"short header", "\x40" + id + "payload", 0x01020304},
		{"long header", "\xe0\x00\x00\x00\x01\x10" + id + "\x00payload", 0x01020304},
		{"long header with an ID of a client", "\xc0\x00\x00\x00\x01\x08" + id[:8] + "\x00payload", 0},
		{"long header with a long ID of a client", "\xc0\x00\x00\x00\x01\x10" + foreign + "\x00payload", 0},
		{"long header, cut", "\xc0\x00\x00\x00\x01\x10" + id[:15], 0},
		{"short header, cut", "\x40" + id[:15], 0},
		{"too short", "\xc0\x00\x00\x00\x01", 0},
		{"empty", "", 0},
	}
	for _, tt := range tests {
		if got := n.route([]byte(tt.datagram), netip.AddrPort{}); got != tt.owner {
			t.Errorf("%s: owner %#x, want %#x", tt.name, got, tt.owner)
		}
	}
	if got := new(ids).route([]byte("\x40"+id), netip.AddrPort{}); got != 0 {
		t.Errorf("before Ready the owner is %#x, want 0", got)
	}
}

// An older or newer build of a program reads this ID.
func TestTheFormOfConnectionIDsStays(t *testing.T) {
	id, err := hex.DecodeString("26682274a8bb91e124dbd253b42b96e3")
	if err != nil {
		t.Fatal(err)
	}
	if got := newIDs(t).route(append([]byte{0x40}, id...), netip.AddrPort{}); got != 0x01020304 {
		t.Errorf("owner %#x, want 0x01020304", got)
	}
}
