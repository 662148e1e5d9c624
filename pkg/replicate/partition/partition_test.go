package partition

import (
	"encoding/binary"
	"testing"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

var mine, another = chunk.TopicID{1}, chunk.TopicID{2}

// running is a partition that is copied up to offset 100 and lacks nothing, with changes.
func running(change ...func(*Facts)) Facts {
	f := Facts{
		Ledger: Ledger{Made: true, Started: true, Progress: 100, Epoch: 3, Topic: mine, End: 90},
		Source: Source{First: 10, End: 150, EpochEnd: 150, Begin: 150},
		Target: Target{Topic: mine, There: true, End: 90, Own: true},
	}
	for _, c := range change {
		c(&f)
	}
	return f
}

// fresh is a partition that the ledger does not know, with changes.
func fresh(change ...func(*Facts)) Facts {
	return running(append([]func(*Facts){func(f *Facts) {
		f.Ledger, f.Target.Own, f.Target.End = Ledger{}, false, UnknownOffset
	}}, change...)...)
}

// The changes.

func made(f *Facts)        { f.Ledger.Made = true }
func silent(f *Facts)      { f.Source.Silent = true }
func stopped(f *Facts)     { f.TopicStopped = true }
func quarantined(f *Facts) { f.Quarantined = true }
func doubted(f *Facts)     { f.Doubted = true }
func bound(f *Facts)       { f.Ledger.Topic = chunk.TopicID{} } // it has a position, and was copied nowhere
func cutAt60(f *Facts)     { f.Ledger.Cut, f.Ledger.CutAt = true, 60 }
func remade(f *Facts)      { f.Target.Topic, f.Target.Own, f.Target.End = another, false, UnknownOffset }
func own(f *Facts)         { f.Target.Own = true }
func away(f *Facts)        { f.Target.There = false }
func deleted(f *Facts)     { f.Target = Target{End: UnknownOffset} }
func hidden(f *Facts)      { f.Target = Target{Hidden: true, End: UnknownOffset} }
func retained(f *Facts)    { f.Source.First = 120 } // behind the progress
func sourceEnds(f *Facts)  { f.Source.End = 70 }
func epochEnds(f *Facts)   { f.Source.EpochEnd = 80 }
func noEpoch(f *Facts)     { f.Ledger.Epoch = chunk.UnknownEpoch }
func targetEnds(f *Facts)  { f.Target.End = 50 }
func noTargetEnd(f *Facts) { f.Target.End = UnknownOffset }
func sourceSame(f *Facts)  { f.SourceCompared = true }
func targetSame(f *Facts)  { f.TargetCompared = true }

func TestDecide(t *testing.T) {
	none, gap := chunk.Hole{}, chunk.Hole{From: 100, To: 120}
	for _, c := range []struct {
		why   string
		facts Facts
		want  Verdict
	}{
		{"the flow's first decision: where it is to start", fresh(), Verdict{Begin, 150, none, true}},
		{"what came later begins at its beginning", fresh(made), Verdict{Begin, 10, none, true}},
		{"the log begins behind the start", fresh(func(f *Facts) { f.Source.Begin = 5 }), Verdict{Begin, 10, none, true}},
		{"a former topic of the source has filled the target", fresh(made, own), Verdict{Begin, 10, none, false}},
		{"its partition is to be made", fresh(made, away), Verdict{Wait, 10, none, false}},
		{"its topic may not be copied", fresh(made, stopped), Verdict{Stop, 10, none, true}},
		{"nobody tells where it begins", fresh(silent), Verdict{Unknown, 150, none, true}},
		{"a position, refused before the first record", running(bound), Verdict{Begin, 100, none, false}},
		{"the same, and retention went on", running(bound, retained), Verdict{Begin, 120, gap, false}},

		{"all is well", running(), Verdict{Continue, 100, none, false}},
		{"retention has overtaken it", running(retained), Verdict{Continue, 120, gap, false}},
		{"the same, left out for now", running(retained, quarantined), Verdict{Stop, 120, gap, false}},
		{"the same, its reader met that", running(retained, doubted, targetSame), Verdict{Continue, 120, gap, false}},
		{"left out for now", running(quarantined), Verdict{Stop, 100, none, false}},
		{"the target's partition is away", running(away), Verdict{Wait, 100, none, false}},
		{"away, and left out", running(away, quarantined), Verdict{Stop, 100, none, false}},
		{"the target hides the topic: it is not gone", running(hidden), Verdict{Wait, 100, none, false}},

		{"the topic was deleted", running(deleted), Verdict{Wait, 10, none, false}},
		{"made again", running(remade), Verdict{Refill, 10, none, true}},
		{"made again, filled by this partition's former self", running(remade, own), Verdict{Refill, 10, none, false}},
		{"made again: no hole, it is copied anew", running(remade, retained), Verdict{Refill, 120, none, true}},
		{"made again: what the source lost is not asked for", running(remade, sourceEnds), Verdict{Refill, 10, none, true}},
		{"made again: a cut is void", running(remade, cutAt60), Verdict{Refill, 10, none, true}},
		{"made again, and left out", running(remade, quarantined), Verdict{Stop, 10, none, true}},

		{"a cut waits for an order", running(cutAt60), Verdict{Cut, 60, none, false}},
		{"also where it is left out", running(cutAt60, quarantined), Verdict{Cut, 60, none, false}},
		{"also where the target is away", running(cutAt60, away), Verdict{Cut, 60, none, false}},
		{"also where the topic is deleted", running(cutAt60, deleted), Verdict{Cut, 10, none, false}},
		{"but not where its topic is stopped", running(cutAt60, stopped), Verdict{Stop, 60, none, false}},
		{"nor while the source is silent", running(cutAt60, silent), Verdict{Unknown, 60, none, false}},

		{"the source ends too early", running(sourceEnds), Verdict{CompareSource, 100, none, false}},
		{"the epoch ends too early", running(epochEnds), Verdict{CompareSource, 100, none, false}},
		{"an epoch that is not known", running(epochEnds, noEpoch), Verdict{Continue, 100, none, false}},
		{"too early, and left out", running(sourceEnds, quarantined), Verdict{CompareSource, 100, none, false}},
		{"too early, and the target is away", running(sourceEnds, away), Verdict{Wait, 100, none, false}},
		{"too early, and compared", running(sourceEnds, sourceSame), Verdict{Continue, 100, none, false}},
		{"the target ends too early", running(targetEnds), Verdict{CompareTarget, 100, none, false}},
		{"and is compared", running(targetEnds, targetSame), Verdict{Continue, 100, none, false}},
		{"both do: the target first", running(targetEnds, sourceEnds), Verdict{CompareTarget, 100, none, false}},
		{"then the source", running(targetEnds, targetSame, sourceEnds), Verdict{CompareSource, 100, none, false}},
		{"the target does not tell", running(noTargetEnd), Verdict{Continue, 100, none, false}},
		{"a reader doubts", running(doubted), Verdict{CompareTarget, 100, none, false}},
		{"the target is well", running(doubted, targetSame), Verdict{CompareSource, 100, none, false}},
		{"so is the source", running(doubted, targetSame, sourceSame), Verdict{Continue, 100, none, false}},
	} {
		if got := Decide(c.facts); got != c.want {
			t.Errorf("%s: %+v, want %+v, of %+v", c.why, got, c.want, c.facts)
		}
	}
}

func TestHolds(t *testing.T) {
	for _, c := range []struct {
		why   string
		facts Facts
		want  offsets.Source
	}{
		{"all", running(), 100},
		{"up to the end", running(sourceEnds), 70},
		{"up to the end of the epoch", running(epochEnds), 80},
		{"up to the first of both", running(sourceEnds, epochEnds), 70},
		{"an epoch that is not known has no end", running(epochEnds, noEpoch), 100},
	} {
		if got := c.facts.Source.Holds(c.facts.Ledger); got != c.want {
			t.Errorf("%s: %d, want %d", c.why, got, c.want)
		}
	}
}

// slow decides a second time, one question after the other.
func slow(f Facts) (v Verdict) {
	known, l, t := f.Ledger.Started, f.Ledger, f.Target
	copied := known && l.Topic != chunk.TopicID{}
	atHome := copied && t.There && l.Topic == t.Topic // what is there is what was filled
	gone := copied && !t.Hidden && l.Topic != t.Topic // what was filled is not there any more
	cut := known && l.Cut && (atHome || !t.There)     // and copying would follow it there
	v.Foreign = t.There && !atHome && !t.Own          // nobody knows what is there
	overtaken := known && !gone && l.Progress < f.Source.First
	if overtaken {
		v.Hole = chunk.Hole{From: l.Progress, To: f.Source.First}
	}
	v.From = f.Source.First
	if known && !gone && l.Cut {
		v.From = l.CutAt
	} else if known && !gone && !overtaken {
		v.From = l.Progress
	} else if !known && !l.Made && f.Source.Begin > v.From {
		v.From = f.Source.Begin
	}
	targetLost := f.Doubted || t.End >= 0 && t.End < l.End
	sourceLost := f.Doubted || f.Source.End < l.Progress ||
		l.Epoch >= 0 && f.Source.EpochEnd >= 0 && f.Source.EpochEnd < l.Progress
	if f.Source.Silent {
		v.Action = Unknown
		return v
	}
	if f.TopicStopped {
		v.Action = Stop
		return v
	}
	if cut {
		v.Action = Cut
		return v
	}
	if atHome {
		if targetLost && !f.TargetCompared {
			v.Action = CompareTarget
			return v
		}
		if sourceLost && !f.SourceCompared && !overtaken {
			v.Action = CompareSource
			return v
		}
	}
	switch {
	case f.Quarantined:
		v.Action = Stop
	case !t.There:
		v.Action = Wait
	case atHome:
		v.Action = Continue
	case gone:
		v.Action = Refill
	default:
		v.Action = Begin
	}
	return v
}

// factsOf makes facts of bytes, as clusters could answer them.
func factsOf(data []byte) Facts {
	next := func(most int64) int64 {
		if len(data) < 2 {
			return 0
		}
		n := int64(binary.BigEndian.Uint16(data)) % (most + 1)
		data = data[2:]
		return n
	}
	yes := func() bool { return next(1) == 1 }
	topic := func() (id chunk.TopicID) { id[0] = byte(next(2)); return id }
	f := Facts{
		Source: Source{Silent: yes(), First: offsets.Source(next(9)), End: offsets.Source(next(9)),
			EpochEnd: offsets.Source(next(9) - 1), Begin: offsets.Source(next(9))},
		Target: Target{Hidden: yes(), End: offsets.Target(next(9) - 1), Own: yes()},
		Ledger: Ledger{Made: yes(), Started: yes()}, TopicStopped: yes(), Quarantined: yes(), Doubted: yes(),
		SourceCompared: yes(), TargetCompared: yes(),
	}
	if !f.Target.Hidden {
		f.Target.Topic = topic()
		f.Target.There = f.Target.Topic != (chunk.TopicID{}) && yes()
	}
	if f.Ledger.Started {
		f.Ledger.Progress, f.Ledger.Epoch = offsets.Source(next(9)), int32(next(2))-1
		if f.Ledger.Topic = topic(); f.Ledger.Topic != (chunk.TopicID{}) {
			f.Ledger.End, f.Ledger.Cut = offsets.Target(next(9)), yes()
			f.Ledger.CutAt = offsets.Source(next(int64(f.Ledger.Progress)))
		}
	}
	return f
}

func FuzzDecide(f *testing.F) {
	f.Add([]byte("a partition that is copied, and what the two clusters say of it now"))
	f.Fuzz(func(t *testing.T, data []byte) {
		facts := factsOf(data)
		got, want := Decide(facts), slow(facts)
		if got != want {
			t.Fatalf("%+v, want %+v, of %+v", got, want, facts)
		}
		if got.Action == Continue && got.Hole == (chunk.Hole{}) && got.From != facts.Ledger.Progress {
			t.Fatalf("something is left out without a word: %+v of %+v", got, facts)
		}
		if copies := got.Action >= Begin; copies && (facts.Source.Silent || facts.TopicStopped || facts.Quarantined) {
			t.Fatalf("it is copied although something is in its way: %+v of %+v", got, facts)
		}
		if got.Action != CompareSource && got.Action != CompareTarget {
			return
		}
		facts.SourceCompared = facts.SourceCompared || got.Action == CompareSource
		facts.TargetCompared = facts.TargetCompared || got.Action == CompareTarget
		if again := Decide(facts); again.Action == got.Action {
			t.Fatalf("asked and answered, and asked again: %+v of %+v", again, facts)
		}
	})
}
