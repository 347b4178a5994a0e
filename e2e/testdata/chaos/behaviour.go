package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

// behaviour is how a generation begins and ends. It fails only as a successor: a
// process that the manager starts serves.
type behaviour struct {
	How   string        // see the methods; "" serves
	Wait  time.Duration // of a slow start, and before a late death
	Trial time.Duration // Options.Trial, also of a process that the manager starts
}

func readBehaviour(path string) (b behaviour, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if os.Getenv("CUTOVER_LINE") == "" { // the successor's descriptor to its predecessor
		b.How = ""
	}
	return b, err
}

func (b behaviour) beforeNew() {
	switch b.How {
	case "exits at once":
		os.Exit(3)
	case "exits with 0":
		os.Exit(0)
	}
}

// prepare is what happens before Ready.
func (b behaviour) prepare(ctx context.Context, u *reexec.Upgrader) error {
	switch b.How {
	case "panics":
		panic("a behaviour that was ordered")
	case "hangs":
		<-ctx.Done()
	case "is slow":
		time.Sleep(b.Wait)
	case "cannot listen":
		_, err := u.Listen(ctx, "foreign", "tcp", "192.0.2.1:80") // not an address of this machine
		return fmt.Errorf("the order is kept: %w", err)
	}
	var seen []byte
	return errors.Join(
		u.Save("seen", func() (reexec.State, error) { return reexec.State{Version: 1, Data: append(seen, '.')}, nil }),
		u.Restore("seen", func(s reexec.State) error {
			seen = s.Data
			switch b.How {
			case "cannot restore":
				return errors.New("a state that was ordered to be unreadable")
			case "panics in Restore":
				panic("a behaviour that was ordered")
			case "hangs in Restore":
				<-ctx.Done()
			}
			return nil
		}))
}

// afterReady is what happens while the generation serves.
func (b behaviour) afterReady(ctx context.Context, u *reexec.Upgrader) {
	if u.Ready(ctx) != nil {
		return // serve has the error
	}
	time.Sleep(b.Wait)
	switch b.How {
	case "exits late":
		awaitWitness()
		os.Exit(4)
	case "panics late":
		awaitWitness()
		panic("a behaviour that was ordered")
	case "declines late":
		u.Fail(errors.New("a behaviour that was ordered"))
	}
}

// awaitWitness stops this process until the test has noted which connections it has. A
// file of its number in the state directory asks for that. Another thread may take
// SIGSTOP, and this one runs on for a moment: SIGCONT shows that the test has finished.
func awaitWitness() {
	noted := make(chan os.Signal, 1)
	signal.Notify(noted, syscall.SIGCONT)
	name := filepath.Join(os.Getenv("STATE_DIRECTORY"), fmt.Sprintf("dying-%d", os.Getpid()))
	err := os.WriteFile(name+".new", nil, 0o600)
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err == nil {
		err = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	<-noted
}
