package translate

import (
	"context"
	"errors"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/scan"
)

// Back answers by both maps where on the source a reader goes on that has read the target below an offset, and nothing
// of the source: at the first record there that is not among those. log is where the source's log begins, and ends for
// committed readers; all: this flow carries all that the opposite one did not bring. Natives of the source that no map
// knows are looked for in source.
func (t *Translator) Back(ctx context.Context, on Standing, source *scan.Scanner, log Log, all bool,
	at offsets.Target) (found offsets.Source, rule offsets.Rule, err error) {
	if on.Opposite == nil {
		return 0, 0, errors.New("nobody carries records of the target back")
	}
	turned := Standing{Source: on.Target, Target: on.Source, Shard: on.Opposite.Shard, State: on.Opposite.State,
		Earliest: offsets.Target(log.Start), Stable: offsets.Target(log.End), Ahead: true,
		Opposite: &Opposite{State: on.State, Shard: on.Shard, All: all, Read: t.ledger.Segment}}
	if turned.State == nil {
		turned.State = &ledger.State{Map: &offsets.Map{}}
	}
	back := &Translator{ledger: segments(on.Opposite.Read), scan: source, looked: map[lookedAt]looked{}}
	a, err := back.firstUnread(ctx, turned, back.twoWay(ctx, &turned),
		offsets.Read{Source: offsets.Source(at), Target: turned.Earliest})
	if err == nil && !a.Ready {
		err = errors.New(a.Why)
	}
	return offsets.Source(a.Target), a.Rule, err
}

// segments are maps that are read so.
type segments func(ctx context.Context, shard int32, head offsets.Head) ([]offsets.Run, error)

// Segment implements maps.
func (s segments) Segment(ctx context.Context, shard int32, head offsets.Head) ([]offsets.Run, error) {
	return s(ctx, shard, head)
}
