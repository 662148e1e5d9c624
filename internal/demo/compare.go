package demo

import (
	"fmt"
	"slices"
	"strings"
)

// difference is what tells records that were given from those that should have been.
type difference struct {
	lost      int // should be there, are not
	repeated  int // are there once more than they should
	strange   int // should not be there at all, or are changed
	displaced int // come after one that they belong before
}

func (d difference) plus(e difference) difference {
	return difference{d.lost + e.lost, d.repeated + e.repeated, d.strange + e.strange, d.displaced + e.displaced}
}

// compare holds what was given against what should have been. A changed record
// is one lost and one strange.
func compare(want, got []record) difference {
	places := make(map[string][]int, len(want)) // where each content is due, ascending
	for i, r := range want {
		places[r.content] = append(places[r.content], i)
	}
	var d difference
	furthest := -1
	for _, r := range got {
		due, known := places[r.content]
		switch {
		case !known:
			d.strange++
		case len(due) == 0:
			d.repeated++
		default:
			if due[0] < furthest {
				d.displaced++
			}
			furthest = max(furthest, due[0])
			places[r.content] = due[1:]
		}
	}
	for _, due := range places {
		d.lost += len(due)
	}
	return d
}

// row is one partition, source and target side by side.
type row struct {
	partition partition
	records   [2]int
	ends      [2]int64
	positions [2]int64   // of the moving group; -1: none
	lags      [2]int64   // offsets from the position to the end
	toRead    [2]int     // records from the position to the end
	source    difference // of the source now from the source before the mirror
	content   difference // of the target from the source
	group     difference // of what the moving group read, on both sides together
}

// fine says that nothing tells the two sides apart but offsets.
func (r row) fine() bool {
	var none difference
	return r.source == none && r.content == none && r.group == none && r.toRead[0] == r.toRead[1] &&
		(r.positions[0] < 0) == (r.positions[1] < 0) && r.lags[1] >= 0
}

// verdict is what the comparison found.
type verdict struct {
	rows                   []row
	records                [2]int
	abortedThere           [2]int
	source, content, group difference
	parts                  [2]int   // records that the moving group read on the source, then on the target
	settledLags            [2]int64 // sum over the partitions that the settled group has read to the end
	settledLeft            int      // partitions in which its lag on the target is not exactly 0
}

// judge compares all that was read.
func (d *demo) judge() verdict {
	v := verdict{parts: [2]int{d.before.count(), d.after.count()}}
	for _, p := range partitionsOf(d.want) {
		r := row{partition: p}
		for i, now := range d.sight {
			r.records[i], r.ends[i] = len(now.records[p]), now.bounds[p].end
			r.positions[i], r.lags[i], r.toRead[i] = now.stands(mover, p)
			_, lag, left := now.stands(settled, p)
			v.settledLags[i] += lag
			if i == 1 && (lag != 0 || left != 0) {
				v.settledLeft++
			}
		}
		r.source = compare(d.want[p], d.sight[0].records[p])
		r.content = compare(d.want[p], d.sight[1].records[p])
		r.group = compare(d.want[p], slices.Concat(d.before[p], d.after[p]))
		v.rows = append(v.rows, r)
		v.source, v.content, v.group = v.source.plus(r.source), v.content.plus(r.content), v.group.plus(r.group)
	}
	for i := range d.sight {
		v.records[i] = d.sight[i].records.count()
		v.abortedThere[i] = d.raw[i] - v.records[i]
	}
	return v
}

// stands tells where a group stands in a partition (-1: nowhere, it would read
// from the log start), how many offsets are behind it, and how many records.
func (now sight) stands(group string, p partition) (position, lag int64, toRead int) {
	at := now.bounds[p].start
	position, ok := now.positions[group][p]
	if ok {
		at = position
	} else {
		position = -1
	}
	for _, r := range now.records[p] {
		if r.offset >= at {
			toRead++
		}
	}
	return position, now.bounds[p].end - at, toRead
}

// DifferenceError tells that source and target are not equal.
type DifferenceError struct {
	Found []string // one sentence each
}

func (e *DifferenceError) Error() string {
	return "source and target differ: " + strings.Join(e.Found, "; ")
}

// Remedy tells what to do.
func (e *DifferenceError) Remedy() string {
	return "this is a fault of replicator, not of your machine: run 'replicator demo --verbose' and report what it prints"
}

// err is nil if both sides are equal.
func (v verdict) err() error {
	var found []string
	if v.source != (difference{}) {
		found = append(found, "the source is not what it was: "+v.source.String())
	}
	if v.content != (difference{}) {
		found = append(found, "records: "+v.content.String())
	}
	if v.abortedThere[1] != 0 {
		found = append(found, fmt.Sprintf("%d aborted records are on the target", v.abortedThere[1]))
	}
	if v.group != (difference{}) {
		found = append(found, fmt.Sprintf("what group %s read: %s", mover, v.group.redelivered()))
	}
	for _, r := range v.rows {
		if r.content == (difference{}) && r.group == (difference{}) && !r.fine() {
			found = append(found, fmt.Sprintf("group %s stands at %d of %d in %s on the target, with %d records to read; "+
				"on the source it had %d", mover, r.positions[1], r.ends[1], r.partition, r.toRead[1], r.toRead[0]))
		}
	}
	if v.settledLeft > 0 {
		found = append(found, fmt.Sprintf("group %s had read everything, but has a lag in %d partitions of the target",
			settled, v.settledLeft))
	}
	if found == nil {
		return nil
	}
	return &DifferenceError{Found: found}
}

func (d difference) String() string {
	return fmt.Sprintf("%s lost, %s doubled, %s out of order, %s changed",
		grouped(d.lost), grouped(d.repeated), grouped(d.displaced), grouped(d.strange))
}

// redelivered says the same of what a group was given.
func (d difference) redelivered() string {
	return fmt.Sprintf("%s lost, %s redelivered, %s out of order, %s changed",
		grouped(d.lost), grouped(d.repeated), grouped(d.displaced), grouped(d.strange))
}
