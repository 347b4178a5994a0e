package progress

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestOutputThatIsNoTerminalHasNoBar(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if On(f) != nil || On(&b) != nil {
		t.Error("a file or a buffer gets a bar")
	}
	On(f).Show(0.5, "half")
	On(f).Clear()
	if info, err := f.Stat(); err != nil || info.Size() > 0 {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
}

func TestBarShowsThePartThatIsDone(t *testing.T) {
	var b bytes.Buffer
	bar := &Bar{&b}
	bar.Show(0.5, "run 2 of 4")
	bar.Clear()
	want := "\r[###############---------------]  50 %  run 2 of 4\x1b[K\r\x1b[K"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
