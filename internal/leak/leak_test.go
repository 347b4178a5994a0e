//go:build linux

package leak_test

import (
	"os"
	"testing"

	"github.com/cutover-go/cutover/internal/leak"
)

// TestWhatIsLeftIsFound is not parallel: it counts the descriptors of the process.
func TestWhatIsLeftIsFound(t *testing.T) {
	if code := leak.Check(func() int { return 0 }); code != 0 {
		t.Errorf("exit status %d with nothing left", code)
	}
	var left *os.File
	if code := leak.Check(func() int {
		left, _ = os.Open(os.DevNull)
		return 0
	}); code != 1 {
		t.Errorf("exit status %d with a descriptor left", code)
	}
	left.Close()
}
