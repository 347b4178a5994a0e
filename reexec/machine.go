package reexec

// This file is the state machine of one generation as a table: for each state and event, the
// next state and the actions. It has no data and no side effects; loop.go runs it.

// disposition is the treatment of an event.
type disposition uint8

const (
	undecided disposition = iota // no rule: the exhaustive test fails
	move                         // go to cell.to, doing cell.do
	ignore                       // the event has no effect in this state
	postpone                     // keep it for the next state
)

type cell struct {
	disposition disposition
	to          state
	do          []action
}

type rule struct {
	on   eventKind
	in   []state
	cell cell
}

func to(s state, do ...action) cell { return cell{move, s, do} }
func stay(do ...action) cell        { return cell{move, numStates, do} } // numStates: the same state

var (
	nothing = cell{disposition: ignore}
	later   = cell{disposition: postpone}
)

// Groups of states, in the order in which a generation passes them.
var (
	unready = []state{starting, arriving, recovering}
	young   = []state{waiting, restoring, probation, adopting}         // ready, not the main process
	handing = []state{preparing, switching, trial}                     // a successor is there, and the upgrade can be undone
	busy    = []state{beginning, preparing, switching, trial, undoing} // an upgrade that is not committed
	after   = []state{draining, watching, covering, leaving, ended}    // no further upgrade can begin
)

func either(groups ...[]state) (all []state) {
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

func only(s ...state) []state { return s }

func except(not ...state) (all []state) {
	for s := range numStates {
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
	{evCrowded, except(), stay(actRefuse)},
	{evStatus, except(), stay(actReport)},
	{evArrived, except(), stay(actTake)},
}

// rules decides all other events in every state, once.
var rules = []rule{
	{evReady, only(starting), to(recovering)},
	{evReady, only(arriving), to(waiting, actSayReady)},
	{evReady, except(starting, arriving), nothing}, // a second Ready, or the process ends, which Ready reports

	{evGo, only(waiting), to(restoring)},
	{evGo, only(adopting), to(probation)}, // the commit failed: the predecessor is still the main process
	{evGo, except(waiting, adopting), nothing},
	{evRestored, only(recovering), to(serving, actAnnounce, actOpenGates)},
	{evRestored, only(restoring), to(probation, actOpenGates, actSayServing)},
	{evRestored, except(recovering, restoring), nothing},
	{evCommitting, only(probation), to(adopting)},
	{evCommitting, except(probation), nothing},
	{evAcknowledge, only(adopting), stay(actAcknowledge)},
	{evAcknowledge, except(adopting), nothing},
	{evCommitted, only(probation, adopting), to(serving, actAdopt)},
	{evCommitted, except(probation, adopting), nothing},

	// Between Committing and Committed the manager may or may not have read MAINPID=. If it
	// has not, it restarts the unit for the predecessor's death and ends us with SIGTERM. If
	// it has, we are the main process. Serving is right in both cases.
	{evOrphaned, only(arriving, waiting, restoring, probation), to(leaving, actShutGates, actForget, actStopDeadline)},
	{evOrphaned, only(adopting), to(serving, actForget, actAcknowledge, actAdopt)}, // a draining generation waits for the proof
	{evOrphaned, except(arriving, waiting, restoring, probation, adopting), stay(actForget, actCountOlder)},
	{evOlder, unready, nothing}, // the predecessor sends it after the commit
	{evOlder, either(young, busy, after, only(serving, clearing, saving, committing)), stay(actCountOlder)},
	{evSecond, only(draining, leaving), stay(actCountOlder)},
	{evSecond, except(draining, leaving), nothing},

	{evUpgrade, only(serving), to(beginning, actBegin)},
	{evUpgrade, except(serving), stay(actRefuse)},
	{evHangup, only(serving), to(beginning, actBegin)},
	{evHangup, either(unready, young), later},
	{evHangup, either(busy, only(clearing, saving, committing), after), nothing},

	{evCommand, only(beginning), to(preparing, actStart)},
	{evCommand, except(beginning), nothing}, // the upgrade was undone meanwhile
	{evNotStarted, only(beginning, preparing), to(serving, actUndone)},
	{evNotStarted, except(beginning, preparing), nothing},
	{evPrepared, only(preparing), to(switching, actShutGates, actGo)},
	{evPrepared, except(preparing), nothing},
	{evChecked, only(preparing), to(clearing, actShutGates, actFinish, actDismiss, actStopDeadline)},
	{evChecked, except(preparing), nothing},
	{evSaving, only(switching, saving), stay(actAllow)},
	{evSaving, except(switching, saving), nothing},
	{evSaved, only(saving), stay(actBecome)},
	{evSaved, except(saving), nothing},
	{evNotBecome, only(saving), to(serving, actOpenGates, actServeSaved, actUndone)},
	{evNotBecome, except(saving), nothing},
	{evAccepting, only(switching), to(trial, actTry)},
	{evAccepting, except(switching), nothing},

	// A successor may close its line after the commit; only its death counts then.
	{evFailed, handing, to(undoing, actKill)},
	{evFailed, only(draining, leaving), stay(actStayAll)}, // a successor without a line takes no connections
	{evFailed, either(unready, young, only(serving, beginning, clearing, saving, committing, undoing, watching, covering, ended)), nothing},
	{evRecalled, only(undoing), to(serving, actOpenGates, actPart, actUndone)},
	{evRecalled, except(undoing), nothing},
	// A successor that has accepted, and does not any more, finishes its answers by itself.
	{evDeclined, only(preparing, switching), to(undoing, actKill)},
	{evDeclined, only(trial), to(serving, actOpenGates, actPart, actUndone)},
	{evDeclined, except(handing...), nothing},
	{evSuccessorStops, only(preparing, switching), to(undoing, actKill)},
	{evSuccessorStops, only(trial), to(serving, actOpenGates, actPart, actUndone)}, // its gates were shut before it said so
	// The whole unit stops, with all older generations.
	{evSuccessorStops, only(draining, leaving), to(leaving, actSayStopping, actHasten)},
	{evSuccessorStops, except(preparing, switching, trial, draining, leaving), nothing},

	// Before the manager has confirmed, a dead successor is not the main process, or it is and
	// the manager soon ends us with SIGTERM. We serve in both cases.
	{evGone, either(busy, only(committing)), to(serving, actOpenGates, actUndone)},
	{evGone, only(draining), to(covering, actCover, actOpenGates, actHasten)},
	{evGone, only(leaving), stay(actFinish)}, // the process that passed datagrams to our inbox has ended
	{evGone, either(unready, young, only(serving, clearing, saving, watching, covering, ended)), nothing},
	{evGoneAlone, either(busy, only(committing)), to(serving, actOpenGates, actUndone)},
	{evGoneAlone, only(draining), to(serving, actResume, actOpenGates)},
	{evGoneAlone, only(leaving), stay(actFinish)},
	{evGoneAlone, either(unready, young, only(serving, clearing, saving, watching, covering, ended)), nothing},

	// The manager has taken MAINPID= of the third generation, or SIGTERM follows for the
	// successor's death. The third generation accepts until then.
	{evGoneCommitting, only(draining), to(watching)},
	{evGoneCommitting, except(draining), nothing},
	{evThird, only(draining), stay(actWatch)},
	{evThird, except(draining), nothing},
	{evThirdMain, only(draining, watching), to(draining, actRelieved)},
	{evThirdMain, except(draining, watching), nothing},
	{evThirdGone, only(watching), to(covering, actCover, actOpenGates, actHasten)},
	{evThirdGone, except(watching), nothing},

	// A generation that leaves does not accept again, but its goodbye must name the main process.
	{evSuperseded, only(draining, leaving), stay(actRelieved)},
	{evSuperseded, except(draining, leaving), nothing},
	{evGoodbye, only(draining, leaving), stay(actFollow)},
	{evGoodbye, except(draining, leaving), nothing},

	{evDeadline, only(beginning), to(serving, actUndone)},
	{evDeadline, only(preparing, switching), to(undoing, actKill)},
	{evDeadline, only(trial), to(committing, actMark)},
	{evDeadline, only(draining, watching, leaving), to(leaving, actExpire)}, // a generation that leaves does not accept again
	{evDeadline, only(covering), to(leaving, actShutGates, actFinish, actLastDeadline)},
	{evDeadline, only(clearing), to(saving, actShutGates, actSave)}, // work that takes longer is cut, as in a restart
	{evDeadline, only(saving), to(serving, actOpenGates, actServeSaved, actUndone)},
	{evDeadline, only(undoing), stay(actKill)}, // the recalled successor has not hung up in time
	{evDeadline, either(unready, young, only(serving, committing, ended)), nothing},
	{evCanceled, only(beginning), to(serving, actUndone)},
	{evCanceled, only(preparing, switching), to(undoing, actKill)},
	{evCanceled, only(trial), to(undoing, actRecall)},
	{evCanceled, only(clearing, saving), to(serving, actOpenGates, actServeSaved, actUndone)},
	{evCanceled, except(beginning, preparing, switching, trial, clearing, saving), nothing},

	{evMarked, only(committing), stay(actCommit)},
	{evMarked, except(committing), nothing},
	{evConfirmed, only(committing), to(draining, actDrainDeadline, actDone)},
	{evConfirmed, except(committing), nothing},
	{evUnconfirmed, only(committing), stay(actLate)}, // the manager will read the queued datagram, so the commit cannot be undone
	{evUnconfirmed, except(committing), nothing},
	{evCommitFailed, only(committing), to(undoing, actRecall)},
	{evCommitFailed, except(committing), nothing},

	{evStop, unready, to(leaving, actSayStopping, actStopDeadline)},
	{evStop, either(young, only(serving)), to(leaving, actWithdraw, actSayStopping, actStopDeadline)},
	{evStop, only(beginning), to(leaving, actUndone, actWithdraw, actSayStopping, actStopDeadline)},
	{evStop, only(preparing, switching), to(leaving, actKill, actUndone, actWithdraw, actSayStopping, actStopDeadline)},
	{evStop, only(trial), to(leaving, actPart, actUndone, actWithdraw, actSayStopping, actStopDeadline)},
	{evStop, only(undoing), to(leaving, actUndone, actWithdraw, actSayStopping, actStopDeadline)},
	{evStop, only(clearing, saving), to(leaving, actServeSaved, actUndone, actWithdraw, actSayStopping, actStopDeadline)},
	{evStop, only(committing), later},                                         // the manager must read MAINPID= before we exit
	{evStop, only(draining), to(leaving, actHasten)},                          // the whole unit stops; its main process notifies the manager
	{evStop, only(watching), to(covering, actCover, actOpenGates, actHasten)}, // the stop half of the manager's restart
	{evStop, only(covering, leaving, ended), nothing},                         // in covering this is the stop half of the manager's restart
	{evStopLate, only(draining), later},
	{evStopLate, except(draining), nothing},

	{evFail, only(starting, recovering), to(leaving, actSayStopping, actStopDeadline)},
	{evFail, only(arriving, waiting, restoring, probation), to(leaving, actShutGates, actDecline, actStopDeadline)},
	{evFail, only(serving), to(leaving, actWithdraw, actSayStopping, actStopDeadline)},
	{evFail, either(busy, only(adopting, clearing, saving, committing)), later},
	{evFail, after, nothing}, // the process ends already

	{evOldIdle, only(covering), to(leaving, actShutGates, actFinish, actLastDeadline)},
	{evOldIdle, only(clearing), to(saving, actShutGates, actSave)},
	{evOldIdle, only(leaving), stay(actRefuseAll)},
	{evOldIdle, except(clearing, covering, leaving), nothing},

	{evMove, only(draining), stay(actMove)},
	{evMove, only(clearing, saving), stay(actSaveForExec)},
	{evMove, only(leaving), stay(actStore)},
	{evMove, except(draining, clearing, saving, leaving), stay(actStay)},
	{evTaken, only(draining, leaving), stay(actSettle)},
	{evTaken, except(draining, leaving), nothing},
	{evPauseOver, only(draining), stay(actPauseOver)},
	{evPauseOver, except(draining), nothing},

	// Only the main process changes the fd store, also while it ends.
	{evStoreAgain, either(busy, only(serving, clearing, saving, leaving)), stay(actStoreAgain)},
	{evStoreAgain, either(unready, young, only(committing)), later},
	{evStoreAgain, only(draining, watching, covering, ended), nothing},
	{evStored, either(busy, only(serving, clearing, saving, leaving)), stay(actStored)},
	{evStored, either(unready, young, only(committing)), later},
	{evStored, only(draining, watching, covering, ended), nothing},

	{evClose, handing, to(ended, actKill, actUndone, actRelease)},
	{evClose, only(beginning, undoing, clearing, saving, committing), to(ended, actUndone, actRelease)},
	{evClose, either(unready, young, only(serving, draining, watching, covering, leaving)), to(ended, actRelease)},
	{evClose, only(ended), nothing},
}

// table has the rules by state and event.
var table = tabulate(append(rules, always...))

func tabulate(rules []rule) (t [numStates][numEvents]cell) {
	for _, r := range rules {
		for _, s := range r.in {
			if t[s][r.on].disposition != undecided {
				panic("reexec: two rules for " + r.on.String() + " in " + s.String())
			}
			c := r.cell
			if c.disposition == move && c.to == numStates {
				c.to = s
			}
			t[s][r.on] = c
		}
	}
	return t
}

// next returns the cell for event e in state s.
func next(s state, e eventKind) cell { return table[s][e] }
