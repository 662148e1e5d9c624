package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/judge"
	"replicator/integration/workload"
)

// shared gives the pair of brokers that most tests share.
func shared(t *testing.T) (source, target *cluster.Cluster) {
	t.Helper()
	return cluster.SharedPair(t, brokerConfig()...)
}

// patterns writes topics and the groups of this test as a flow's selection.
func patterns(t *testing.T, topics []string, more ...string) []string {
	return append([]string{
		fmt.Sprintf("topics: [%s]", strings.Join(topics, ", ")),
		fmt.Sprintf("groups: [\"%s-.*\"]", unique(t)),
	}, more...)
}

// fill makes the three kinds of topics, and groups that stand anywhere in them.
func fill(ctx context.Context, t *testing.T, bootstrap, prefix string) (topics, groups []string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	mixed, plain, compacted := prefix+"-mixed", prefix+"-plain", prefix+"-compacted"
	must(workload.Topics(ctx, bootstrap, 4, workload.KeepConfigs(), mixed, plain))
	must(workload.Topics(ctx, bootstrap, 2, workload.CompactedConfigs(), compacted))
	w, err := workload.Mixed(ctx, bootstrap, mixed, workload.MixedSpec{Seed: 11, Records: 30_000, Partitions: 4})
	must(err)
	if w.Aborted == 0 || w.Transactions < 100 {
		t.Fatalf("the workload is too tame: %+v", w)
	}
	_, err = workload.Plain(ctx, bootstrap, plain, workload.PlainSpec{Seed: 12, Records: 3000, Partitions: 4, Large: 20})
	must(err)
	_, err = workload.Compacted(ctx, bootstrap, compacted, workload.CompactedSpec{Seed: 13, Partitions: 2})
	must(err)
	topics = []string{mixed, plain, compacted}
	positions, err := workload.CommitRandom(ctx, bootstrap,
		workload.GroupSpec{Seed: 14, Prefix: prefix, Groups: 40, Topics: topics})
	must(err)
	return topics, workload.Groups(positions)
}

// judged fails the test unless both sides hold the same and all groups stand
// right; it waits for what is on its way.
func judged(ctx context.Context, t *testing.T, sides judge.Sides, topics, groups []string, opts ...judge.Option) {
	t.Helper()
	r, err := judge.WaitEqual(ctx, time.Minute, sides, topics, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if !r.Equal() {
		t.Fatal("the sides differ")
	}
	if len(groups) == 0 {
		return
	}
	g, err := judge.WaitGroups(ctx, 30*time.Second, sides, groups, topics, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(g)
	if !g.OK() {
		t.Fatal("groups do not stand right")
	}
}

// The whole check, in each way of naming and delivering: one copy, no failure.
func TestExact(t *testing.T) {
	for _, naming := range []string{"identity", "prefix"} {
		for _, p := range promises {
			t.Run(fmt.Sprintf("%s-%s", naming, p), func(t *testing.T) {
				source, target := shared(t)
				ctx := deadline(t, 4*time.Minute)
				topics, groups := fill(ctx, t, source.Bootstrap(), unique(t))
				s := newSite(t, source, target, patterns(t, topics, append(p.lines(), "naming: "+naming)...)...)
				s.copyOnce()
				sides := s.sides()
				if naming == "prefix" {
					sides.Rename = func(topic string) string { return "old." + topic }
				}
				// Once the command has ended nothing moves any more: what is not right now never will be.
				r, err := judge.Compare(ctx, sides, topics)
				if err != nil {
					t.Fatal(err)
				}
				t.Log(r)
				g, err := judge.Groups(ctx, sides, groups, topics)
				if err != nil {
					t.Fatal(err)
				}
				t.Log(g)
				if !r.Equal() || !g.OK() {
					t.Fail()
				}
			})
		}
	}
}

// Restarts in the middle of live traffic, gentle and not.
func TestRestart(t *testing.T) {
	for _, p := range promises {
		for _, how := range []string{"sigterm", "sigkill"} {
			t.Run(fmt.Sprintf("%s-%s", p, how), func(t *testing.T) {
				source, target := shared(t)
				restart(t, source, target, p, how)
			})
		}
	}
	// The batch lane speaks the older transaction protocol by itself.
	t.Run("batch-"+olderVersion+"-sigkill", func(t *testing.T) {
		restart(t, newer(t, "source"), older(t), promises[0], "sigkill")
	})
}

func restart(t *testing.T, source, target *cluster.Cluster, p promise, how string) {
	ctx := deadline(t, 4*time.Minute)
	topics, groups := fill(ctx, t, source.Bootstrap(), unique(t))
	s := newSite(t, source, target, patterns(t, topics, append(p.lines(), "commit_interval: 100ms")...)...)
	producer, err := workload.StartProducer(ctx, source.Bootstrap(), topics[0],
		workload.ProducerSpec{Seed: 3, Rate: 2000, Transactional: unique(t), AbortEvery: 5})
	if err != nil {
		t.Fatal(err)
	}
	sides := s.sides()
	for round := range 4 {
		d := s.run()
		before := copied(ctx, t, sides, topics[0])
		eventually(t, time.Minute, fmt.Sprintf("records arrive in round %d", round), func() bool {
			return copied(ctx, t, sides, topics[0]) > before
		})
		if how == "sigterm" {
			d.stop()
		} else {
			d.kill()
		}
	}
	wrote, err := producer.Stop()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("live producer: %d acknowledged, %d aborted", wrote.Acked, wrote.Aborted)
	d := s.run()
	var opts []judge.Option
	if p.delivery == "at_least_once" && how == "sigkill" {
		opts = append(opts, judge.AllowDuplicates())
	}
	judged(ctx, t, sides, topics, groups, opts...)
	d.stop()
}

// copied is the sum of the last stable offsets of a topic on the target.
func copied(ctx context.Context, t *testing.T, sides judge.Sides, topic string) int64 {
	t.Helper()
	layout, err := stableOffsets(ctx, sides.Target, topic)
	if err != nil {
		t.Fatal(err)
	}
	return layout
}

// What changes on the source while the daemon runs.
func TestChangesWhileRunning(t *testing.T) { onLanes(t, changesWhileRunning) }

func changesWhileRunning(t *testing.T, lane string) {
	source, target := shared(t)
	ctx := deadline(t, 4*time.Minute)
	name := unique(t)
	first, second := name+"-first", name+"-second"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), first))
	mixed := func(topic string, seed uint64, partitions int) {
		_, err := workload.Mixed(ctx, source.Bootstrap(), topic,
			workload.MixedSpec{Seed: seed, Records: 3000, Partitions: partitions})
		must(err)
	}
	mixed(first, 1, 2)
	s := newSite(t, source, target, fmt.Sprintf("topics: [\"%s-.*\"]", name), fmt.Sprintf("groups: [\"%s-.*\"]", name),
		"lane: "+lane)
	d := s.run()
	groups := func(seed uint64, topics ...string) []string {
		positions, err := workload.CommitRandom(ctx, source.Bootstrap(),
			workload.GroupSpec{Seed: seed, Prefix: name, Groups: 10, Topics: topics})
		must(err)
		return workload.Groups(positions)
	}
	judged(ctx, t, s.sides(), []string{first}, groups(1, first))

	t.Log("a new topic, with a new group")
	must(workload.Topics(ctx, source.Bootstrap(), 3, workload.KeepConfigs(), second))
	mixed(second, 2, 3)
	judged(ctx, t, s.sides(), []string{first, second}, groups(2, first, second))

	t.Log("new partitions")
	must(workload.Grow(ctx, source.Bootstrap(), first, 5))
	mixed(first, 3, 5)
	// Another seed resets the same groups, many of them backwards.
	judged(ctx, t, s.sides(), []string{first, second}, groups(3, first, second))

	t.Log("another setting")
	must(workload.Alter(ctx, source.Bootstrap(), second, map[string]string{"retention.bytes": "123456789"}))
	eventually(t, 30*time.Second, "the setting follows", func() bool {
		value, err := topicSetting(ctx, target.Bootstrap(), second, "retention.bytes")
		return err == nil && value == "123456789"
	})
	d.stop()
}

// A group that was used on the target belongs to its consumers.
func TestGroupUsedOnTargetIsLeftAlone(t *testing.T) { onLanes(t, groupUsedOnTarget) }

func groupUsedOnTarget(t *testing.T, lane string) {
	source, target := shared(t)
	ctx := deadline(t, 3*time.Minute)
	topic, group := unique(t), unique(t)+"-app"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(workload.Topics(ctx, source.Bootstrap(), 1, workload.KeepConfigs(), topic))
	_, err := workload.Mixed(ctx, source.Bootstrap(), topic, workload.MixedSpec{Seed: 5, Records: 2000, Partitions: 1})
	must(err)
	_, err = workload.Consume(ctx, source.Bootstrap(), group, 500, topic)
	must(err)
	s := newSite(t, source, target, patterns(t, []string{topic}, "lane: "+lane)...)
	d := s.run()
	judged(ctx, t, s.sides(), []string{topic}, []string{group})

	read, err := workload.Consume(ctx, target.Bootstrap(), group, 100, topic)
	must(err)
	stands, err := groupOffset(ctx, target.Bootstrap(), group, topic, 0)
	must(err)
	if want := read[len(read)-1].Offset + 1; stands != want {
		t.Fatalf("the consumer committed %d, the group stands at %d", want, stands)
	}
	// The source's position moves; the target's must not follow. A second group shows when the round is over.
	_, err = workload.Consume(ctx, source.Bootstrap(), group, 700, topic)
	must(err)
	_, err = workload.Consume(ctx, source.Bootstrap(), group+"-2", 100, topic)
	must(err)
	g, err := judge.WaitGroups(ctx, 30*time.Second, s.sides(), []string{group + "-2"}, []string{topic})
	must(err)
	must(g.Err())
	if now, err := groupOffset(ctx, target.Bootstrap(), group, topic, 0); err != nil || now != stands {
		t.Fatalf("the group's position on the target was moved from %d to %d (%v)", stands, now, err)
	}
	out, code := s.command("status")
	if code != 0 || !holds(out, "a consumer on the target committed it") {
		t.Errorf("status does not tell why the group is left alone (exit %d):\n%s", code, out)
	}
	d.stop()
}
