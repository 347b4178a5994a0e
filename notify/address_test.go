package notify_test

import (
	"strings"
	"testing"

	"github.com/cutover-go/cutover/notify"
)

func TestAddressesOfAManager(t *testing.T) {
	for _, text := range []string{
		"/run/systemd/notify",
		"/" + strings.Repeat("p", 106),
		"@abstract",
		"@" + strings.Repeat("a", 107),
		"vsock:2:1234",
		"vsock-stream:2:1234",
		"vsock-dgram:2:1234",
		"vsock-seqpacket:4294967294:0",
	} {
		if got, err := notify.ParseAddress(text); err != nil {
			t.Errorf("ParseAddress(%q) = %v, %v", text, got, err)
		}
	}
}

func TestAddressesOfNoManager(t *testing.T) {
	tests := []struct{ give, want string }{
		{"", "absolute path"},
		{"run/systemd/notify", "absolute path"},
		{"@", "absolute path"},
		{"/" + strings.Repeat("p", 107), "107 bytes"},
		{"@" + strings.Repeat("a", 108), "107 bytes"},
		{"/a\x00b", "NUL"},
		{"unix:/run/systemd/notify", "absolute path"},
		{"vsock", "vsock:CID:PORT"},
		{"vsock:2", "vsock:CID:PORT"},
		{"vsock-raw:2:3", "vsock:CID:PORT"},
		{"vsock::1234", `CID ""`},
		{"vsock:4294967295:1234", `CID "4294967295"`},
		{"vsock:2:4294967295", `port "4294967295"`},
		{"vsock:2:-1", `port "-1"`},
		{"vsock:2:3:4", `port "3:4"`},
	}
	for _, test := range tests {
		got, err := notify.ParseAddress(test.give)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("ParseAddress(%q) = %v, %v, want an error with %q", test.give, got, err, test.want)
		}
	}
}

func TestVsockFormsDiffer(t *testing.T) {
	seen := map[any]string{}
	for _, text := range []string{"vsock:2:3", "vsock-stream:2:3", "vsock-dgram:2:3", "vsock-seqpacket:2:3", "vsock:3:2"} {
		a, err := notify.ParseAddress(text)
		if err != nil {
			t.Errorf("ParseAddress(%q): %v", text, err)
		}
		if other, ok := seen[a]; ok {
			t.Errorf("%q and %q are both %v", text, other, a)
		}
		seen[a] = text
	}
}
