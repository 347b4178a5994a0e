//go:build linux

package reexec_test

import (
	"errors"
	"testing"

	"github.com/cutover-go/cutover/reexec"
)

func TestASecretIsKnownAfterReady(t *testing.T) {
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	one, err := u.Secret("one")
	if err != nil {
		t.Fatal(err)
	}
	two, err := u.Secret("two")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Secret("one"); err == nil {
		t.Error("a second Secret of one name succeeds")
	}
	if b, err := one(); !errors.Is(err, reexec.ErrNotReady) {
		t.Errorf("before Ready the secret is %x, %v; want ErrNotReady", b, err)
	}
	if err := u.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, err := one()
	if err != nil || len(a) != 32 {
		t.Fatalf("after Ready the secret is %x, %v; want 32 bytes", a, err)
	}
	if b, err := two(); err != nil || string(a) == string(b) {
		t.Errorf("another secret is %x, %v, too", b, err)
	}
	a[0]++
	if b, _ := one(); b[0] == a[0] {
		t.Error("a caller has changed the secret")
	}
	if _, err := u.Secret("late"); err == nil {
		t.Error("Secret after Ready succeeds")
	}
}

// A generation that does not ask for the secret hands it on.
func TestEveryGenerationKnowsTheSecret(t *testing.T) {
	s := newScene(t)
	v := s.service(252, "RestartSec=0")
	var secret string
	ready := func(r *process, asks bool) {
		t.Helper()
		r.Do("new", signals)
		if asks {
			r.Do("secret", "s")
		}
		r.Do("ready")
		if !asks {
			return
		}
		if now := r.Do("tell secret"); secret == "" {
			secret = now
		} else if now != secret {
			t.Errorf("the secret is %s, was %s", now, secret)
		}
	}
	start := v.job(v.manager.Start)
	r := s.next()
	ready(r, true)
	v.succeeds(start)
	for _, asks := range []bool{true, false, true} {
		reload := v.job(v.manager.Reload)
		next := s.next()
		ready(next, asks)
		v.succeeds(reload)
		r.kill()
		r = next
	}
	r.kill()
	ready(s.next(), true)
}
