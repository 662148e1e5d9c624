package translate

import (
	"context"
	"fmt"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/ledger"
)

// Opposite is what a flow in the opposite direction says of a partition. It was read after the reader's position on the
// source: so it tells of what stands below that. One that is older only knows less, and less is taken for read.
type Opposite struct {
	State *ledger.State // nil: it has not begun with it
	Shard int32         // of its ledger
	// All: it carries all that this flow did not write on the target, and not only what no flow wrote there.
	All  bool
	Read func(ctx context.Context, shard int32, head offsets.Head) ([]offsets.Run, error) // a sealed segment
}

// twoWay are the maps of a partition.
func (t *Translator) twoWay(ctx context.Context, on *Standing) *offsets.TwoWay {
	w := &offsets.TwoWay{Out: on.State.Map, Back: &offsets.Map{},
		LoadOut: func(head offsets.Head) ([]offsets.Run, error) { return t.ledger.Segment(ctx, on.Shard, head) },
		LoadBack: func(head offsets.Head) ([]offsets.Run, error) {
			return on.Opposite.Read(ctx, on.Opposite.Shard, head)
		},
	}
	if state := on.Opposite.State; state != nil && state.Start != ledger.NotStarted {
		w.Back = state.Map
		w.BackStart, w.BackProgress = offsets.Target(state.Start), offsets.Target(state.Progress)
	}
	if !on.Opposite.All {
		w.BackStart = on.Stable
	}
	return w
}

// overBoth answers by both maps. Everything before the answer was read on one of the sides, so that it may be short of
// what the maps know, where the target still settles, and is right all the same.
func (t *Translator) overBoth(ctx context.Context, on Standing, s offsets.Source, stands groups.Place,
	copied offsets.TargetAnswer) (a Answer, err error) {
	w, read := t.twoWay(ctx, &on), offsets.Read{Source: s, Target: on.Earliest}
	here := on.Earliest // what is before it was read on the target
	if stands.Read && stands.At != nil {
		here = *stands.At
		read.Target = max(here, read.Target)
	}
	if a, err = t.firstUnread(ctx, on, w, read); err != nil || !a.Ready {
		return a, err
	}
	if err := t.deletedOfBoth(ctx, on, w, s, stands, copied, &a.Answer); err != nil {
		return Answer{Answer: groups.Answer{Why: err.Error()}}, nil
	}
	if stands.Read && a.Target > here {
		a.Passes, err = w.Between(here, a.Target)
	}
	return a, err
}

// firstUnread finds the first record of the target that was read on neither side.
func (t *Translator) firstUnread(ctx context.Context, on Standing, w *offsets.TwoWay, read offsets.Read) (a Answer,
	err error) {
	found, err := w.Unread(read)
	if err != nil {
		return Answer{}, err
	}
	a = Answer{Answer: groups.Answer{Rule: found.Rule, Target: found.Target, Ready: true}, Run: found.Run}
	if !found.Found {
		a.Rule, a.Target = offsets.AtEnd, max(on.Stable, read.Target)
	}
	for i, stretch := range found.Look {
		if stretch.To = min(stretch.To, a.Target); !on.Ahead {
			stretch.To = min(stretch.To, on.Stable)
		}
		at, native, err := t.look(ctx, &on, w, i == len(found.Look)-1, stretch)
		if err != nil {
			return Answer{Answer: groups.Answer{Why: fmt.Sprintf("read the target: %v", err)}}, nil
		}
		if native {
			a.Target, a.Rule, a.Run = at, offsets.FirstUnread, offsets.Run{}
			break
		}
	}
	if a.Target > on.Stable && !on.Ahead {
		a.Target = max(on.Stable, read.Target)
	}
	a.Exact = a.Target
	return a, nil
}

// deletedOfBoth counts what the reader has not read and the target has deleted, of copies and of natives.
func (t *Translator) deletedOfBoth(ctx context.Context, on Standing, w *offsets.TwoWay, s offsets.Source,
	stands groups.Place, copied offsets.TargetAnswer, a *groups.Answer) (err error) {
	from := offsets.Target(0) // what is before it was read on the target
	if stands.Read && stands.At != nil {
		from = *stands.At
	}
	if from >= on.Earliest {
		return nil
	}
	if unread := max(copied.Target, from); copied.Rule != offsets.AtEnd && unread < on.Earliest {
		if a.Deleted, a.DeletedOnBoth, err = t.deleted(ctx, on, unread); err != nil {
			return err
		}
	}
	only, both, err := w.Missed(s, 0, from, on.Earliest)
	if err != nil || only+both == 0 {
		return err
	}
	log, err := on.SourceLog(ctx)
	if err != nil {
		return fmt.Errorf("find what the source still holds: %w", err)
	}
	only, both, err = w.Missed(s, log.Start, from, on.Earliest)
	a.Deleted, a.DeletedOnBoth = a.Deleted+only, a.DeletedOnBoth+both
	return err
}

// Again counts the records at or after an offset of the target that a reader has read on the source who stands at s
// there: if it went on at the target, it would read them again. 0 without an opposite flow: both sides have one order.
func (t *Translator) Again(ctx context.Context, on Standing, s offsets.Source, at offsets.Target) (int64, error) {
	if on.Opposite == nil {
		return 0, nil
	}
	return t.twoWay(ctx, &on).Again(s, at)
}

// lookedAt is where natives are looked for that no map knows: behind what the opposite flow has carried, or elsewhere.
type lookedAt struct {
	topic  chunk.TopicID
	number int32
	behind bool
}

// looked is what was found: nothing in [from,to), and at to the first native, where there is one.
type looked struct {
	from, to offsets.Target
	native   bool
}

// look finds the first record in a stretch of the target that no map knows. What was read once is not read again.
func (t *Translator) look(ctx context.Context, on *Standing, w *offsets.TwoWay, behind bool,
	in offsets.Stretch) (at offsets.Target, native bool, err error) {
	if in.From >= in.To {
		return 0, false, nil
	}
	key := lookedAt{on.State.TargetTopic, on.Target.Number, behind}
	from := in.From
	if before, ok := t.looked[key]; ok && before.from <= in.From && in.From <= before.to && before.to <= on.Stable {
		known := !before.native
		if before.native {
			if known, err = w.Known(before.to); err != nil {
				return 0, false, err
			}
		}
		if !known || before.to >= in.To {
			return before.to, !known && before.to < in.To, nil
		}
		from, in.From = before.to, before.from
	}
	var failed error
	end, native, err := t.scan.FirstOf(ctx, on.Target.Topic, on.Target.Number, from, in.To, func(at offsets.Target) bool {
		var one bool
		one, failed = w.Known(at)
		return !one || failed != nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return 0, false, err
	}
	t.looked[key] = looked{in.From, end, native}
	return end, native && end < in.To, nil
}
