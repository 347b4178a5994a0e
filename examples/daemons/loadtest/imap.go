package main

import (
	"time"

	"github.com/emersion/go-imap/client"

	"github.com/cutover-go/cutover/examples/daemons/internal/load"
)

// imapLoad opens a mailbox again and again.
func imapLoad(address string, l *load.Load) error {
	kept := make([]*client.Client, 20)
	for i := range kept {
		c, err := login(address)
		if err != nil {
			return err
		}
		kept[i] = c
	}
	l.Each("kept", len(kept), 100*time.Millisecond, func(i int) error { return open(kept[i]) })
	l.Each("new", 4, 100*time.Millisecond, func(int) error {
		c, err := login(address)
		if err != nil {
			return err
		}
		if err := open(c); err != nil {
			return err
		}
		return c.Logout()
	})
	return nil
}

func login(address string) (*client.Client, error) {
	c, err := client.Dial(address)
	if err != nil {
		return nil, err
	}
	return c, c.Login("username", "password")
}

func open(c *client.Client) error {
	if err := c.Noop(); err != nil {
		return err
	}
	_, err := c.Select("INBOX", true)
	return err
}
