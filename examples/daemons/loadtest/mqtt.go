package main

import (
	"fmt"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/cutover-go/cutover/examples/daemons/internal/load"
)

// mailbox counts the messages that a subscriber has got.
type mailbox struct {
	mu    sync.Mutex
	got   map[string]int // by text
	acked []string
}

// mqttLoad publishes with QoS 1 on connections that it keeps and on new ones. One subscriber
// must get each acknowledged message once, and no kept connection may end.
func mqttLoad(address string, l *load.Load) error {
	b := &mailbox{got: map[string]int{}}
	sub, err := b.connect(address, "subscriber", l)
	if err != nil {
		return err
	}
	if err := done(sub.Subscribe("load/#", 1, func(_ mqtt.Client, m mqtt.Message) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.got[string(m.Payload())]++
	})); err != nil {
		return err
	}
	kept := make([]mqtt.Client, 10)
	for i := range kept {
		if kept[i], err = b.connect(address, fmt.Sprint("kept", i), l); err != nil {
			return err
		}
	}
	sent := make([]int, len(kept))
	l.Each("kept", len(kept), 50*time.Millisecond, func(i int) error {
		sent[i]++
		return b.publish(kept[i], fmt.Sprint("kept ", i, " ", sent[i]))
	})
	came := make([]int, 2)
	l.Each("new", len(came), 100*time.Millisecond, func(i int) error {
		came[i]++
		name := fmt.Sprint("new ", i, " ", came[i])
		c, err := b.connect(address, name, l)
		if err != nil {
			return err
		}
		defer c.Disconnect(250)
		return b.publish(c, name)
	})
	l.Last = func() error { return b.complete(sub) }
	return nil
}

// complete waits until each acknowledged message has come, and returns an error if one has
// come twice or not.
func (b *mailbox) complete(sub mqtt.Client) error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && len(b.wrong()) > 0; {
		time.Sleep(100 * time.Millisecond)
	}
	if wrong := b.wrong(); len(wrong) > 0 {
		return fmt.Errorf("%d of %d acknowledged messages have not come once: %.200q", len(wrong), len(b.acked), wrong)
	}
	if !sub.IsConnectionOpen() {
		return fmt.Errorf("the subscriber has lost its connection")
	}
	return nil
}

func (b *mailbox) wrong() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.acked {
		if b.got[text] != 1 {
			all = append(all, text)
		}
	}
	return all
}

func (b *mailbox) connect(address, id string, l *load.Load) (mqtt.Client, error) {
	o := mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID(id).SetAutoReconnect(false).SetConnectTimeout(time.Minute)
	o.SetWriteTimeout(time.Minute).SetPingTimeout(time.Minute).SetKeepAlive(5 * time.Second)
	o.SetWill("load/wills", "will of "+id, 1, false)
	o.OnConnectionLost = func(_ mqtt.Client, err error) { l.Note("kept", fmt.Errorf("%s: %w", id, err)) }
	c := mqtt.NewClient(o)
	return c, done(c.Connect())
}

func (b *mailbox) publish(c mqtt.Client, text string) error {
	if err := done(c.Publish("load/"+text[:4], 1, false, text)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acked = append(b.acked, text)
	return nil
}

// done waits for the acknowledgment.
func done(t mqtt.Token) error {
	if !t.WaitTimeout(time.Minute) {
		return fmt.Errorf("no answer")
	}
	return t.Error()
}
