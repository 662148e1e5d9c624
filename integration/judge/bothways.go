package judge

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Reads are records of one partition that an application has read: all visible ones in [From,To) of a side's log.
type Reads struct {
	OnTarget  bool
	Topic     string // as on the source
	Partition int32
	From, To  int64
}

// BothWays looks at two logs of each partition that hold the same records, each in an order of its own, and at an
// application that has read parts of both. Of its group's positions on either side it says whether they lose a record
// that it has not read anywhere, and what they have it read again. Every record must be another one by its content.
func BothWays(ctx context.Context, sides Sides, group string, topics []string, reads []Reads) (*BothReport, error) {
	source, target, err := sides.open()
	if err != nil {
		return nil, err
	}
	defer source.close()
	defer target.close()
	report := &BothReport{Group: group}
	at := map[*side]map[spot]int64{} // positions come before the logs, so that none lies behind an end that merely moved
	names := map[*side]string{source: group, target: sides.targetGroup(group)}
	for s, name := range names {
		if at[s], err = committed(ctx, s, []string{name}); err != nil {
			return nil, err
		}
	}
	logs := map[bool]map[partition]*index{}
	for _, s := range []*side{source, target} {
		if logs[s == target], err = readLogs(ctx, s, topics, sides, s == target); err != nil {
			return nil, err
		}
	}
	been, err := beenRead(logs, reads)
	if err != nil {
		return nil, err
	}
	for onTarget, all := range logs {
		s := source
		if onTarget {
			s = target
		}
		for p, log := range all {
			here := partition{p.topic, p.number}
			if onTarget {
				here.topic = sides.targetName(p.topic)
			}
			position, committed := at[s][spot{names[s], here}]
			if !committed {
				position = -1
			}
			report.Findings = append(report.Findings, log.both(p, onTarget, position, been[p]))
		}
	}
	slices.SortFunc(report.Findings, func(a, b BothFinding) int {
		side := func(f BothFinding) int { return map[bool]int{true: 1}[f.OnTarget] }
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(side(a), side(b)))
	})
	return report, nil
}

// readLogs reads all visible records of the topics on one side, by the partitions' names on the source.
func readLogs(ctx context.Context, s *side, topics []string, sides Sides, onTarget bool) (map[partition]*index, error) {
	logs := map[partition]*index{}
	for _, topic := range topics {
		name := topic
		if onTarget {
			name = sides.targetName(topic)
		}
		found, err := s.extents(ctx, []string{name})
		if err != nil {
			return nil, err
		}
		for p, e := range found {
			x := &index{cursor: newCursor(s, p, e, 0)}
			if err := x.cursor.extend(e); err != nil {
				return nil, err
			}
			if err := x.grow(ctx); err != nil {
				return nil, err
			}
			if at, twice := x.twice(); twice {
				return nil, fmt.Errorf("%s on the %s holds a record twice, at offset %d: what was read cannot be told", p,
					s.name, at)
			}
			logs[partition{topic, p.number}] = x
		}
	}
	return logs, nil
}

// twice finds a record whose content was there before.
func (x *index) twice() (offset int64, found bool) {
	seen := map[uint64]bool{}
	for i, sum := range x.sums {
		if seen[sum] {
			return x.offsets[i], true
		}
		seen[sum] = true
	}
	return 0, false
}

// beenRead are the records that were read, by content.
func beenRead(logs map[bool]map[partition]*index, reads []Reads) (map[partition]map[uint64]bool, error) {
	been := map[partition]map[uint64]bool{}
	for _, r := range reads {
		p := partition{r.Topic, r.Partition}
		log := logs[r.OnTarget][p]
		if log == nil {
			return nil, fmt.Errorf("%s was read, and is not there", p)
		}
		if been[p] == nil {
			been[p] = map[uint64]bool{}
		}
		for i := log.rank(r.From); i < log.rank(r.To); i++ {
			been[p][log.sums[i]] = true
		}
	}
	return been, nil
}

// both holds a position against the log and what was read.
func (x *index) both(p partition, onTarget bool, position int64, been map[uint64]bool) BothFinding {
	f := BothFinding{Topic: p.topic, Partition: p.number, OnTarget: onTarget, Position: position, Records: int64(x.len())}
	best := x.len()
	for i, sum := range x.sums {
		if !been[sum] {
			best = i
			break
		}
	}
	f.Best = x.cursor.end
	if best < x.len() {
		f.Best = x.offsets[best]
	}
	for _, sum := range x.sums[best:] {
		if been[sum] {
			f.Again++
		}
	}
	place := x.rank(max(position, 0))
	for _, sum := range x.sums[min(best, place):place] {
		if !been[sum] {
			f.Lost++
		}
	}
	f.Needless = int64(max(best-place, 0))
	return f
}

// BothFinding is the verdict over the position on one side of one partition.
type BothFinding struct {
	Topic     string
	Partition int32
	OnTarget  bool
	Position  int64 // -1: nothing is committed
	Best      int64 // the first record that was not read, or the end: whoever stands there loses nothing
	Again     int64 // records behind Best that were read: they are read again from there
	Lost      int64 // records before Position that were not read
	Records   int64 // that the log holds
	Needless  int64 // records between Position and Best: they are read again, and need not be
}

func (f BothFinding) String() string {
	side := "source"
	if f.OnTarget {
		side = "target"
	}
	return fmt.Sprintf("%s/%d on the %s: at %d, the best is %d: %d lost, %d needless, %d again", f.Topic, f.Partition,
		side, f.Position, f.Best, f.Lost, f.Needless, f.Again)
}

// BothReport is the verdict over a group's positions on both sides.
type BothReport struct {
	Group    string
	Findings []BothFinding // by topic, partition and side
}

// Lost sums up the records that the group would never read.
func (r *BothReport) Lost() (n int64) {
	for _, f := range r.Findings {
		n += f.Lost
	}
	return n
}

// Hold says whether either side holds so many records.
func (r *BothReport) Hold(records int64) bool {
	sums := map[bool]int64{}
	for _, f := range r.Findings {
		sums[f.OnTarget] += f.Records
	}
	return sums[false] == records && sums[true] == records
}

// OnSide sums up what the group would read again that goes on at a side; best says that it stands there at the best
// position of each partition.
func (r *BothReport) OnSide(target bool) (again int64, best bool) {
	best = len(r.Findings) > 0
	for _, f := range r.Findings {
		if f.OnTarget == target {
			again += f.Again + f.Needless
			best = best && f.Position >= 0 && f.Needless == 0 && f.Lost == 0
		}
	}
	return again, best
}

// String has a line for each position.
func (r *BothReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "group %s, %d records lost", r.Group, r.Lost())
	for _, f := range r.Findings {
		b.WriteString("\n  " + f.String())
	}
	return b.String()
}
