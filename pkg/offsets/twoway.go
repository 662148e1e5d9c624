package offsets

import (
	"fmt"
	"math"
)

// TwoWay holds the maps of a partition whose records flows copy in both directions: each record stands in both logs,
// in two orders. A record of the target that this flow wrote is a copy, every other one is native there.
type TwoWay struct {
	Out *Map // this flow's, from source to target
	// Back is the opposite flow's: what it calls source is our target. It carries the natives of the target from
	// BackStart on, and has come to BackProgress; where it leaves out some of them as well, both are the target's end.
	Back                    *Map
	BackStart, BackProgress Target
	LoadOut, LoadBack       Load
}

// Read is what a reader has read: all records of the source's log before Source, and all of the target's before Target.
type Read struct {
	Source Source
	Target Target
}

// Unread is where a reader goes on at the target: at the first record that it has not read on either side.
type Unread struct {
	Target Target // that record, as far as the maps tell; without meaning unless Found
	Found  bool
	Native bool // the record began its way on the target
	Rule   Rule // how the place of the reader on the source led to it; AtEnd where nothing is found
	Run    Run  // of Out: what gave the answer, or the last run where nothing is found; Count 0: none, or Native
	// Look are the stretches, ascending, in which natives may stand that the opposite flow has not carried, so that no map
	// knows them: the first record there that is not [TwoWay.Known] comes before Target. The last one ends at Target, or
	// never where nothing is found.
	Look []Stretch
}

// Unread finds the first record of the target, at or after read.Target, that the reader has not read.
func (w *TwoWay) Unread(read Read) (u Unread, err error) {
	if u, err = w.unreadCopy(read); err != nil {
		return u, fmt.Errorf("find the first unread copy: %w", err)
	}
	native, found, err := w.unreadNative(read)
	if err != nil {
		return u, fmt.Errorf("find the first unread native record: %w", err)
	}
	if found && (!u.Found || native < u.Target) {
		u.Target, u.Found, u.Native, u.Rule, u.Run = native, true, true, FirstUnread, Run{}
	}
	end := Target(math.MaxInt64)
	if u.Found {
		end = u.Target
	}
	before := Stretch{read.Target, min(w.BackStart, end)}
	after := Stretch{max(read.Target, w.BackStart, w.BackProgress), end}
	for _, s := range []Stretch{before, after} {
		if s.From < s.To {
			u.Look = append(u.Look, s)
		}
	}
	return u, nil
}

// unreadCopy finds the first copy that was not read. Runs ascend on both sides: it is the first one at or after both.
func (w *TwoWay) unreadCopy(read Read) (u Unread, err error) {
	rule, run, err := w.Out.find(sourceSide, int64(read.Source), w.LoadOut)
	if err != nil {
		return u, err
	}
	u = Unread{Rule: rule, Run: run}
	if rule == AtEnd {
		return u, nil
	}
	u.Target, u.Found = run.Target, true
	if rule == InRun {
		u.Target += Target(read.Source - run.Source)
	}
	if u.Target >= read.Target {
		return u, nil
	}
	rule, run, err = w.Out.find(targetSide, int64(read.Target), w.LoadOut)
	switch {
	case err != nil:
		return u, err
	case rule == AtEnd:
		return Unread{Rule: AtEnd, Run: run}, nil
	}
	u.Target, u.Rule, u.Run = max(read.Target, run.Target), FirstUnread, run // BeforeFirst cannot be: a copy was before
	return u, nil
}

// unreadNative finds the first native record that the opposite flow has carried, and that was not read.
func (w *TwoWay) unreadNative(read Read) (at Target, found bool, err error) {
	begin := func(on side, from int64) (Target, bool, error) {
		rule, run, err := w.Back.find(on, from, w.LoadBack)
		if err != nil || rule == AtEnd {
			return 0, false, err
		}
		if first, _ := on(run); rule == InRun {
			return Target(int64(run.Source) + from - first), true, nil
		}
		return Target(run.Source), true, nil
	}
	here, found, err := begin(sourceSide, int64(read.Target))
	if !found {
		return 0, false, err
	}
	there, found, err := begin(targetSide, int64(read.Source))
	return max(here, there), found, err
}

// Known says whether one of the maps knows the record at an offset of the target.
func (w *TwoWay) Known(at Target) (bool, error) {
	rule, _, err := w.Out.find(targetSide, int64(at), w.LoadOut)
	if rule == InRun || err != nil {
		return rule == InRun, err
	}
	rule, _, err = w.Back.find(sourceSide, int64(at), w.LoadBack)
	return rule == InRun, err
}

// Between counts the records that the maps know in [from,to) of the target, copies and natives.
func (w *TwoWay) Between(from, to Target) (records int64, err error) {
	if records, err = w.Out.Count(from, to, w.LoadOut); err != nil {
		return 0, err
	}
	natives, err := count(w.Back, sourceSide, int64(from), int64(to), w.LoadBack)
	return records + natives, err
}

// Again counts the records at or after an offset of the target that were read on the source, by a reader that has read
// all before source offset read there: it would read them again.
func (w *TwoWay) Again(read Source, at Target) (records int64, err error) {
	ruleOut, out, err := w.Out.find(sourceSide, int64(read), w.LoadOut)
	if err != nil {
		return 0, err
	}
	edge := out.Target
	switch ruleOut {
	case InRun:
		edge += Target(read - out.Source)
	case AtEnd:
		edge = out.TargetEnd()
	}
	if records, err = w.Out.Count(at, edge, w.LoadOut); err != nil {
		return 0, err
	}
	ruleBack, back, err := w.Back.find(sourceSide, int64(at), w.LoadBack)
	if err != nil || ruleBack == AtEnd {
		return records, err
	}
	first := int64(back.Target) // of the natives from there on, on the source
	if ruleBack == InRun {
		first += int64(at) - int64(back.Source)
	}
	natives, err := count(w.Back, targetSide, first, int64(read), w.LoadBack)
	return records + natives, err
}

// Missed counts the natives in [from,to) of the target that the opposite flow has carried to the source, at or after
// offset read there: a reader that has read all before it and does not find them on the target any more has them on the
// source only. Those before gone are not there either: both.
func (w *TwoWay) Missed(read, gone Source, from, to Target) (only, both int64, err error) {
	place := func(at Target) (int64, error) { // on the source, of the first native from there on
		rule, run, err := w.Back.find(sourceSide, int64(at), w.LoadBack)
		switch {
		case err != nil:
			return 0, err
		case rule == InRun:
			return int64(run.Target) + int64(at) - int64(run.Source), nil
		case rule == AtEnd:
			return int64(run.TargetEnd()), nil
		}
		return int64(run.Target), nil
	}
	first, err := place(from)
	if err != nil {
		return 0, 0, err
	}
	last, err := place(to)
	if err != nil {
		return 0, 0, err
	}
	first = max(first, int64(read))
	border := min(max(int64(gone), first), max(last, first))
	if both, err = count(w.Back, targetSide, first, border, w.LoadBack); err != nil {
		return 0, 0, err
	}
	only, err = count(w.Back, targetSide, border, last, w.LoadBack)
	return only, both, err
}
