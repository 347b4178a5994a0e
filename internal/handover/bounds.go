package handover

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/cutover-go/cutover/internal/excerpt"
	"github.com/cutover-go/cutover/internal/fd"
)

// This file keeps every message below maxFrame. A longer list is split into several
// messages, and a longer text is cut.
//
//	message                             bound
//	----------------------------------  ------------------------------------------------
//	Hello, Draining, Third, empty ones  they have numbers only, and the identity of a file
//	LastGood                            it has two names
//	Descriptors, States, Forgotten      SendDescriptors, SendStates and SendForgotten split
//	                                    them
//	Ready, Goodbye                      Send puts the rest of Receives into preceding hints
//	Failed                              Send cuts the reason to MaxReason
//	Connections                         the sender adds up Size, to at most MaxPart
//	Taken                               it has one number for each connection of a batch

const (
	// MaxPart is the largest size of a list in one message, in bytes of JSON. It leaves
	// room in a frame for the other fields.
	MaxPart = 120 << 10

	// MaxReason is the largest size of a Failed reason, in bytes. JSON needs at most six
	// bytes for one, so the reason also fits into the answer to a reload command.
	MaxReason = 8 << 10
)

// Size returns an upper bound for the number of bytes of c in a frame.
func (c Connection) Size() int {
	const fields = 64
	return 6*(len(c.Name)+len(c.Format)) + (len(c.Data)+2)/3*4 + fields
}

// bounded returns m with its text cut.
func bounded(m Message) Message {
	if f, ok := m.(Failed); ok {
		f.Reason = excerpt.Of(f.Reason, MaxReason)
		return f
	}
	return m
}

// jsonSize returns the number of bytes of v as JSON, including a comma.
func jsonSize(v any) int {
	text, _ := json.Marshal(v) // never fails: v consists of strings and numbers
	return len(text) + 1
}

// fitting returns how many elements of list, at most limit, fit into one message. It
// returns at least 1, unless list is empty.
func fitting[T any](list []T, limit int) (n int) {
	for size := 0; n < min(len(list), limit); n++ {
		if size += jsonSize(list[n]); size > MaxPart && n > 0 {
			break
		}
	}
	return n
}

// split returns receives in parts that each fit into one message. If receives is nil, the
// only part is nil.
func split(receives map[string][]string) (parts []map[string][]string) {
	part, size := map[string][]string(nil), 0
	for _, name := range slices.Sorted(maps.Keys(receives)) {
		formats := receives[name]
		for first := true; first || len(formats) > 0; first = false {
			n := fitting(formats, len(formats))
			add := jsonSize(name) + jsonSize(formats[:n])
			if size += add; size > MaxPart && part != nil {
				parts, part, size = append(parts, part), nil, add
			}
			if part == nil {
				part = map[string][]string{}
			}
			part[name] = append(part[name], formats[:n]...)
			formats = formats[n:]
		}
	}
	return append(parts, part)
}

// hinted returns the messages that carry m: hints with the entries that do not fit into
// m, then m.
func hinted(m Message) (all []Message) {
	receives, ok := receivesOf(m)
	if !ok {
		return []Message{m}
	}
	parts := split(receives)
	last := len(parts) - 1
	for _, part := range parts[:last] {
		all = append(all, moreReceives{part})
	}
	return append(all, withReceives(m, parts[last]))
}

func receivesOf(m Message) (receives map[string][]string, ok bool) {
	switch m := m.(type) {
	case Ready:
		return m.Receives, true
	case Goodbye:
		return m.Receives, true
	}
	return nil, false
}

func withReceives(m Message, receives map[string][]string) Message {
	switch m := m.(type) {
	case Ready:
		m.Receives = receives
		return m
	case Goodbye:
		m.Receives = receives
		return m
	}
	return m
}

// merged returns m with the contents of the preceding hints.
func merged(m Message, hints map[string][]string) Message {
	receives, ok := receivesOf(m)
	if !ok || len(hints) == 0 {
		return m
	}
	all := maps.Clone(hints)
	for name, formats := range receives {
		all[name] = append(slices.Clone(all[name]), formats...)
	}
	return withReceives(m, all)
}

// Discard closes the descriptors of m.
func Discard(m Message) { fd.CloseAll(descriptorsOf(m)) }
