package cutover_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/cutover-go/cutover/"

// mayImport says which of our packages the code of a package may import, by the
// longest prefix of its folder. Imports point one way.
var mayImport = map[string][]string{
	"internal/fd":       {},
	"internal/fault":    {},
	"internal/excerpt":  {},
	"internal/halt":     {},
	"internal/needs":    {},
	"internal/testproc": {},
	"internal/unitfile": {},
	"internal/handover": {"internal/excerpt", "internal/fd"},
	"internal/ask":      {"internal/fd/seqpacket"},
	"internal/control":  {"internal/ask", "internal/excerpt", "internal/fd"},
	"activation":        {"internal/fd"},
	"notify":            {"internal/fd"},
	"reexec": {"activation", "notify", "internal/excerpt", "internal/fault", "internal/fd", "internal/handover", "internal/ask", "internal/control",
		"reexec/internal/accepted", "reexec/internal/callback", "reexec/internal/deadline", "reexec/internal/drain", "reexec/internal/endings", "reexec/internal/fdstore", "reexec/internal/flow",
		"reexec/internal/gate", "reexec/internal/generation",
		"reexec/internal/goroutine", "reexec/internal/image", "reexec/internal/lastgood", "reexec/internal/lifecycle", "reexec/internal/outbox", "reexec/internal/packet", "reexec/internal/parent", "reexec/internal/probation", "reexec/internal/program", "reexec/internal/proof", "reexec/internal/protocol", "reexec/internal/received", "reexec/internal/saved", "reexec/internal/signals", "reexec/internal/sockets", "reexec/internal/startup", "reexec/internal/status",
		"reexec/internal/storename", "reexec/internal/stream", "reexec/internal/timeout"},
	"reexec/internal":          {},
	"reexec/internal/gate":     {"reexec/internal/accepted", "reexec/internal/drain", "reexec/internal/goroutine"},
	"reexec/internal/flow":     {"internal/fd", "internal/handover", "reexec/internal/drain", "reexec/internal/gate"},
	"reexec/internal/sockets":  {"activation", "internal/ask", "internal/fd", "internal/handover", "reexec/internal/drain", "reexec/internal/flow", "reexec/internal/gate", "reexec/internal/storename"},
	"reexec/internal/image":    {"notify", "internal/fd", "internal/handover", "reexec/internal/received"},
	"reexec/internal/lastgood": {"internal/fault", "internal/fd", "internal/handover", "reexec/internal/startup", "reexec/internal/storename"},
	"reexec/internal/fdstore":  {"internal/fault", "internal/fd", "internal/handover", "notify", "reexec/internal/lastgood", "reexec/internal/saved", "reexec/internal/sockets", "reexec/internal/storename", "reexec/internal/timeout"},
	"reexec/internal/startup":  {"notify", "internal/ask", "internal/fd"},
	"reexec/internal/received": {"internal/fd", "internal/handover", "notify", "reexec/internal/accepted", "reexec/internal/drain", "reexec/internal/gate", "reexec/internal/storename"},
	"reexec/internal/generation": {"internal/control", "internal/fault", "internal/fd", "internal/handover", "reexec/internal/lastgood", "reexec/internal/lifecycle", "reexec/internal/program",
		"reexec/internal/proof", "reexec/internal/saved", "reexec/internal/sockets", "reexec/internal/timeout"},
	"reexec/internal/probation": {"reexec/internal/fdstore", "reexec/internal/generation", "reexec/internal/lastgood", "reexec/internal/storename"},
	"reexec/internal/program":   {"internal/fd", "internal/handover", "reexec/internal/image", "reexec/internal/lastgood", "reexec/internal/startup"},
	"reexec/internal/status":    {"internal/ask", "internal/excerpt", "internal/fd", "internal/handover"},
	"reexec/internal/outbox":    {"internal/fault", "internal/fd", "internal/handover", "reexec/internal/deadline", "reexec/internal/received"},
	"reexec/internal/proof":     {"internal/fd", "notify", "reexec/internal/storename", "reexec/internal/timeout"},
	"reexec/internal/stream":    {"internal/fd", "reexec/internal/accepted", "reexec/internal/distributor", "reexec/internal/drain", "reexec/internal/endings", "reexec/internal/gate", "reexec/internal/timeout"},
	"reexec/internal/packet":    {"reexec/internal/drain", "reexec/internal/endings", "reexec/internal/flow", "reexec/internal/gate", "reexec/internal/timeout"},
	"reexec/internal/saved":     {"notify", "internal/fd", "internal/handover", "reexec/internal/callback", "reexec/internal/storename", "reexec/internal/timeout"},
	"reexec/cmd":                {"internal/ask"},
	"reexec/regrpc":             {"reexec", "reexec/internal/protocol", "reexec/internal/distributor"},
	"reexec/tableflip":          {"reexec", "reexec/internal/gate", "reexec/internal/protocol", "internal/fd", "notify"},
	"reexec/tableflip/testing":  {"reexec/tableflip"},
	"reexec/rehttp3":            {"reexec", "reexec/internal/protocol", "reexec/retls"},
	"reexec/remetrics":          {"reexec"},
	"reexec/rehttp":             {"reexec", "reexec/internal/protocol", "reexec/internal/accepted", "reexec/internal/hijacked", "internal/fd"},
	"reexec/remqtt":             {"reexec", "reexec/internal/protocol", "internal/fd"},
	"reexec/rews":               {"reexec/internal/hijacked"},
	"reexec/retls":              {"reexec"},
	"examples":                  {"activation", "notify", "reexec", "reexec/regrpc", "reexec/rehttp", "reexec/rehttp3", "reexec/retls", "reexec/rews", "reexec/remetrics", "units"},
	"units":                     {"internal/unitfile", "units/internal/applied", "units/internal/cmdline", "units/internal/listen", "units/internal/merged", "units/internal/running"},
	"units/cmd":                 {"units", "units/internal/applied", "internal/ask"},
	"units/internal":            {},
	"units/internal/cmdline":    {"internal/unitfile"},
	"units/internal/listen":     {"internal/unitfile", "units/internal/merged"},
	"units/internal/merged":     {"internal/unitfile", "units/internal/cmdline"},
	"units/internal/running":    {"internal/unitfile", "units/internal/applied", "units/internal/cmdline", "units/internal/listen", "units/internal/merged"},

	"examples/internal/supervised": {"e2e/upgradetest", "units"},
	"examples/http3/load":          {"examples/http3/internal/load"},
	"examples/grpc/loadtest":       {"examples/grpc/internal/load"},
	"examples/websocket/loadtest":  {"examples/websocket/internal/load"},
	"examples/dns/loadtest":        {"examples/dns/internal/load"},
	"examples/daemons":             {"reexec", "reexec/regrpc", "reexec/rehttp", "reexec/rehttp3", "reexec/remqtt", "reexec/rews", "examples/daemons/internal/load"},
}

// systemCalls are the folders whose code may use golang.org/x/sys.
var systemCalls = []string{"internal/fd", "e2e"}

func TestImportsPointOneWay(t *testing.T) {
	for file, imports := range sources(t) {
		folder := filepath.ToSlash(filepath.Dir(file))
		allowed, ruled := mayImport[longestPrefix(folder)]
		for _, path := range imports {
			if ours, ok := strings.CutPrefix(path, module); ok && ruled && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s", file, ours)
			}
			if strings.HasPrefix(path, "golang.org/x/sys/") && !slices.ContainsFunc(systemCalls, func(p string) bool { return strings.HasPrefix(folder, p) }) {
				t.Errorf("%s imports %s", file, path)
			}
		}
	}
}

func longestPrefix(folder string) string {
	for p := folder; p != "."; p = filepath.ToSlash(filepath.Dir(p)) {
		if _, ok := mayImport[p]; ok {
			return p
		}
	}
	return ""
}

// sources returns the imports of every non-test file of the module.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		found[path] = nil
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			found[path] = append(found[path], p)
		}
		return nil
	})
	if err != nil || len(found) < 10 {
		t.Fatalf("%d files, %v", len(found), err)
	}
	return found
}
