package shard

import (
	"testing"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/seen"
)

// A note of its own costs a transaction: a shard that has nothing to say opens next to none.
func TestWhenANoteIsWorthATransaction(t *testing.T) {
	const every = 5 * time.Second
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	after := func(d time.Duration, ends map[chunk.Partition]seen.End) *seen.Note {
		n := seen.Make(noon.Add(d), ends)
		return &n
	}
	behind := map[chunk.Partition]seen.End{{Topic: "orders"}: {High: 9, Stable: 9, Seen: noon}}
	last := after(0, nil)
	for _, c := range []struct {
		why  string
		now  *seen.Note
		at   time.Duration // when it is asked
		want bool
	}{
		{"nothing was seen yet", &seen.Note{}, time.Hour, false},
		{"nothing was seen since", after(0, nil), time.Hour, false},
		{"all is as before", after(59*every, nil), 59 * every, false},
		{"it was as before for long", after(60*every, nil), 60 * every, true},
		{"something is behind, but just noted", after(every, behind), every, false},
		{"something is behind", after(2*every, behind), 2 * every, true},
		{"the source is silent since a moment ago", after(every, nil), 2 * every, false},
		{"the source is silent", after(every, nil), 3 * every, true},
	} {
		if got := dueAlone(last, c.now, noon.Add(c.at), every); got != c.want {
			t.Errorf("%s: due %v, want %v", c.why, got, c.want)
		}
	}
	if !dueAlone(&seen.Note{}, last, noon, every) {
		t.Error("the first note of a shard is not due")
	}
}
