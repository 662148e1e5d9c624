package integration

import (
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/judge"
	"replicator/integration/workload"
)

// A shared group of an application that is stopped on one side and started on the other, again and again, while
// producers write on both and the daemon is killed: each record is read, and none stands before its position unread.
// Once all is quiet its position on the idle side is the best that there is, and a move reads nothing again.
func TestSharedGroupOnEitherSide(t *testing.T) {
	source, target := shared(t)
	ctx := deadline(t, 5*time.Minute)
	topic, group := unique(t), unique(t)+"-app"
	must(t, workload.Topics(ctx, source.Bootstrap(), 3, workload.KeepConfigs(), topic))
	must(t, workload.Topics(ctx, target.Bootstrap(), 3, workload.KeepConfigs(), topic))
	s := newSite(t, source, target, patterns(t, []string{topic}, `shared_groups: [".*"]`)...)
	s.edit("http: {listen", "  - {from: new, to: old, ledger: __replicator."+unique(t)+"-back, topics: ["+topic+"], "+
		"groups: [\""+unique(t)+"-.*\"], shared_groups: [\".*\"], sync_topic_configs: false, refresh_interval: 1s, "+
		"group_sync_interval: 300ms}\nhttp: {listen")
	d := s.run()

	sides := [2]*cluster.Cluster{source, target}
	var producers []*workload.Producer
	for i, spec := range []workload.ProducerSpec{
		{Seed: 1, Rate: 200, Transactional: unique(t) + "-old", AbortEvery: 7}, {Seed: 2, Rate: 150, From: 1_000_000}} {
		p, err := workload.StartProducer(ctx, sides[i].Bootstrap(), topic, spec)
		must(t, err)
		producers = append(producers, p)
	}
	var reads []judge.Reads
	times := map[string]int{}
	use := func(side, n int) {
		t.Helper()
		got, err := workload.Consume(ctx, sides[side].Bootstrap(), group, n, topic)
		must(t, err)
		for _, r := range got {
			times[r.Key]++
			reads = append(reads, judge.Reads{OnTarget: side == 1, Topic: topic, Partition: r.Partition, From: r.Offset,
				To: r.Offset + 1})
		}
	}
	nothingLost := func() *judge.BothReport {
		t.Helper()
		report, err := judge.BothWays(ctx, s.sides(), group, []string{topic}, reads)
		must(t, err)
		if report.Lost() > 0 {
			t.Fatal(report)
		}
		return report
	}
	for round := range 8 {
		use(round%2, 150+50*(round%3))
		if round == 3 {
			d.kill()
			d = s.run()
		}
		nothingLost()
	}
	written := int64(0)
	for _, p := range producers {
		done, err := p.Stop()
		must(t, err)
		written += done.Acked
	}
	best := func(side int) (again int64) {
		t.Helper()
		eventually(t, time.Minute, "the group stands at the best position", func() (best bool) {
			again, best = nothingLost().OnSide(side == 1)
			return best
		})
		return again
	}
	eventually(t, time.Minute, "all is on both sides", func() bool { return nothingLost().Hold(written) })
	again := best(0) // its last use was on the target
	use(0, int(again+written)-len(times))
	twice := 0
	for _, n := range times {
		twice += n - 1
	}
	t.Logf("%d records were written and %d read, %d of them again, in 9 uses; the last one had %d to read again", written,
		len(times), twice, again)
	if int64(len(times)) != written {
		t.Errorf("%d records were read, want %d", len(times), written)
	}
	if again := best(1); again != 0 {
		t.Errorf("with all read and nobody writing, a move reads %d records again", again)
	}
}
