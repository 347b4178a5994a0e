package notify

import "os"

// An environment is what the manager has told this process by variables.
type environment struct {
	address string // $NOTIFY_SOCKET
}

// readEnvironment is the one place where this package looks at the environment.
func readEnvironment(lookup func(string) (string, bool)) (environment, error) {
	var e environment
	e.address, _ = lookup("NOTIFY_SOCKET")
	return e, nil
}

// New returns the Notifier for the socket that $NOTIFY_SOCKET names. Without that
// variable, or with an empty one, there is no manager to talk to: New returns nil
// and no error, and a nil Notifier does nothing. The variables stay in the
// environment, where a successor of this process needs them.
//
// A malformed variable, or a socket that cannot be reached, is an error.
// Protocol: sd_notify(3).
func New() (*Notifier, error) {
	e, err := readEnvironment(os.LookupEnv)
	if err != nil || e.address == "" {
		return nil, err
	}
	return Dial(e.address)
}
