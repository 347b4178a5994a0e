package status_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/reexec/internal/status"
)

func TestDetailHasTheLastUpgrade(t *testing.T) {
	var first, next status.History
	if d := first.Detail(nil); d.Since != 0 || d.Last != nil {
		t.Errorf("detail before the process is the main one: %+v", d)
	}
	first.Begin(false)
	next.Begin(true)
	if d := first.Detail(nil); d.Since == 0 || d.Last != nil {
		t.Errorf("detail of the first generation: %+v", d)
	}
	if d := next.Detail(nil); d.Last == nil || d.Last.Error != "" {
		t.Errorf("detail of a successor: %+v, want a good upgrade", d)
	}
	next.Undone(errors.New("no configuration"))
	next.Begin(true) // again the main process: the reason stays
	if d := next.Detail(nil); d.Last == nil || d.Last.Error != "no configuration" {
		t.Errorf("detail after an undone upgrade: %+v", d)
	}
}

func TestDetailHasAsManySocketsAsTheAnswerCan(t *testing.T) {
	var h status.History
	many := make([]ask.Socket, 1000)
	for i := range many {
		many[i].Name = strings.Repeat("x", 100)
	}
	if n := len(h.Detail(many).Sockets); n == 0 || n > 160 {
		t.Errorf("%d of %d sockets, want at most 16 KiB of them", n, len(many))
	}
	if n := len(h.Detail(many[:3]).Sockets); n != 3 {
		t.Errorf("%d of 3 sockets", n)
	}
}
