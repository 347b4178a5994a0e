package main

import (
	"fmt"
	"net/smtp"
	"time"

	"github.com/cutover-go/cutover/examples/daemons/internal/load"
)

// smtpLoad sends mails. The server has as many files as mails were answered.
func smtpLoad(address string, l *load.Load) error {
	kept := make([]*smtp.Client, 20)
	for i := range kept {
		c, err := smtp.Dial(address)
		if err != nil {
			return err
		}
		kept[i] = c
	}
	l.Each("kept", len(kept), 100*time.Millisecond, func(i int) error { return mail(kept[i]) })
	l.Each("new", 4, 100*time.Millisecond, func(int) error {
		c, err := smtp.Dial(address)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := mail(c); err != nil {
			return err
		}
		return c.Quit()
	})
	return nil
}

func mail(c *smtp.Client) error {
	if err := c.Mail("a@example.com"); err != nil {
		return err
	}
	if err := c.Rcpt("b@example.com"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(w, "Subject: upgrade\r\n\r\nhello\r\n"); err != nil {
		return err
	}
	return w.Close()
}
