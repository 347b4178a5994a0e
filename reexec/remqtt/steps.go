package remqtt

// A step is a place in a move of all sessions at which tests end one of the two processes.
type step string

// The steps of a predecessor, in order. Each comment describes the situation there.
const (
	stepAsked       step = "asked"        // the successor knows nothing of the move
	stepLinked      step = "linked"       // the successor has the link, its greeting is not read
	stepGreeted     step = "greeted"      // the successor reads the link, sessions run
	stepFrozen      step = "frozen"       // each session has come through the first round
	stepDrained     step = "drained"      // each session has come through the second round
	stepSessionSent step = "session-sent" // a session is sent, its socket is not
	stepSocketMoved step = "socket-moved" // the successor has the socket of a session
	stepEndSent     step = "end-sent"     // all sessions are sent
	stepDoneHeard   step = "done-heard"   // the successor's server has the sessions, as has this one
)

// The steps of a successor, in order.
const (
	stepLinkHeard    step = "link-heard"    // the predecessor's sessions run
	stepSessionHeard step = "session-heard" // a session is received, its socket may not be
	stepEndHeard     step = "end-heard"     // all sessions are received
	stepMatched      step = "matched"       // all sockets are received, the server does not know them
	stepReplayed     step = "replayed"      // the server has the sessions, clients still wait
	stepResumed      step = "resumed"       // the sessions run, the predecessor waits to hear it
)

// steps returns all steps.
func steps() []step {
	return []step{
		stepAsked, stepLinked, stepGreeted, stepFrozen, stepDrained, stepSessionSent, stepSocketMoved, stepEndSent, stepDoneHeard,
		stepLinkHeard, stepSessionHeard, stepEndHeard, stepMatched, stepReplayed, stepResumed,
	}
}

// at tells a test that a move has come to p.
func (l *listener) at(p step) {
	if l.service.at != nil {
		l.service.at(p)
	}
}
