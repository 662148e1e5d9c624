package main

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A share group (KIP-932) is counted, named, and said to have no position that could follow,
// wherever groups are.
func TestShareGroupsAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 20)
	w.source.Commit("billing", "orders", 0, 20)
	sharer := w.source.Client(kgo.ShareGroup("sharers"), kgo.ConsumeTopics("orders"))
	ctx, stop := context.WithCancel(w.ctx)
	defer stop()
	go func() {
		for ctx.Err() == nil {
			sharer.PollFetches(ctx)
		}
	}()
	listed := func() bool {
		list := kmsg.NewPtrListGroupsRequest()
		answer, err := list.RequestWith(w.ctx, w.source.Client())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range answer.Groups {
			if g.Group == "sharers" {
				return g.ProtocolType == "share"
			}
		}
		return false
	}
	w.await("the share group is there", listed)
	once := w.run("run", "--until-caught-up")
	if once.code != exitDone || !strings.Contains(once.stderr, "first=sharers") {
		t.Errorf("run: exit %d, or the share group is not named\n%s", once.code, once.stderr)
	}
	const why = "a share group (KIP-932): it has no position that could follow"
	for _, line := range []string{"status --all", "check --connect", "plan --rate 1MiB", "verify", "cutover --dry-run"} {
		got := w.run(strings.Fields(line)...)
		text := strings.Join(strings.Fields(got.stdout+got.stderr), " ")
		if !strings.Contains(text, why) || !strings.Contains(text, "sharers") {
			t.Errorf("%s: exit %d, does not tell of the share group:\n%s%s", line, got.code, got.stdout, got.stderr)
		}
	}
	if s := w.status(); !s.CaughtUp || len(s.Groups) != 1 || len(s.LeftOut) != 1 || s.LeftOut[0].Name != "sharers" {
		t.Errorf("status: caught up %v, %d groups, left out %+v", s.CaughtUp, len(s.Groups), s.LeftOut)
	}
	if got := w.run("wait", "--lag", "0", "--groups", "sharers", "--timeout", "1s"); got.code != exitUsage ||
		!strings.Contains(strings.Join(strings.Fields(got.stderr), " "), why) {
		t.Errorf("wait for a share group: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}
