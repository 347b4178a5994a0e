package remetrics

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

// Listen makes m a [reexec.Service]: it carries the counters to the next generation and asks u
// for its status at each scrape. It serves nothing and returns a nil function. Call it once,
// before Ready.
func (m *Metrics) Listen(_ context.Context, u *reexec.Upgrader) (serve func(context.Context) error, err error) {
	m.mu.Lock()
	m.upgrader = u
	m.mu.Unlock()
	restore := func(s reexec.State) error { return m.restore(u.Generation(), s) }
	return nil, errors.Join(u.Save("remetrics", m.saved), u.Restore("remetrics", restore))
}

// Observe counts an event. It is the function for [reexec.Options].Observe; a program with an
// observer calls Observe in it.
func (m *Metrics) Observe(e reexec.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.Kind {
	case "started":
		m.counts.Began = e.Time.Add(-e.Since)
	case "adopted":
		// The predecessor has saved its counters before, so this process counts the success.
		span := e.Since
		if !m.counts.Began.IsZero() {
			span = e.Time.Sub(m.counts.Began)
		}
		m.counts.ended(success, "commit", e.Time, max(span, 0))
	case "undone":
		phase := "start"
		if failed := (*reexec.UpgradeError)(nil); errors.As(e.Err, &failed) {
			phase = failed.Phase
		}
		m.counts.ended(undone, phase, e.Time, max(e.Since, time.Duration(0)))
	case "last-good":
		m.lastGood = true // of this process, so it is not saved
	}
}

// Count returns ln with an Accept that counts its connections under name, those of clients and
// those that moved from an earlier generation. It changes no connection, so idle HTTP
// connections of a counted listener still move.
//
// ln must be a listener of the Upgrader: pass Count what Upgrader.Listen has returned, before
// rehttp.Server.Wrap.
func (m *Metrics) Count(name string, ln net.Listener) net.Listener {
	return &counted{Listener: ln, m: m, name: name}
}

type counted struct {
	net.Listener
	m    *Metrics
	name string
}

func (l *counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	origin := "client"
	if _, moved := c.(*reexec.Moved); moved {
		origin = "generation"
	}
	l.m.mu.Lock()
	l.m.counts.connection(l.name, origin, 1)
	l.m.mu.Unlock()
	return c, nil
}

// Name returns the name of the listener, by which package rehttp receives connections.
func (l *counted) Name() string {
	if named, ok := l.Listener.(interface{ Name() string }); ok {
		return named.Name()
	}
	return l.name
}
