package lifecycle

// Event is the kind of an input of the state machine.
type Event uint8

const (
	EvReady          Event = iota // the program called Ready
	EvRestored                    // the functions of Restore have returned
	EvGo                          // predecessor sent Go: accept
	EvCommitting                  // predecessor sent Committing: MAINPID= follows
	EvAcknowledge                 // predecessor asks for proof that the manager obeys us as the main process
	EvCommitted                   // predecessor sent Committed: the manager has taken MAINPID=
	EvOrphaned                    // the predecessor's line is closed
	EvOlder                       // predecessor sent the progress of the draining generations
	EvProgress                    // it is time to tell the progress of the upgrade, or of the drain
	EvUpgrade                     // an upgrade request that waits for its result
	EvHangup                      // SIGHUP: an upgrade request without an answer
	EvCrowded                     // an upgrade request while MaxDraining generations drain
	EvStatus                      // a request for the report
	EvProgram                     // Options.Next has returned the command of the successor
	EvNotStarted                  // the successor could not be started
	EvPrepared                    // the successor is ready
	EvChecked                     // the process tried before an execve is ready
	EvSaving                      // a function of Save has returned a state
	EvSaved                       // all state is saved, before an execve
	EvNotBecome                   // the execve has failed
	EvAccepting                   // the successor accepts
	EvFailed                      // the successor hung up or broke the protocol
	EvRecalled                    // the recalled successor hung up: it does not accept any more
	EvDeclined                    // the successor sent the reason why it does not accept
	EvGone                        // the successor's process has ended, and a manager restarts the unit
	EvGoneCommitting              // the successor's process has ended while it committed the third generation, which lives
	EvGoneAlone                   // the successor's process has ended, and no manager restarts it
	EvSuccessorStops              // the successor was asked to end
	EvSuperseded                  // the successor was replaced by the third generation
	EvThird                       // the successor commits the third generation, or takes that back
	EvThirdMain                   // the third generation is the main process
	EvThirdGone                   // the third generation's process has ended
	EvGoodbye                     // the successor has drained and sent the line to the third generation
	EvDeadline                    // the time of the current state is over
	EvCanceled                    // the waiter of the upgrade request has gone
	EvMarked                      // the marks are stored, or the manager cannot store them
	EvConfirmed                   // the manager has taken MAINPID=
	EvUnconfirmed                 // the manager has not confirmed MAINPID= within timeout.Confirm
	EvCommitFailed                // the commit could not be sent, or the manager refused MAINPID=
	EvStop                        // SIGTERM, or Stop
	EvStopLate                    // SIGTERM after the death of the successor, which is not handled yet
	EvFail                        // the program called Fail
	EvOldIdle                     // the work that Failback, Quiescing or Stopping waits for is finished
	EvMove                        // the program offers a connection to another process
	EvTaken                       // the successor has the connections of the last batch
	EvPauseOver                   // the pause between portions of idle connections is over
	EvReceived                    // predecessor sent connections
	EvStoreAgain                  // the pause before the next attempt to store is over
	EvStored                      // an attempt to store has ended, with or without an error
	EvClose                       // Close
	NumEvents
)
