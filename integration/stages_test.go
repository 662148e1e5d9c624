package integration

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"replicator/integration/workload"
)

// stages is a flow whose groups move one after the other.
type stages struct {
	*site
	ctx   context.Context
	topic string
	wrote int // records, the aborted ones among them
}

// newStages writes a topic and copies it; groups of the test's name are the flow's.
func newStages(t *testing.T) *stages {
	source, target := shared(t)
	s := &stages{ctx: deadline(t, 2*time.Minute), topic: unique(t)}
	must(t, workload.Topics(s.ctx, source.Bootstrap(), 2, workload.KeepConfigs(), s.topic))
	s.site = newSite(t, source, target, patterns(t, []string{s.topic})...)
	return s
}

func (s *stages) group(name string) string { return unique(s.t) + "-" + name }

// write adds transactional records to the source.
func (s *stages) write(records int) {
	s.t.Helper()
	_, err := workload.Mixed(s.ctx, s.source.Bootstrap(), s.topic,
		workload.MixedSpec{Seed: uint64(900 + s.wrote), Records: records, Partitions: 2, From: s.wrote})
	must(s.t, err)
	s.wrote += records
}

// cut gives a command of cutover and wants an exit code and these words.
func (s *stages) cut(what string, code int, args []string, says ...string) string {
	s.t.Helper()
	args = append([]string{"cutover", "--yes", "--silent-for", "300ms"}, args...)
	out, got := s.command(args...)
	if got != code || !holds(out, says...) {
		s.t.Fatalf("%s: %q ended with %d, want %d and %q:\n%s", what, args, got, code, says, out)
	}
	return out
}

// tells wants words of status.
func (s *stages) tells(what string, says ...string) {
	s.t.Helper()
	if _, text := s.status(); !holds(text, says...) {
		s.t.Errorf("%s: status does not say %q:\n%s", what, says, text)
	}
}

var cutoverID = regexp.MustCompile(`done at (\S+) \(([^)]+)\): applications may start`)

// Two groups move one after the other, while the other one works on the source and
// producers go on there between the windows: each reads every record once, over both
// clusters, and what is there of the cutover says when and for whom.
func TestCutoverInStages(t *testing.T) {
	s := newStages(t)
	s.write(1500)
	first, second := s.group("first"), s.group("second")
	reads := map[string][]workload.Read{}
	join := func(on, group string) *workload.Consumer {
		t.Helper()
		c, err := workload.StartConsumer(s.ctx, on,
			workload.ConsumerSpec{Group: group, Topics: []string{s.topic}, AtOnce: 20})
		must(t, err)
		eventually(t, 30*time.Second, group+" reads", func() bool { return len(c.So()) > 0 })
		return c
	}
	leave := func(group string, c *workload.Consumer) {
		t.Helper()
		got, err := c.Stop()
		must(t, err)
		reads[group] = append(reads[group], got...)
	}
	one, two := join(s.source.Bootstrap(), first), join(s.source.Bootstrap(), second)
	d := s.run()

	leave(first, one)
	if out, code := s.command("wait", "--lag", "0", "--timeout", "30s"); code != 0 {
		t.Fatalf("nothing is copied:\n%s", out)
	}
	done := cutoverID.FindStringSubmatch(s.cut("the first stage", 0, []string{"--groups", first}, "may start on new",
		"and 1 groups stand"))
	if done == nil {
		t.Fatal("the end of the first stage names no time and no id")
	}
	s.tells("after the first stage", "cutover "+done[2]+" was done at "+done[1], "with groups "+first)
	s.cut("the first stage again", 0, []string{"--groups", first}, "nothing is to be done", "may start on new")
	one = join(s.target.Bootstrap(), first)
	s.write(500) // producers stay on the source between the windows
	s.cut("while the other group works", 1, []string{"--timeout", "2s"}, second, "remedy:")

	leave(second, two)
	s.write(300) // which it has not read
	out := s.cut("all others", 0, nil, "with groups "+first+" (at work on new)", "it goes on with "+second,
		"and 2 groups stand")
	if again := cutoverID.FindStringSubmatch(out); again == nil || again[2] != done[2] {
		t.Errorf("the second stage is no part of cutover %s:\n%s", done[2], out)
	}
	s.tells("after both", "cutover "+done[2]+" was done at", first+" (at work on new)", second)
	s.cut("all again", 0, nil, "nothing is to be done")
	two = join(s.target.Bootstrap(), second)
	s.cut("an undo of what is made use of", 1, []string{"--undo"}, "was made use of", "rollback")

	want := s.visible()
	for group, c := range map[string]*workload.Consumer{first: one, second: two} {
		eventually(t, 30*time.Second, group+" has read all", func() bool { return len(reads[group])+len(c.So()) >= want })
		leave(group, c)
		keys := map[string]bool{}
		for _, r := range reads[group] {
			keys[r.Key+r.Value] = true
		}
		if len(reads[group]) != want || len(keys) != want {
			t.Errorf("%s has read %d records, %d of them once, want %d", group, len(reads[group]), len(keys), want)
		}
	}
	d.stop()
}

// visible counts the source's records.
func (s *stages) visible() (n int) {
	s.t.Helper()
	layouts, err := workload.ReadLayout(s.ctx, s.source.Bootstrap(), s.topic)
	must(s.t, err)
	for _, l := range layouts {
		n += len(l.Visible)
	}
	return n
}

// What was cut over and has records behind is never said to be done: it is begun anew as
// long as nobody has made use of it, and refused with the figures afterwards. Until
// then it can be undone.
func TestCutoverWithRecordsBehind(t *testing.T) {
	s := newStages(t)
	s.write(1000)
	groups := stand(s.ctx, t, s.source.Bootstrap(), 910, 4, s.topic)
	s.copyOnce()
	s.cut("the first", 0, nil, "may start on new", "and 4 groups stand")
	out, code := s.command("cutover", "--undo", "--dry-run")
	if code != 0 || !holds(out, "would be forgotten") {
		t.Errorf("a plan to undo ended with %d:\n%s", code, out)
	}
	s.cut("an undo", 0, []string{"--undo"}, "is forgotten")
	s.tells("after the undo", "was undone: the flow counts as not cut over")
	s.cut("a second undo", 1, []string{"--undo"}, "no cutover that could be undone")

	s.cut("after the undo", 0, nil, "may start on new")
	s.write(240)
	out, code = s.command("cutover", "--dry-run", "--silent-for", "300ms")
	if code != 0 || !holds(out, "begun anew", "copied open") || strings.Contains(out, "may start on new, where") {
		t.Errorf("a plan with records behind ended with %d:\n%s", code, out)
	}
	s.cut("with records behind", 0, nil, "are not on new: it is begun anew", "may start on new")
	judged(s.ctx, t, s.sides(), []string{s.topic}, groups)

	_, err := workload.Consume(s.ctx, s.target.Bootstrap(), groups[0], 1, s.topic)
	must(t, err)
	s.write(50)
	s.cut("with records behind a group that works there", 1, nil, "records on old are not on new",
		"groups at work on new since: "+groups[0], "remedy:")
	mixed(s.ctx, t, s.target.Bootstrap(), s.topic, 990, 30, 2)
	s.cut("with both sides written to", 1, nil, "records were written to old",
		"records were written to new by somebody else")
	s.tells("with both sides written to", "records were written to old since",
		"were written to new by applications since", groups[0]+" (at work on new)")
}
