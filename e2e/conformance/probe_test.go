package conformance_test

import (
	"encoding/gob"
	"net"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/e2e/conformance/internal/order"
)

// A probe is the test's side of a process that obeys it.
type probe struct {
	order.Hello
	s       *scene
	conn    net.Conn
	out     *gob.Encoder
	answers chan order.Answer
	signals chan string
	gone    chan struct{} // closed when the process has ended
}

// try has the probe obey and returns its answer, which may be an error.
func (p *probe) try(what string, args ...string) order.Answer {
	p.s.Helper()
	if err := p.out.Encode(order.Order{Do: what, Args: args}); err != nil {
		p.s.Fatalf("order %s %q: %v", what, args, err)
	}
	select {
	case a := <-p.answers:
		return a
	case <-p.gone:
		p.s.Fatalf("order %s %q: the probe has ended", what, args)
	case <-p.s.ctx.Done():
		p.s.Fatalf("order %s %q: no answer", what, args)
	}
	return order.Answer{}
}

// tell is try for an order that may end the probe before it can answer.
func (p *probe) tell(what string, args ...string) {
	p.s.Helper()
	if err := p.out.Encode(order.Order{Do: what, Args: args}); err != nil {
		p.s.Fatalf("order %s %q: %v", what, args, err)
	}
	select {
	case <-p.answers:
	case <-p.gone:
	case <-p.s.ctx.Done():
		p.s.Fatalf("order %s %q: no answer", what, args)
	}
}

// do is try for orders that must succeed.
func (p *probe) do(what string, args ...string) order.Answer {
	p.s.Helper()
	a := p.try(what, args...)
	if a.Err != "" {
		p.s.Fatalf("order %s %q: %s", what, args, a.Err)
	}
	return a
}

// send has the probe send one message of typed assignments and waits until the
// manager has processed it.
func (p *probe) send(lines ...string) {
	p.s.Helper()
	p.do("send", lines...)
	p.do("barrier")
}

// raw is send for a text that package notify would refuse, with open files.
func (p *probe) raw(text string, keys ...string) {
	p.s.Helper()
	p.do("raw", append([]string{text}, keys...)...)
	p.do("barrier")
}

// keep has the probe make memfds that contain their key, and store each under a
// name: NAME, or KEY=NAME.
func (p *probe) keep(names ...string) {
	p.s.Helper()
	for _, n := range names {
		key, name, two := strings.Cut(n, "=")
		if !two {
			name = key
		}
		p.do("open", key, "memfd", key)
		p.do("store", name, key)
	}
	p.do("barrier")
}

// exit ends the probe and returns when it has.
func (p *probe) exit(code int) {
	p.s.Helper()
	if err := p.out.Encode(order.Order{Do: "exit", Args: []string{strconv.Itoa(code)}}); err != nil {
		p.s.Fatalf("order exit: %v", err)
	}
	p.awaitGone()
}

// awaitGone returns when the process has ended.
func (p *probe) awaitGone() {
	p.s.Helper()
	select {
	case <-p.gone:
	case <-p.s.ctx.Done():
		p.s.Fatalf("process %d (%s) does not end", p.PID, p.Role)
	}
}

// awaitSignal returns when the probe has got the signal, the next it gets.
func (p *probe) awaitSignal(want string) {
	p.s.Helper()
	select {
	case got := <-p.signals:
		if got != want {
			p.s.Fatalf("process %d (%s) got %s, want %s", p.PID, p.Role, got, want)
		}
	case <-p.s.ctx.Done():
		p.s.Fatalf("process %d (%s) did not get %s", p.PID, p.Role, want)
	}
}

// unsignalled fails the test if the probe has got a signal.
func (p *probe) unsignalled() {
	p.s.Helper()
	select {
	case got := <-p.signals:
		p.s.Errorf("process %d (%s) got %s", p.PID, p.Role, got)
	default:
	}
}

func (p *probe) pid() string { return strconv.Itoa(p.PID) }

// spawn starts another probe below this one, or with the role "sibling" beside it.
func (p *probe) spawn(role string) *probe {
	p.s.Helper()
	pid := p.do("spawn", role).N
	child := p.s.next()
	if child.PID != pid || child.Role != role {
		p.s.Fatalf("process %d (%s) came, want %d (%s)", child.PID, child.Role, pid, role)
	}
	return child
}

// rawNames are the names of what was passed.
func (p *probe) rawNames() string {
	var names []string
	for _, r := range p.Raw {
		names = append(names, r.Name)
	}
	return strings.Join(names, " ")
}
