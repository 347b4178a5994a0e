package lifecycle

// Disposition is the treatment of an event.
type Disposition uint8

const (
	Undecided Disposition = iota // no rule: the exhaustive test fails
	Perform                      // perform Cell.Do and go to Cell.To
	Ignore                       // the event has no effect in this state
	Postpone                     // keep it for the next state
)

// Cell is the reaction to an event in a state.
type Cell struct {
	Disposition Disposition
	To          State
	Do          []Action
}

// reaction is the cell of one event in several states.
type reaction struct {
	in   set
	cell Cell
}

func to(s State, do ...Action) Cell { return Cell{Perform, s, do} }
func stay(do ...Action) Cell        { return Cell{Perform, NumStates, do} } // NumStates: the same state

var (
	nothing = Cell{Disposition: Ignore}
	later   = Cell{Disposition: Postpone}
)

// rules has the reactions to each event. The reactions to one event name every state once. The
// compiler lays all of them out as data, so that the start of a program does not pay for them.
var rules = [NumEvents][]reaction{
	// The effect of these events does not depend on the state.
	EvCrowded:  {{every, stay(ActReject)}},
	EvStatus:   {{every, stay(ActReport)}},
	EvReceived: {{every, stay(ActReceive)}},
	EvProgress: {{every, stay(ActTellProgress)}},

	EvReady: {
		{inStarting, to(Recovering)},
		{inInitialising, to(Waiting, ActSayReady)},
		{^(inStarting | inInitialising), nothing}, // a second Ready, or the process ends, which Ready reports
	},

	EvGo: {
		{inWaiting, to(Restoring)},
		{inAdopting, to(Accepting)}, // the commit failed: the predecessor is still the main process
		{^(inWaiting | inAdopting), nothing},
	},
	EvRestored: {
		{inRecovering, to(Serving, ActAnnounce, ActOpenGates)},
		{inRestoring, to(Accepting, ActOpenGates, ActSayServing)},
		{^(inRecovering | inRestoring), nothing},
	},
	EvCommitting: {
		{inAccepting, to(Adopting)},
		{^inAccepting, nothing},
	},
	EvAcknowledge: {
		{inAdopting, stay(ActAcknowledge)},
		{^inAdopting, nothing},
	},
	EvCommitted: {
		{inAccepting | inAdopting, to(Serving, ActAdopt)},
		{^(inAccepting | inAdopting), nothing},
	},

	// Between Committing and Committed the manager may or may not have read MAINPID=. If it
	// has not, it restarts the unit for the predecessor's death and ends us with SIGTERM. If
	// it has, we are the main process. Serving is right in both cases.
	EvOrphaned: {
		{inInitialising | inWaiting | inRestoring | inAccepting, to(Stopping, ActShutGates, ActForget, ActStopDeadline)},
		{inAdopting, to(Serving, ActForget, ActAcknowledge, ActAdopt)}, // a draining generation waits for the proof
		{^(inInitialising | inWaiting | inRestoring | inAccepting | inAdopting), stay(ActForget, ActCountOlder)},
	},
	EvOlder: {
		{unready, nothing}, // the predecessor sends it after the commit
		{young | busy | after | inServing | inQuiescing | inSaving | inCommitting, stay(ActCountOlder)},
	},

	EvUpgrade: {
		{inServing, to(Beginning, ActBegin)},
		{inAdopting, later}, // the predecessor may have answered its own request, and Committed is not read yet
		{^(inServing | inAdopting), stay(ActReject)},
	},
	EvHangup: {
		{inServing, to(Beginning, ActBegin)},
		{unready | young, later},
		{busy | inQuiescing | inSaving | inCommitting | after, nothing},
	},

	EvProgram: {
		{inBeginning, to(Preparing, ActStart)},
		{^inBeginning, nothing}, // the upgrade was undone meanwhile
	},
	EvNotStarted: {
		{inBeginning | inPreparing, to(Serving, ActUndone)},
		{^(inBeginning | inPreparing), nothing},
	},
	EvPrepared: {
		{inPreparing, to(Switching, ActShutGates, ActGo)},
		{^inPreparing, nothing},
	},
	EvChecked: {
		{inPreparing, to(Quiescing, ActShutGates, ActFinish, ActDismiss, ActStopDeadline)},
		{^inPreparing, nothing},
	},
	EvSaving: {
		{inSwitching | inSaving, stay(ActAllow)},
		{^(inSwitching | inSaving), nothing},
	},
	EvSaved: {
		{inSaving, stay(ActBecome)},
		{^inSaving, nothing},
	},
	EvNotBecome: {
		{inSaving, to(Serving, ActTellServing, ActOpenGates, ActServeSaved, ActUndone)},
		{^inSaving, nothing},
	},
	EvAccepting: {
		{inSwitching, to(Trial, ActTry)},
		{^inSwitching, nothing},
	},

	// A successor may close its line after the commit; only its death counts then.
	EvFailed: {
		{handing, to(Undoing, ActKill)},
		{inDraining | inStopping, stay(ActStayAll)}, // a successor without a line takes no connections
		{unready | young | inServing | inBeginning | inQuiescing | inSaving | inCommitting | inUndoing | inWatching | inFailback | inEnded, nothing},
	},
	EvRecalled: {
		{inUndoing, to(Serving, ActOpenGates, ActPart, ActUndone)},
		{^inUndoing, nothing},
	},
	// A successor that has accepted, and does not any more, finishes its answers by itself.
	EvDeclined: {
		{inPreparing | inSwitching, to(Undoing, ActKill)},
		{inTrial, to(Serving, ActOpenGates, ActPart, ActUndone)},
		{^handing, nothing},
	},
	EvSuccessorStops: {
		{inPreparing | inSwitching, to(Undoing, ActKill)},
		{inTrial, to(Serving, ActOpenGates, ActPart, ActUndone)}, // its gates were shut before it said so
		// The whole unit stops, with all older generations.
		{inDraining | inStopping, to(Stopping, ActSayStopping, ActHasten)},
		{^(inPreparing | inSwitching | inTrial | inDraining | inStopping), nothing},
	},

	// Before the manager has confirmed, a dead successor is not the main process, or it is and
	// the manager soon ends us with SIGTERM. We serve in both cases.
	EvGone: {
		{busy | inCommitting, to(Serving, ActOpenGates, ActUndone)},
		{inDraining, to(Failback, ActCover, ActTellStopping, ActOpenGates, ActHasten)},
		{inStopping, stay(ActFinish)}, // the process that passed datagrams to our inbox has ended
		{unready | young | inServing | inQuiescing | inSaving | inWatching | inFailback | inEnded, nothing},
	},
	EvGoneAlone: {
		{busy | inCommitting, to(Serving, ActOpenGates, ActUndone)},
		{inDraining, to(Serving, ActResume, ActTellServing, ActOpenGates)},
		{inStopping, stay(ActFinish)},
		{unready | young | inServing | inQuiescing | inSaving | inWatching | inFailback | inEnded, nothing},
	},

	// The manager has taken MAINPID= of the third generation, or SIGTERM follows for the
	// successor's death. The third generation accepts until then.
	EvGoneCommitting: {
		{inDraining, to(Watching)},
		{^inDraining, nothing},
	},
	EvThird: {
		{inDraining | inStopping, stay(ActWatch)}, // as in EvSuperseded
		{^(inDraining | inStopping), nothing},
	},
	EvThirdMain: {
		{inDraining | inWatching, to(Draining, ActRelieved)},
		{^(inDraining | inWatching), nothing},
	},
	EvThirdGone: {
		{inWatching, to(Failback, ActCover, ActTellStopping, ActOpenGates, ActHasten)},
		{^inWatching, nothing},
	},

	// A generation that leaves does not accept again, but its goodbye must name the main process.
	EvSuperseded: {
		{inDraining | inStopping, stay(ActRelieved)},
		{^(inDraining | inStopping), nothing},
	},
	EvGoodbye: {
		{inDraining | inStopping, stay(ActFollow)},
		{^(inDraining | inStopping), nothing},
	},

	EvDeadline: {
		{inBeginning, to(Serving, ActUndone)},
		{inPreparing | inSwitching, to(Undoing, ActKill)},
		{inTrial, to(Committing, ActMark)},
		{inDraining | inWatching | inStopping, to(Stopping, ActExpire)}, // a generation that leaves does not accept again
		{inFailback, to(Stopping, ActShutGates, ActFinish, ActLastDeadline)},
		{inQuiescing, to(Saving, ActShutGates, ActSave)}, // work that takes longer is cut, as in a restart
		{inSaving, to(Serving, ActTellServing, ActOpenGates, ActServeSaved, ActUndone)},
		{inUndoing, stay(ActKill)}, // the recalled successor has not hung up in time
		{unready | young | inServing | inCommitting | inEnded, nothing},
	},
	EvCanceled: {
		{inBeginning, to(Serving, ActUndone)},
		{inPreparing | inSwitching, to(Undoing, ActKill)},
		{inTrial, to(Undoing, ActRecall)},
		{inQuiescing | inSaving, to(Serving, ActTellServing, ActOpenGates, ActServeSaved, ActUndone)},
		{^(inBeginning | inPreparing | inSwitching | inTrial | inQuiescing | inSaving), nothing},
	},

	EvMarked: {
		{inCommitting, stay(ActCommit)},
		{^inCommitting, nothing},
	},
	EvConfirmed: {
		{inCommitting, to(Draining, ActDrainDeadline, ActDone)},
		{^inCommitting, nothing},
	},
	EvUnconfirmed: {
		{inCommitting, stay(ActLate)}, // the manager will read the queued datagram, so the commit cannot be undone
		{^inCommitting, nothing},
	},
	EvCommitFailed: {
		{inCommitting, to(Undoing, ActRecall)},
		{^inCommitting, nothing},
	},

	EvStop: {
		{unready, to(Stopping, ActSayStopping, ActStopDeadline)},
		{young | inServing, to(Stopping, ActStopAccepting, ActSayStopping, ActStopDeadline)},
		{inBeginning, to(Stopping, ActUndone, ActStopAccepting, ActSayStopping, ActStopDeadline)},
		{inPreparing | inSwitching, to(Stopping, ActKill, ActUndone, ActStopAccepting, ActSayStopping, ActStopDeadline)},
		{inTrial, to(Stopping, ActPart, ActUndone, ActStopAccepting, ActSayStopping, ActStopDeadline)},
		{inUndoing, to(Stopping, ActUndone, ActStopAccepting, ActSayStopping, ActStopDeadline)},
		{inQuiescing | inSaving, to(Stopping, ActServeSaved, ActUndone, ActStopAccepting, ActSayStopping, ActStopDeadline)},
		{inCommitting, later},                 // the manager must read MAINPID= before we exit
		{inDraining, to(Stopping, ActHasten)}, // the whole unit stops; its main process notifies the manager
		{inWatching, to(Failback, ActCover, ActTellStopping, ActOpenGates, ActHasten)}, // the stop half of the manager's restart
		{inFailback | inStopping | inEnded, nothing},                                   // in Failback this is the stop half of the manager's restart
	},
	EvStopLate: {
		{inDraining, later},
		{^inDraining, nothing},
	},

	EvFail: {
		{inStarting | inRecovering, to(Stopping, ActSayStopping, ActStopDeadline)},
		{inInitialising | inWaiting | inRestoring | inAccepting, to(Stopping, ActShutGates, ActDecline, ActStopDeadline)},
		{inServing, to(Stopping, ActStopAccepting, ActSayStopping, ActStopDeadline)},
		{busy | inAdopting | inQuiescing | inSaving | inCommitting, later},
		{after, nothing}, // the process ends already
	},

	EvOldIdle: {
		{inFailback, to(Stopping, ActShutGates, ActFinish, ActLastDeadline)},
		{inQuiescing, to(Saving, ActShutGates, ActSave)},
		{inStopping, stay(ActEndAccept)},
		{^(inQuiescing | inFailback | inStopping), nothing},
	},

	EvMove: {
		{inDraining, stay(ActMove)},
		{inQuiescing | inSaving, stay(ActSaveForExec)},
		{inStopping, stay(ActStore)},
		{^(inDraining | inQuiescing | inSaving | inStopping), stay(ActStay)},
	},
	EvTaken: {
		{inDraining | inStopping, stay(ActSettle)},
		{^(inDraining | inStopping), nothing},
	},
	EvPauseOver: {
		{inDraining, stay(ActPauseOver)},
		{^inDraining, nothing},
	},

	// Only the main process changes the fd store, also while it ends.
	EvStoreAgain: {
		{busy | inServing | inQuiescing | inSaving | inStopping, stay(ActStoreAgain)},
		{unready | young | inCommitting, later},
		{inDraining | inWatching | inFailback | inEnded, nothing},
	},
	EvStored: {
		{busy | inServing | inQuiescing | inSaving | inStopping, stay(ActStored)},
		{unready | young | inCommitting, later},
		{inDraining | inWatching | inFailback | inEnded, nothing},
	},

	EvClose: {
		{handing, to(Ended, ActKill, ActUndone, ActRelease)},
		{inBeginning | inUndoing | inQuiescing | inSaving | inCommitting, to(Ended, ActUndone, ActRelease)},
		{unready | young | inServing | inDraining | inWatching | inFailback | inStopping, to(Ended, ActRelease)},
		{inEnded, nothing},
	},
}

// Next returns the cell for event e in state s.
func Next(s State, e Event) Cell {
	for i := range rules[e] {
		r := &rules[e][i]
		if !r.in.has(s) {
			continue
		}
		c := r.cell
		if c.Disposition == Perform && c.To == NumStates {
			c.To = s
		}
		return c
	}
	return Cell{}
}
