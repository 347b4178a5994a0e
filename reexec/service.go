package reexec

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Service is one server of a program, with its sockets. [Stream], [Packet] and
// rehttp.Service return one, and a program can write one as a [ServiceFunc].
//
// Listen runs before Ready. It claims the sockets of the service, by Upgrader.Listen and its
// like, and calls Receive if the service takes connections that move. ctx ends if the
// process is asked to stop meanwhile. If Listen fails, the program does not start, and a
// predecessor goes on serving and reports the error.
//
// Listen returns the function that serves. It is called after Ready, on its own goroutine.
// This function accepts until Accept or ReadFrom returns net.ErrClosed, and finishes its work
// when the generation drains, see [Upgrader.OnDrain]. If it returns nil in a drain, it is called
// again if the generation serves again: an upgrade in place was undone, or the successor has died
// and no manager restarts the unit. A nil function means that there is nothing to serve. If the
// program does not become ready, the function is never called; Upgrader.Close closes the
// sockets. So Listen starts no goroutine that must be ended.
type Service interface {
	Listen(ctx context.Context, u *Upgrader) (serve func(context.Context) error, err error)
}

// A ServiceFunc is a function that is a [Service]. A program uses one to set itself up when
// it has its Upgrader: to restore its state, to open files, or to make a service whose
// handler needs the Upgrader.
type ServiceFunc func(ctx context.Context, u *Upgrader) (serve func(context.Context) error, err error)

// Listen calls f.
func (f ServiceFunc) Listen(ctx context.Context, u *Upgrader) (serve func(context.Context) error, err error) {
	return f(ctx, u)
}

// serviceGrace limits the time between the end of Drain and the return of the services. A
// process that waits longer is killed in a stop, and is a leftover after an upgrade.
const serviceGrace = 5 * time.Second

// Serve runs services: it calls the Listen of each in order, then Ready once, then all
// serving functions concurrently. It returns when this generation was replaced or stopped
// and every service has finished. The caller then calls Close. The end of ctx stops this
// generation, like Stop.
//
// A service that fails stops the program, as by Fail: before Ready and in a trial the
// predecessor goes on serving. The other services finish their work, and Serve returns the
// error. A service that returns nil before a drain begins has finished; the others go on, and
// when all have finished the program stops. A panic of a service ends the process.
//
// Serve returns nil if the process was asked to stop before it was ready, or was only tried
// (ErrStopped). Work that is cut at the drain deadline is no failure either: Serve
// logs it at level Warn, with the clients, and returns nil. Five seconds after Drain has returned,
// Serve does not wait for a service any longer.
//
// A program calls Serve once. Listen and the serving function of a Service, and Ready, can
// also be called one by one.
func (u *Upgrader) Serve(ctx context.Context, services ...Service) error {
	defer context.AfterFunc(ctx, u.Stop)()
	serving, err := u.listenAll(ctx, services)
	if err == nil {
		err = u.Ready(ctx)
	}
	if err == nil {
		return u.serveAll(ctx, serving)
	}
	if errors.Is(err, ErrStopped) || ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return nil
	}
	u.Fail(err) // tells a predecessor, or the manager
	return err
}

// listenAll calls Listen of each service and returns the functions that serve.
func (u *Upgrader) listenAll(ctx context.Context, services []Service) (serving []func(context.Context) error, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // ends with ctx
		select {
		case <-u.endings.Load().Stopping:
			cancel(ErrStopped)
		case <-ctx.Done():
		}
	}()
	for i, s := range services {
		if s == nil {
			return nil, fmt.Errorf("reexec: service %d of %d is nil", i+1, len(services))
		}
		serve, err := s.Listen(ctx, u)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			if errors.Is(err, ctx.Err()) {
				err = context.Cause(ctx) // a stop, or the end of the caller's ctx
			}
			return nil, err
		}
		if serve != nil {
			serving = append(serving, serve)
		}
	}
	return serving, nil
}

// serveAll runs the serving functions and waits for their end and for the end of Drain.
func (u *Upgrader) serveAll(ctx context.Context, serving []func(context.Context) error) error {
	drained := make(chan struct{})
	go func() { // ends with the generation, at the latest with Close
		defer close(drained)
		_ = u.Drain(context.Background()) // the services report what was cut
	}()
	ended := make(chan error, len(serving))
	for _, serve := range serving {
		go func() { ended <- u.serveAgain(ctx, serve, drained) }() // ends with the service; a late one is left behind
	}
	var failures []error
	var late <-chan time.Time
	draining := drained
	for running := len(serving); running > 0; {
		select {
		case err := <-ended:
			running--
			if err = u.failureOf(err); err != nil {
				failures = append(failures, err)
				u.Fail(err)
			}
		case <-draining:
			draining, late = nil, time.After(serviceGrace)
			u.sockets.Refuse() // ends services that only accept
		case <-late:
			u.log.Warn("services have not returned after the drain: this process ends without them", "services", running)
			return errors.Join(failures...)
		}
	}
	if len(serving) > 0 && !u.Draining() {
		u.Stop() // the services have ended by themselves
	}
	<-drained
	return errors.Join(failures...)
}

// serveAgain runs serve, and runs it again each time this generation serves again after serve
// has returned in a drain.
func (u *Upgrader) serveAgain(ctx context.Context, serve func(context.Context) error, drained <-chan struct{}) error {
	for {
		e := u.endings.Load()
		if err := serve(ctx); err != nil || !closed(e.Draining) {
			return err
		}
		if e = u.endings.Load(); !closed(e.Draining) {
			continue // this generation serves again
		}
		select {
		case <-e.Resumed:
		case <-drained:
			return nil
		}
	}
}

// failureOf returns err if it is the failure of a service. It logs cut work.
func (u *Upgrader) failureOf(err error) error {
	switch {
	case errors.Is(err, ErrStopped):
		return nil
	case errors.Is(err, ErrDrainDeadline):
		u.log.Warn("work was cut at the drain deadline", "error", err)
		return nil
	}
	return err
}
