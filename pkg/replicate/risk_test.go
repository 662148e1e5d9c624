package replicate

import (
	"testing"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/seen"
)

// What would be lost with the source is the sum over partitions, as old as the oldest; one that is not known hides it.
func TestRisksOfATopic(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	at := func(progress, stable, high int64, since time.Time) PartitionState {
		return PartitionState{
			Partition: chunk.Partition{Topic: "orders"}, State: partition.Copying, Progress: offsets.Source(progress),
			Behind: stable - progress, Reported: ago(1),
			Last: seen.End{High: offsets.Source(high), Stable: offsets.Source(stable), Since: since, Seen: ago(1)},
		}
	}
	copied, silent, held := at(9, 9, 9, ago(1)), at(9, 9, 9, ago(40)), at(5, 5, 9, ago(30))
	never := at(-1, -1, -1, time.Time{})
	copied.Records, copied.Bytes = 3, 300
	silent.Reported = ago(40)
	held.Held = ago(20)
	never.Reported, never.Behind = time.Time{}, -1
	for what, c := range map[string]struct {
		partitions []PartitionState
		want       risk
	}{
		"all is copied": {[]PartitionState{copied}, risk{copied: 3, bytes: 300, seen: time.Second}},
		"some is behind": {[]PartitionState{copied, at(2, 9, 9, ago(8)), at(4, 9, 9, ago(5))},
			risk{rpo: 8 * time.Second, records: 12, copied: 3, bytes: 300, seen: time.Second}},
		"an open transaction": {[]PartitionState{held},
			risk{rpo: 30 * time.Second, records: 4, seen: time.Second, held: 1, heldFor: 20 * time.Second}},
		"the source is silent": {[]PartitionState{silent}, risk{rpo: 40 * time.Second, seen: 40 * time.Second}},
		"behind since nobody knows": {[]PartitionState{at(2, 9, 9, time.Time{})},
			risk{records: 7, noAge: true, seen: time.Second}},
		"never told": {[]PartitionState{copied, never},
			risk{unknown: true, copied: 3, bytes: 300, seen: time.Minute}},
	} {
		got := risksOf(&FlowState{Began: ago(60), Partitions: c.partitions}, now)["orders"]
		if got == nil || *got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
}

// What open transactions hold back is not copied, however far the last stable offset is followed.
func TestAgeBehindOpenTransactions(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	at := func(second int) time.Time { return begun.Add(time.Duration(second) * time.Second) }
	l := lag{high: 10}.learn(10, 10, at(0))
	for second := 1; second < 100; second++ { // a transaction after the other, and always one open
		l.high = offsets.Source(10 + 2*second)
		l = l.learn(l.high-1, l.high-1, at(second))
	}
	if !l.copied.Equal(at(0)) || !l.held.Equal(at(99)) {
		t.Errorf("copied up to %v, held since %v, want %v and %v", l.copied, l.held, at(0), at(99))
	}
	if l = l.follow(at(98).UnixMilli()); !l.copied.Equal(at(98)) {
		t.Errorf("after the last record copied: %v, want %v", l.copied, at(98))
	}
	for second := 100; second < 110; second++ { // this one does not end
		l = l.learn(l.end, l.end, at(second))
	}
	if !l.held.Equal(at(99)) || !l.copied.Equal(at(98)) {
		t.Errorf("held since %v, copied up to %v, want %v and %v", l.held, l.copied, at(99), at(98))
	}
	l.high = 300
	if l = l.learn(300, 300, at(110)); !l.held.IsZero() || !l.copied.Equal(at(110)) {
		t.Errorf("at its end: held since %v, copied up to %v", l.held, l.copied)
	}
	l.high = 5
	if l = l.learn(5, 0, at(111)); !l.copied.IsZero() || l.seen().High != 5 {
		t.Errorf("another log of that name: copied up to %v, high watermark %d", l.copied, l.seen().High)
	}
}
