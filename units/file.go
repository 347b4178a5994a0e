package units

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// A File is a unit file, or a drop-in of one.
type File struct {
	// Name is the name for systemd: myapp.service, or myapp.service.d/limit.conf.
	Name string

	// Path is the path that the file was read from; "" if it was not read.
	Path string

	// Text is all of it.
	Text string
}

// String is the file below a comment with its name, as systemctl cat prints it.
func (f File) String() string { return "# " + f.Name + "\n" + f.Text }

// Install writes the file to dir by a rename, so that readers see the old file or the new
// one. It replaces a file of the same name.
func (f File) Install(dir string) error {
	if err := replaceFile(filepath.Join(dir, f.Name), f.Text); err != nil {
		return fmt.Errorf("units: write %s: %w", f.Name, err)
	}
	return nil
}

// group puts the files of each unit together.
func group(files []File) []*merged {
	texts := make([]unitfile.File, len(files))
	for i, f := range files {
		texts[i] = unitfile.File(f)
	}
	return grouped(texts)
}

func replaceFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
