package judge

import "fmt"

// nextRecords is how many records after a position must have the same content
// on both sides, beside standing at the same place.
const nextRecords = 5

// Verdict is what was found about one position of one group.
type Verdict string

const (
	Exact      Verdict = "exact"        // reads next what it would read next on the source
	Missing    Verdict = "missing"      // no position on the target
	Behind     Verdict = "behind"       // would read records again
	Ahead      Verdict = "ahead"        // would never read some records
	OutOfRange Verdict = "out of range" // outside the target's log: a reset, or a negative lag
	Lagging    Verdict = "lagging"      // caught up on the source, but not at the target's end
	Unequal    Verdict = "unequal"      // the records up to there differ, so no position could be right
)

// Finding is the verdict over one position. Source and Target are the committed
// offsets; Target is -1 if there is none.
type Finding struct {
	Group, Topic   string
	Partition      int32
	Source, Target int64
	Verdict        Verdict
	Records        int64 // to be read again, or lost
	What           string
}

func (f Finding) String() string {
	text := fmt.Sprintf("%s %s/%d: %s: source %d, target %d", f.Group, f.Topic, f.Partition, f.Verdict, f.Source, f.Target)
	if f.What != "" {
		text += ": " + f.What
	}
	return text
}

// judge decides about one position.
func (g *groupJudge) judge(s spot, pair *pairing, source, target int64) Finding {
	f := Finding{Group: s.group, Topic: s.topic, Partition: s.number, Source: source, Target: target}
	if pair.target == nil {
		f.Verdict, f.What = Unequal, "the target has no such partition"
		return f
	}
	if target < 0 {
		f.Verdict = Missing
		return f
	}
	log := pair.target.cursor
	if target < log.extent.start || target > log.end {
		f.Verdict = OutOfRange
		f.What = fmt.Sprintf("the target's log is [%d,%d)", log.extent.start, log.end)
		return f
	}
	i, j := pair.source.rank(source), pair.target.rank(target)
	want, ok := pair.place(i, g.all.options.duplicates)
	switch {
	case !ok:
		f.Verdict = Unequal
		f.What = fmt.Sprintf("equal are only the first %d records, before it are %d", pair.common, i)
	case j < want:
		f.Verdict, f.Records = Behind, int64(want-j)
		f.What = fmt.Sprintf("reads %d records again", f.Records)
	case j > want:
		f.Verdict, f.Records = Ahead, pair.lost(i, j, g.all.options.duplicates)
		f.What = fmt.Sprintf("loses %d records", f.Records)
	default:
		f.Verdict, f.What = pair.atPlace(i, j, target, g.all.options.duplicates)
	}
	return f
}

// atPlace checks a position that stands at the right place for the two things
// that the place alone does not show: what is read next, and the lag. Where
// duplicates are allowed, a re-delivery may come between the next records, and
// the place itself already says that they follow.
func (p *pairing) atPlace(i, j int, target int64, duplicates bool) (Verdict, string) {
	for k := 0; !duplicates && k < nextRecords && i+k < p.source.len(); k++ {
		if j+k >= p.target.len() {
			return Unequal, fmt.Sprintf("record %d after it is not on the target", k)
		}
		if p.source.sums[i+k] != p.target.sums[j+k] {
			return Unequal, fmt.Sprintf("record %d after it is another one (target offset %d)", k, p.target.offsets[j+k])
		}
	}
	caughtUp := i == p.source.len() && j == p.target.len()
	if end := p.target.cursor.end; caughtUp && target != end {
		return Lagging, fmt.Sprintf("caught up on the source, lag %d to the target's end %d", end-target, end)
	}
	return Exact, ""
}

// lost counts the source records from place i on that a reader at the target's
// place j does not find.
func (p *pairing) lost(i, j int, duplicates bool) int64 {
	if !duplicates {
		return int64(j - i)
	}
	n := int64(0)
	for ; i < p.source.len() && p.last[i] < j; i++ {
		n++
	}
	return n
}
