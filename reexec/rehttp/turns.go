package rehttp

import "time"

// This file is how clients whose connections cannot move are sent to the successor one
// after the other. They connect anew, many of them with a TLS handshake, which costs
// more than many requests: all at once they would hold up everybody.

// turnsTake is the part of the drain time over which they go. The rest is for clients that
// do not use their connections at once.
const turnsTake = 4

// takeTurns spreads those that are there.
func (t *tracker) takeTurns(staying []*client) {
	now, all := time.Now(), t.u.DrainTime()/turnsTake
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
	return !k.canMove() && (k.hasTurn() || closed(t.u.Stopping()))
}

func (k *client) setTurn(at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.turn = at
}

func (k *client) hasTurn() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !time.Now().Before(k.turn)
}
