package shard

import (
	"testing"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// TestReached: a one-off copy has nothing to wait for once all that it was to copy here is read.
func TestReached(t *testing.T) {
	a, b := chunk.Partition{Topic: "a"}, chunk.Partition{Topic: "b"}
	elsewhere := chunk.Partition{Topic: "elsewhere"}
	for _, c := range []struct {
		why   string
		goals map[chunk.Partition]offsets.Source
		next  offsets.Source // of b; a is at 5
		want  bool
	}{
		{"no goal is known", nil, 9, false},
		{"one is behind", map[chunk.Partition]offsets.Source{a: 5, b: 9}, 8, false},
		{"all are there", map[chunk.Partition]offsets.Source{a: 5, b: 9, elsewhere: 7}, 9, true},
		{"one is new", map[chunk.Partition]offsets.Source{a: 5}, 2, true},
	} {
		assigned := &assignment{routes: map[chunk.Partition]*route{a: {next: 5}, b: {next: c.next}}}
		if got := assigned.reached(c.goals); got != c.want {
			t.Errorf("%s: %t", c.why, got)
		}
	}
}
