package handover

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/cutover-go/cutover/internal/excerpt"
	"github.com/cutover-go/cutover/internal/fd"
)

// This file keeps every message below maxFrame. A list that can be longer goes in
// several messages, and a text is cut.
//
//	message                             bound
//	----------------------------------  ------------------------------------------------
//	Hello, Draining, empty messages     numbers only
//	Descriptors, States, Forgotten      SendDescriptors, SendStates and SendForgotten split
//	                                    them
//	Ready, Goodbye                      Send puts the rest of Receives into hints before
//	Failed                              Send cuts the reason to MaxReason
//	Connections                         the sender adds up Size, at most MaxPart
//	Taken                               one number for each connection of a batch

const (
	// MaxPart is how many bytes of JSON the list of one message takes. It leaves room in a
	// frame for the other fields.
	MaxPart = 120 << 10

	// MaxReason is how many bytes of a Failed reason are sent. In JSON a byte takes six at
	// most, so that the answer to a reload command has room for it, too.
	MaxReason = 8 << 10
)

// Size returns how many bytes c takes in a frame at most.
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

// jsonSize returns how many bytes v takes as JSON, with a comma.
func jsonSize(v any) int {
	text, _ := json.Marshal(v) // strings and numbers always have a form
	return len(text) + 1
}

// fitting returns how many of list, at most limit, go into one message. That is at least
// one, unless list is empty.
func fitting[T any](list []T, limit int) (n int) {
	for size := 0; n < min(len(list), limit); n++ {
		if size += jsonSize(list[n]); size > MaxPart && n > 0 {
			break
		}
	}
	return n
}

// split returns receives in parts of which each fits into one message. The last part is
// nil where receives is nil.
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

// hinted returns the messages that say m: m itself, and before it hints with the rest where m has no
// room for.
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

// merged returns m with the contents of hints before it.
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

// Discard closes the descriptors of a message that nobody uses.
func Discard(m Message) { fd.CloseAll(descriptorsOf(m)) }
