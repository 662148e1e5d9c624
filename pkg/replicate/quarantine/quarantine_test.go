package quarantine

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/wait"
)

// shard makes a quarantine and what it logs, from Info on.
func shard(lines *Lines) (*Partitions, *bytes.Buffer) {
	var out bytes.Buffer
	return New(slog.New(slog.NewTextHandler(&out, nil)), lines, 20*time.Second), &out
}

func stopOf(number int32) *chunk.Stop {
	return &chunk.Stop{Partition: chunk.Partition{Topic: "t", Number: number}, Kind: chunk.StopTooLarge,
		Reason: "made by the test", At: 7}
}

// TestTries: a partition is tried by itself, ever less often, and is out of quarantine once it is copied.
func TestTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, out := shard(&Lines{})
		p := stopOf(0).Partition
		for _, pause := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute,
			4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
			q.Put(stopOf(0))
			_ = wait.Pause(t.Context(), pause)
			if stop, _ := q.Check(p, 7); q.Due() || stop == nil {
				t.Fatalf("it is tried after less than %s", pause)
			}
			_ = wait.Pause(t.Context(), 1)
			if stop, until := q.Check(p, 7); stop != nil || until != nil || q.Due() {
				t.Fatalf("it is not tried after %s", pause)
			}
			q.GoesOn(p)
		}
		if n := strings.Count(out.String(), "partition stopped"); n != 1 || strings.Contains(out.String(), "goes on") {
			t.Errorf("logged:\n%s", out)
		}
		q.Copied(p)
		if !strings.Contains(out.String(), "partition goes on") || len(q.entries) > 0 {
			t.Errorf("it is still in quarantine, logged:\n%s", out)
		}
	})
}

// TestUpToTheRecord: what stands before the record at fault is copied once, and the partition is left out then.
func TestUpToTheRecord(t *testing.T) {
	q, _ := shard(&Lines{})
	stop := stopOf(0)
	q.Put(stop)
	for _, c := range []struct {
		why         string
		progress    offsets.Source
		left, until bool
	}{
		{"it could not even begin", -1, true, false},
		{"it stands at the record", 7, true, false},
		{"something stands before the record", 4, false, true},
	} {
		left, until := q.Check(stop.Partition, c.progress)
		if (left != nil) != c.left || (until != nil) != c.until {
			t.Errorf("%s: left out for %v, until %v", c.why, left, until)
		}
	}
	q.Put(stop)
	if left, until := q.Check(stop.Partition, 4); left != stop || until != nil {
		t.Errorf("batches go no nearer, and it is copied up to there again: %v, %v", left, until)
	}
	q.Keep(stop)
	q.AwaitOrder(stop)
	if left, until := q.Check(stop.Partition, 4); left != nil || until != nil || q.Due() {
		t.Errorf("it waits for an order and for a try: %v, %v", left, until)
	}
}

// TestTrouble: trouble is waited for, and then it is time for quarantine; of a partition in quarantine at once.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := shard(&Lines{})
		p := stopOf(0).Partition
		if lasted, _ := q.TroubledFor(p); lasted != 0 || q.Trouble(p) {
			t.Error("it lasts from the beginning")
		}
		_ = wait.Pause(t.Context(), 19*time.Second)
		if lasted, patience := q.TroubledFor(p); q.Trouble(p) || lasted != 19*time.Second || patience != 20*time.Second {
			t.Errorf("after %s", lasted)
		}
		_ = wait.Pause(t.Context(), time.Second)
		if !q.Trouble(p) {
			t.Error("it is waited for longer than it may last")
		}
		q.Recovered()
		if q.Trouble(p) {
			t.Error("what has passed counts on")
		}
		q.Put(stopOf(0))
		if !q.Trouble(p) {
			t.Error("it is waited for when the partition is tried again")
		}
	})
}

// TestOneLine: the partitions of a topic that have one reason have one line, in all shards.
func TestOneLine(t *testing.T) {
	var lines Lines
	a, first := shard(&lines)
	b, second := shard(&lines)
	a.Put(stopOf(0))
	b.Put(stopOf(1))
	if first.Len() == 0 || second.Len() > 0 {
		t.Errorf("logged:\n%s\n%s", first, second)
	}
	a.Copied(stopOf(0).Partition)
	b.AwaitOrder(&chunk.Stop{Partition: stopOf(1).Partition, Kind: chunk.StopTooLarge, Reason: "another"})
	if !strings.Contains(second.String(), "another") {
		t.Errorf("nothing tells of the rest once the first one goes on:\n%s", second)
	}
}
