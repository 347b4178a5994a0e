package target

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Settings are the settings of a server that is upgraded by changed settings.
type Settings struct {
	Version int           // in the answers, as version and as generation
	Start   time.Duration // how long a start takes
}

// Begin reads settings from a file of lines such as version=2, start=8s. It returns when
// the time for a start has passed. A wrong file is an error, as it is in any server.
func Begin(file string) (s Settings, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "version":
			_, err = fmt.Sscan(value, &s.Version)
		case "start":
			s.Start, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("unknown setting %q", name)
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", file, err)
		}
	}
	time.Sleep(s.Start)
	return s, nil
}
