package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cloudflare/tableflip"
)

// hold listens on n unix sockets whose names begin with prefix, for `measure speed`. It obeys
// the commands that e2e/testdata/speed obeys: each generation reads the line of the upgrade
// that it begins and no further, and prints the time of that upgrade.
func hold(n int, prefix string) error {
	upg, err := tableflip.New(tableflip.Options{})
	if err != nil {
		return err
	}
	defer upg.Stop()
	for i := range n {
		if _, err := upg.Listen("unix", fmt.Sprintf("%s/%d", prefix, i)); err != nil {
			return err
		}
	}
	if !upg.HasParent() {
		fmt.Println(prefix)
	}
	if err := upg.Ready(); err != nil {
		return err
	}
	if err := upg.WaitForParent(context.Background()); err != nil {
		return err
	}
	obey(upg)
	<-upg.Exit()
	return nil
}

func obey(upg *tableflip.Upgrader) {
	if _, err := io.ReadFull(os.Stdin, make([]byte, len("upgrade\n"))); err != nil {
		os.Exit(0) // the measurement has ended
	}
	for {
		began := time.Now()
		err := upg.Upgrade()
		if err == nil {
			fmt.Println(time.Since(began).Nanoseconds(), 0)
			return
		}
		if !strings.Contains(err.Error(), "parent hasn't exited") { // it may say so a moment after WaitForParent
			fmt.Println(err)
			os.Exit(1) // no generation would end with the measurement
		}
		time.Sleep(time.Millisecond)
	}
}
