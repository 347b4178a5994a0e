// Package lifecycle is the state machine of one generation as a table: for each state and
// event, the next state and the actions. It has no data and no side effects. Package reexec
// runs it and performs the actions. STATES.md beside it is a drawing of the table.
//
// In the comments "we" is this process.
package lifecycle

// State is a state of a generation.
type State uint8

const (
	Starting     State = iota // New has returned; there is no predecessor
	Initialising              // New has returned; a predecessor started us
	Recovering                // without a predecessor; the program restores its state
	Waiting                   // we are ready and wait for the predecessor's Go
	Restoring                 // after Go; the program restores its state
	Accepting                 // we accept; the predecessor is still the main process
	Adopting                  // the predecessor sends MAINPID= for us to the manager
	Serving                   // we are the main process and accept
	Beginning                 // we serve, and Options.Next returns the command of the successor
	Preparing                 // we serve, and a successor initialises
	Switching                 // gates shut; the successor has been sent Go
	Trial                     // the successor accepts, we are still the main process
	Committing                // we send MAINPID= for the successor to the manager
	Quiescing                 // gates shut; the program finishes its work before an execve
	Saving                    // gates shut, no work left; the program saves its state before an execve
	Undoing                   // the successor was killed or recalled, and has not ended yet
	Draining                  // the successor is the main process, we finish our work
	Watching                  // the successor died while it committed the third generation, which may be the main process
	Failback                  // the successor died as the main process, we accept until the manager's restart
	Stopping                  // we were asked to end and finish our work
	Ended                     // everything is closed
	NumStates
)

// Finishes reports whether the work of this generation ends for good in state s.
func (s State) Finishes() bool { return finishing.has(s) }

// OnEntry returns the actions that follow each change to state s.
func (s State) OnEntry() []Action { return entry[s] }
