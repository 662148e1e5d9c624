package translate

import (
	"context"
	"fmt"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/scan"
)

// tail is what lies between our last record and the target's end.
type tail struct {
	from, to offsets.Target
	end      offsets.Target // where a reader that has read all of ours goes on
}

// Translator answers where on the target a reader of a flow goes on. It belongs
// to one goroutine.
type Translator struct {
	ledger  maps
	scan    *scan.Scanner
	tails   map[chunk.Partition]tail // what was found behind the last own records
	counted map[deletedKey]deletedCount
	looked  map[lookedAt]looked // for natives that no map knows
}

// maps reads the sealed segments of a flow's maps.
type maps interface {
	Segment(ctx context.Context, shard int32, head offsets.Head) ([]offsets.Run, error)
}

// New makes a translator that reads the flow's maps with the first, and what stands behind them on the target with the
// second.
func New(maps *ledger.Reader, target *scan.Scanner) *Translator {
	return &Translator{ledger: maps, scan: target, tails: map[chunk.Partition]tail{},
		counted: map[deletedKey]deletedCount{}, looked: map[lookedAt]looked{}}
}

// Standing is what the translations of one partition go by. The ends are taken
// before the state, so that the map explains everything below them.
type Standing struct {
	Source           chunk.Partition // by its source topic
	Target           chunk.Partition // on the target
	Shard            int32           // of the ledger, that the partition belongs to
	State            *ledger.State   // progress and map, as the ledger has them
	Cut              *ledger.Cut     // of either side, behind which copying does not go on; nil: none
	CutFix           string          // what has it go on; "": an order waits, and is carried out by itself
	Earliest, Stable offsets.Target  // of the target's log
	// Noted is progress that is not committed yet, with nothing visible after the state's; 0: none.
	Noted offsets.Source
	// Ahead: the reader only looks on, and what it says is not committed. Then a map
	// that knows more than the ends is no reason to wait.
	Ahead bool
	// SourceLog tells where the log is on the source.
	SourceLog func(context.Context) (Log, error)
	// Opposite is the flow that carries back what began its way on the target; nil: there is none, and whatever this
	// flow did not write there is somebody else's.
	Opposite *Opposite
}

// Answer is where a reader goes on, with what led to it.
type Answer struct {
	groups.Answer
	Exact offsets.Target // the answer before records of somebody else stopped it short
	Run   offsets.Run    // what gave it; Count 0: none
}

// Translate answers for a reader that stands at s on the source, and so on the target. An error means that a map cannot
// tell.
func (t *Translator) Translate(ctx context.Context, on Standing, s offsets.Source,
	stands groups.Place) (Answer, error) {
	state, progress := on.State, max(on.State.Progress, on.Noted)
	if cut := on.Cut; cut != nil && s >= cut.At {
		why := fmt.Sprintf("the source's log was cut at offset %d, and what stands there now is not copied", cut.At)
		if cut.Target {
			why = fmt.Sprintf("the target's log was cut: it does not hold any more what was copied from source offset %d on",
				cut.At)
		}
		why += " before an order of 'replicator resume' is carried out"
		return Answer{Answer: groups.Answer{Why: why, Fix: on.CutFix}}, nil
	}
	found, err := state.Map.Translate(s, progress, func(head offsets.Head) ([]offsets.Run, error) {
		return t.ledger.Segment(ctx, on.Shard, head)
	})
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Answer: groups.Answer{Rule: found.Rule, Target: found.Target}, Run: found.Run}
	switch {
	case found.Rule == offsets.NotYet:
		a.Why = fmt.Sprintf("copied up to source offset %d", progress)
		if t.within(ctx, on, s, &a.Answer) {
			a.Reached, err = t.reached(ctx, on, progress, stands)
		}
		return a, err
	case on.Opposite != nil:
		return t.overBoth(ctx, on, s, stands, found)
	case found.Rule == offsets.AtEnd:
		own := state.Expected()
		if on.Stable < own && !on.Ahead {
			a.Why = "the target is still settling its last transaction"
			return a, nil
		}
		// The stable offset cannot pass our last record while its transaction is undecided: one more is our marker.
		mapped := found.Run.Count > 0 && own == found.Run.TargetEnd()
		if state.MarkerFollows && mapped && on.Stable == own+1 {
			a.Target = on.Stable
			break
		}
		if a.Target, err = t.tailEnd(ctx, on, own, max(on.Stable, own)); err != nil {
			a.Why = err.Error()
			return a, nil
		}
	case a.Target >= on.Stable && !on.Ahead:
		a.Why = "the target is still settling its last transaction"
		return a, nil
	}
	if a.Target < on.Earliest && found.Rule != offsets.AtEnd { // at the end it has read all
		if a.Deleted, a.DeletedOnBoth, err = t.deleted(ctx, on, a.Target); err != nil {
			a.Why = err.Error()
			return a, nil
		}
	}
	a.Target = max(a.Target, on.Earliest)
	a.Exact, a.Ready = a.Target, true
	position := offsets.Target(0)
	if stands.At != nil {
		position = *stands.At
	}
	if to, stretch, clamped := state.Map.Clamp(position, a.Target); clamped {
		a.Target, a.Foreign = max(to, on.Earliest), &stretch
	}
	return a, nil
}

// reached is where a reader stands that has read all that was copied, up to progress; nil: not known now.
func (t *Translator) reached(ctx context.Context, on Standing, progress offsets.Source,
	stands groups.Place) (*groups.Reached, error) {
	end, err := t.Translate(ctx, on, progress, stands)
	if err != nil || !end.Ready {
		return nil, err
	}
	return &groups.Reached{Source: progress, Target: end.Target, Passes: end.Passes}, nil
}

// tailEnd says where a reader goes on that has read all our records, which end
// at from, when the target is stable up to end: past our own markers and aborted
// records, never past a record that somebody else wrote.
func (t *Translator) tailEnd(ctx context.Context, on Standing, from, end offsets.Target) (offsets.Target, error) {
	if from == end {
		return end, nil
	}
	if known, ok := t.tails[on.Source]; ok && known.from == from && known.to == end {
		return known.end, nil
	}
	first, found, err := t.scan.First(ctx, on.Target.Topic, on.Target.Number, from, end, true)
	if err != nil {
		return 0, fmt.Errorf("read the end of the target: %w", err)
	}
	answer := end
	if found {
		answer = first
	}
	t.tails[on.Source] = tail{from, end, answer}
	return answer, nil
}
