package compare

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
)

// A keptRun is a line of the file of -keep.
type keptRun struct {
	Way     string
	Figures figures
}

// earlier returns the figures of the runs in the file, by way.
func (p plan) earlier() (map[string][]figures, error) {
	if p.kept == "" {
		return nil, nil
	}
	f, err := os.Open(p.kept)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	runs := map[string][]figures{}
	for d := json.NewDecoder(f); ; {
		var k keptRun
		switch err := d.Decode(&k); {
		case err == io.EOF:
			return runs, nil
		case err != nil:
			return nil, err
		}
		runs[k.Way] = append(runs[k.Way], k.Figures)
	}
}

// keep adds a run to the file.
func (p plan) keep(w way, run figures) error {
	if p.kept == "" {
		return nil
	}
	f, err := os.OpenFile(p.kept, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(f).Encode(keptRun{w.key, run}), f.Close())
}
