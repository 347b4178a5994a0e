package probe

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/testproc"
)

// A Probe is the test's side of a probe.
type Probe struct {
	*testproc.Process
	Taken
	Role string
	next func() *Probe
}

// New returns a process as a probe that t uses until ctx ends. Next returns the probe that
// connects next.
func New(p *testproc.Process, t testing.TB, ctx context.Context, next func() *Probe) *Probe {
	t.Helper()
	p.T, p.Ctx = t, ctx
	b := &Probe{Process: p, next: next}
	if len(p.Args) > 0 {
		b.Role = p.Args[0]
	}
	if err := json.Unmarshal([]byte(p.Text), &b.Taken); err != nil {
		t.Fatalf("process %d says hello with %q: %v", p.PID, p.Text, err)
	}
	return b
}

// Send has the probe send one message of typed assignments and waits until the manager has
// processed it.
func (b *Probe) Send(lines ...string) {
	b.T.Helper()
	b.Do("send", lines...)
	b.Do("barrier")
}

// SendRaw is Send for a text that package notify would refuse, with open files.
func (b *Probe) SendRaw(text string, keys ...string) {
	b.T.Helper()
	b.Do("send raw", append([]string{text}, keys...)...)
	b.Do("barrier")
}

// Store has the probe make memfds that contain their key, and store each under a name:
// NAME, or KEY=NAME.
func (b *Probe) Store(names ...string) {
	b.T.Helper()
	for _, n := range names {
		key, name, two := strings.Cut(n, "=")
		if !two {
			name = key
		}
		b.Do("open", key, "memfd", key)
		b.Do("store", name, key)
	}
	b.Do("barrier")
}

// AwaitSignal returns when the probe has got the signal, the next it gets.
func (b *Probe) AwaitSignal(want string) {
	b.T.Helper()
	if got := b.Next("signal"); got != want {
		b.T.Fatalf("process %d (%s) got %s, want %s", b.PID, b.Role, got, want)
	}
}

// ID is its PID, as systemctl shows it.
func (b *Probe) ID() string { return strconv.Itoa(b.PID) }

// Spawn starts another probe below this one, or with the role "sibling" beside it.
func (b *Probe) Spawn(role string) *Probe {
	b.T.Helper()
	id := b.Do("spawn", role)
	child := b.next()
	if child.ID() != id || child.Role != role {
		b.T.Fatalf("process %d (%s) came, want %s (%s)", child.PID, child.Role, id, role)
	}
	return child
}

// Names are the names of the descriptors that were passed, in their order.
func (b *Probe) Names() string {
	var names []string
	for _, r := range b.Raw {
		names = append(names, r.Name)
	}
	return strings.Join(names, " ")
}
