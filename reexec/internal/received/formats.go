package received

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// ErrFinal is the error of Add after Final.
var ErrFinal = errors.New("reexec: Receive after Ready: call it before")

// Formats has the formats of the connections that this process takes over. The zero Formats has
// none.
type Formats struct {
	mu     sync.Mutex
	final  bool                    // Final was called
	ours   map[string][]string     // formats of this process, by listener
	limits map[[2]string]IdleLimit // limits by listener and format
}

// An IdleLimit returns the idle timeout of a connection with this data, 0 if it has none.
type IdleLimit func(data []byte) time.Duration

// Add adds formats of connections of the listener called name. limit is nil if the program gets
// the connections at once, and not when their peers send data.
func (f *Formats) Add(name string, limit IdleLimit, formats []string) error {
	if err := storename.Check(name); err != nil {
		return err
	}
	for _, format := range formats {
		if err := checkFormat(format); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.final {
		return ErrFinal
	}
	if f.ours == nil {
		f.ours, f.limits = map[string][]string{}, map[[2]string]IdleLimit{}
	}
	f.ours[name] = append(f.ours[name], formats...)
	for _, format := range formats {
		f.limits[[2]string{name, format}] = limit
	}
	return nil
}

// Limit returns the limit of c, nil if c is for the program at once.
func (f *Formats) Limit(c handover.Connection) IdleLimit {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.limits[[2]string{c.Name, c.Format}]
}

// Final returns the formats of this process for another process, nil if there are none. Add
// fails from then on.
func (f *Formats) Final() map[string][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.final = true
	return maps.Clone(f.ours)
}

// Take reports whether this process takes c over.
func (f *Formats) Take(c handover.Connection) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.ours[c.Name], c.Format)
}

// checkFormat returns an error if f cannot be part of the name of a stored connection.
func checkFormat(f string) error {
	bad := func(c rune) bool { return c <= ' ' || c > '~' || c == ':' || c == '!' }
	if f == "" || len(f) > 32 || strings.ContainsFunc(f, bad) {
		return fmt.Errorf("reexec: format %q: it needs 1 to 32 printable ASCII characters without blanks, colons and exclamation marks", f)
	}
	return nil
}
