package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"replicator/internal/kafkatest"
)

// A pattern that matches nothing is no success: verbs that answer yes or no refuse it,
// with what may have been meant.
func TestAPatternThatMatchesNothingIsNoSuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 10)
	w.source.Commit("billing-eu", "orders", 0, 4)
	w.source.Commit("connect-sink", "orders", 0, 4)
	w.must("run", "--until-caught-up")
	for line, want := range map[string]string{
		"verify --topics oders":                          "matches no topic of old\nremedy: did you mean orders?",
		"orphans --topics oders":                         "matches no topic of old\nremedy: did you mean orders?",
		"verify --topics ord*":                           `did you mean "ord.*"?`,
		"wait --groups biling.*":                         "did you mean billing-eu?",
		"wait --drained --groups nope":                   `--groups "nope" matches no group of old`,
		"drained --groups nope":                          `--groups "nope" matches no group of old`,
		"drained --groups connect-.*":                    "it matches connect-sink, which is left out: a Kafka Connect group",
		"cutover --groups biling.* --dry-run":            "did you mean billing-eu?",
		"cutover --groups biling.* --yes":                "did you mean billing-eu?",
		"offsets --topic oders --partition 0 --at 1":     "cluster old has no topic oders\nremedy: did you mean orders?",
		"offsets --topic __oders --partition 0 --at 1":   "never copied",
		"verify --topics zzz --report /nowhere/a.json":   `--topics "zzz" matches no topic`,
		"wait --lag 0 --groups billing-.*|b --timeout 0": "",
		"drained --groups billing-.*":                    "",
		"verify --topics ord.*":                          "",
	} {
		got := w.run(strings.Fields(line)...)
		code := exitUsage
		if want == "" {
			code = exitDone
		}
		if got.code != code || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: exit %d, want %d with %q\n%s%s", line, got.code, code, want, got.stdout, got.stderr)
		}
	}
	if got := w.run("rollback", "--dry-run"); !strings.Contains(got.stderr, "has no record of a cutover") {
		t.Errorf("a cutover of nothing was recorded: %s%s", got.stdout, got.stderr)
	}
}

// What is wrong with the file's patterns is a warning where one looks before, and
// while copying; an answer by them is refused. What a built-in rule hides is named.
func TestPatternsOfTheFileThatChooseNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `topics: ["orders", "paymnets.*", "cart*"]`, `groups: [".*", "biling"]`)
	for _, topic := range []string{"orders", "payments.eu", "carts.all"} {
		w.source.Topic(topic, 1)
	}
	w.source.Fill("orders", 0, 10)
	for _, group := range []string{"billing", "connect-a", "connect-b", "console-consumer-7"} {
		w.source.Commit(group, "orders", 0, 4)
	}
	w.source.Commit("elsewhere", "payments.eu", 0, 0)
	missing := []string{
		`topics[1] "paymnets.*" matches no topic of old`, "did you mean payments.eu?",
		`topics[2] "cart*" matches no topic of old`, `did you mean "cart.*"?`,
		`groups[1] "biling" matches no group of old`, "did you mean billing?",
	}
	hidden := []string{
		"2 groups: a Kafka Connect group; to copy it all the same", "connect-a, connect-b",
		"1 group: a console consumer's group", "console-consumer-7",
		"1 group: it has committed no position in a topic that the flow selects: elsewhere",
	}
	for _, c := range []struct {
		line string
		says [][]string
	}{
		{"check --connect", [][]string{missing, hidden}},
		{"plan --rate 1MiB", [][]string{missing, hidden}},
		{"run --until-caught-up", [][]string{{
			`topics[1] \"paymnets.*\" matches no topic of old`, "did you mean payments.eu?", `groups[1] \"biling\"`,
			"groups are left out", "first=connect-a,connect-b",
		}}},
		{"status --all", [][]string{missing, hidden}},
		{"status", [][]string{missing, {"left out by rules that --all names: 4 groups"}}},
	} {
		got := w.run(strings.Fields(c.line)...)
		text := strings.Join(strings.Fields(got.stdout+got.stderr), " ")
		for _, list := range c.says {
			for _, want := range list {
				if got.code != exitDone || !strings.Contains(text, want) {
					t.Errorf("%s: exit %d, without %q\n%s%s", c.line, got.code, want, got.stdout, got.stderr)
				}
			}
		}
	}
	for _, line := range []string{"verify", "wait --lag 0", "drained", "cutover --dry-run", "topics",
		"topics restore", "topics restore --yes"} {
		got := w.run(strings.Fields(line)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, missing[0]) {
			t.Errorf("%s: exit %d\n%s%s", line, got.code, got.stdout, got.stderr)
		}
	}
}

// One pattern brings a hundred sinks along; one for everything does not.
func TestConnectGroupsAreBroughtByOnePattern(t *testing.T) {
	t.Parallel()
	for groups, want := range map[string]int{`[".*"]`: 1, `[".*", "connect-.*"]`: 101} {
		w := newWorld(t, "groups: "+groups)
		w.source.Topic("orders", 1)
		w.source.Fill("orders", 0, 10)
		w.source.Commit("billing", "orders", 0, 4)
		for i := range 100 {
			w.source.Commit(fmt.Sprintf("connect-sink-%d", i), "orders", 0, 4)
		}
		w.must("run", "--until-caught-up")
		listed, err := w.target.Admin().ListGroups(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		followed := 0
		for name := range listed {
			if name == "billing" || strings.HasPrefix(name, "connect-") {
				followed++
			}
		}
		if followed != want {
			t.Errorf("groups %s: %d followed, want %d", groups, followed, want)
		}
	}
}

// A topic that is selected and has no name on the target is stopped, in every answer.
func TestWhatIsSelectedAndCannotBeCopiedIsNeverCaughtUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "naming: prefix")
	long := strings.Repeat("x", 249)
	w.source.Topic("orders", 1)
	w.source.Topic(long, 2)
	w.source.Fill("orders", 0, 10)
	w.source.Fill(long, 0, 10)
	w.source.Commit("billing", "orders", 0, 4)
	why := "its name on the target would have 253 characters and Kafka takes 249"
	for _, c := range []struct {
		line string
		code int
	}{
		{"check --connect", exitFailed},
		{"plan --rate 1MiB", exitFailed},
		{"topics", exitFailed},
		{"run --until-caught-up", exitFailed},
		{"status", exitDone},
		{"status --json", exitDone},
		{"wait --lag 0 --timeout 3s", exitFailed},
		{"verify", exitFailed},
		{"cutover --dry-run --silent-for 0s", exitFailed},
		{"cutover --yes --silent-for 0s --timeout 20s", exitFailed},
	} {
		got := w.run(strings.Fields(c.line)...)
		text := strings.Join(strings.Fields(got.stdout+got.stderr), " ")
		if got.code != c.code || !strings.Contains(text, why) {
			t.Errorf("%s: exit %d, want %d with %q\n%s%s", c.line, got.code, c.code, why, got.stdout, got.stderr)
		}
		if strings.Contains(text, "nothing is in the way") || strings.Contains(text, `"caught_up": true`) {
			t.Errorf("%s says that all is well:\n%s", c.line, got.stdout)
		}
	}
}

// A flow that selects nothing, or that shows nothing for want of a right, is not done
// with anything.
func TestAFlowOfNothingIsNotDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nothing := "selects no topic of old, which shows 0 topics"
	for _, round := range []string{"before it ran", "after it ran"} {
		for _, c := range []struct {
			line, says string
			code       int
		}{
			{"verify", nothing, exitUsage},
			{"wait --lag 0", nothing, exitUsage},
			{"wait --aged-out", nothing, exitUsage},
			{"wait --drained", nothing, exitUsage},
			{"drained", nothing, exitUsage},
			{"cutover --yes", nothing, exitUsage},
			{"status", "NOTHING IS SELECTED", exitDone},
			{"status --json", `"caught_up": false`, exitDone},
			{"check --connect", "no topic is selected", exitDone},
			{"topics", nothing, exitUsage},
			{"orphans", nothing, exitUsage},
			{"topics restore", nothing, exitUsage},
			{"run --until-caught-up", "no topic of cluster old is selected: nothing was copied", exitFailed},
		} {
			got := w.run(strings.Fields(c.line)...)
			if got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.says) {
				t.Errorf("%s, %s: exit %d, want %d with %q\n%s%s", round, c.line, got.code, c.code, c.says, got.stdout,
					got.stderr)
			}
		}
	}
	// A topic that nobody reads as a group: nothing is known to be drained.
	w.source.Topic("orders", 1)
	got := w.run("wait", "--drained")
	if got.code != exitFailed || !strings.Contains(got.stderr, "whether the source is drained is not known") {
		t.Errorf("no group: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if out := w.must("drained"); !strings.Contains(out, "drained: not known, no group has a position") {
		t.Errorf("no group: %s", out)
	}
}

// With several flows a pattern need not choose something in each of them, and one
// whose cluster is away does not keep the others from an answer.
func TestPatternsOfSeveralFlows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	third := kafkatest.Start(t, kfake.ClusterID("third-id"))
	text := fmt.Sprintf(`clusters:
  old: {bootstrap.servers: "%s"}
  new: {bootstrap.servers: "%s"}
  third: {bootstrap.servers: "%s"}
  away: {bootstrap.servers: "127.0.0.1:1"}
flows:
  - {from: old, to: new, shards: 2, commit_interval: 50ms}
  - {from: third, to: new, shards: 2, commit_interval: 50ms}
`, w.source.Address(), w.target.Address(), third.Address())
	end := "http: {listen: \"\"}\n"
	write := func(text string) {
		if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text + end)
	w.source.Topic("orders", 1)
	third.Topic("carts", 1)
	w.source.Fill("orders", 0, 3)
	third.Fill("carts", 0, 3)
	w.source.Commit("billing", "orders", 0, 3)
	third.Commit("shop", "carts", 0, 3)
	w.must("run", "--until-caught-up")
	for _, line := range []string{
		"verify --topics orders", "wait --groups billing", "wait --drained --groups billing", "drained --groups shop",
	} {
		got := w.run(strings.Fields(line)...)
		if got.code != exitDone || !strings.Contains(got.stderr, " is left out: --") {
			t.Errorf("%s: exit %d\n%s%s", line, got.code, got.stdout, got.stderr)
		}
	}
	if got := w.run("verify", "--topics", "nope"); got.code != exitUsage {
		t.Errorf("in no flow: exit %d\n%s", got.code, got.stderr)
	}
	write(text + "  - {from: away, to: third, shards: 2}\n" + end)
	got := w.run("verify")
	if got.code != exitFailed || strings.Count(got.stdout, "verdict     equal") != 2 ||
		!strings.Contains(got.stderr, "cluster away (127.0.0.1:1) cannot be reached") {
		t.Errorf("one is away: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}
