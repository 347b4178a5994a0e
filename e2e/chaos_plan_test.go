package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"
)

// chaosStep is one step with its parameters.
type chaosStep struct {
	name string
	run  func(*chaosSite) string // returns the outcome
}

// chaosCard is a kind of step and the number of such steps in the deck.
type chaosCard struct {
	name  string
	count int
	draw  func(*rand.Rand) chaosStep
}

// chaosPlan draws steps. Their order and parameters depend on the seed alone, and not on
// the outcomes of steps.
type chaosPlan struct {
	r    *rand.Rand
	deck []chaosCard
}

func newChaosPlan(seed uint64) *chaosPlan {
	return &chaosPlan{r: rand.New(rand.NewPCG(seed, 0))}
}

// next returns the next step and the pause before it. Each kind comes once in a while,
// because the cards are shuffled again only when all were drawn.
func (p *chaosPlan) next() (pause time.Duration, s chaosStep) {
	if len(p.deck) == 0 {
		for _, card := range chaosDeck() {
			for range card.count {
				p.deck = append(p.deck, card)
			}
		}
		p.r.Shuffle(len(p.deck), func(i, j int) { p.deck[i], p.deck[j] = p.deck[j], p.deck[i] })
	}
	card := p.deck[0]
	p.deck = p.deck[1:]
	pause = between(p.r, 0, 1200*time.Millisecond)
	s = card.draw(p.r)
	s.name = strings.TrimSpace(card.name + " " + s.name)
	return pause, s
}

// between draws a time from least to most, in milliseconds.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64((most-least)/time.Millisecond)+1))*time.Millisecond
}

func oneOf[T any](r *rand.Rand, some ...T) T { return some[r.IntN(len(some))] }

// drawTrial draws the trial that the program started by a step gives its own successor.
func drawTrial(r *rand.Rand) time.Duration {
	return oneOf(r, 0, 0, 200*time.Millisecond, 1500*time.Millisecond)
}

// chaosDeck returns the kinds of steps.
func chaosDeck() []chaosCard {
	deck := []chaosCard{
		{"reload", 6, drawReload("serves", reloadSucceeds)},
		{"slow reload", 1, drawReload("is slow", reloadSucceeds)},
		{"late death", 3, drawLateDeath},
		{"kill of the main process", 2, drawIdleKill},
		{"kill in a reload", 5, drawReloadKill},
		{"kill in a drain", 4, drawDrainKill},
		{"stop of a process in a reload", 3, drawFreeze},
		{"freeze of the unit", 1, drawUnitFreeze},
		{"restart", 2, drawRestart},
		{"restart in a reload", 2, drawRestartInReload},
		{"stop and start", 1, drawStopStart},
		{"manager command in a reload", 3, drawManagerCommand},
		{"storm", 2, drawStorm},
		{"SIGHUP, reload and SIGTERM", 1, drawHangupTerm},
		{"full /run", 1, drawFullRun},
		{"little memory", 1, drawMemory},
		{"few processes", 1, drawTasks},
		{"few descriptors", 1, drawDescriptors},
		{"busy processors", 1, drawStarvation},
		{"rest", 2, drawRest},
	}
	for _, how := range chaosFailures {
		deck = append(deck, chaosCard{"reload that " + how, 1, drawReload(how, reloadFails)})
	}
	return deck
}

// chaosFailures are the ways in which a new program fails before it serves: orders of
// testdata/chaos, and files.
var chaosFailures = []string{
	"exits at once", "exits with 0", "panics", "hangs", "cannot listen",
	"cannot restore", "panics in Restore", "hangs in Restore",
	brokenFile, emptyFile, otherProtocol,
}

func drawReload(how string, want reloadResult) func(*rand.Rand) chaosStep {
	return func(r *rand.Rand) chaosStep {
		o := chaosOrders{How: how, Wait: between(r, 100*time.Millisecond, 1500*time.Millisecond), Trial: drawTrial(r)}
		return chaosStep{o.String(), func(c *chaosSite) string { return c.reloadStep(o, want) }}
	}
}

func drawLateDeath(r *rand.Rand) chaosStep {
	o := chaosOrders{
		How:   oneOf(r, "exits late", "panics late", "declines late"),
		Wait:  between(r, 0, 400*time.Millisecond),
		Trial: drawTrial(r),
	}
	return chaosStep{o.How + " " + o.String(), func(c *chaosSite) string { return c.lateDeath(o) }}
}

// victims are the processes that a step aims at.
type victims string

const (
	theMain      victims = "the main process"
	theSuccessor victims = "the successor"
	theOld       victims = "the predecessor"
	bothOfThem   victims = "both"
	oldest       victims = "the oldest that drains"
)

func drawSignal(r *rand.Rand) syscall.Signal {
	return oneOf(r, syscall.SIGKILL, syscall.SIGKILL, syscall.SIGTERM)
}

func drawIdleKill(r *rand.Rand) chaosStep {
	sig, trial := drawSignal(r), drawTrial(r)
	return chaosStep{fmt.Sprintf("by %v, next trial %v", sig, trial), func(c *chaosSite) string { return c.idleKill(sig, trial) }}
}

func drawReloadKill(r *rand.Rand) chaosStep {
	who, sig := oneOf(r, theSuccessor, theOld, bothOfThem), drawSignal(r)
	m := drawMoment(r)
	return chaosStep{fmt.Sprintf("of %v by %v %v", who, sig, m), func(c *chaosSite) string { return c.reloadKill(who, sig, m) }}
}

func drawDrainKill(r *rand.Rand) chaosStep {
	who, sig := oneOf(r, theMain, theMain, theOld, bothOfThem, oldest), drawSignal(r)
	after, trial := between(r, 0, 400*time.Millisecond), drawTrial(r)
	name := fmt.Sprintf("of %v by %v after %v, next trial %v", who, sig, after, trial)
	return chaosStep{name, func(c *chaosSite) string { return c.drainKill(who, sig, after, trial) }}
}

// chaosMoment is a moment of a reload: so long after the successor was started, which
// is slow by so much.
type chaosMoment struct{ after, slow, trial time.Duration }

func drawMoment(r *rand.Rand) chaosMoment {
	return chaosMoment{between(r, 0, 150*time.Millisecond), oneOf(r, 0, 0, 100*time.Millisecond), drawTrial(r)}
}

func (m chaosMoment) String() string {
	return fmt.Sprintf("%v after the start of a successor that takes %v, next trial %v", m.after, m.slow, m.trial)
}

// orders are those of the successor.
func (m chaosMoment) orders() chaosOrders {
	return chaosOrders{How: "is slow", Wait: m.slow, Trial: m.trial}
}

func drawFreeze(r *rand.Rand) chaosStep {
	who, m, long := oneOf(r, theSuccessor, theOld, bothOfThem), drawMoment(r), between(r, 50*time.Millisecond, 2*time.Second)
	return chaosStep{fmt.Sprintf("%v for %v, %v", who, long, m), func(c *chaosSite) string { return c.freeze(who, long, m) }}
}

func drawUnitFreeze(r *rand.Rand) chaosStep {
	long, m := between(r, 50*time.Millisecond, 2*time.Second), drawMoment(r)
	return chaosStep{fmt.Sprintf("for %v, %v", long, m), func(c *chaosSite) string { return c.freezeUnit(long, m) }}
}

func drawRestart(r *rand.Rand) chaosStep {
	trial := drawTrial(r)
	return chaosStep{fmt.Sprintf("next trial %v", trial), func(c *chaosSite) string { return c.restart(trial) }}
}

func drawRestartInReload(r *rand.Rand) chaosStep {
	m := drawMoment(r)
	return chaosStep{m.String(), func(c *chaosSite) string { return c.restartInReload(m) }}
}

func drawStopStart(r *rand.Rand) chaosStep {
	pause := between(r, 0, 500*time.Millisecond)
	return chaosStep{pause.String() + " apart", func(c *chaosSite) string { return c.stopStart(pause) }}
}

func drawManagerCommand(r *rand.Rand) chaosStep {
	args, m := oneOf(r, "daemon-reload", "daemon-reexec", "restart systemd-journald"), drawMoment(r)
	return chaosStep{args + " " + m.String(), func(c *chaosSite) string { return c.managerCommand(args, m) }}
}

func drawStorm(r *rand.Rand) chaosStep {
	s := chaosStorm{jobs: r.IntN(4), commands: 2 + r.IntN(6), hangups: r.IntN(4), trial: drawTrial(r)}
	return chaosStep{fmt.Sprintf("of %d jobs, %d commands and %d signals, next trial %v", s.jobs, s.commands, s.hangups, s.trial), s.run}
}

func drawHangupTerm(r *rand.Rand) chaosStep {
	after := between(r, 0, 200*time.Millisecond)
	return chaosStep{after.String() + " apart", func(c *chaosSite) string { return c.hangupTerm(after) }}
}

func drawFullRun(*rand.Rand) chaosStep { return chaosStep{"", (*chaosSite).fullRun} }

func drawMemory(r *rand.Rand) chaosStep {
	more := 1 + r.IntN(24)
	return chaosStep{fmt.Sprintf("(%d MiB more)", more), func(c *chaosSite) string { return c.littleMemory(more) }}
}

func drawTasks(r *rand.Rand) chaosStep {
	more := r.IntN(12)
	return chaosStep{fmt.Sprintf("(%d more)", more), func(c *chaosSite) string { return c.fewTasks(more) }}
}

func drawDescriptors(r *rand.Rand) chaosStep {
	more := r.IntN(20)
	return chaosStep{fmt.Sprintf("(%d more)", more), func(c *chaosSite) string { return c.fewDescriptors(more) }}
}

func drawStarvation(r *rand.Rand) chaosStep {
	loops, long := 1+r.IntN(3), between(r, 500*time.Millisecond, 2*time.Second)
	return chaosStep{fmt.Sprintf("(%d loops of %v)", loops, long), func(c *chaosSite) string { return c.starve(loops, long) }}
}

func drawRest(*rand.Rand) chaosStep { return chaosStep{"", (*chaosSite).rest} }
