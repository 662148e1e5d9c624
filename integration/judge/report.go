package judge

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	maxDifferences = 5  // kept for each partition
	maxLines       = 40 // partitions or positions printed
)

// Report is the verdict over the records of some topics.
type Report struct {
	Partitions []Partition // by topic, then partition
	Took       time.Duration

	duplicates bool
}

// Partition is the verdict over one partition. All counts are records.
type Partition struct {
	Topic  string // the source's name
	Target string // the target's name
	Number int32

	Records     int64 // on both sides, equal and in order
	Missing     int64 // on the source only
	Tail        int64 // of those missing, the ones behind the last record that the target has
	Extra       int64 // on the target only
	Doubled     int64 // of the extra ones, at least so many are a record again that was there before
	Changed     int64 // at the same place with other content
	Reordered   int64 // on both sides, not in the same order
	Redelivered int64 // AllowDuplicates: delivered again, as permitted
	Stretches   int64 // how often a re-delivery began

	Problem     string       // why the partition could not be compared to its end; empty if it was
	Differences []Difference // the first few
}

// Difference is one finding. Source and Target are the offsets where the two
// logs stood; -1 means the end of that side.
type Difference struct {
	Kind           string
	Source, Target int64
	What           string
}

func (d Difference) String() string {
	text := fmt.Sprintf("%s: source %s, target %s", d.Kind, offsetText(d.Source), offsetText(d.Target))
	if d.What != "" {
		text += ": " + d.What
	}
	return text
}

func offsetText(offset int64) string {
	if offset < 0 {
		return "at its end"
	}
	return fmt.Sprintf("%d", offset)
}

// Equal says whether this partition holds the same on both sides.
func (p *Partition) Equal() bool {
	return p.Problem == "" && p.Missing == 0 && p.Extra == 0 && p.Changed == 0 && p.Reordered == 0
}

func (p *Partition) String() string {
	name := fmt.Sprintf("%s/%d", p.Topic, p.Number)
	if p.Target != p.Topic {
		name += fmt.Sprintf(" -> %s/%d", p.Target, p.Number)
	}
	text := name + ": " + counts(p)
	if p.Problem != "" {
		text += "\n    " + p.Problem
	}
	for _, d := range p.Differences {
		text += "\n    " + d.String()
	}
	return text
}

func counts(p *Partition) string {
	text := fmt.Sprintf("%d equal", p.Records)
	for _, c := range []struct {
		n    int64
		name string
	}{
		{p.Missing, "missing"}, {p.Tail, "of them at the tail"}, {p.Extra, "extra"}, {p.Doubled, "of them doubled"},
		{p.Changed, "changed"}, {p.Reordered, "reordered"}, {p.Redelivered, "redelivered"}, {p.Stretches, "stretches"},
	} {
		if c.n > 0 {
			text += fmt.Sprintf(", %d %s", c.n, c.name)
		}
	}
	return text
}

// Total adds up all partitions; its Problem is empty if no partition has one.
func (r *Report) Total() Partition {
	var total Partition
	for i := range r.Partitions {
		p := &r.Partitions[i]
		total.Records += p.Records
		total.Missing += p.Missing
		total.Tail += p.Tail
		total.Extra += p.Extra
		total.Doubled += p.Doubled
		total.Changed += p.Changed
		total.Reordered += p.Reordered
		total.Redelivered += p.Redelivered
		total.Stretches += p.Stretches
		if p.Problem != "" && total.Problem == "" {
			total.Problem = p.Problem
		}
	}
	return total
}

// Equal says whether all partitions are equal and there was at least one.
func (r *Report) Equal() bool {
	for i := range r.Partitions {
		if !r.Partitions[i].Equal() {
			return false
		}
	}
	return len(r.Partitions) > 0
}

// Err is nil if the report is equal, else the whole report.
func (r *Report) Err() error {
	if r.Equal() {
		return nil
	}
	return errors.New(r.String())
}

// String gives one line of totals, then one for each partition that differs.
func (r *Report) String() string {
	if len(r.Partitions) == 0 {
		return "DIFFERENT: no partition of these topics exists on the source"
	}
	verdict := "equal"
	if !r.Equal() {
		verdict = "DIFFERENT"
	}
	mode := "exactly once"
	if r.duplicates {
		mode = "duplicates allowed"
	}
	total := r.Total()
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): %d partitions, %s, %s",
		verdict, mode, len(r.Partitions), counts(&total), r.Took.Round(time.Millisecond))
	lines := 0
	for i := range r.Partitions {
		if r.Partitions[i].Equal() {
			continue
		}
		if lines++; lines > maxLines {
			b.WriteString("\n  ... and more partitions")
			break
		}
		b.WriteString("\n  " + r.Partitions[i].String())
	}
	return b.String()
}
