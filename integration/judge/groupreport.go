package judge

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// GroupReport is the verdict over all positions that the source holds.
type GroupReport struct {
	Positions int             // committed on the source in the topics asked for
	Counts    map[Verdict]int // every position once

	Redelivered int64 // records that would be read again, over all positions that are behind
	Lost        int64 // records that would never be read, over all positions that are ahead

	Findings []Finding // all positions that are not exact, by group, topic and partition
	Took     time.Duration

	duplicates bool
}

func (r *GroupReport) add(f Finding) {
	if r.Counts == nil {
		r.Counts = map[Verdict]int{}
	}
	r.Positions++
	r.Counts[f.Verdict]++
	switch f.Verdict {
	case Exact:
		return
	case Behind:
		r.Redelivered += f.Records
	case Ahead:
		r.Lost += f.Records
	}
	r.Findings = append(r.Findings, f)
}

// OK says whether every position is exact and there was at least one. With
// AllowDuplicates a position may also be behind.
func (r *GroupReport) OK() bool {
	right := r.Counts[Exact]
	if r.duplicates {
		right += r.Counts[Behind]
	}
	return r.Positions > 0 && right == r.Positions
}

// Err is nil if all positions are right, else the whole report.
func (r *GroupReport) Err() error {
	if r.OK() {
		return nil
	}
	return errors.New(r.String())
}

// String gives one line of totals, then one for each position that is not exact.
func (r *GroupReport) String() string {
	if r.Positions == 0 {
		return "WRONG: the groups have no position in these topics on the source"
	}
	verdict := "right"
	if !r.OK() {
		verdict = "WRONG"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d positions", verdict, r.Positions)
	for _, v := range []Verdict{Exact, Missing, Behind, Ahead, OutOfRange, Lagging, Unequal} {
		if n := r.Counts[v]; n > 0 || v == Exact {
			fmt.Fprintf(&b, ", %d %s", n, v)
		}
	}
	fmt.Fprintf(&b, "; %d records lost, %d redelivered; %s", r.Lost, r.Redelivered, r.Took.Round(time.Millisecond))
	for i, f := range r.Findings {
		if i == maxLines {
			fmt.Fprintf(&b, "\n  ... and %d more", len(r.Findings)-i)
			break
		}
		b.WriteString("\n  " + f.String())
	}
	return b.String()
}
