package notify_test

import (
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-go/cutover/notify"
)

func TestMessageBytes(t *testing.T) {
	tests := []struct {
		name string
		give []notify.Assignment
		want string
	}{
		{"start", []notify.Assignment{notify.Ready, notify.Status("serving")}, "READY=1\nSTATUS=serving"},
		{"commit", []notify.Assignment{notify.MainPID(4711), notify.Ready, notify.Status(""), notify.Ping}, "MAINPID=4711\nREADY=1\nSTATUS=\nWATCHDOG=1"},
		{"main process by inode", []notify.Assignment{notify.MainPID(2), notify.MainPIDFDID(math.MaxUint64)}, "MAINPID=2\nMAINPIDFDID=18446744073709551615"},
		{"main process by pidfd", []notify.Assignment{notify.MainPIDFD(os.Stdin)}, "MAINPIDFD=1"},
		{"stop", []notify.Assignment{notify.Stopping}, "STOPPING=1"},
		{"ping", []notify.Assignment{notify.Ping}, "WATCHDOG=1"},
		{"trigger", []notify.Assignment{notify.Trigger}, "WATCHDOG=trigger"},
		{"system error", []notify.Assignment{notify.Errno(syscall.Errno(5))}, "ERRNO=5"},
		{"bus error", []notify.Assignment{notify.BusError("org.freedesktop.DBus.Error.TimedOut")}, "BUSERROR=org.freedesktop.DBus.Error.TimedOut"},
		{"no bus error", []notify.Assignment{notify.BusError("")}, "BUSERROR="},
		{"varlink error", []notify.Assignment{notify.VarlinkError("org.varlink.service.InvalidParameter")}, "VARLINKERROR=org.varlink.service.InvalidParameter"},
		{"exit status", []notify.Assignment{notify.ExitStatus(255)}, "EXIT_STATUS=255"},
		{"access", []notify.Assignment{notify.Access("all")}, "NOTIFYACCESS=all"},
		{"restart counter", []notify.Assignment{notify.RestartReset}, "RESTART_RESET=1"},
		{"more time", []notify.Assignment{notify.ExtendTimeout(90 * time.Second)}, "EXTEND_TIMEOUT_USEC=90000000"},
		{"little more time", []notify.Assignment{notify.ExtendTimeout(1)}, "EXTEND_TIMEOUT_USEC=1"},
		{"endless time", []notify.Assignment{notify.ExtendTimeout(math.MaxInt64)}, "EXTEND_TIMEOUT_USEC=9223372036854776"},
		{"watchdog", []notify.Assignment{notify.WatchdogTimeout(20 * time.Second)}, "WATCHDOG_USEC=20000000"},
		{"no watchdog", []notify.Assignment{notify.WatchdogTimeout(0)}, "WATCHDOG_USEC=0"},
		{"private", []notify.Assignment{notify.Custom("X_COLOR_2", "dark=blue")}, "X_COLOR_2=dark=blue"},
	}
	for _, test := range tests {
		got, err := notify.Render(test.give...)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %q, %v, want %q", test.name, got, err, test.want)
		}
	}
}

func TestStatusTakesAnyText(t *testing.T) {
	tests := []struct{ give, want string }{
		{"a\nb", "a; b"},
		{"\r\na\r\n\r\nb\n", "a; b"},
		{"\n\n", ""},
		{"tab\tbell\a nul\x00 delete\x7f c1\u0085", "tab bell  nul  delete  c1 "},
		{"\x1b[31mred", " [31mred"},
		{"torn \xe2\x82 euro €", "torn \uFFFD\uFFFD euro €"},
		{"for systemd no characters: \uFFFE \uFDD0 \U0010FFFF", "for systemd no characters: \uFFFD \uFFFD \uFFFD"},
		{"READY=1", "READY=1"},
	}
	for _, test := range tests {
		got, err := notify.Render(notify.Status(test.give))
		if want := "STATUS=" + test.want; err != nil || string(got) != want {
			t.Errorf("Status(%q): %q, %v, want %q", test.give, got, err, want)
		}
	}
}

func TestStatusIsCutToWhatFits(t *testing.T) {
	room := 4096 - len("READY=1\nSTATUS=\nWATCHDOG=1")
	tests := []struct{ name, give, want string }{
		{"fits", strings.Repeat("x", room), strings.Repeat("x", room)},
		{"one too many", strings.Repeat("x", room+1), strings.Repeat("x", room-3) + "..."},
		{"huge", strings.Repeat("x", 1<<20), strings.Repeat("x", room-3) + "..."},
		{"between characters", strings.Repeat("€", room/3+1), strings.Repeat("€", (room-3)/3) + "..."},
		{"ends in line breaks", strings.Repeat("x", room) + "\n\n", strings.Repeat("x", room)},
		{"line break at the edge", strings.Repeat("x", room-1) + "\ny", strings.Repeat("x", room-3) + "..."},
	}
	for _, test := range tests {
		got, err := notify.Render(notify.Ready, notify.Status(test.give), notify.Ping)
		want := "READY=1\nSTATUS=" + test.want + "\nWATCHDOG=1"
		if err != nil || string(got) != want || len(got) > 4096 {
			t.Errorf("%s: %d bytes ending in %q, %v, want %d bytes", test.name, len(got), got[max(0, len(got)-30):], err, len(want))
		}
	}
}

func TestStatusHasNoRoomBesideAFullMessage(t *testing.T) {
	for left, want := range []string{"", ".", "..", "..."} {
		full := notify.Custom("X_A", strings.Repeat("x", 4096-len("X_A=\nSTATUS=")-left))
		got, err := notify.Render(full, notify.Status("served"))
		if err != nil || len(got) != 4096 || !strings.HasSuffix(string(got), "STATUS="+want) {
			t.Errorf("%d bytes left: %d bytes ending in %q, %v", left, len(got), got[max(0, len(got)-12):], err)
		}
	}
}

func TestMistakesAreRefused(t *testing.T) {
	tests := []struct {
		name string
		give []notify.Assignment
		want string // in the error
	}{
		{"nothing", nil, "nothing to send"},
		{"zero", []notify.Assignment{{}}, "zero Assignment"},
		{"twice", []notify.Assignment{notify.Status("a"), notify.Ready, notify.Status("b")}, "STATUS= twice"},
		{"ping and trigger", []notify.Assignment{notify.Ping, notify.Trigger}, "WATCHDOG= twice"},
		{"ready and stopping", []notify.Assignment{notify.Ready, notify.Stopping}, "different versions"},
		{"ready and reloading", []notify.Assignment{notify.Ready, notify.Reloading()}, "different versions"},
		{"pid 0", []notify.Assignment{notify.MainPID(0)}, "MAINPID=0"},
		{"pid 1", []notify.Assignment{notify.MainPID(1)}, "MainPIDFD"},
		{"no pidfd", []notify.Assignment{notify.MainPIDFD(nil)}, "without a file"},
		{"two descriptors", []notify.Assignment{notify.MainPIDFD(os.Stdin), notify.MainPIDFD(os.Stdin)}, "MAINPIDFD= twice"},
		{"exit status", []notify.Assignment{notify.ExitStatus(256)}, "0 to 255"},
		{"bus error", []notify.Assignment{notify.BusError("nodots")}, "D-Bus"},
		{"bus error of digits", []notify.Assignment{notify.BusError("org.2nd.Error")}, "D-Bus"},
		{"bus error with a hole", []notify.Assignment{notify.BusError("org..Error")}, "D-Bus"},
		{"long bus error", []notify.Assignment{notify.BusError("org." + strings.Repeat("x", 252))}, "D-Bus"},
		{"varlink error", []notify.Assignment{notify.VarlinkError("org.varlink.notCapital")}, "Varlink"},
		{"varlink error with a break", []notify.Assignment{notify.VarlinkError("org.varlink.A\nREADY=1")}, "Varlink"},
		{"short varlink error", []notify.Assignment{notify.VarlinkError("org.Error")}, "Varlink"},
		{"access", []notify.Assignment{notify.Access("root")}, "not none, main, exec or all"},
		{"no extension", []notify.Assignment{notify.ExtendTimeout(0)}, "EXTEND_TIMEOUT_USEC"},
		{"negative watchdog", []notify.Assignment{notify.WatchdogTimeout(-1)}, "WATCHDOG_USEC"},
		{"somebody else's key", []notify.Assignment{notify.Custom("READY", "1")}, `key "READY"`},
		{"key in small letters", []notify.Assignment{notify.Custom("X_color", "1")}, "X_color"},
		{"key with a value", []notify.Assignment{notify.Custom("X_A=1\nREADY", "1")}, "key"},
		{"no key", []notify.Assignment{notify.Custom("X_", "1")}, "key"},
		{"value with LF", []notify.Assignment{notify.Custom("X_A", "1\nREADY=1")}, "line break"},
		{"value with CR", []notify.Assignment{notify.Custom("X_A", "1\rREADY=1")}, "line break"},
		{"value with NUL", []notify.Assignment{notify.Custom("X_A", "\x00")}, "NUL"},
		{"value not UTF-8", []notify.Assignment{notify.Custom("X_A", "\xff")}, "UTF-8"},
		{"4097 bytes", []notify.Assignment{notify.Custom("X_A", strings.Repeat("x", 4093))}, "4097 bytes"},
	}
	for _, test := range tests {
		got, err := notify.Render(test.give...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %q, %v, want an error with %q", test.name, got, err, test.want)
		}
	}
}

func TestLargestMessageIsSent(t *testing.T) {
	got, err := notify.Render(notify.Custom("X_A", strings.Repeat("x", 4092)))
	if err != nil || len(got) != 4096 {
		t.Errorf("%d bytes, %v, want 4096", len(got), err)
	}
}

func TestStoreNames(t *testing.T) {
	for _, name := range []string{"http", "a b", "~", "fs1.http.0", strings.Repeat("x", 255)} {
		got, err := notify.RenderStore(name)
		if want := "FDSTORE=1\nFDNAME=" + name; err != nil || string(got) != want {
			t.Errorf("name %q: %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"", "a:b", "a\nREADY=1", "\x7f", "ö", "\x00", strings.Repeat("x", 256)} {
		if got, err := notify.RenderStore(name); err == nil {
			t.Errorf("name %q: %q, want an error", name, got)
		}
	}
}
