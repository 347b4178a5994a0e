package reexec

// This file is the whole life of one generation as a table: which state takes
// which event where, and what is done on the way. It holds no data and does
// nothing; loop.go drives it.

type state uint8

const (
	starting   state = iota // New has returned; nobody came before us
	arriving                // New has returned; a predecessor started us
	recovering              // as starting; the program restores its state
	waiting                 // we are ready; the predecessor has not said go
	restoring               // it has; the program restores its state
	probation               // we accept; the predecessor is still main
	adopting                // the manager is being told that we are main
	serving                 // we are main and accept
	beginning               // as serving, and Options.Next says how the successor is started
	preparing               // as serving, and a successor initialises
	switching               // gates shut; the successor has been told to accept
	trial                   // the successor accepts, we are still main
	committing              // the manager is being told that the successor is main
	clearing                // gates shut; the program finishes its work and then is replaced in place
	saving                  // as clearing; the work is finished, and the program saves its state
	undoing                 // the successor has been killed and is not gone yet
	draining                // the successor is main, we finish our work
	covering                // the successor died as main, we accept until the manager's restart
	leaving                 // asked to end, we finish our work
	ended                   // everything is closed
	numStates
)

type eventKind uint8

const (
	evReady          eventKind = iota // the program called Ready
	evRestored                        // the program has its state
	evGo                              // predecessor: accept
	evCommitting                      // predecessor: the manager is about to be told
	evAcknowledge                     // predecessor: show that the manager takes us for the main process
	evCommitted                       // predecessor: the manager knows
	evOrphaned                        // the predecessor's line is closed
	evOlder                           // predecessor: how many generations drain, and how far they are
	evSecond                          // a second has passed since the successor was told of our drain
	evUpgrade                         // somebody asks for an upgrade and waits
	evHangup                          // SIGHUP asks for one and does not wait
	evCrowded                         // either, while as many generations drain as may
	evStatus                          // somebody asks how it is going
	evCommand                         // Options.Next has returned how the successor is started
	evNotStarted                      // there is no successor: it could not be started
	evPrepared                        // successor: ready
	evChecked                         // successor: ready, and only tried before an exec
	evSaving                          // a function of the program has saved a state
	evSaved                           // the state is saved, before an exec
	evNotBecome                       // the exec has failed
	evAccepting                       // successor: serving
	evFailed                          // the successor hung up or broke the protocol
	evRecalled                        // successor: it accepts no more, as it was told to
	evDeclined                        // successor: it does not accept, and why
	evGone                            // the successor's process has ended; the manager restarts us
	evGoneAlone                       // the same where no manager would
	evSuccessorStops                  // successor: asked to end
	evSuperseded                      // successor: a third generation is main
	evGoodbye                         // successor: drained; here is the line to that one
	evDeadline                        // the time of the current state is over
	evCanceled                        // nobody waits for the upgrade any more
	evMarked                          // the manager holds our marks, or cannot
	evConfirmed                       // the manager has taken MAINPID=
	evUnconfirmed                     // it has not for too long
	evCommitFailed                    // it could not be told, or has refused MAINPID=
	evStop                            // SIGTERM, or Stop
	evFail                            // the program called Fail
	evOldIdle                         // what was in work when covering or clearing began is finished
	evMove                            // the program offers a connection that could go to another process
	evTaken                           // successor: it has the connections that it was sent
	evPauseOver                       // the pause between portions of what is parked is over
	evArrived                         // predecessor: connections
	evStoreAgain                      // the pause after an attempt to store is over
	evStored                          // an attempt to store has ended, well or not
	evClose                           // Close
	numEvents
)

type action uint8

const (
	actAnnounce      action = iota // fd store and READY=1
	actAdopt                       // take over a main process's duties
	actOpenGates                   // accept
	actShutGates                   // accept no more; returns when no Accept is under way
	actWithdraw                    // shut for good
	actFinish                      // read on for the flows there are: nobody accepts
	actSayReady                    // to the predecessor
	actSayServing                  // to the predecessor
	actSayStopping                 // to predecessor and manager
	actDecline                     // to the predecessor: we do not accept, and why
	actForget                      // the predecessor is gone
	actCountOlder                  // note who drains, and pass it on
	actBegin                       // tell the manager, ask Options.Next, ready deadline
	actStart                       // start the successor
	actGo                          // state and Go to the successor; switch deadline
	actAllow                       // give the switch the time that the size of the state needs
	actTry                         // trial deadline
	actMark                        // store the marks that show who is main
	actCommit                      // Committing to the successor, MAINPID= to the manager
	actAcknowledge                 // have the manager remove the successor's mark
	actKill                        // SIGKILL to the successor, keep the reason
	actRecall                      // tell a successor that has accepted to do so no more, keep the reason
	actPart                        // leave a successor that has accepted to its answers, keep the reason
	actUndone                      // tell manager and asker the reason
	actDone                        // Committed to the successor, answer
	actLate                        // answer that the manager did not confirm
	actRelieved                    // note that the successor is not main any more
	actFollow                      // watch the third generation in the successor's place
	actDismiss                     // let a successor go that was only tried
	actSave                        // have the program save its state, save deadline
	actBecome                      // execve
	actMove                        // offer a connection to the successor
	actStow                        // keep a connection for the program that is put in our place
	actStore                       // put a connection into the fd store for the next start
	actStay                        // answer that a connection stays with us
	actStayAll                     // the same for all that are offered
	actSettle                      // answer what the successor has taken
	actSendParked                  // let the next portion of what is parked leave
	actTake                        // take connections over from the predecessor
	actUnstow                      // accept again what was stowed
	actCover                       // tell old work from new
	actResume                      // main again, as nothing had been handed over
	actExpire                      // give up what is still in work, and end Accept
	actRefuseAll                   // end Accept: nothing is in work
	actDrainDeadline               // start the drain's time
	actLastDeadline                // a short time for what came in while covering
	actRefuse                      // answer that it cannot be done now
	actReport                      // answer how it is going
	actStoreAgain                  // try again to store what the fd store does not have
	actStored                      // note what the fd store does not have
	actRelease                     // close everything
)

// disposition says what becomes of an event.
type disposition uint8

const (
	undecided disposition = iota // no rule: the exhaustive test fails
	move                         // go to cell.to, doing cell.do
	ignore                       // it means nothing here
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
func stay(do ...action) cell        { return cell{move, numStates, do} } // numStates: where we are

var (
	nothing = cell{disposition: ignore}
	later   = cell{disposition: postpone}
)

// Groups of states, in the order of a life.
var (
	unready = []state{starting, arriving, recovering}
	young   = []state{waiting, restoring, probation, adopting}         // ready, not main
	handing = []state{preparing, switching, trial}                     // an upgrade that can be undone at once
	busy    = []state{beginning, preparing, switching, trial, undoing} // the same, before and after
	after   = []state{draining, covering, leaving, ended}              // no upgrade of ours can begin
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

// rules decides every event in every state, once.
var rules = []rule{
	{evReady, only(starting), to(recovering)},
	{evReady, only(arriving), to(waiting, actSayReady)},
	{evReady, except(starting, arriving), nothing}, // Ready was called before, or its waiter is told by leaving

	{evGo, only(waiting), to(restoring)},
	{evGo, only(adopting), to(probation)}, // the manager could not be told: the predecessor is main
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

	// Between Committing and Committed the manager may or may not have been told.
	// If not, it restarts the unit for the predecessor's death and ends us with
	// SIGTERM. If so, we are main. To go on is right in both cases.
	{evOrphaned, only(arriving, waiting, restoring, probation), to(leaving, actShutGates, actForget, actDrainDeadline)},
	{evOrphaned, only(adopting), to(serving, actForget, actAdopt)},
	{evOrphaned, except(arriving, waiting, restoring, probation, adopting), stay(actForget, actCountOlder)},
	{evOlder, unready, nothing}, // it comes with the commit
	{evOlder, either(young, busy, after, only(serving, clearing, saving, committing)), stay(actCountOlder)},
	{evSecond, only(draining, leaving), stay(actCountOlder)},
	{evSecond, except(draining, leaving), nothing},

	{evUpgrade, only(serving), to(beginning, actBegin)},
	{evUpgrade, except(serving), stay(actRefuse)},
	{evHangup, only(serving), to(beginning, actBegin)},
	{evHangup, either(unready, young), later},
	{evHangup, either(busy, only(clearing, saving, committing), after), nothing},
	{evCrowded, except(), stay(actRefuse)},
	{evStatus, except(), stay(actReport)},

	{evCommand, only(beginning), to(preparing, actStart)},
	{evCommand, except(beginning), nothing}, // the upgrade was undone meanwhile
	{evNotStarted, only(beginning, preparing), to(serving, actUndone)},
	{evNotStarted, except(beginning, preparing), nothing},
	{evPrepared, only(preparing), to(switching, actShutGates, actGo)},
	{evPrepared, except(preparing), nothing},
	{evChecked, only(preparing), to(clearing, actShutGates, actFinish, actDismiss, actDrainDeadline)},
	{evChecked, except(preparing), nothing},
	{evSaving, only(switching, saving), stay(actAllow)},
	{evSaving, except(switching, saving), nothing},
	{evSaved, only(saving), stay(actBecome)},
	{evSaved, except(saving), nothing},
	{evNotBecome, only(saving), to(serving, actOpenGates, actUnstow, actUndone)},
	{evNotBecome, except(saving), nothing},
	{evAccepting, only(switching), to(trial, actTry)},
	{evAccepting, except(switching), nothing},

	// A successor may close its line after the commit; only its death counts then.
	{evFailed, handing, to(undoing, actKill)},
	{evFailed, only(draining, leaving), stay(actStayAll)}, // it closed its line, and so takes no more
	{evFailed, either(unready, young, only(serving, beginning, clearing, saving, committing, undoing, covering, ended)), nothing},
	{evRecalled, only(undoing), to(serving, actOpenGates, actPart, actUndone)},
	{evRecalled, except(undoing), nothing},
	// One that has accepted and does so no more finishes its answers by itself.
	{evDeclined, only(preparing, switching), to(undoing, actKill)},
	{evDeclined, only(trial), to(serving, actOpenGates, actPart, actUndone)},
	{evDeclined, except(handing...), nothing},
	{evSuccessorStops, only(preparing, switching), to(undoing, actKill)},
	{evSuccessorStops, only(trial), to(serving, actOpenGates, actPart, actUndone)}, // it said so with its gates shut
	// With the unit, and so do those before us; what is left of the drain's time still counts.
	{evSuccessorStops, only(draining, leaving), to(leaving, actSayStopping)},
	{evSuccessorStops, except(preparing, switching, trial, draining, leaving), nothing},

	// Before the manager has confirmed, a dead successor was not made main, or was
	// and the manager is about to end us with SIGTERM: we serve in both cases.
	{evGone, either(busy, only(committing)), to(serving, actOpenGates, actUndone)},
	{evGone, only(draining), to(covering, actCover, actOpenGates)},
	{evGone, only(leaving), stay(actFinish)}, // whoever has passed on what is ours is no more
	{evGone, either(unready, young, only(serving, clearing, saving, covering, ended)), nothing},
	{evGoneAlone, either(busy, only(committing)), to(serving, actOpenGates, actUndone)},
	{evGoneAlone, only(draining), to(serving, actResume, actOpenGates)},
	{evGoneAlone, only(leaving), stay(actFinish)},
	{evGoneAlone, either(unready, young, only(serving, clearing, saving, covering, ended)), nothing},

	// One that leaves covers for nobody, but its own goodbye must say who is main.
	{evSuperseded, only(draining, leaving), stay(actRelieved)},
	{evSuperseded, except(draining, leaving), nothing},
	{evGoodbye, only(draining, leaving), stay(actFollow)},
	{evGoodbye, except(draining, leaving), nothing},

	{evDeadline, only(beginning), to(serving, actUndone)},
	{evDeadline, only(preparing, switching), to(undoing, actKill)},
	{evDeadline, only(trial), to(committing, actMark)},
	{evDeadline, only(draining, leaving), to(leaving, actExpire)}, // on its way out it covers for nobody
	{evDeadline, only(covering), to(leaving, actShutGates, actFinish, actLastDeadline)},
	{evDeadline, only(clearing), to(saving, actShutGates, actSave)}, // as after a restart, what takes longer is cut
	{evDeadline, only(saving), to(serving, actOpenGates, actUnstow, actUndone)},
	{evDeadline, only(undoing), stay(actKill)}, // it was recalled, and does not answer
	{evDeadline, either(unready, young, only(serving, committing, ended)), nothing},
	{evCanceled, only(beginning), to(serving, actUndone)},
	{evCanceled, only(preparing, switching), to(undoing, actKill)},
	{evCanceled, only(trial), to(undoing, actRecall)},
	{evCanceled, only(clearing, saving), to(serving, actOpenGates, actUnstow, actUndone)},
	{evCanceled, except(beginning, preparing, switching, trial, clearing, saving), nothing},

	{evMarked, only(committing), stay(actCommit)},
	{evMarked, except(committing), nothing},
	{evConfirmed, only(committing), to(draining, actDrainDeadline, actDone)},
	{evConfirmed, except(committing), nothing},
	{evUnconfirmed, only(committing), stay(actLate)}, // the datagram is queued and will be read: there is no way back
	{evUnconfirmed, except(committing), nothing},
	{evCommitFailed, only(committing), to(undoing, actRecall)},
	{evCommitFailed, except(committing), nothing},

	{evStop, unready, to(leaving, actSayStopping, actDrainDeadline)},
	{evStop, either(young, only(serving)), to(leaving, actWithdraw, actSayStopping, actDrainDeadline)},
	{evStop, only(beginning), to(leaving, actUndone, actWithdraw, actSayStopping, actDrainDeadline)},
	{evStop, only(preparing, switching), to(leaving, actKill, actUndone, actWithdraw, actSayStopping, actDrainDeadline)},
	{evStop, only(trial), to(leaving, actPart, actUndone, actWithdraw, actSayStopping, actDrainDeadline)},
	{evStop, only(undoing), to(leaving, actUndone, actWithdraw, actSayStopping, actDrainDeadline)},
	{evStop, only(clearing, saving), to(leaving, actUnstow, actUndone, actWithdraw, actSayStopping, actDrainDeadline)},
	{evStop, only(committing), later},                 // the manager must read MAINPID= before we exit
	{evStop, only(draining), to(leaving)},             // with the unit; its main process tells the manager
	{evStop, only(covering, leaving, ended), nothing}, // covering: the stop half of the restart that we wait for

	{evFail, only(starting, recovering), to(leaving, actSayStopping, actDrainDeadline)},
	{evFail, only(arriving, waiting, restoring, probation), to(leaving, actShutGates, actDecline, actDrainDeadline)},
	{evFail, only(serving), to(leaving, actWithdraw, actSayStopping, actDrainDeadline)},
	{evFail, either(busy, only(adopting, clearing, saving, committing)), later},
	{evFail, after, nothing}, // it ends already

	{evOldIdle, only(covering), to(leaving, actShutGates, actFinish, actLastDeadline)},
	{evOldIdle, only(clearing), to(saving, actShutGates, actSave)},
	{evOldIdle, only(leaving), stay(actRefuseAll)},
	{evOldIdle, except(clearing, covering, leaving), nothing},

	{evMove, only(draining), stay(actMove)},
	{evMove, only(clearing, saving), stay(actStow)},
	{evMove, only(leaving), stay(actStore)},
	{evMove, except(draining, clearing, saving, leaving), stay(actStay)},
	{evTaken, only(draining, leaving), stay(actSettle)},
	{evTaken, except(draining, leaving), nothing},
	{evPauseOver, only(draining), stay(actSendParked)},
	{evPauseOver, except(draining), nothing},
	{evArrived, except(), stay(actTake)},

	// The store is the main process's; a main process that ends still wants it complete.
	{evStoreAgain, either(busy, only(serving, clearing, saving, leaving)), stay(actStoreAgain)},
	{evStoreAgain, either(unready, young, only(committing)), later},
	{evStoreAgain, only(draining, covering, ended), nothing},
	{evStored, either(busy, only(serving, clearing, saving, leaving)), stay(actStored)},
	{evStored, either(unready, young, only(committing)), later},
	{evStored, only(draining, covering, ended), nothing},

	{evClose, handing, to(ended, actKill, actUndone, actRelease)},
	{evClose, only(beginning, undoing, clearing, saving, committing), to(ended, actUndone, actRelease)},
	{evClose, either(unready, young, only(serving, draining, covering, leaving)), to(ended, actRelease)},
	{evClose, only(ended), nothing},
}

// table is rules by state and event.
var table = tabulate(rules)

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

// next decides e in s.
func next(s state, e eventKind) cell { return table[s][e] }
