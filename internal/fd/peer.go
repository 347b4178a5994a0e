package fd

// Peer is the process at the other end of a unix socket, as it was when it
// connected or listened: SO_PEERCRED of unix(7).
type Peer struct {
	PID, UID, GID int
}
