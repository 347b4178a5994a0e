//go:build linux

package image_test

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/internal/leak"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/image"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run)) }

// file returns a descriptor of a file that contains text.
func file(t *testing.T, text string) *fd.FD {
	t.Helper()
	f, err := notify.Memfd("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := fd.DupOf(f)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// contains closes f, and fails the test if it does not contain want.
func contains(t *testing.T, f *fd.FD, want string) {
	t.Helper()
	if f == nil {
		t.Fatalf("no descriptor, want %q", want)
	}
	open := f.File("test")
	defer open.Close()
	if got, err := notify.ReadMemfd(open); string(got) != want || err != nil {
		t.Errorf("contains %q, %v, want %q", got, err, want)
	}
}

// take takes the image of variable, which is NAME=value.
func take(t *testing.T, variable string) (*image.Reader, error) {
	t.Helper()
	name, value, _ := strings.Cut(variable, "=")
	t.Setenv(name, value)
	return image.Take(os.LookupEnv)
}

func TestTheNextProgramGetsEveryDescriptor(t *testing.T) {
	w := image.New(7)
	w.Sockets([]handover.Entry{{Name: "http", Index: 1, Origin: handover.OriginUnit}}, []*fd.FD{file(t, "socket")})
	w.States(handover.States{Names: []string{"a"}, Stored: []string{"cutover.state.1.a"}, FDs: []*fd.FD{file(t, "state")}})
	w.Connection(handover.Connection{Name: "http", Format: "f/1", Data: []byte("d")}, file(t, "connection"))
	w.LastGood([]string{"good"}, file(t, "program"))
	w.ReloadCommand(file(t, "command"))
	inherited, variable, err := w.Seal() // r owns the descriptors, as after execve
	if err != nil || len(inherited) != 6 {
		t.Fatalf("%d descriptors, %v, want 6", len(inherited), err)
	}
	r, err := take(t, variable)
	if err != nil || r == nil || r.Generation != 7 {
		t.Fatalf("Take = %+v, %v", r, err)
	}
	if again, err := image.Take(os.LookupEnv); again != nil || err != nil {
		t.Errorf("a second Take = %v, %v, want nothing", again, err)
	}
	entries, fds := r.Sockets()
	if len(entries) != 1 || entries[0].Name != "http" || entries[0].Index != 1 || entries[0].Origin != handover.OriginUnit {
		t.Errorf("sockets: %+v", entries)
	}
	contains(t, fds[0], "socket")
	all := r.States()
	if !slices.Equal(all.Names, []string{"a"}) || !slices.Equal(all.Stored, []string{"cutover.state.1.a"}) {
		t.Errorf("states: %+v", all)
	}
	contains(t, all.FDs[0], "state")
	conns := r.Connections()
	if len(conns) != 1 || conns[0].Name != "http" || conns[0].Format != "f/1" || string(conns[0].Data) != "d" {
		t.Errorf("connections: %+v", conns)
	}
	contains(t, conns[0].FD, "connection")
	names, program := r.LastGood()
	if !slices.Equal(names, []string{"good"}) {
		t.Errorf("last good programs: %q", names)
	}
	contains(t, program, "program")
	contains(t, r.ReloadCommand(), "command")
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

// The next program may have an older or newer version of this library.
func TestVersion1OfTheImageStaysAsItIs(t *testing.T) {
	w := image.New(2)
	defer w.Close()
	program := file(t, "")
	w.LastGood([]string{"good"}, program)
	inherited, _, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	d, err := inherited[len(inherited)-1].Dup()
	if err != nil {
		t.Fatal(err)
	}
	f := d.File("image")
	defer f.Close()
	got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<10))
	want := fmt.Sprintf(`{"version":1,"pid":%d,"generation":2,"sockets":null,"good":["good"],"good_program":%d}`, os.Getpid(), program.Raw())
	if string(got) != want || err != nil {
		t.Errorf("the image is %s, %v, want %s", got, err, want)
	}
}

func TestImagesThatAreNotForThisProgram(t *testing.T) {
	for _, c := range []struct {
		text string
		err  string // "" if there is no image
	}{
		{fmt.Sprintf(`{"version":1,"pid":%d}`, os.Getpid()+1), ""},
		{fmt.Sprintf(`{"version":2,"pid":%d}`, os.Getpid()), "version 2"},
		{`{`, "unexpected end"},
	} {
		r, err := take(t, fmt.Sprintf("%s=%d", image.Variable, file(t, c.text).Raw()))
		if r != nil || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v, want the error %q", c.text, r, err, c.err)
		}
	}
	for _, value := range []string{"x", "9999"} {
		if r, err := take(t, image.Variable+"="+value); r != nil || err == nil {
			t.Errorf("%s: %v, %v, want an error", value, r, err)
		}
	}
}

func TestADescriptorThatIsNotOpenIsAnError(t *testing.T) {
	text := fmt.Sprintf(`{"version":1,"pid":%d,"command":9999}`, os.Getpid())
	r, err := take(t, fmt.Sprintf("%s=%d", image.Variable, file(t, text).Raw()))
	if err != nil {
		t.Fatal(err)
	}
	_ = r.ReloadCommand().Close() // not open
	if r.Err() == nil {
		t.Error("no error for a descriptor that is not open")
	}
}
