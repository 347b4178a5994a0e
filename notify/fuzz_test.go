package notify_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cutover-go/cutover/notify"
)

// FuzzMessage checks that a message has the assignments that were asked for and no
// others, by reading it as the manager does.
func FuzzMessage(f *testing.F) {
	f.Add("serving 42 connections", uint16(1), "X_COLOR", "blue", "org.example.Error", "http", int64(90*time.Second))
	f.Add("a\nREADY=1\rSTOPPING=1\x00", uint16(1), "X_A\n", "1\nMAINPID=1", "a.b\nFDSTORE=1", "x\nFDSTOREREMOVE=1", int64(-1))
	f.Add("\xff\xfe\uFFFE\uFDD0", uint16(1), "X_", "\r", "", ":", int64(0))
	f.Add("€\n", uint16(4000), "X_LONG", "x", "org.E", "n", int64(1))
	f.Add("", uint16(0), "X_", "x", "org.varlink.service.InvalidParameter", "all", int64(1))
	f.Fuzz(func(t *testing.T, status string, times uint16, key, value, bus, name string, d int64) {
		status = strings.Repeat(status, int(times)%5000)
		asked := []string{"READY", "STATUS", key, "BUSERROR", "EXTEND_TIMEOUT_USEC"}
		text, err := notify.Render(notify.Ready, notify.Status(status), notify.Custom(key, value),
			notify.BusError(bus), notify.ExtendTimeout(time.Duration(d)))
		if err == nil {
			if err := readAsManager(text, asked); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
		for key, a := range map[string]notify.Assignment{
			key: notify.Custom(key, value), "BUSERROR": notify.BusError(bus),
			"VARLINKERROR": notify.VarlinkError(bus), "NOTIFYACCESS": notify.Access(name),
		} {
			if text, err := notify.Render(a); err == nil {
				if err := readAsManager(text, []string{key}); err != nil {
					t.Errorf("%q: %v", text, err)
				}
			}
		}
		if text, err := notify.Render(notify.Status(status)); err != nil {
			t.Errorf("Status(%q) alone: %v", status, err)
		} else if err := readAsManager(text, []string{"STATUS"}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if text, err := notify.RenderStore(name); err == nil {
			if err := readAsManager(text, []string{"FDSTORE", "FDNAME"}); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}

// readAsManager reports what keeps systemd from finding in text just the keys asked.
func readAsManager(text []byte, asked []string) error {
	if len(text) > 4096 || bytes.IndexByte(text, 0) >= 0 {
		return fmt.Errorf("%d bytes, NUL at %d: dropped", len(text), bytes.IndexByte(text, 0))
	}
	var keys []string
	for line := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == '\n' || r == '\r' }) {
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return fmt.Errorf("no assignment: %q", line)
		}
		if !utf8.ValidString(value) || strings.ContainsFunc(value, isNoncharacter) {
			return fmt.Errorf("%s is not UTF-8 for systemd: ignored", key)
		}
		keys = append(keys, key)
	}
	if !slices.Equal(keys, asked) {
		return fmt.Errorf("has %q, asked for were %q", keys, asked)
	}
	return nil
}

// isNoncharacter is what systemd refuses of valid UTF-8.
func isNoncharacter(r rune) bool {
	return r >= 0xFDD0 && r <= 0xFDEF || r&0xFFFF >= 0xFFFE
}

func FuzzEnvironment(f *testing.F) {
	f.Add("/run/systemd/notify", "30000000", "4711", "4711", "512", 4711)
	f.Add("@a", "1", "3690", "3690", "0", 1)
	f.Add("", "", "", "", "", 0)
	f.Add("vsock:2:1", "18446744073709551615", "0", "", "99999999999999999999", 2)
	f.Fuzz(func(t *testing.T, socket, usec, watched, started, store string, pid int) {
		got, watchdog, storeMax, err := notify.ReadEnvironment(lookup(map[string]string{
			"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": usec, "WATCHDOG_PID": watched, "SYSTEMD_EXEC_PID": started, "FDSTORE": store,
		}), pid)
		if err != nil && (got != "" || watchdog != 0 || storeMax != 0) {
			t.Errorf("%q, %v, %d beside the error %v", got, watchdog, storeMax, err)
		}
		if err == nil && (got != socket || watchdog < 0 || storeMax < 0) {
			t.Errorf("%q, %v, %d", got, watchdog, storeMax)
		}
		if watchdog > 0 && watched != started && strings.TrimLeft(watched, "0") != fmt.Sprint(pid) {
			t.Errorf("watchdog %v for process %s read by %d", watchdog, watched, pid)
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"/run/systemd/notify", "@abstract", "vsock:2:1234", "vsock-stream:3:1", "@", "", "vsock::", "vsock-:1:2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := notify.ParseAddress(text)
		if err == nil && !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "@") && !strings.HasPrefix(text, "vsock") {
			t.Errorf("ParseAddress(%q) = %v", text, a)
		}
		if err == nil && len(text) > 108 && !strings.HasPrefix(text, "vsock") { // a number may have zeros in front
			t.Errorf("ParseAddress takes %d bytes", len(text))
		}
	})
}
