package merged

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// inDirs reads the units called names and all their drop-ins from dirs. It also reads the
// sockets whose Service= is one of names.
func inDirs(dirs, names []string) (files []unitfile.File, err error) {
	for _, dir := range dirs {
		found, err := readDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if belongs(f, names) {
				files = append(files, f)
			}
		}
	}
	return files, nil
}

func belongs(f unitfile.File, names []string) bool {
	if slices.Contains(names, f.Name) {
		return true
	}
	for _, name := range names {
		if isDropIn(f.Name) && slices.Contains(dropInDirs(name), filepath.Dir(f.Name)) {
			return true
		}
		if strings.HasSuffix(f.Name, ".socket") && Merge(f.Name, []*unitfile.File{&f}).SocketService() == name {
			return true
		}
	}
	return false
}

// readDir reads all units in dir, and all drop-ins.
func readDir(dir string) (files []unitfile.File, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		var found []unitfile.File
		switch ext := filepath.Ext(e.Name()); {
		case ext == ".service" || ext == ".socket" || ext == ".path":
			found, err = readFiles([]string{filepath.Join(dir, e.Name())}, "")
		case ext == ".d":
			// The pattern is wrong only if the name of dir has a bad pattern in it: no drop-ins then.
			confs, _ := filepath.Glob(filepath.Join(dir, e.Name(), "*.conf"))
			found, err = readFiles(confs, e.Name())
		}
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

func readFiles(paths []string, parent string) (files []unitfile.File, err error) {
	for _, path := range paths {
		f, err := ReadFile(path, filepath.Join(parent, filepath.Base(path)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a dangling link, such as one of a removed package
		}
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// maxFile is larger than any unit file.
const maxFile = 1 << 20

// ReadFile reads a unit file, which is called name for systemd.
func ReadFile(path, name string) (unitfile.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return unitfile.File{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return unitfile.File{}, err
	}
	return unitfile.File{Name: filepath.ToSlash(name), Path: path, Text: string(text)}, nil
}
