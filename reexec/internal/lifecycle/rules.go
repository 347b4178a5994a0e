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

// rule is the cell of one event in several states.
type rule struct {
	on   Event
	in   []State
	cell Cell
}

func to(s State, do ...Action) Cell { return Cell{Perform, s, do} }
func stay(do ...Action) Cell        { return Cell{Perform, NumStates, do} } // NumStates: the same state

var (
	nothing = Cell{Disposition: Ignore}
	later   = Cell{Disposition: Postpone}
)

// Groups of states, in the order in which a generation passes them.
var (
	unready = []State{Starting, Initialising, Recovering}
	young   = []State{Waiting, Restoring, Accepting, Adopting}         // ready, not the main process
	handing = []State{Preparing, Switching, Trial}                     // a successor is there, and the upgrade can be undone
	busy    = []State{Beginning, Preparing, Switching, Trial, Undoing} // an upgrade that is not committed
	after   = []State{Draining, Watching, Failback, Stopping, Ended}   // no further upgrade can begin
)

func either(groups ...[]State) (all []State) {
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

func only(s ...State) []State { return s }

func except(not ...State) (all []State) {
	for s := range NumStates {
		keep := true
		for _, n := range not {
			keep = keep && s != n
		}
		if keep {
			all = append(all, s)
		}
	}
	return all
}

// always has the rules of the events whose effect does not depend on the state.
var always = []rule{
	{EvCrowded, except(), stay(ActReject)},
	{EvStatus, except(), stay(ActReport)},
	{EvReceived, except(), stay(ActReceive)},
}

// rules decides all other events in every state, once.
var rules = []rule{
	{EvReady, only(Starting), to(Recovering)},
	{EvReady, only(Initialising), to(Waiting, ActSayReady)},
	{EvReady, except(Starting, Initialising), nothing}, // a second Ready, or the process ends, which Ready reports

	{EvGo, only(Waiting), to(Restoring)},
	{EvGo, only(Adopting), to(Accepting)}, // the commit failed: the predecessor is still the main process
	{EvGo, except(Waiting, Adopting), nothing},
	{EvRestored, only(Recovering), to(Serving, ActAnnounce, ActOpenGates)},
	{EvRestored, only(Restoring), to(Accepting, ActOpenGates, ActSayServing)},
	{EvRestored, except(Recovering, Restoring), nothing},
	{EvCommitting, only(Accepting), to(Adopting)},
	{EvCommitting, except(Accepting), nothing},
	{EvAcknowledge, only(Adopting), stay(ActAcknowledge)},
	{EvAcknowledge, except(Adopting), nothing},
	{EvCommitted, only(Accepting, Adopting), to(Serving, ActAdopt)},
	{EvCommitted, except(Accepting, Adopting), nothing},

	// Between Committing and Committed the manager may or may not have read MAINPID=. If it
	// has not, it restarts the unit for the predecessor's death and ends us with SIGTERM. If
	// it has, we are the main process. Serving is right in both cases.
	{EvOrphaned, only(Initialising, Waiting, Restoring, Accepting), to(Stopping, ActShutGates, ActForget, ActStopDeadline)},
	{EvOrphaned, only(Adopting), to(Serving, ActForget, ActAcknowledge, ActAdopt)}, // a draining generation waits for the proof
	{EvOrphaned, except(Initialising, Waiting, Restoring, Accepting, Adopting), stay(ActForget, ActCountOlder)},
	{EvOlder, unready, nothing}, // the predecessor sends it after the commit
	{EvOlder, either(young, busy, after, only(Serving, Quiescing, Saving, Committing)), stay(ActCountOlder)},
	{EvSecond, only(Draining, Stopping), stay(ActCountOlder)},
	{EvSecond, except(Draining, Stopping), nothing},

	{EvUpgrade, only(Serving), to(Beginning, ActBegin)},
	{EvUpgrade, except(Serving), stay(ActReject)},
	{EvHangup, only(Serving), to(Beginning, ActBegin)},
	{EvHangup, either(unready, young), later},
	{EvHangup, either(busy, only(Quiescing, Saving, Committing), after), nothing},

	{EvProgram, only(Beginning), to(Preparing, ActStart)},
	{EvProgram, except(Beginning), nothing}, // the upgrade was undone meanwhile
	{EvNotStarted, only(Beginning, Preparing), to(Serving, ActUndone)},
	{EvNotStarted, except(Beginning, Preparing), nothing},
	{EvPrepared, only(Preparing), to(Switching, ActShutGates, ActGo)},
	{EvPrepared, except(Preparing), nothing},
	{EvChecked, only(Preparing), to(Quiescing, ActShutGates, ActFinish, ActDismiss, ActStopDeadline)},
	{EvChecked, except(Preparing), nothing},
	{EvSaving, only(Switching, Saving), stay(ActAllow)},
	{EvSaving, except(Switching, Saving), nothing},
	{EvSaved, only(Saving), stay(ActBecome)},
	{EvSaved, except(Saving), nothing},
	{EvNotBecome, only(Saving), to(Serving, ActOpenGates, ActServeSaved, ActUndone)},
	{EvNotBecome, except(Saving), nothing},
	{EvAccepting, only(Switching), to(Trial, ActTry)},
	{EvAccepting, except(Switching), nothing},

	// A successor may close its line after the commit; only its death counts then.
	{EvFailed, handing, to(Undoing, ActKill)},
	{EvFailed, only(Draining, Stopping), stay(ActStayAll)}, // a successor without a line takes no connections
	{EvFailed, either(unready, young, only(Serving, Beginning, Quiescing, Saving, Committing, Undoing, Watching, Failback, Ended)), nothing},
	{EvRecalled, only(Undoing), to(Serving, ActOpenGates, ActPart, ActUndone)},
	{EvRecalled, except(Undoing), nothing},
	// A successor that has accepted, and does not any more, finishes its answers by itself.
	{EvDeclined, only(Preparing, Switching), to(Undoing, ActKill)},
	{EvDeclined, only(Trial), to(Serving, ActOpenGates, ActPart, ActUndone)},
	{EvDeclined, except(handing...), nothing},
	{EvSuccessorStops, only(Preparing, Switching), to(Undoing, ActKill)},
	{EvSuccessorStops, only(Trial), to(Serving, ActOpenGates, ActPart, ActUndone)}, // its gates were shut before it said so
	// The whole unit stops, with all older generations.
	{EvSuccessorStops, only(Draining, Stopping), to(Stopping, ActSayStopping, ActHasten)},
	{EvSuccessorStops, except(Preparing, Switching, Trial, Draining, Stopping), nothing},

	// Before the manager has confirmed, a dead successor is not the main process, or it is and
	// the manager soon ends us with SIGTERM. We serve in both cases.
	{EvGone, either(busy, only(Committing)), to(Serving, ActOpenGates, ActUndone)},
	{EvGone, only(Draining), to(Failback, ActCover, ActOpenGates, ActHasten)},
	{EvGone, only(Stopping), stay(ActFinish)}, // the process that passed datagrams to our inbox has ended
	{EvGone, either(unready, young, only(Serving, Quiescing, Saving, Watching, Failback, Ended)), nothing},
	{EvGoneAlone, either(busy, only(Committing)), to(Serving, ActOpenGates, ActUndone)},
	{EvGoneAlone, only(Draining), to(Serving, ActResume, ActOpenGates)},
	{EvGoneAlone, only(Stopping), stay(ActFinish)},
	{EvGoneAlone, either(unready, young, only(Serving, Quiescing, Saving, Watching, Failback, Ended)), nothing},

	// The manager has taken MAINPID= of the third generation, or SIGTERM follows for the
	// successor's death. The third generation accepts until then.
	{EvGoneCommitting, only(Draining), to(Watching)},
	{EvGoneCommitting, except(Draining), nothing},
	{EvThird, only(Draining), stay(ActWatch)},
	{EvThird, except(Draining), nothing},
	{EvThirdMain, only(Draining, Watching), to(Draining, ActRelieved)},
	{EvThirdMain, except(Draining, Watching), nothing},
	{EvThirdGone, only(Watching), to(Failback, ActCover, ActOpenGates, ActHasten)},
	{EvThirdGone, except(Watching), nothing},

	// A generation that leaves does not accept again, but its goodbye must name the main process.
	{EvSuperseded, only(Draining, Stopping), stay(ActRelieved)},
	{EvSuperseded, except(Draining, Stopping), nothing},
	{EvGoodbye, only(Draining, Stopping), stay(ActFollow)},
	{EvGoodbye, except(Draining, Stopping), nothing},

	{EvDeadline, only(Beginning), to(Serving, ActUndone)},
	{EvDeadline, only(Preparing, Switching), to(Undoing, ActKill)},
	{EvDeadline, only(Trial), to(Committing, ActMark)},
	{EvDeadline, only(Draining, Watching, Stopping), to(Stopping, ActExpire)}, // a generation that leaves does not accept again
	{EvDeadline, only(Failback), to(Stopping, ActShutGates, ActFinish, ActLastDeadline)},
	{EvDeadline, only(Quiescing), to(Saving, ActShutGates, ActSave)}, // work that takes longer is cut, as in a restart
	{EvDeadline, only(Saving), to(Serving, ActOpenGates, ActServeSaved, ActUndone)},
	{EvDeadline, only(Undoing), stay(ActKill)}, // the recalled successor has not hung up in time
	{EvDeadline, either(unready, young, only(Serving, Committing, Ended)), nothing},
	{EvCanceled, only(Beginning), to(Serving, ActUndone)},
	{EvCanceled, only(Preparing, Switching), to(Undoing, ActKill)},
	{EvCanceled, only(Trial), to(Undoing, ActRecall)},
	{EvCanceled, only(Quiescing, Saving), to(Serving, ActOpenGates, ActServeSaved, ActUndone)},
	{EvCanceled, except(Beginning, Preparing, Switching, Trial, Quiescing, Saving), nothing},

	{EvMarked, only(Committing), stay(ActCommit)},
	{EvMarked, except(Committing), nothing},
	{EvConfirmed, only(Committing), to(Draining, ActDrainDeadline, ActDone)},
	{EvConfirmed, except(Committing), nothing},
	{EvUnconfirmed, only(Committing), stay(ActLate)}, // the manager will read the queued datagram, so the commit cannot be undone
	{EvUnconfirmed, except(Committing), nothing},
	{EvCommitFailed, only(Committing), to(Undoing, ActRecall)},
	{EvCommitFailed, except(Committing), nothing},

	{EvStop, unready, to(Stopping, ActSayStopping, ActStopDeadline)},
	{EvStop, either(young, only(Serving)), to(Stopping, ActStopAccepting, ActSayStopping, ActStopDeadline)},
	{EvStop, only(Beginning), to(Stopping, ActUndone, ActStopAccepting, ActSayStopping, ActStopDeadline)},
	{EvStop, only(Preparing, Switching), to(Stopping, ActKill, ActUndone, ActStopAccepting, ActSayStopping, ActStopDeadline)},
	{EvStop, only(Trial), to(Stopping, ActPart, ActUndone, ActStopAccepting, ActSayStopping, ActStopDeadline)},
	{EvStop, only(Undoing), to(Stopping, ActUndone, ActStopAccepting, ActSayStopping, ActStopDeadline)},
	{EvStop, only(Quiescing, Saving), to(Stopping, ActServeSaved, ActUndone, ActStopAccepting, ActSayStopping, ActStopDeadline)},
	{EvStop, only(Committing), later},                                         // the manager must read MAINPID= before we exit
	{EvStop, only(Draining), to(Stopping, ActHasten)},                         // the whole unit stops; its main process notifies the manager
	{EvStop, only(Watching), to(Failback, ActCover, ActOpenGates, ActHasten)}, // the stop half of the manager's restart
	{EvStop, only(Failback, Stopping, Ended), nothing},                        // in Failback this is the stop half of the manager's restart
	{EvStopLate, only(Draining), later},
	{EvStopLate, except(Draining), nothing},

	{EvFail, only(Starting, Recovering), to(Stopping, ActSayStopping, ActStopDeadline)},
	{EvFail, only(Initialising, Waiting, Restoring, Accepting), to(Stopping, ActShutGates, ActDecline, ActStopDeadline)},
	{EvFail, only(Serving), to(Stopping, ActStopAccepting, ActSayStopping, ActStopDeadline)},
	{EvFail, either(busy, only(Adopting, Quiescing, Saving, Committing)), later},
	{EvFail, after, nothing}, // the process ends already

	{EvOldIdle, only(Failback), to(Stopping, ActShutGates, ActFinish, ActLastDeadline)},
	{EvOldIdle, only(Quiescing), to(Saving, ActShutGates, ActSave)},
	{EvOldIdle, only(Stopping), stay(ActEndAccept)},
	{EvOldIdle, except(Quiescing, Failback, Stopping), nothing},

	{EvMove, only(Draining), stay(ActMove)},
	{EvMove, only(Quiescing, Saving), stay(ActSaveForExec)},
	{EvMove, only(Stopping), stay(ActStore)},
	{EvMove, except(Draining, Quiescing, Saving, Stopping), stay(ActStay)},
	{EvTaken, only(Draining, Stopping), stay(ActSettle)},
	{EvTaken, except(Draining, Stopping), nothing},
	{EvPauseOver, only(Draining), stay(ActPauseOver)},
	{EvPauseOver, except(Draining), nothing},

	// Only the main process changes the fd store, also while it ends.
	{EvStoreAgain, either(busy, only(Serving, Quiescing, Saving, Stopping)), stay(ActStoreAgain)},
	{EvStoreAgain, either(unready, young, only(Committing)), later},
	{EvStoreAgain, only(Draining, Watching, Failback, Ended), nothing},
	{EvStored, either(busy, only(Serving, Quiescing, Saving, Stopping)), stay(ActStored)},
	{EvStored, either(unready, young, only(Committing)), later},
	{EvStored, only(Draining, Watching, Failback, Ended), nothing},

	{EvClose, handing, to(Ended, ActKill, ActUndone, ActRelease)},
	{EvClose, only(Beginning, Undoing, Quiescing, Saving, Committing), to(Ended, ActUndone, ActRelease)},
	{EvClose, either(unready, young, only(Serving, Draining, Watching, Failback, Stopping)), to(Ended, ActRelease)},
	{EvClose, only(Ended), nothing},
}

// table has the rules by state and event.
var table = tabulate(append(rules, always...))

func tabulate(rules []rule) (t [NumStates][NumEvents]Cell) {
	for _, r := range rules {
		for _, s := range r.in {
			if t[s][r.on].Disposition != Undecided {
				panic("lifecycle: two rules for " + r.on.String() + " in " + s.String())
			}
			c := r.cell
			if c.Disposition == Perform && c.To == NumStates {
				c.To = s
			}
			t[s][r.on] = c
		}
	}
	return t
}

// Next returns the cell for event e in state s.
func Next(s State, e Event) Cell { return table[s][e] }
