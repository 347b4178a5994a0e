package units_test

import (
	"fmt"
	"os"

	"github.com/cutover-go/cutover/units"
)

// A program that says `myapp units` of itself.
func ExampleDaemon_Command() {
	daemon := units.Daemon{
		Name:    "myapp",
		Binary:  "/usr/bin/myapp", // without it, where this program lies
		Sockets: []units.Socket{{Name: "http", Listen: []string{"127.0.0.1:8080"}}},
		Systemd: 252,
	}
	main := func(args []string) {
		if len(args) > 1 && args[1] == "units" {
			if status := daemon.Command(args[2:], os.Stdout, os.Stderr); status != 0 {
				os.Exit(status)
			}
		}
	}
	main([]string{"myapp", "units", "--help"})
	// Output:
}

func ExampleCheck() {
	files := []units.File{{Name: "myapp.service", Text: `[Service]
Type=notify
ExecStart=/usr/bin/myapp
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
FileDescriptorStoreMax=64
OOMPolicy=continue
RestartSec=3s
`}}
	findings, _ := units.Check(files, units.Options{All: true})
	for _, f := range findings {
		fmt.Println(f)
	}
	// Output:
	// myapp.service:4: error: ExecReload=/bin/kill -HUP $MAINPID does not wait for the upgrade [exec-reload-async]
}

func ExampleSocket() {
	daemon := units.Daemon{
		Name: "myapp", Binary: "/usr/bin/myapp", Systemd: 252,
		Sockets: []units.Socket{{Name: "http", Listen: []string{"0.0.0.0:80", "[::]:80"}}},
	}
	files, err := daemon.Units()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(files[1])
	// Output:
	// # myapp.socket
	// [Unit]
	// Description=myapp, its socket http
	//
	// [Socket]
	// ListenStream=0.0.0.0:80
	// ListenStream=[::]:80
	// # The name by which the program asks for it: u.Listen(ctx, "http", ...).
	// FileDescriptorName=http
	//
	// [Install]
	// WantedBy=sockets.target
}
