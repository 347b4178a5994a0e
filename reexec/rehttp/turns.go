package rehttp

import "time"

// This file sends the clients whose connections cannot move to the successor, one after
// the other. Each of them connects again, often with a TLS handshake. A handshake costs
// more than many requests, so many handshakes at once would delay every client.

// turnsTake returns the time over which the turns are spread. The rest of the drain time
// is left for clients that use their connections rarely.
func (t *tracker) turnsTake() time.Duration { return t.u.DrainTime() / 4 }

// takeTurns gives each of staying its turn.
func (t *tracker) takeTurns(staying []*client) {
	now, all := time.Now(), t.turnsTake()
	for i, k := range staying {
		k.setTurn(now.Add(all * time.Duration(i) / time.Duration(len(staying))))
	}
}

// asksToClose reports whether the answer to a request of k says close. That is so while
// this generation drains, if the connection cannot move, and its turn has come or the
// process is stopping. A connection without a tracker (k is nil) and one without a turn
// are asked at once.
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

// waits reports whether k waits for its turn. A client whose last request began more than
// seldom ago does not wait, because it might send no other request before the end of the
// drain. Such clients are spread over time anyway.
func (k *client) waits(seldom time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	return now.Before(k.turn) && now.Sub(k.last) < seldom
}
