//go:build linux

package upgradetest_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/cutover-go/cutover/e2e/upgradetest"
)

// A service is installed as for systemd, started, and stopped with the manager.
// The program is this test binary, whose TestMain calls Init.
func ExampleManager() {
	program, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	m, err := upgradetest.NewManager(upgradetest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()

	ctx := context.Background()
	unit := "[Service]\nType=notify\nExecStart=" + program + " ready\n"
	if err := m.Install(ctx, "web.service", unit); err != nil {
		log.Fatal(err)
	}
	if err := m.Start(ctx, "web.service"); err != nil { // returns after READY=1
		log.Fatal(err)
	}
	state, err := m.Show(ctx, "web.service", "ActiveState")
	fmt.Println(state, err)
	fmt.Println(m.Messages("web.service")[0].Assignments)
	fmt.Println(m.Reload(ctx, "web.service"))
	// Output:
	// active <nil>
	// [READY=1]
	// upgradetest: exit status 3: Failed to reload web.service: Job type reload is not applicable for unit web.service.
}

// Wait returns when what it is told about is so, without asking again and again.
func ExampleManager_Wait() {
	program, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	m, err := upgradetest.NewManager(upgradetest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()

	ctx := context.Background()
	unit := "[Service]\nExecStart=" + program + " idle\nRestart=on-success\nRestartSec=0\n"
	if err := m.Install(ctx, "web.service", unit); err != nil {
		log.Fatal(err)
	}
	if err := m.Start(ctx, "web.service"); err != nil {
		log.Fatal(err)
	}
	err = m.Wait(ctx, "web.service", func(have map[string]string) bool { return have["NRestarts"] == "1" })
	fmt.Println(err)
	// Output: <nil>
}
