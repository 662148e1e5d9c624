package translate

import (
	"context"
	"testing"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/ledger"
)

// Who commits what he is told waits while the target settles; who only looks does not.
func TestAheadOfTheEnds(t *testing.T) {
	t.Parallel()
	m := &offsets.Map{}
	if err := m.Append(offsets.Run{Source: 0, Target: 0, Count: 5}); err != nil {
		t.Fatal(err)
	}
	// A look at 5 would find somebody else's record.
	tr := Translator{tails: map[chunk.Partition]tail{{}: {from: 5, to: 6, end: 5}}}
	for _, c := range []struct {
		s      offsets.Source
		stable offsets.Target
		marked bool
		ahead  bool
		ready  bool
		want   offsets.Target
	}{
		{2, 6, true, false, true, 2},
		{2, 2, true, false, false, 0}, // the last stable offset has not passed the record yet
		{2, 2, true, true, true, 2},
		{5, 6, true, false, true, 6},  // one offset behind ours is our marker,
		{5, 6, false, false, true, 5}, // but not where they were written without a transaction
		{5, 5, true, false, true, 5},
		{5, 5, false, false, true, 5},
		{5, 3, true, false, false, 0},
		{5, 3, true, true, true, 5},
		{6, 6, true, true, false, 0}, // not copied yet
	} {
		state := &ledger.State{Header: ledger.Header{Progress: 5, MarkerFollows: c.marked}, Map: m}
		on := Standing{State: state, Stable: c.stable, Ahead: c.ahead,
			SourceLog: func(context.Context) (Log, error) { return Log{0, 6}, nil }}
		got, err := tr.Translate(t.Context(), on, c.s, groups.Place{})
		if err != nil || got.Ready != c.ready || c.ready && got.Exact != c.want || !c.ready && got.Why == "" {
			t.Errorf("translate %d with the end at %d, marked %v, ahead %v: %+v, %v, want %d, ready %v", c.s, c.stable,
				c.marked, c.ahead, got, err, c.want, c.ready)
		}
	}
}
