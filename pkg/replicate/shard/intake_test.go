package shard

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/source"
	"replicator/pkg/replicate/txlimit"
)

// scriptedReader brings records of one partition, three at a time.
type scriptedReader struct {
	next  offsets.Source
	limit source.Limit // of the last call
}

func (r *scriptedReader) Close() error { return nil }

func (r *scriptedReader) Assign(positions []chunk.Position) error {
	r.next = positions[0].Offset
	return nil
}

func (r *scriptedReader) Next(_ context.Context, limit source.Limit) (chunk.Chunk, error) {
	r.limit = limit
	part := chunk.Part{Partition: chunk.Partition{Topic: "t"}}
	for range 3 {
		part.Records = append(part.Records, chunk.Record{Offset: r.next, Value: make([]byte, 100)})
		r.next++
	}
	part.Next = r.next
	return chunk.Chunk{Parts: []chunk.Part{part}, Records: 3, Bytes: 300}, nil
}

// TestIntakeKeeps: what a transaction has no room for comes next, before anything else is read, unless the partitions
// are assigned anew: then it is read again.
func TestIntakeKeeps(t *testing.T) {
	size, r := txlimit.NewSize(slog.New(slog.DiscardHandler), &txlimit.Longest{}), &scriptedReader{}
	size.Failed(400, time.Hour, errors.New("made by the test")) // 200 bytes from now on
	i := newIntake(r, size, false)
	var got []offsets.Source
	take := func() {
		t.Helper()
		c, err := i.next(t.Context(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		total := i.fit(c, 0)
		if !i.full(&total) {
			t.Errorf("%d bytes of 200 are not full, or something is left to come", total.Bytes)
		}
		for _, part := range total.Parts {
			for _, record := range part.Records {
				got = append(got, record.Offset)
			}
			if part.Next != got[len(got)-1]+1 {
				t.Errorf("progress is %d after record %d", part.Next, got[len(got)-1])
			}
		}
	}
	want := []offsets.Source{0, 1}
	if take(); r.limit.Bytes != 200 || r.limit.Wait != time.Second {
		t.Errorf("read with %+v", r.limit)
	}
	if err := i.assign([]chunk.Position{{Partition: chunk.Partition{Topic: "t"}, Offset: 2}}); err != nil {
		t.Fatal(err)
	}
	take()
	want = append(want, 2, 3)
	c, err := i.next(t.Context(), time.Second)
	if err != nil || len(c.Parts) != 1 || c.Parts[0].Records[0].Offset != 4 || r.next != 5 {
		t.Errorf("what was kept is not what comes next: %v, %v", c, err)
	}
	i.keep(c)
	if again, err := i.next(t.Context(), time.Second); err != nil || len(again.Parts) != 1 || r.next != 5 {
		t.Errorf("what was given back does not come again: %v, %v", again, err)
	}
	if len(got) != len(want) || got[2] != 2 {
		t.Errorf("brought %v, want %v", got, want)
	}
}

// TestInterrupts: records over a new connection do not join a transaction that holds some of their partition.
func TestInterrupts(t *testing.T) {
	a := newAssignment()
	p, other := chunk.Partition{Topic: "t"}, chunk.Partition{Topic: "other"}
	a.routes[p], a.routes[other] = &route{written: true}, &route{}
	for _, c := range []struct {
		why  string
		part chunk.Part
		want bool
	}{
		{"the same connection", chunk.Part{Partition: p}, false},
		{"a new one", chunk.Part{Partition: p, Anew: true}, true},
		{"nothing of it is in the transaction", chunk.Part{Partition: other, Anew: true}, false},
		{"it is not copied any more", chunk.Part{Partition: chunk.Partition{Topic: "gone"}, Anew: true}, false},
	} {
		if got := a.interrupts(chunk.Chunk{Parts: []chunk.Part{c.part}}); got != c.want {
			t.Errorf("%s: %t", c.why, got)
		}
	}
}
