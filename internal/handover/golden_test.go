//go:build linux

package handover_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/internal/leak"
)

// golden are the frames of protocol version 1. They are spoken between programs
// that were built years apart: a line here may be added, never changed.
var golden = []struct {
	frame   string
	fds     int
	message handover.Message
}{
	{"CO\x01\x01" + `{"min":1,"max":1,"pid":4711,"ppid":1,"generation":3}`, 0,
		handover.Hello{MinVersion: 1, MaxVersion: 1, PID: 4711, ParentPID: 1, Generation: 3}},
	{"CO\x01\x01" + `{"min":1,"max":1,"pid":4712,"ppid":1}`, 0,
		handover.Hello{MinVersion: 1, MaxVersion: 1, PID: 4712, ParentPID: 1}},
	{"CO\x01\x02" + `{"entries":[{"name":"http","index":0,"origin":"unit"},{"name":"admin","index":1,"origin":"own"}],"last":true}`, 2,
		handover.Descriptors{Last: true, Entries: []handover.Entry{
			{Name: "http", Origin: handover.OriginUnit}, {Name: "admin", Index: 1, Origin: handover.OriginOwn}}}},
	{"CO\x01\x02" + `{"entries":[{"name":"a","index":0,"origin":"own"}]}`, 1,
		handover.Descriptors{Entries: []handover.Entry{{Name: "a", Origin: handover.OriginOwn}}}},
	{"CO\x01\x03{}", 0, handover.Received{}},
	{"CO\x01\x04{}", 0, handover.Ready{}},
	{"CO\x01\x04" + `{"receives":{"http":["http/1.1"]}}`, 0, handover.Ready{Receives: map[string][]string{"http": {"http/1.1"}}}},
	{"CO\x01\x05" + `{"reason":"no configuration"}`, 0, handover.Failed{Reason: "no configuration"}},
	{"CO\x01\x06{}", 0, handover.Go{}},
	{"CO\x01\x07{}", 0, handover.Serving{}},
	{"CO\x01\x08{}", 0, handover.Committing{}},
	{"CO\x01\x09{}", 0, handover.Committed{}},
	{"CO\x01\x0a{}", 0, handover.Stopping{}},
	{"CO\x01\x0b{}", 0, handover.Superseded{}},
	{"CO\x01\x0d" + `{"names":["a","b"],"stored":["cutover.state.1.a"]}`, 2,
		handover.States{Names: []string{"a", "b"}, Stored: []string{"cutover.state.1.a"}}},
	{"CO\x01\x0e" + `{"connections":[{"name":"chat","format":"chat/1","data":"AP8="},{"name":"http","format":"http/1.1"}]}`, 2,
		handover.Connections{Connections: []handover.Connection{
			{Name: "chat", Format: "chat/1", Data: []byte{0, 255}}, {Name: "http", Format: "http/1.1"}}}},
	{"CO\x01\x0f{}", 0, handover.Taken{}},
	{"CO\x01\x0f" + `{"refused":[1,2]}`, 0, handover.Taken{Refused: []int{1, 2}}},
	{"CO\x01\x0f" + `{"refused":[0],"ending":true}`, 0, handover.Taken{Refused: []int{0}, Ending: true}},
	{"CO\x01\x80" + `{"generations":2}`, 0, handover.Draining{Generations: 2}},
	{"CO\x01\x80" + `{"generations":1,"generation":3,"held":12,"left":8}`, 0,
		handover.Draining{Generations: 1, Generation: 3, Held: 12, Left: 8}},
	{"CO\x01\x02" + `{"entries":[{"name":"a","index":0,"origin":"own","unstored":true}]}`, 1,
		handover.Descriptors{Entries: []handover.Entry{{Name: "a", Origin: handover.OriginOwn, Unstored: true}}}},
	{"CO\x01\x82" + `{"entries":[{"name":"a","index":1,"origin":"own"}]}`, 0,
		handover.Forgotten{Entries: []handover.Entry{{Name: "a", Index: 1, Origin: handover.OriginOwn}}}},
	{"CO\x01\x04" + `{"acknowledges":true}`, 0, handover.Ready{Acknowledges: true}},
	{"CO\x01\x83{}", 0, handover.Acknowledge{}},
	{"CO\x01\x84{}", 0, handover.Acknowledged{}},
	{"CO\x01\x80" + `{"generations":2,"generation":3,"held":1,"overdue":1}`, 0,
		handover.Draining{Generations: 2, Generation: 3, Held: 1, Overdue: 1}},
	{"CO\x01\x85{}", 1, handover.Command{}},
	{"CO\x01\x86" + `{"pid":4715}`, 2, handover.Third{PID: 4715}},
	{"CO\x01\x86" + `{"pid":4715}`, 1, handover.Third{PID: 4715}},
	{"CO\x01\x86{}", 0, handover.Third{}},
	{"CO\x01\x01" + `{"min":1,"max":1,"pid":4712,"ppid":1,"program":"8-1f-2-3"}`, 0,
		handover.Hello{MinVersion: 1, MaxVersion: 1, PID: 4712, ParentPID: 1, Program: "8-1f-2-3"}},
	{"CO\x01\x87" + `{"names":["cutover.0.cutover.good.8-1f-2-3"]}`, 1, handover.LastGood{Names: []string{"cutover.0.cutover.good.8-1f-2-3"}}},
	{"CO\x01\x08" + `{"marked":true}`, 0, handover.Committing{Marked: true}},
	{"CO\x01\x87" + `{"names":["a"]}`, 0, handover.LastGood{Names: []string{"a"}}},
	{"CO\x01\x0c" + `{"pid":4713}`, 2, handover.Goodbye{PID: 4713}},
	{"CO\x01\x0c" + `{"pid":4714,"superseded":true}`, 2, handover.Goodbye{PID: 4714, Superseded: true}},
	{"CO\x01\x0c" + `{"pid":4714,"receives":{"http":["http/1.1"]}}`, 2,
		handover.Goodbye{PID: 4714, Receives: map[string][]string{"http": {"http/1.1"}}}},
}

// Older programs skip the hint.
func TestAPartOfReceivesIsSentAsAHint(t *testing.T) {
	c, raw := wire(t)
	writeRaw(t, raw, "CO\x01\x81"+`{"receives":{"a":["f"]}}`, nil)
	writeRaw(t, raw, "CO\x01\x04"+`{"receives":{"b":["f"]}}`, nil)
	want := handover.Ready{Receives: map[string][]string{"a": {"f"}, "b": {"f"}}}
	if m, err := c.Receive(context.Background()); err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("Receive = %+v, %v, want %+v", m, err, want)
	}
}

// with returns m with descriptors.
func with(m handover.Message, fds []*fd.FD) handover.Message {
	switch m := m.(type) {
	case handover.Descriptors:
		m.FDs = fds
		return m
	case handover.States:
		m.FDs = fds
		return m
	case handover.Goodbye:
		m.FDs = fds
		return m
	case handover.Command:
		m.FDs = fds
		return m
	case handover.Third:
		m.FDs = fds
		return m
	case handover.LastGood:
		m.FDs = fds
		return m
	case handover.Connections:
		m.FDs = fds
		return m
	}
	return m
}

func TestFramesOfVersion1DoNotChange(t *testing.T) {
	for _, g := range golden {
		t.Run(fmt.Sprintf("%T", g.message), func(t *testing.T) {
			c, raw := wire(t)
			fds := files(t, g.fds)
			if err := c.Send(context.Background(), with(g.message, fds)); err != nil {
				t.Fatal(err)
			}
			frame, got := readRaw(t, raw)
			if frame != g.frame || got != g.fds {
				t.Errorf("sent %q with %d descriptors, want %q with %d", frame, got, g.frame, g.fds)
			}
			writeRaw(t, raw, g.frame, fds)
			m, err := c.Receive(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			back := carried(m)
			defer fd.CloseAll(back)
			if len(back) != g.fds || !reflect.DeepEqual(with(m, nil), g.message) {
				t.Errorf("received %+v with %d descriptors, want %+v with %d", with(m, nil), len(back), g.message, g.fds)
			}
		})
	}
}

// A later version of the program may send such frames in version 1 of the protocol.
func TestFramesOfALaterProgramAreRead(t *testing.T) {
	tests := []struct {
		frame string
		want  handover.Message
	}{
		{"CO\x01\x06" + `{"hurry":true}`, handover.Go{}},
		{"CO\x01\x0c" + `{"pid":7,"reason":{"deep":[1,2]}}`, handover.Goodbye{PID: 7}},
		{"CO\x01\x04null", handover.Ready{}},
	}
	for _, tt := range tests {
		c, raw := wire(t)
		writeRaw(t, raw, tt.frame, nil)
		if m, err := c.Receive(context.Background()); err != nil || !reflect.DeepEqual(with(m, nil), tt.want) {
			t.Errorf("%q: %+v, %v, want %+v", tt.frame, m, err, tt.want)
		}
	}
}

// The hints have kinds from 128 on, with and without descriptors. A known message follows.
func TestHintsOfALaterProgramAreSkipped(t *testing.T) {
	c, raw := wire(t)
	before := len(leak.Descriptors())
	for _, kind := range []string{"\xf0", "\xff"} {
		writeRaw(t, raw, "CO\x01"+kind+"anything", nil)
		writeRaw(t, raw, "CO\x01"+kind, files(t, 2))
	}
	writeRaw(t, raw, "CO\x01\x06{}", nil)
	sent := len(leak.Descriptors()) - before // of the files above
	if m, err := c.Receive(context.Background()); err != nil || m != (handover.Go{}) {
		t.Errorf("Receive = %v, %v, want the message after the hints", m, err)
	}
	if left := len(leak.Descriptors()) - before; left != sent {
		t.Errorf("%d descriptors of hints left open", left-sent)
	}
}

func TestInvalidFramesAreRefused(t *testing.T) {
	tests := []struct {
		frame string
		fds   int
		why   string
	}{
		{"C", 0, "not a frame"},
		{"CO\x01", 0, "not a frame"},
		{"XO\x01\x06{}", 0, "not a frame"},
		{"CX\x01\x06{}", 0, "not a frame"},
		{"CO\x02\x06{}", 0, "framing 2"},
		{"CO\x01\x00{}", 0, "kind 0: unknown"},
		{"CO\x01\x10{}", 0, "kind 16: unknown"},
		{"CO\x01\x7f{}", 1, "kind 127: unknown"},
		{"CO\x01\x06", 0, "kind 6"},
		{"CO\x01\x06{", 0, "kind 6"},
		{"CO\x01\x06[]", 0, "kind 6"},
		{"CO\x01\x06{}", 1, "came with 1 descriptors"},
		{"CO\x01\x01{\"pid\":\"x\"}", 0, "kind 1"},
		{"CO\x01\x02{\"entries\":[{\"name\":\"a\"}]}", 2, "2 descriptors for 1 names"},
		{"CO\x01\x02{\"entries\":[{\"name\":\"a\"},{\"name\":\"b\"}]}", 1, "1 descriptors for 2 names"},
		{"CO\x01\x02{\"entries\":3}", 1, "kind 2"},
		{"CO\x01\x0c7", 2, "kind 12"},
		{"CO\x01\x0e{}", 1, "1 descriptors for 0 connections"},
		{"CO\x01\x05{\"reason\":\"" + strings.Repeat("x", 128<<10) + "\"}", 0, "cut off"},
	}
	for _, tt := range tests {
		c, raw := wire(t)
		fds := files(t, tt.fds)
		before := len(leak.Descriptors())
		writeRaw(t, raw, tt.frame, fds)
		m, err := c.Receive(context.Background())
		if !errors.Is(err, handover.ErrProtocol) || !strings.Contains(fmt.Sprint(err), tt.why) {
			t.Errorf("%.40q with %d descriptors: %v, %v, want ErrProtocol and %q", tt.frame, tt.fds, m, err, tt.why)
		}
		if after := len(leak.Descriptors()); after != before {
			t.Errorf("%.40q with %d descriptors leaves %d open", tt.frame, tt.fds, after-before)
		}
		writeRaw(t, raw, "CO\x01\x06{}", nil) // one bad message does not spoil the next
		if m, err := c.Receive(context.Background()); err != nil || m != (handover.Go{}) {
			t.Errorf("after %.40q: %v, %v", tt.frame, m, err)
		}
	}
}

func TestAMessageThatFitsNoFrameIsRefused(t *testing.T) {
	c, _ := wire(t)
	if err := c.Send(context.Background(), handover.States{Stored: []string{strings.Repeat("x", 128<<10)}}); err == nil {
		t.Error("a message of more than 128 KiB was sent")
	}
}

func TestALongReasonIsCut(t *testing.T) {
	for _, n := range []int{30 << 10, 40000, 1 << 20} {
		a, b := pair(t)
		if err := a.Send(context.Background(), handover.Failed{Reason: "unhealthy: " + strings.Repeat("<", n)}); err != nil {
			t.Fatal(err)
		}
		m, err := b.Receive(context.Background())
		f, ok := m.(handover.Failed)
		if err != nil || !ok || !strings.HasPrefix(f.Reason, "unhealthy: <<<") || !strings.Contains(f.Reason, "(cut, ") {
			t.Errorf("a reason of %d bytes arrives as %.40v, %v", n, m, err)
		}
	}
}
