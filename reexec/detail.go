package reexec

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/excerpt"
)

// This file collects the detail of a status for an operator: the version of the program, its
// sockets, and the last upgrade.

// history has the start of service and the result of the last upgrade, for the status. Its
// fields are pointers to values that do not change.
type history struct {
	since *time.Time
	last  *ask.Outcome
}

func (u *Upgrader) past() history {
	if h := u.commands.history.Load(); h != nil {
		return *h
	}
	return history{}
}

// remember sets the time of the first call of a main process. A successor exists by a good
// upgrade.
func (u *Upgrader) remember() {
	h := u.past()
	if h.since != nil {
		return
	}
	now := time.Now()
	h.since = &now
	if u.launch.generation > 1 {
		h.last = &ask.Outcome{At: now.Unix()}
	}
	u.commands.history.Store(&h)
}

// rememberUndone notes the reason why an upgrade was undone.
func (u *Upgrader) rememberUndone(reason error) {
	h := u.past()
	h.last = &ask.Outcome{At: time.Now().Unix(), Error: excerpt.Of(reason.Error(), 2<<10)}
	u.commands.history.Store(&h)
}

// detail returns the detail of the answer to a status command.
func (u *Upgrader) detail() *ask.Detail {
	h := u.past()
	d := &ask.Detail{Version: strings.TrimSpace(strings.TrimPrefix(build(), "(devel)")), Last: h.last}
	if h.since != nil {
		d.Since = h.since.Unix()
	}
	const most = 16 << 10 // bytes of the sockets in JSON: the answer has a limit
	size := 0
	for _, s := range u.sockets.Describe() {
		text, err := json.Marshal(s)
		if size += len(text); err != nil || size > most {
			break
		}
		d.Sockets = append(d.Sockets, s)
	}
	return d
}
