package status

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/excerpt"
)

// A History has the start of service and the result of the last upgrade. The loop writes it, and
// any goroutine may call Detail. The zero History is empty.
type History struct{ past atomic.Pointer[past] }

// past does not change, and its fields point to values that do not change.
type past struct {
	since *time.Time
	last  *ask.Outcome
}

func (h *History) load() past {
	if p := h.past.Load(); p != nil {
		return *p
	}
	return past{}
}

// Begin notes that this process is the main process, since the first call. succeeded says that it
// is a successor, so that there was a good upgrade.
func (h *History) Begin(succeeded bool) {
	p := h.load()
	if p.since != nil {
		return
	}
	now := time.Now()
	p.since = &now
	if succeeded {
		p.last = &ask.Outcome{At: now.Unix()}
	}
	h.past.Store(&p)
}

// Undone notes the reason why an upgrade was undone.
func (h *History) Undone(reason error) {
	p := h.load()
	p.last = &ask.Outcome{At: time.Now().Unix(), Error: excerpt.Of(reason.Error(), 2<<10)}
	h.past.Store(&p)
}

// Detail returns the detail of the answer to a status command: the version of the program, the
// history, and as many of the sockets as the answer can have.
func (h *History) Detail(sockets []ask.Socket) *ask.Detail {
	p := h.load()
	d := &ask.Detail{Version: strings.TrimSpace(strings.TrimPrefix(Build(), "(devel)")), Last: p.last}
	if p.since != nil {
		d.Since = p.since.Unix()
	}
	const most = 16 << 10 // bytes of the sockets in JSON: the answer has a limit
	size := 0
	for _, s := range sockets {
		text, err := json.Marshal(s)
		if size += len(text); err != nil || size > most {
			break
		}
		d.Sockets = append(d.Sockets, s)
	}
	return d
}
