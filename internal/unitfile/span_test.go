package unitfile_test

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/needs"
	"github.com/cutover-go/cutover/internal/unitfile"
)

// spans are time spans as systemctl show prints them, "" for a text that systemd refuses.
var spans = map[string]string{
	"90": "1min 30s", "0": "0", "200ms": "200ms", "1.5s": "1.500000s", "1min 1.5": "1min 1.500000s", "1h5s": "1h 5s", "2 weeks": "2w", "25h": "1d 1h",
	"100us": "100us", "1500us": "1.500ms", "1y": "1y", "1month": "1month", "1M": "1month", "1m30": "1min 30s", "1.5y": "1y 6month", "1µs": "1us", "1μs": "1us",
	"1 2": "3s", "+5": "5s", "5s+3": "8s", ".5": "500ms", "1.2 .3": "1.500000s", "12.34s.56": "12.900000s", " 7s ": "7s",
	"infinity": "infinity", " infinity ": "infinity", "0.0000019": "1us", "1.5us": "1us", "2.9us 2.9us": "4us", "0.1ms": "100us", "290y": "290y",
	"": "", "-1": "", "x": "", "5 parsecs": "", "5.": "", "1.2.3": "", "1..5": "", "1e3": "", "0x10": "", "1ys": "", "+.5": "", "infinity 1s": "",
	"584542y": "", "600000y": "", "9223372036854775808us": "", "500000y 500000y": "", "1 ms ms": "",
}

func TestSpansAreReadAndShownAsSystemdDoes(t *testing.T) {
	for text, want := range spans {
		got := ""
		d, err := unitfile.Span(text)
		if err == nil {
			got = unitfile.FormatSpan(d)
		} else if !strings.Contains(err.Error(), strconv.Quote(text)) {
			t.Errorf("Span(%q): %v, want the text in the error", text, err)
		}
		if got != want {
			t.Errorf("Span(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
}

// systemd has 584542 years, a Duration 292.
func TestSpansLongerThanADurationAreForever(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"292y": 292 * 31557600 * time.Second, "293y": unitfile.Forever, "584541y": unitfile.Forever, "9223372036854775807us": unitfile.Forever,
	} {
		if d, err := unitfile.Span(text); d != want || err != nil {
			t.Errorf("Span(%q) = %v, %v, want %v", text, d, err, want)
		}
	}
}

func TestSystemdAgreesOnSpans(t *testing.T) {
	analyze := needs.Program(t, "systemd-analyze")
	human := regexp.MustCompile(`Human: (.*)`)
	for text, want := range spans {
		out, err := exec.Command(analyze, "timespan", "--", text).CombinedOutput()
		got := ""
		if m := human.FindSubmatch(out); err == nil && m != nil {
			got = string(m[1])
		}
		if got != want {
			t.Errorf("systemd-analyze timespan %q says %q (%v), want %q", text, got, err, want)
		}
	}
}
