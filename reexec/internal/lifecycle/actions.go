package lifecycle

// Action is a step of package reexec.
type Action uint8

const (
	ActAnnounce      Action = iota // update the fd store, send READY=1, admit connections, publish the control socket
	ActAdopt                       // update the fd store and the status, publish the control socket, answer the reload command
	ActOpenGates                   // accept
	ActShutGates                   // stop accepting; returns when no Accept is running
	ActStopAccepting               // stop accepting for good, and prepare for the end
	ActFinish                      // read the socket for existing flows only
	ActSayReady                    // send Ready to the predecessor
	ActSayServing                  // send Serving to the predecessor
	ActSayStopping                 // send Stopping to the predecessor and STOPPING=1 to the manager
	ActDecline                     // send the predecessor the reason why we do not accept
	ActForget                      // close the line to the predecessor
	ActCountOlder                  // keep the progress of older generations, and pass it on
	ActTellProgress                // tell the manager or the successor the progress
	ActBegin                       // notify the manager, call Options.Next, start the ready deadline
	ActStart                       // start the successor
	ActGo                          // send state and Go to the successor, start the switch deadline
	ActAllow                       // fit the deadline to the size of the state
	ActTry                         // start the trial deadline
	ActMark                        // store the marks that prove which process is the main one
	ActCommit                      // send Committing to the successor and MAINPID= to the manager
	ActAcknowledge                 // have the manager remove the successor's mark
	ActKill                        // send SIGKILL to the successor, keep the reason
	ActRecall                      // tell a successor that accepts to stop accepting, keep the reason
	ActPart                        // let a successor that has accepted finish its answers, keep the reason
	ActUndone                      // send the reason to the manager and to the upgrade request
	ActDone                        // send Committed to the successor, answer the request
	ActLate                        // answer that the manager did not confirm
	ActRelieved                    // note that the successor is not the main process any more
	ActWatch                       // watch the third generation and its mark, beside the successor
	ActFollow                      // watch the third generation instead of the successor
	ActDismiss                     // end the process that was tried before an execve
	ActSave                        // have the program save its state, start the save deadline
	ActBecome                      // execve
	ActMove                        // offer a connection to the successor
	ActSaveForExec                 // keep a connection for the program that execve starts
	ActStore                       // put a connection into the fd store for the next start
	ActStay                        // answer that a connection stays with us
	ActStayAll                     // answer that all offered connections stay with us
	ActSettle                      // answer the connections that the successor has taken
	ActPauseOver                   // send the next portion of idle connections
	ActReceive                     // take over connections of the predecessor
	ActServeSaved                  // serve the saved connections again
	ActCover                       // distinguish the work from before and new work
	ActResume                      // become the main process again
	ActExpire                      // give up unfinished work, and end Accept
	ActEndAccept                   // end Accept, because no work is left
	ActDrainDeadline               // start the drain deadline
	ActStopDeadline                // start the drain deadline of a stop
	ActHasten                      // shorten the drain deadline to that of a stop
	ActLastDeadline                // start a short deadline for the work that began in Failback
	ActReject                      // answer that an upgrade is not possible now
	ActReport                      // answer with the report
	ActStoreAgain                  // store the missing entries of the fd store
	ActStored                      // note the missing entries of the fd store
	ActRelease                     // close everything
	ActLetRestore                  // let Ready restore the state of the program
	ActLetServe                    // let Ready return, and connections of the predecessor be idle
	ActTellServing                 // tell the servers that this generation serves again
	ActTellDraining                // close the channel of Draining
	ActTellStopping                // close the channels of Draining and Stopping, and leave the name of the control socket
	ActMoveIdle                    // move idle connections to the next process, or give them to the program
	ActAwaitWork                   // have EvOldIdle follow when no work is left
	ActEndDrain                    // end Drain, because the loop does not run the deadline any more
	NumActions
)

// entry has the actions that follow each change to a state.
var entry = [NumStates][]Action{
	Recovering: {ActLetRestore},
	Restoring:  {ActLetRestore},
	Accepting:  {ActLetServe},
	Serving:    {ActLetServe},
	Draining:   {ActTellDraining, ActMoveIdle},
	Quiescing:  {ActAwaitWork, ActTellStopping, ActMoveIdle},
	Stopping:   {ActAwaitWork, ActTellStopping, ActMoveIdle},
	Ended:      {ActTellStopping, ActEndDrain},
}
