package rehttp

import "time"

// This file is how clients whose connections cannot move are sent to the successor one
// after the other. They connect anew, many of them with a TLS handshake, which costs
// more than many requests: all at once they would hold up everybody.

// turnsTake returns over how long they go. The rest of the drain time is for clients that
// do not use their connections at once.
func (t *tracker) turnsTake() time.Duration { return t.u.DrainTime() / 4 }

// takeTurns spreads those that are there.
func (t *tracker) takeTurns(staying []*client) {
	now, all := time.Now(), t.turnsTake()
	for i, k := range staying {
		k.setTurn(now.Add(all * time.Duration(i) / time.Duration(len(staying))))
	}
}

// asksToClose reports whether the answer to a request of k is the last on its connection:
// it cannot move, and its turn has come or somebody waits for our end. What no
// tracker has met, or what came after the turns were given, is asked at once.
func (t *tracker) asksToClose(k *client) bool {
	switch {
	case !closed(t.u.Draining()):
		return false
	case k == nil:
		return true
	}
	return !k.canMove() && !k.mayMoveLater() && (closed(t.u.Stopping()) || !k.waits(t.turnsTake()))
}

func (k *client) setTurn(at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.turn = at
}

// waits reports whether the turn of k has not come. A client whose requests are as seldom
// as that, or take as long, does not wait: it might not ask again in time, and such
// clients come one by one anyway.
func (k *client) waits(seldom time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	return now.Before(k.turn) && now.Sub(k.last) < seldom
}
