package load

import "time"

// A Result is the verdict on one request.
type Result struct {
	Class string
	Due   time.Time // the intended start
	// Took is the time from Due to the verdict. Of an answer it is without what
	// Class.Slowly says.
	Took time.Duration

	// Version, Generation and PID are the ones that the answer names.
	Version, Generation string
	PID                 int

	Failure *Failure // nil for an answered request; must not be changed
}
