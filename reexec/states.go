package reexec

// This file has the states, events and actions of the state machine. In the comments "we" is
// this process.

type state uint8

const (
	starting   state = iota // New has returned; there is no predecessor
	arriving                // New has returned; a predecessor started us
	recovering              // without a predecessor; the program restores its state
	waiting                 // we are ready and wait for the predecessor's Go
	restoring               // after Go; the program restores its state
	probation               // we accept; the predecessor is still the main process
	adopting                // the predecessor sends MAINPID= for us to the manager
	serving                 // we are the main process and accept
	beginning               // we serve, and Options.Next returns the command of the successor
	preparing               // we serve, and a successor initialises
	switching               // gates shut; the successor has been sent Go
	trial                   // the successor accepts, we are still the main process
	committing              // we send MAINPID= for the successor to the manager
	clearing                // gates shut; the program finishes its work before an execve
	saving                  // gates shut, no work left; the program saves its state before an execve
	undoing                 // the successor was killed or recalled, and has not ended yet
	draining                // the successor is the main process, we finish our work
	watching                // the successor died while it committed the third generation, which may be the main process
	covering                // the successor died as the main process, we accept until the manager's restart
	leaving                 // we were asked to end and finish our work
	ended                   // everything is closed
	numStates
)

type eventKind uint8

const (
	evReady          eventKind = iota // the program called Ready
	evRestored                        // the functions of Restore have returned
	evGo                              // predecessor sent Go: accept
	evCommitting                      // predecessor sent Committing: MAINPID= follows
	evAcknowledge                     // predecessor asks for proof that the manager obeys us as the main process
	evCommitted                       // predecessor sent Committed: the manager has taken MAINPID=
	evOrphaned                        // the predecessor's line is closed
	evOlder                           // predecessor sent the progress of the draining generations
	evSecond                          // one second after the progress was sent to the successor
	evUpgrade                         // an upgrade request that waits for its result
	evHangup                          // SIGHUP: an upgrade request without an answer
	evCrowded                         // an upgrade request while MaxDraining generations drain
	evStatus                          // a request for the report
	evCommand                         // Options.Next has returned the command of the successor
	evNotStarted                      // the successor could not be started
	evPrepared                        // the successor is ready
	evChecked                         // the process tried before an execve is ready
	evSaving                          // a function of Save has returned a state
	evSaved                           // all state is saved, before an execve
	evNotBecome                       // the execve has failed
	evAccepting                       // the successor accepts
	evFailed                          // the successor hung up or broke the protocol
	evRecalled                        // the recalled successor hung up: it does not accept any more
	evDeclined                        // the successor sent the reason why it does not accept
	evGone                            // the successor's process has ended, and a manager restarts the unit
	evGoneCommitting                  // the successor's process has ended while it committed the third generation, which lives
	evGoneAlone                       // the successor's process has ended, and no manager restarts it
	evSuccessorStops                  // the successor was asked to end
	evSuperseded                      // the successor was replaced by the third generation
	evThird                           // the successor commits the third generation, or takes that back
	evThirdMain                       // the third generation is the main process
	evThirdGone                       // the third generation's process has ended
	evGoodbye                         // the successor has drained and sent the line to the third generation
	evDeadline                        // the time of the current state is over
	evCanceled                        // the waiter of the upgrade request has gone
	evMarked                          // the marks are stored, or the manager cannot store them
	evConfirmed                       // the manager has taken MAINPID=
	evUnconfirmed                     // the manager has not confirmed MAINPID= within timeout.Confirm
	evCommitFailed                    // the commit could not be sent, or the manager refused MAINPID=
	evStop                            // SIGTERM, or Stop
	evStopLate                        // SIGTERM after the death of the successor, which is not handled yet
	evFail                            // the program called Fail
	evOldIdle                         // the work that covering, clearing or leaving waits for is finished
	evMove                            // the program offers a connection to another process
	evTaken                           // the successor has the connections of the last batch
	evPauseOver                       // the pause between portions of idle connections is over
	evArrived                         // predecessor sent connections
	evStoreAgain                      // the pause before the next attempt to store is over
	evStored                          // an attempt to store has ended, with or without an error
	evClose                           // Close
	numEvents
)

type action uint8

const (
	actAnnounce      action = iota // update the fd store, send READY=1, admit connections, publish the control socket
	actAdopt                       // update the fd store and the status, publish the control socket, answer the reload command
	actOpenGates                   // accept
	actShutGates                   // stop accepting; returns when no Accept is running
	actWithdraw                    // stop accepting for good, and prepare for the end
	actFinish                      // read the socket for existing flows only
	actSayReady                    // send Ready to the predecessor
	actSayServing                  // send Serving to the predecessor
	actSayStopping                 // send Stopping to the predecessor and STOPPING=1 to the manager
	actDecline                     // send the predecessor the reason why we do not accept
	actForget                      // close the line to the predecessor
	actCountOlder                  // keep the progress of older generations, and pass it on
	actBegin                       // notify the manager, call Options.Next, start the ready deadline
	actStart                       // start the successor
	actGo                          // send state and Go to the successor, start the switch deadline
	actAllow                       // fit the deadline to the size of the state
	actTry                         // start the trial deadline
	actMark                        // store the marks that prove which process is the main one
	actCommit                      // send Committing to the successor and MAINPID= to the manager
	actAcknowledge                 // have the manager remove the successor's mark
	actKill                        // send SIGKILL to the successor, keep the reason
	actRecall                      // tell a successor that accepts to stop accepting, keep the reason
	actPart                        // let a successor that has accepted finish its answers, keep the reason
	actUndone                      // send the reason to the manager and to the upgrade request
	actDone                        // send Committed to the successor, answer the request
	actLate                        // answer that the manager did not confirm
	actRelieved                    // note that the successor is not the main process any more
	actWatch                       // watch the third generation and its mark, beside the successor
	actFollow                      // watch the third generation instead of the successor
	actDismiss                     // end the process that was tried before an execve
	actSave                        // have the program save its state, start the save deadline
	actBecome                      // execve
	actMove                        // offer a connection to the successor
	actSaveForExec                 // keep a connection for the program that execve starts
	actStore                       // put a connection into the fd store for the next start
	actStay                        // answer that a connection stays with us
	actStayAll                     // answer that all offered connections stay with us
	actSettle                      // answer the connections that the successor has taken
	actPauseOver                   // send the next portion of idle connections
	actTake                        // take over connections of the predecessor
	actServeSaved                  // serve the saved connections again
	actCover                       // distinguish the work from before and new work
	actResume                      // become the main process again
	actExpire                      // give up unfinished work, and end Accept
	actRefuseAll                   // end Accept, because no work is left
	actDrainDeadline               // start the drain deadline
	actStopDeadline                // start the drain deadline of a stop
	actHasten                      // shorten the drain deadline to that of a stop
	actLastDeadline                // start a short deadline for the work that began while covering
	actRefuse                      // answer that an upgrade is not possible now
	actReport                      // answer with the report
	actStoreAgain                  // store the missing entries of the fd store
	actStored                      // note the missing entries of the fd store
	actRelease                     // close everything
	actLetRestore                  // let Ready restore the state of the program
	actLetServe                    // let Ready return, and connections of the predecessor be idle
	actTellDraining                // close the channel of Draining
	actTellStopping                // close the channels of Draining and Stopping, and leave the name of the control socket
	actMoveIdle                    // move idle connections to the next process, or give them to the program
	actAwaitWork                   // have evOldIdle follow when no work is left
	actEndDrain                    // end Drain, because the loop does not run the deadline any more
	numActions
)

// entry has the actions that follow each change to a state.
var entry = [numStates][]action{
	recovering: {actLetRestore},
	restoring:  {actLetRestore},
	probation:  {actLetServe},
	serving:    {actLetServe},
	draining:   {actTellDraining, actMoveIdle},
	clearing:   {actAwaitWork, actTellStopping, actMoveIdle},
	covering:   {actTellStopping},
	leaving:    {actAwaitWork, actTellStopping, actMoveIdle},
	ended:      {actTellStopping, actEndDrain},
}

// finishing are the states in which the work of this generation ends for good.
var finishing = only(draining, watching, leaving, ended)
