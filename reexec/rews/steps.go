package rews

// A step is a place in the move of a connection at which tests end one of the two processes.
type step string

// The steps of a predecessor, in order. Each comment describes the situation there.
const (
	stepSuspended step = "suspended" // Read returns ErrMoving next
	stepQuiesced  step = "quiesced"  // Leave has ended the writers, the successor knows nothing
	stepMoved     step = "moved"     // the successor has the connection, Leave returns next
)

// The steps of a successor, in order.
const (
	stepArrived step = "arrived" // the predecessor may not know it
	stepTaken   step = "taken"   // the handler gets the connection next
)

// steps returns all steps.
func steps() []step { return []step{stepSuspended, stepQuiesced, stepMoved, stepArrived, stepTaken} }

// at tells a test that a move has come to p.
func (srv *server) at(p step) {
	if srv.hook != nil {
		srv.hook(p)
	}
}
