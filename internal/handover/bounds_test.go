//go:build linux

package handover

import (
	"context"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
)

// Names that take most in JSON, where "<" has six bytes, and most of a format.
var (
	longName   = strings.Repeat("<", 255)
	longFormat = strings.Repeat("&", 32)
)

// many returns n long names that differ.
func many(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s%07d", longName[:248], i))
	}
	return names
}

// fullBatch is the most connections that a sender puts together by Size.
func fullBatch(data int) (c Connections) {
	one := Connection{Name: longName, Format: longFormat, Data: make([]byte, data)}
	for size := one.Size(); size <= MaxPart && len(c.Connections) < fd.MaxRights; size += one.Size() {
		c.Connections = append(c.Connections, one)
	}
	return c
}

// largest are the largest messages of each kind that a generation makes.
func largest() map[kind][]Message {
	receives := map[string][]string{}
	for _, name := range many(3000) {
		receives[name] = []string{longFormat, longFormat}
	}
	receives["formats"] = slices.Repeat([]string{longFormat}, 5000)
	refused := make([]int, fd.MaxRights)
	for i := range refused {
		refused[i] = i
	}
	const number = math.MinInt
	return map[kind][]Message{
		kindHello: {Hello{number, number, number, number, number, true, strings.Repeat("f", 80)}},
		kindDescriptors: {Descriptors{Last: true, Entries: slices.Repeat([]Entry{{Name: longName, Index: number, Origin: OriginOutlet}},
			fitting(slices.Repeat([]Entry{{Name: longName, Index: number, Origin: OriginOutlet}}, 1000), fd.MaxRights))}},
		kindReceived: {Received{}},
		kindReady:    hinted(Ready{Receives: receives}),
		kindFailed: {Failed{strings.Repeat("<", 1<<20)}, Failed{strings.Repeat("\x00", 1<<20)},
			Failed{strings.Repeat("\xff", 1<<20)}, Failed{strings.Repeat("ö", 1<<20)}},
		kindGo: {Go{}}, kindServing: {Serving{}}, kindCommitting: {Committing{}}, kindCommitted: {Committed{}},
		kindStopping: {Stopping{}}, kindSuperseded: {Superseded{}},
		kindGoodbye:     hinted(Goodbye{PID: number, Superseded: true, Receives: receives}),
		kindStates:      {States{Names: many(fitting(many(1000), fd.MaxRights))}, States{Stored: many(fitting(many(1000), 1000))}},
		kindConnections: {fullBatch(0), fullBatch(1), fullBatch(32 << 10)},
		kindTaken:       {Taken{refused, true}},
		kindDraining:    {Draining{number, number, number, number, number}},
		kindForgotten: {Forgotten{slices.Repeat([]Entry{{Name: longName, Index: number, Origin: OriginOwn, Unstored: true}},
			fitting(slices.Repeat([]Entry{{Name: longName, Index: number, Origin: OriginOwn, Unstored: true}}, 1000), 1000))}},
		kindCommand:      {Command{}},
		kindLastGood:     {LastGood{Names: many(3)}},
		kindMoreReceives: hinted(Ready{Receives: receives}),
	}
}

func TestTheLargestMessageOfEachKindFitsAFrame(t *testing.T) {
	all := largest()
	for k := range kindOptional {
		if _, err := decodeBody(k, []byte("{}"), nil); err == nil && len(all[k]) == 0 {
			t.Errorf("no largest message of kind %d", k)
		}
	}
	for k, messages := range all {
		for _, m := range messages {
			if frame, err := encode(m); err != nil {
				t.Errorf("kind %d: %v", k, err)
			} else if len(frame) > maxFrame {
				t.Errorf("kind %d: %d bytes", k, len(frame))
			}
		}
	}
}

// 3,000 listeners receive connections.
func TestAListThatFitsNoFrameArrivesWhole(t *testing.T) {
	a, b := bothEnds(t)
	receives := map[string][]string{"formats": slices.Repeat([]string{longFormat}, 5000)}
	for _, name := range many(3000) {
		receives[name] = []string{"http/1.1"}
	}
	for _, want := range []Message{Ready{Receives: receives}, Goodbye{PID: 7, Receives: receives}, Ready{}, Ready{Receives: map[string][]string{"a": {"b"}}}} {
		sent := make(chan error, 1)
		go func() { sent <- a.Send(context.Background(), want) }() // joined below
		got, err := b.Receive(context.Background())
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("a %T with %d listeners arrives as another one (%v)", want, len(receives), err)
		}
	}
}

// Each batch fits into a frame.
func TestDescriptorsWithLongNamesArrive(t *testing.T) {
	a, b := bothEnds(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var entries []Entry
	conns := slices.Repeat(borrowed(file), 600)
	for _, name := range many(len(conns)) {
		entries = append(entries, Entry{Name: name, Origin: OriginOwn})
	}
	sent := make(chan error, 1)
	go func() { sent <- a.SendDescriptors(context.Background(), entries, conns) }() // joined below
	got, fds, err := b.ReceiveDescriptors(context.Background())
	defer fd.CloseAll(fds)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if err != nil || !reflect.DeepEqual(got, entries) || len(fds) != len(entries) {
		t.Errorf("%d of %d descriptors arrive (%v)", len(fds), len(entries), err)
	}
}

// The entry of the file is left out, too.
func TestAClosedFileIsNotSent(t *testing.T) {
	a, b := bothEnds(t)
	open, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close() // that is the point
	entries := []Entry{{Name: "closed"}, {Name: "open"}}
	sent := make(chan error, 1)
	go func() { sent <- a.SendDescriptors(context.Background(), entries, borrowed(closed, open)) }() // joined below
	got, fds, err := b.ReceiveDescriptors(context.Background())
	defer fd.CloseAll(fds)
	if err := <-sent; err != nil || len(got) != 1 || got[0].Name != "open" || len(fds) != 1 {
		t.Errorf("arrived: %v with %d descriptors, %v", got, len(fds), err)
	}
	if err != nil {
		t.Error(err)
	}
}

// The fd store has more names than fit into one message.
func TestStatesArriveWhole(t *testing.T) {
	a, b := bothEnds(t)
	names, stored := many(300), many(700)
	fds := make([]*fd.FD, len(names))
	for i := range fds {
		f, err := fd.Memfd("state")
		if err != nil {
			t.Fatal(err)
		}
		fds[i] = f
	}
	defer fd.CloseAll(fds)
	sent := make(chan error, 1)
	go func() { sent <- a.SendStates(context.Background(), States{Names: names, Stored: stored, FDs: fds}) }() // joined below
	var got States
	for len(got.Stored) < len(stored) {
		m, err := b.Receive(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		s := m.(States)
		if len(got.Names) < len(names) && len(s.Stored) > 0 {
			t.Error("the names of the fd store come before the states: an older program forgets them")
		}
		got.Names, got.Stored = append(got.Names, s.Names...), append(got.Stored, s.Stored...)
		Discard(s)
	}
	if err := <-sent; err != nil || !reflect.DeepEqual(got.Names, names) || !reflect.DeepEqual(got.Stored, stored) {
		t.Errorf("%d of %d states and %d of %d names arrive (%v)", len(got.Names), len(names), len(got.Stored), len(stored), err)
	}
}

func borrowed(files ...*os.File) (all []syscall.Conn) {
	for _, f := range files {
		all = append(all, f)
	}
	return all
}

// bothEnds is a line.
func bothEnds(t *testing.T) (a, b *Conn) {
	t.Helper()
	one, two, err := fd.Pair()
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []struct {
		f *fd.FD
		c **Conn
	}{{one, &a}, {two, &b}} {
		c, err := NewConn(end.f)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() }) // nothing is lost
		*end.c = c
	}
	return a, b
}
