package tableflip

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// pidFile is the file with the pid of the process that serves. A nil one does nothing.
type pidFile struct {
	path string

	mu    sync.Mutex
	ready bool // this process has written it
}

// newPIDFile returns the file at path, seen from the directory of the start. It returns nil for
// an empty path.
func newPIDFile(path string) (*pidFile, error) {
	if path == "" {
		return nil, nil
	}
	path, err := filepath.Abs(path)
	return &pidFile{path: path}, err
}

// write replaces the file. The predecessor still serves at this time: systemd reads the file
// when the predecessor ends, which may be a moment later.
func (f *pidFile) write() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = true
	return f.replace()
}

// observe writes the file again if an upgrade was undone, because the successor has written it.
func (f *pidFile) observe(e reexec.Event) {
	if e.Kind == "undone" {
		f.again()
	}
}

// follow writes the file again each time this process serves again because the new one has
// died. It returns when ended is closed.
func (f *pidFile) follow(engine *reexec.Upgrader, ended <-chan struct{}) {
	for {
		select {
		case <-protocol.Of(engine).Resumed():
			f.again()
		case <-ended:
			return
		}
	}
}

func (f *pidFile) again() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ready {
		_ = f.replace() // this process goes on serving without it
	}
}

func (f *pidFile) replace() error {
	t, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path))
	if err != nil {
		return err
	}
	defer os.Remove(t.Name()) // fails after the rename
	_, err = t.WriteString(strconv.Itoa(os.Getpid()))
	if closeErr := t.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(t.Name(), f.path)
}
