package units_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

// inService is a drop-in for myapp.service.
func inService(text string) units.File {
	return units.File{Name: "myapp.service.d/a.conf", Text: "[Service]\n" + text + "\n"}
}

func inSocket(text string) units.File {
	return units.File{Name: "myapp.socket.d/a.conf", Text: "[Socket]\n" + text + "\n"}
}

func TestSocketPathsBelowDirectoriesThatSystemdRemovesAreFound(t *testing.T) {
	other := func(text string) units.File {
		return units.File{Name: "other.service", Text: "[Service]\nExecStart=/bin/true\n" + text + "\n"}
	}
	for _, c := range []struct {
		name  string
		files []units.File
		want  []string
	}{
		{"the service's own", []units.File{inSocket("ListenStream=/run/myapp/http.sock")}, []string{"socket-path-removed"}},
		{"by another name", []units.File{inSocket("ListenStream=/var/run//myapp/http.sock")}, []string{"socket-path-removed"}},
		{"by specifiers", []units.File{inSocket("ListenDatagram=%t/%p/log.sock")}, []string{"socket-path-removed"}},
		{"of a user", []units.File{inSocket("ListenStream=/run/user/1000/myapp/http.sock")}, []string{"socket-path-removed"}},
		{"below a directory in it", []units.File{inSocket("ListenStream=/run/myapp/a/b.sock")}, []string{"socket-path-removed"}},
		{"a FIFO", []units.File{inSocket("ListenFIFO=/run/myapp/fifo")}, []string{"socket-path-removed"}},
		{"a link", []units.File{inSocket("ListenStream=/run/http.sock\nSymlinks=/run/myapp/http.sock")}, []string{"socket-path-removed"}},
		{"another service's", []units.File{inSocket("ListenStream=/run/other/http.sock"), other("RuntimeDirectory=other")}, []string{"socket-path-removed"}},
		{"another service's, kept", []units.File{inSocket("ListenStream=/run/other/http.sock"), other("RuntimeDirectory=other\nRuntimeDirectoryPreserve=yes")}, nil},
		{"the link of a directory", []units.File{inService("RuntimeDirectory=myapp:web"), inSocket("ListenStream=/run/web/http.sock")}, []string{"socket-path-removed"}},
		{"kept over a restart, for root", []units.File{inService("RuntimeDirectoryPreserve=restart"), inSocket("ListenStream=/run/myapp/http.sock")},
			[]string{"socket-path-removed", "socket-path-private"}},
		{"kept over a restart", []units.File{inService("DynamicUser=no\nRuntimeDirectoryPreserve=restart"), inSocket("ListenStream=/run/myapp/http.sock")},
			[]string{"socket-path-removed"}},
		{"kept", []units.File{inService("DynamicUser=no\nRuntimeDirectoryPreserve=yes"), inSocket("ListenStream=/run/myapp/http.sock")}, nil},
		{"only the last part is removed", []units.File{inService("RuntimeDirectory=\nRuntimeDirectory=myapp/control"), inSocket("ListenStream=/run/myapp/http.sock")}, nil},
		{"beside it", []units.File{inSocket("ListenStream=/run/myapp.sock\nListenStream=/run/myapp2/a.sock\nListenStream=@/run/myapp/a")}, nil},
		{"a cache", []units.File{inService("CacheDirectory=myapp"), inSocket("ListenStream=%C/myapp/a.sock")}, []string{"socket-path-private"}},
		{"a cache of a user", []units.File{inService("CacheDirectory=myapp\nDynamicUser=no\nUser=me"), inSocket("ListenStream=/var/cache/myapp/a.sock")}, nil},
		{"deleted by find", []units.File{inService("ExecStartPre=-/usr/bin/find /run/web -name '*.sock' -delete"), inSocket("ListenStream=/run/web/http.sock")}, []string{"socket-path-deleted"}},
		{"deleted by env rm", []units.File{inService("ExecStartPre=/usr/bin/env rm -f /run/web/http.sock"), inSocket("ListenStream=/run/web/http.sock")}, []string{"socket-path-deleted"}},
		{"found, not deleted", []units.File{inService("ExecStartPre=/usr/bin/find /run/web -name '*.sock'"), inSocket("ListenStream=/run/web/http.sock")}, nil},
		{"/tmp outside the sandbox", []units.File{inSocket("ListenStream=/tmp/a.sock")}, nil},
	} {
		if got := ids(check(append(mustUnits(t, myapp()), c.files...))); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPathsThatTheProgramBindsAreRead(t *testing.T) {
	for dropIn, want := range map[string][]string{
		"ExecStart=\nExecStart=/usr/bin/myapp --listen=/run/myapp/a.sock":                                                                 {"bound-path-removed"},
		"ExecStart=\nExecStart=/usr/bin/myapp unix:///run/myapp/a":                                                                        {"bound-path-removed"},
		"Environment=A=1 LISTEN=unix:%t/myapp/a":                                                                                          {"bound-path-removed"},
		"Environment=LISTEN=unix:/run/myapp/a\nRuntimeDirectoryPreserve=restart":                                                          {"socket-path-private"},
		"Environment=LISTEN=unix:/run/myapp/a\nRuntimeDirectoryPreserve=restart\nDynamicUser=no\nUser=me":                                 nil,
		"Environment=LISTEN=unix:/tmp/a":                                                                                                  {"bound-path-hidden"},
		"Environment=LISTEN=unix:/tmp/a\nPrivateTmp=no":                                                                                   nil,
		"Environment=CONFIG=/run/myapp/config.json":                                                                                       nil,
		"Environment=DATABASE=unix:/run/postgresql/.s.PGSQL.5432":                                                                         nil,
		"StateDirectory=myapp\nExecStart=\nExecStart=/usr/bin/myapp -socket /var/lib/myapp/a.sock\nRuntimeDirectory=\nRuntimeDirectory=x": {"socket-path-private"},
	} {
		if got := ids(check(append(mustUnits(t, myapp()), inService(dropIn)))); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", dropIn, got, want)
		}
	}
}

func TestSocketsInTheRuntimeDirectoryStay(t *testing.T) {
	d := myapp()
	d.Sockets = []units.Socket{{Name: "http", Listen: []string{"/run/myapp/http.sock", "8080"}}}
	files := mustUnits(t, d)
	if findings := check(files); len(findings) > 0 || !strings.Contains(files[0].Text, "\nRuntimeDirectory=myapp/control\n") {
		t.Errorf("%v in\n%s", findings, files[0].Text)
	}
	again, err := units.Describe(files)
	if err != nil || again.Sockets[0].Listen[0] != "/run/myapp/http.sock" {
		t.Errorf("%+v, %v", again, err)
	}

	bound := myapp()
	bound.Sockets, bound.Binds, bound.Args = nil, 1, []string{"-listen", "unix:/run/myapp/http.sock"}
	if _, err := bound.Units(); err == nil || !strings.Contains(err.Error(), "name a user") {
		t.Errorf("with DynamicUser=: %v", err)
	}
	bound.User = "me"
	files = mustUnits(t, bound)
	if findings := check(files); len(findings) > 0 || !strings.Contains(files[0].Text, "\nRuntimeDirectoryPreserve=restart\n") {
		t.Errorf("%v in\n%s", findings, files[0].Text)
	}

	for _, address := range []string{"/run/myapp", "/run/myapp/control/http.sock"} {
		d.Sockets[0].Listen[0] = address
		if _, err := d.Units(); err == nil {
			t.Errorf("%s is possible", address)
		}
	}
}

// TestDirectoriesOfOtherServicesAreAskedFor has another service remove the directory.
func TestDirectoriesOfOtherServicesAreAskedFor(t *testing.T) {
	i := newInstallation(t)
	i.write("myapp.socket", "[Socket]\nListenStream=/run/other/http.sock\nFileDescriptorName=http\nBacklog=4096\n")
	i.show("*.service", map[string]string{"Id": "other.service", "RuntimeDirectory": "more other", "RuntimeDirectoryPreserve": "no"}, nil)
	findings, _, err := i.check("myapp")
	if got := ids(findings); !slices.Equal(got, []string{"socket-path-removed"}) || err != nil {
		t.Errorf("%v, %v", findings, err)
	}
}
