// Command smtp is an SMTP server that writes each mail into its own file.
package main

import (
	"flag"
	"io"
	"log"
	"os"
	"time"

	"github.com/emersion/go-smtp"
)

func main() {
	addr := flag.String("addr", ":25", "listen on this `address`")
	spool := flag.String("spool", "/var/spool/smtp", "`directory` of the mails")
	flag.Parse()
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return session{*spool}, nil
	}))
	srv.Addr = *addr
	srv.ReadTimeout = 5 * time.Minute
	srv.MaxMessageBytes = 10 << 20
	if err := srv.ListenAndServe(); err != nil {
		log.Fatal(err)
	}
}

type session struct{ spool string }

func (session) Mail(from string, _ *smtp.MailOptions) error { return nil }
func (session) Rcpt(to string, _ *smtp.RcptOptions) error   { return nil }
func (session) Reset()                                      {}
func (session) Logout() error                               { return nil }

// Data is answered when the mail is in its file.
func (s session) Data(r io.Reader) error {
	f, err := os.CreateTemp(s.spool, "mail-")
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	return f.Sync()
}
