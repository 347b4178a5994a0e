//go:build linux

package remqtt

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cutover-go/cutover/internal/halt"
)

func haltAt(p step) { halt.At(string(p)) }

// A killCase has clients of two processes, one of which dies at a step of the move.
type killCase struct {
	*halt.Site
	plain     []*subscriber // their sessions end with the connection
	keepers   []*subscriber // their sessions stay, and they do not acknowledge at first
	sleeper   *subscriber   // its session stays, and it is not connected
	publisher *client
	survivor  int
	owned     map[int]bool // ports of the clients that the survivor has
}

// first has the texts of the messages before the upgrade. Each was acknowledged to its publisher.
var first = []string{"1", "2", "3", "4", "5"}

func newKillCase(t *testing.T, at step) *killCase {
	t.Helper()
	k := &killCase{Site: halt.Start(t, "mqtt", string(at))}
	for _, level := range []byte{4, 5} {
		p := newSubscriber(t, fmt.Sprint("plain", level), level, false)
		p.must(p.connect(k.Address))
		p.must(p.subscribe("t/#", 1))
		q := newSubscriber(t, fmt.Sprint("keeper", level), level, true)
		q.most = len(first) + 1 // it acknowledges that many at once
		q.must(q.connect(k.Address))
		q.must(q.subscribe("t/#", 1))
		k.plain, k.keepers = append(k.plain, p), append(k.keepers, q)
	}
	k.sleeper = newSubscriber(t, "sleeper", 4, true)
	k.sleeper.must(k.sleeper.connect(k.Address))
	k.sleeper.must(k.sleeper.subscribe("t/#", 1))
	k.sleeper.leave(true)
	k.publisher = &client{TB: t, id: "publisher", level: 5, got: func(string, string, packet) {}}
	k.publisher.must(k.publisher.connect(k.Address))
	for _, text := range first {
		k.publisher.must(k.publisher.publish("t/1", text, 1, false))
	}
	for _, s := range slices.Concat(k.plain, k.keepers) {
		s.awaits(first...)
	}
	return k
}

// has reports whether the survivor has the session of c, and its messages.
func (k *killCase) has(c *client, at step) bool {
	if k.survivor == k.First {
		return true
	}
	return at == stepEndSent || at == stepDoneHeard || k.owned[halt.Port(c.conn)]
}

// TestKillAtEachStepOfAMove ends the predecessor or the successor. The clients of the other
// process stay connected, the messages that it has acknowledged arrive, and it goes on through
// the next upgrade.
func TestKillAtEachStepOfAMove(t *testing.T) {
	for _, at := range steps() {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			k := newKillCase(t, at)
			k.survivor, k.owned = k.KillOne()
			late := newSubscriber(t, "late", 5, false)
			late.must(late.connect(k.Address))
			late.must(late.subscribe("t/#", 1))
			k.staysConnected()
			k.comesAgain(at)
			old := k.survivor
			k.Upgrade(old)
			k.survivor = k.AwaitOther(old)
			k.AwaitEnd(old)
			k.publishes(late.client, "last")
			k.check("last", late)
		})
	}
}

// subscribers returns the clients that are connected.
func (k *killCase) subscribers() (all []*subscriber) {
	for _, s := range append(slices.Concat(k.plain, k.keepers), k.sleeper) {
		if !isClosed(s.ended) {
			all = append(all, s)
		}
	}
	return all
}

func (k *killCase) publishes(c *client, text string) {
	k.Helper()
	c.must(c.publish("t/1", text, 1, false))
}

// check publishes a message and waits until each connected client has it.
func (k *killCase) check(text string, more ...*subscriber) {
	k.Helper()
	for _, s := range append(k.subscribers(), more...) {
		s.awaits(text)
	}
}

// staysConnected wants that no client of the survivor has lost its connection.
func (k *killCase) staysConnected() {
	k.Helper()
	for _, c := range []*client{k.plain[0].client, k.plain[1].client, k.keepers[0].client, k.keepers[1].client, k.publisher} {
		if c.publish("t/2", "of "+c.id, 1, false) != nil && k.owned[halt.Port(c.conn)] {
			k.Errorf("%s: the connection has ended, although process %d has it: %v", c.id, k.survivor, c.why)
		}
	}
}

// comesAgain connects the clients whose sessions stay. If the survivor has a session, its
// messages arrive.
func (k *killCase) comesAgain(at step) {
	k.Helper()
	for _, s := range append(slices.Clone(k.keepers), k.sleeper) {
		has := k.has(s.client, at)
		if isClosed(s.ended) {
			s.most = 0
			s.mu.Lock()
			clear(s.texts)
			s.mu.Unlock()
			s.must(s.connect(k.Address))
			if has && !s.present {
				k.Errorf("%s: process %d does not know the session", s.id, k.survivor)
			}
			if !s.present {
				s.must(s.subscribe("t/#", 1))
			}
		}
		if has {
			s.awaits(first...)
		}
	}
}

// TestSessionIsKeptWhenItsSocketDiesWithThePredecessor has the predecessor die between the two.
func TestSessionIsKeptWhenItsSocketDiesWithThePredecessor(t *testing.T) {
	t.Parallel()
	k := &killCase{Site: halt.Start(t, "mqtt", string(stepSessionSent))}
	c := newSubscriber(t, "only", 4, true)
	c.most = len(first) + 1
	c.must(c.connect(k.Address))
	c.must(c.subscribe("t/#", 1))
	for _, text := range first {
		k.publishes(c.client, text)
	}
	c.awaits(first...)
	k.KillOne()
	<-c.ended
	clear(c.texts)
	c.most = 0
	c.must(c.connect(k.Address))
	if !c.present {
		t.Error("the successor does not know the session")
	}
	c.awaits(first...)
	k.publishes(c.client, "next")
	c.awaits("next")
}
