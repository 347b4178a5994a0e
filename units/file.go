package units

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/merged"
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

// Load reads unit files with their drop-ins, without asking a running systemd. A name is
//
//   - a directory: Load reads all units in it, at least one;
//   - a file, which is a path with a slash or a name that exists: Load reads the file, its
//     drop-ins, and the .service or .socket of the same name beside it; for a drop-in it
//     reads the unit;
//   - otherwise a unit as for `systemctl cat`: Load reads it and the units that belong to it
//     from /etc, /run and /usr/lib below root. "" is the machine's own root.
//
// The first file of a name counts, so the result can be passed to Check. For a name without
// a file Load returns an error wrapping fs.ErrNotExist.
func Load(root string, names ...string) ([]File, error) {
	var all []File
	for _, name := range names {
		files, err := merged.Load(root, name)
		if err != nil {
			return nil, fmt.Errorf("units: %w", err)
		}
		for _, f := range files {
			all = append(all, File(f))
		}
	}
	return all, nil
}

// group puts the files of each unit together.
func group(files []File) []*merged.Unit {
	texts := make([]unitfile.File, len(files))
	for i, f := range files {
		texts[i] = unitfile.File(f)
	}
	return merged.Group(texts)
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
