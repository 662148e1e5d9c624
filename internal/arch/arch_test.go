package arch

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// The module itself.
func TestHouse(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil || !strings.HasPrefix(string(mod), "module replicator\n") {
		t.Fatalf("../../go.mod is not the module's: %v", err)
	}
	root := &witness{FS: os.DirFS("../.."), opened: map[string]bool{}}
	found, err := Check(root, "replicator")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
	for _, name := range []string{"pkg/offsets/map.go", "pkg/policy/loop_test.go", "internal/arch/arch.go"} {
		if !root.opened[name] {
			t.Errorf("%s was not looked at", name)
		}
	}
}

// witness notes what is opened: a walk that misses the module would find nothing.
type witness struct {
	fs.FS
	opened map[string]bool
}

func (w *witness) Open(name string) (fs.File, error) {
	w.opened[name] = true
	return w.FS.Open(name)
}

// expect wants no finding for "", else one that says want.
func expect(t *testing.T, input string, found []Finding, want string) {
	t.Helper()
	if want == "" && len(found) == 0 || want != "" && len(found) == 1 && strings.Contains(found[0].String(), want) {
		return
	}
	t.Errorf("%s: %v, want %q", input, found, want)
}

func TestArrows(t *testing.T) {
	for _, c := range []struct {
		file, imports string
		want          string // part of the finding; "" for none
	}{
		{"cmd/replicator/run.go", "m/internal/config", ""},
		{"cmd/replicator/run.go", "m/pkg/replicate/sink", ""},
		{"internal/config/config.go", "m/pkg/replicate", ""},
		{"internal/config/config.go", "m/cmd/replicator", "points up"},
		{"internal/config/config.go", "m/internal/demo", "points sideways"},
		{"internal/config/config_test.go", "m/internal/demo", ""},
		{"internal/report/status/table.go", "m/internal/terminal", ""},
		{"internal/answers/check.go", "m/pkg/operate/cutover", ""},
		{"internal/answers/check.go", "m/internal/terminal", "points sideways"},
		{"internal/terminal/table.go", "m/internal/report", "points up"},
		{"pkg/operate/verify/verify.go", "m/internal/answers", "points up"},
		{"pkg/replicate/engine.go", "m/pkg/replicate/sink", ""},
		{"pkg/replicate/engine.go", "m/internal/config", "points up"},
		{"pkg/replicate/sink/sink.go", "m/pkg/replicate/kafka", ""},
		{"pkg/replicate/sink/sink.go", "m/pkg/replicate/source", "points sideways"},
		{"pkg/replicate/sink/sink_test.go", "m/pkg/replicate/source", "points sideways"},
		{"pkg/replicate/sink/sink.go", "m/pkg/replicate", "points up"},
		{"pkg/replicate/sink/sink.go", "m/pkg/replicate/sink/part", ""},
		{"pkg/replicate/sink/sinktest/suite.go", "m/pkg/replicate/sink", ""},
		{"pkg/replicate/sink/sink_test.go", "m/integration/cluster", ""},
		{"pkg/replicate/sink/sink.go", "m/integration/cluster", "would know its tests"},
		{"pkg/replicate/kafka/kafka_test.go", "m/internal/kafkatest", ""},
		{"internal/demo/demo.go", "m/internal/kafkatest", "would know its tests"},
		{"cmd/replicator/run.go", "m/internal/kafkatest", "would know its tests"},
		{"pkg/replicate/kafka/kafka.go", "m/pkg/replicate/chunk", ""},
		{"pkg/replicate/kafka/kafka.go", "m/pkg/replicate/sink", "points up"},
		{"pkg/replicate/chunk/chunk.go", "m/pkg/offsets", ""},
		{"pkg/replicate/chunk/chunk.go", "m/pkg/replicate/wire", "points sideways"},
		{"pkg/replicate/chunk/chunk.go", "m/pkg/replicate/kafka", "points up"},
		{"pkg/replicate/partition/x.go", "m/pkg/replicate/chunk", ""},
		{"pkg/replicate/partition/x.go", "m/pkg/replicate/ledger", "points up"},
		{"pkg/replicate/partition/x.go", "time", "pure packages hold no clock"},
		{"pkg/replicate/sink/sink.go", "m/pkg/replicate/partition", ""},
		{"pkg/offsets/map.go", "m/pkg/policy", "points sideways"},
		{"pkg/offsets/map.go", "m/pkg/replicate/chunk", "points up"},
		{"pkg/offsets/map.go", "slices", ""},
		{"pkg/offsets/map.go", "time", "pure packages hold no clock"},
		{"pkg/offsets/map.go", "log/slog", "pure packages hold no clock"},
		{"pkg/offsets/map.go", "math/rand/v2", "pure packages hold no clock"},
		{"pkg/offsets/map.go", "math", ""},
		{"pkg/policy/policy.go", "github.com/prometheus/client_golang/prometheus", "standard library only"},
		{"pkg/policy/policy_test.go", "math/rand/v2", ""},
		{"pkg/policy/policy_test.go", "os", ""},
		{"pkg/replicate/sink/sink.go", "time", ""},
		{"integration/mirror_test.go", "m/pkg/replicate", ""},
		{"integration/mirror_test.go", "m/integration/judge", ""},
		{"integration/judge/judge.go", "m/pkg/offsets", "share code with what it judges"},
		{"integration/judge/judge_test.go", "m/integration/cluster", "share code with what it judges"},
		{"integration/judge/judge.go", "m/integration/judge/part", ""},
		{"integration/judgement/x.go", "m/pkg/offsets", ""},
		{"util/util.go", "fmt", "no room of the house"},
		{"pkg/replicate/engine.go", "m/pkg/util", "no room of the house"},
		{"pkg/replicate/engine.go", "monkey/pkg/util", ""},
	} {
		text := fmt.Sprintf("package x\n\nimport _ %q\n", c.imports)
		found := check(t, fstest.MapFS{c.file: {Data: []byte(text)}})
		expect(t, c.file+" imports "+c.imports, found, c.want)
		for _, f := range found {
			if f.File != c.file || f.Line < 1 || f.Do == "" {
				t.Errorf("%s imports %s: %+v lacks place or advice", c.file, c.imports, f)
			}
		}
	}
}

func check(t *testing.T, house fstest.MapFS) []Finding {
	t.Helper()
	found, err := Check(house, "m")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestSleepAndGoroutines(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"cmd/r/x.go", "package x\nimport \"time\"\nfunc f() {\n\ttime.Sleep(1)\n}\n", "cmd/r/x.go:4: time.Sleep"},
		{"cmd/r/x_test.go", "package x\nimport \"time\"\nfunc f() { time.Sleep(1) }\n", "x_test.go:3: time.Sleep"},
		{"cmd/r/x.go", "package x\nimport clock \"time\"\nvar nap = clock.Sleep\n", "x.go:3: time.Sleep"},
		{"cmd/r/x.go", "package x\nimport . \"time\"\nvar nap = Sleep\n", "imported as dot"},
		{"cmd/r/x.go", "package x\nimport \"m/pkg/replicate\"\nvar x = replicate.Sleep\n", ""},
		{"cmd/r/x.go", "package x\nfunc f() { go f() }\n", ""},
		{"pkg/offsets/x.go", "package x\nfunc f() {\n\tgo f()\n}\n", "pkg/offsets/x.go:3: pkg/offsets starts a goroutine"},
		{"pkg/offsets/x_test.go", "package x\nfunc f() { go f() }\n", ""},
	} {
		found := check(t, fstest.MapFS{c.file: {Data: []byte(c.text)}})
		expect(t, c.file+": "+c.text, found, c.want)
	}
}

func TestLengths(t *testing.T) {
	function := func(lines int) string {
		return "package x\nfunc f() {\n" + strings.Repeat("\tf()\n", lines-2) + "}\n"
	}
	file := func(lines int) string { return "package x\n" + strings.Repeat("\n", lines-1) }
	line := func(characters int) string { return "package x\n//" + strings.Repeat("ö", characters-2) + "\n" }
	for _, c := range []struct{ why, file, text, want string }{
		{"function that just fits", "cmd/r/x.go", function(70), ""},
		{"function too long", "cmd/r/x.go", function(71), "cmd/r/x.go:2: function f has 71 lines"},
		{"long test", "cmd/r/x_test.go", function(71), ""},
		{"generated", "cmd/r/x.go", "// Code generated by x. DO NOT EDIT.\n\n" + function(71) + line(121)[10:], ""},
		{"file that just fits", "cmd/r/x.go", file(500), ""},
		{"file too long", "cmd/r/x.go", file(501), "cmd/r/x.go:501: a file of 501 lines"},
		{"line that just fits", "cmd/r/x.go", line(120), ""},
		{"line too long", "cmd/r/x_test.go", line(121), "cmd/r/x_test.go:2: a line of 121 characters"},
	} {
		found := check(t, fstest.MapFS{c.file: {Data: []byte(c.text)}})
		expect(t, c.why, found, c.want)
	}
}

func TestSizes(t *testing.T) {
	methods := func(n int) string { return "package x\ntype T struct{}\n" + strings.Repeat("func (*T) m() {}\n", n) }
	half := "package x\n" + strings.Repeat("\n", 499)
	house := func(files int) fstest.MapFS {
		h := fstest.MapFS{"cmd/r/many_test.go": {Data: []byte(half)}}
		for n := range files {
			h[fmt.Sprintf("cmd/r/x%d.go", n)] = &fstest.MapFile{Data: []byte(half)}
		}
		return h
	}
	expect(t, "a package that just fits", check(t, house(6)), "")
	expect(t, "a package too large", check(t, house(7)), "cmd/r:1: a package of 3500 lines")
	expect(t, "a type that just fits", check(t, fstest.MapFS{"cmd/r/x.go": {Data: []byte(methods(20))}}), "")
	expect(t, "a type too large", check(t, fstest.MapFS{"cmd/r/x.go": {Data: []byte(methods(21))}}),
		"cmd/r:1: type T has 21 methods")
	expect(t, "a test's type", check(t, fstest.MapFS{"cmd/r/x_test.go": {Data: []byte(methods(21))}}), "")
}

func TestWalk(t *testing.T) {
	bad := &fstest.MapFile{Data: []byte("package x\nimport \"time\"\nvar nap = time.Sleep\n")}
	found := check(t, fstest.MapFS{
		"cmd/r/testdata/x.go": bad, "vendor/y/x.go": bad, ".ci/x.go": bad, "cmd/_old/x.go": bad, "cmd/r/x.txt": bad,
		"tools/go.mod": {Data: []byte("module tools\n")}, "tools/x.go": bad,
		"cmd/r/deep/x.go": bad,
	})
	if len(found) != 1 || found[0].File != "cmd/r/deep/x.go" {
		t.Errorf("%v, want the one in cmd/r/deep", found)
	}
	if _, err := Check(fstest.MapFS{"cmd/r/x.go": {Data: []byte("package")}}, "m"); err == nil {
		t.Error("a file that does not parse is passed over")
	}
}
