package replicate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"replicator/internal/flowtest"
	"replicator/internal/kafkatest"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/settings"
)

// A scenario is a story of the engine that a person can read: testdata/scenarios holds them in the order in which a
// newcomer reads them. Comments say why the story is there. A paragraph is commands, one a line, and behind a line of
// four dashes what they print; -update writes that anew. The commands are in scenarioCommands.
//
// Both lanes play each story and have to print the same: nothing is waited for by time, and no answer depends on how
// fast anything was.
type scenario struct {
	*flowtest.World
	onSource, onTarget *simNet
	replicas           map[string]*flowtest.Replica // by name, those that run
	saved              map[string]kafkatest.Saved   // by cluster
	out                strings.Builder              // what the present paragraph prints
	said               int                          // of the log was printed or passed by
}

// TestScenarios plays every story in both lanes.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "scenarios", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no scenarios: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			flowtest.OnLanes(t, func(t *testing.T, w *flowtest.World) { testScenario(w, name) })
		})
	}
}

// testScenario plays a story. With -update the batch lane writes what it has printed, and the other is not compared.
func testScenario(w *flowtest.World, name string) {
	text, err := os.ReadFile(name)
	w.Must("read the scenario", err)
	want := string(text)
	if !regexp.MustCompile(`^(# .+\n){1,4}\n`).MatchString(want) {
		w.T.Errorf("%s does not begin with one to four lines that say why it is there", name)
	}
	got := newScenario(w).play(want)
	switch {
	case !*update:
		if got != want {
			w.T.Errorf("%s goes otherwise; go test ./pkg/replicate -run TestScenarios -update writes it anew\n%s", name,
				firstDifference(want, got))
		}
	case w.Cfg.Lane == settings.LaneBatch:
		w.Must("write the scenario", os.WriteFile(name, []byte(got), 0o644))
	}
}

// firstDifference shows where two transcripts part.
func firstDifference(want, got string) string {
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(wants), len(gots)) {
		if wants[i] != gots[i] {
			return fmt.Sprintf("line %d is\n%s\nwant\n%s\nall of it is\n%s", i+1, gots[i], wants[i], got)
		}
	}
	return "one of both ends earlier; all of it is\n" + got
}

func newScenario(w *flowtest.World) *scenario {
	s := &scenario{World: w, onSource: newSimNet(), onTarget: newSimNet(), replicas: map[string]*flowtest.Replica{},
		saved: map[string]kafkatest.Saved{}}
	s.Cfg.Shards = 1
	s.Cfg.CommitInterval = 100 * time.Millisecond // what is written at once is copied at once, in one transaction
	s.Source = kafkatest.OnDisk(s.T, kfake.ClusterID("old"), kfake.ListenFn(s.onSource.listen))
	s.Target = kafkatest.OnDisk(s.T, kfake.ClusterID("new"), kfake.ListenFn(s.onTarget.listen))
	s.Sides.Source, s.From = s.Source.Address(), s.Source.Admin()
	s.Sides.Target, s.To = s.Target.Address(), s.Target.Admin()
	s.T.Cleanup(func() { // before the replicas are stopped: none is frozen then
		s.onSource.heal()
		s.onTarget.heal()
	})
	return s
}

// play carries the story out, and answers it as it went.
func (s *scenario) play(text string) string {
	s.T.Helper()
	var story strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		commands, _, _ := strings.Cut(paragraph+"\n", "\n----\n")
		commands = strings.TrimRight(commands, "\n")
		s.out.Reset()
		for line := range strings.SplitSeq(commands, "\n") {
			s.obey(line)
		}
		fmt.Fprintf(&story, "%s\n", commands)
		if s.out.Len() > 0 {
			fmt.Fprintf(&story, "----\n%s", s.out.String())
		}
		story.WriteString("\n")
	}
	for _, cut := range slices.Concat(s.onSource.cuts, s.onTarget.cuts) {
		if cut.left > 0 {
			s.T.Errorf("no answer to %s was lost", cut.key.Name())
		}
	}
	return strings.TrimRight(story.String(), "\n") + "\n"
}

// obey carries one line out.
func (s *scenario) obey(line string) {
	s.T.Helper()
	if strings.HasPrefix(line, "#") {
		return
	}
	words := strings.Fields(line)
	for n := len(words); n > 0; n-- { // "await copied" before "await"
		if c, known := scenarioCommands[strings.Join(words[:n], " ")]; known {
			if len(words)-n < c.least {
				s.T.Fatalf("%q: it takes %s", line, c.takes)
			}
			c.do(s, words[n:])
			return
		}
	}
	s.T.Fatalf("%q: there is no such command", line)
}

// print adds to what the paragraph prints, without what is different each time.
func (s *scenario) print(format string, args ...any) {
	fmt.Fprintln(&s.out, masked(fmt.Sprintf(format, args...)))
}

var masks = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "<time>"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "<broker>"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<id>"},
}

func masked(text string) string {
	for _, m := range masks {
		text = m.what.ReplaceAllString(text, m.as)
	}
	return text
}

// start runs a replica under a name, by which both clusters know it.
func (s *scenario) start(name string) {
	s.Tune = func(o *replicate.Options) {
		o.TroubleFor = 2 * time.Second
		for _, c := range o.Clusters {
			c.Properties["client.id"] = simClient + name
		}
	}
	s.replicas[name] = s.Start(nil)
}

// running is the replica of that name, or the only one.
func (s *scenario) running(args []string) (name string, r *flowtest.Replica) {
	s.T.Helper()
	name = "one"
	if len(args) > 0 {
		name = args[0]
	}
	if s.replicas[name] == nil {
		s.T.Fatalf("replica %s does not run", name)
	}
	return name, s.replicas[name]
}

// kill cuts a replica off for ever: whatever its process still does reaches nobody.
func (s *scenario) kill(name string, r *flowtest.Replica) {
	delete(s.replicas, name)
	s.onSource.kill(simClient + name)
	s.onTarget.kill(simClient + name)
	r.Cancel()
	forgetMember(s.World, s.Target.Client(), simClient+name)
	s.onSource.heal()
	s.onTarget.heal()
}

// logLine is what a line of the daemon's log says, without what all of them have.
var logLine = regexp.MustCompile(`^time=\S+ level=(\S+) msg=("[^"]*"|\S+)(.*)$`)

// logged waits until the log has a line with that text behind what was printed of it, and prints that line.
func (s *scenario) logged(text string) {
	s.T.Helper()
	var lines []string
	at := -1
	s.Await("the log says "+text, func() bool {
		lines = strings.SplitAfter(s.Log.String(), "\n")
		rest := lines[min(s.said, len(lines)):]
		at = slices.IndexFunc(rest, func(line string) bool {
			return strings.Contains(line, text) && strings.HasSuffix(line, "\n")
		})
		return at >= 0
	})
	s.say(lines[s.said+at])
	s.said += at + 1
}

// say prints a line of the log.
func (s *scenario) say(line string) {
	parts := logLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
	if parts == nil {
		s.print("%s", line)
		return
	}
	rest := regexp.MustCompile(` (flow|shard)=\S+`).ReplaceAllString(parts[3], "")
	s.print("%s %s%s", parts[1], strings.Trim(parts[2], `"`), rest)
}
