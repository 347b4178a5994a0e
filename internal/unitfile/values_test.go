package unitfile_test

import (
	"testing"

	"github.com/cutover-go/cutover/internal/unitfile"
)

func TestBooleansHaveSixForms(t *testing.T) {
	for _, value := range []string{"yes", "TRUE", "On", "1", "y", "T"} {
		if !unitfile.IsYes(value) || unitfile.IsNo(value) {
			t.Errorf("%q is not on", value)
		}
	}
	for _, value := range []string{"no", "False", "off", "0", "N", "f"} {
		if unitfile.IsYes(value) || !unitfile.IsNo(value) {
			t.Errorf("%q is not off", value)
		}
	}
	for _, value := range []string{"", "2", "maybe", " yes"} {
		if unitfile.IsYes(value) || unitfile.IsNo(value) {
			t.Errorf("%q is a boolean", value)
		}
	}
}

func TestSizesHaveUnitsOf1024(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "12": 12, "1K": 1 << 10, "1.5M": 3 << 19, "1G 512M": 3 << 29, "1G512M": 3 << 29, "2 K": 2 << 10, "1E": 1 << 60, "7B": 7, "10.M": 10 << 20,
		"1K 1": 1025, "18446744073709551615": 1<<64 - 1, "15E": 15 << 60,
	} {
		if got, err := unitfile.Size(text); got != want || err != nil {
			t.Errorf("Size(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "K", "-1", "1k", "1M 1G", "1M 1M", "1 2", "50%", "infinity", "16E", "15.99999999999999999999E", "15E 1024P", "0x10", "99999999999999999999"} {
		if got, err := unitfile.Size(text); err == nil {
			t.Errorf("Size(%q) = %d, want an error", text, got)
		}
	}
}

func TestSpecifiersFollowFromTheName(t *testing.T) {
	for unit, want := range map[string]string{
		`a-b.service`:         `a-b.service a-b a-b a/b b b   /a/b`,
		`a-b@c\x2dd-e.socket`: `a-b@c\x2dd-e.socket a-b@c\x2dd-e a-b a/b b b c\x2dd-e c-d/e /c-d/e`,
	} {
		if got := unitfile.Expand(unit, "/run", "%n %N %p %P %j %J %i %I %f"); got != want {
			t.Errorf("Expand(%s) = %q, want %q", unit, got, want)
		}
	}
	if got, want := unitfile.Expand("a.service", "/r", "%t/x %S %C %L %E %T %V 100%% %%t %z"), "/r/x /var/lib /var/cache /var/log /etc /tmp /var/tmp 100% %t %z"; got != want {
		t.Errorf("Expand = %q, want %q", got, want)
	}
}
