package status

import (
	"fmt"
	"slices"
	"time"

	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
)

// event is something that happened in a partition, and does not go away or takes its time.
type event struct {
	kind      kind
	partition int32
	topic     string // on the cluster where it happened
	offsets   int64
	times     int64
	counted   bool   // offsets are records, and exact
	alone     remark // that says all of this one
}

// kind is what events of a topic have in common.
type kind int

const (
	holes kind = iota
	leftBehind
	cuts
	strangers
	open
)

// events are those of one partition.
func events(one *inspect.PartitionStatus) (list []event) {
	add := func(k kind, topic string, offsets, times int64, fact, remedy string) {
		list = append(list, event{kind: k, partition: one.Partition, topic: topic, offsets: offsets, times: times,
			alone: remark{fact, remedy}})
	}
	if h := one.Holes; h != nil {
		add(holes, one.Topic, h.Offsets, h.Count, fmt.Sprintf("! %s/%d has %s: at most %d records were deleted on the "+
			"source before they were copied, the last at [%d,%d)", one.Topic, one.Partition, terminal.Count(int(h.Count),
			"hole"),
			h.Offsets, h.Last.From, h.Last.To), "")
	}
	for _, g := range one.GivenUp {
		add(leftBehind, one.Topic, g.Most(), 1, fmt.Sprintf("! %s/%d: %s: the target lacks them", one.Topic,
			one.Partition, g), "")
		list[len(list)-1].counted = g.Counted()
	}
	if c := one.Cuts; c != nil && !c.Open() {
		add(cuts, one.Topic, c.Offsets, c.Count, fmt.Sprintf("! %s/%d: %s, and copying went on at offset %d on %s", one.Topic,
			one.Partition, lostBy(c), *c.Resumed, c.Decided.Format(time.RFC3339)), "")
	}
	for _, f := range one.Foreign {
		add(strangers, one.TargetTopic, f.To-f.From, 1, fmt.Sprintf("! %s/%d holds records of somebody else on the target "+
			"at [%d,%d)", one.TargetTopic, one.Partition, f.From, f.To), findWriters)
	}
	if one.SourceOpen > 0 {
		add(open, one.Topic, one.SourceOpen, 1, fmt.Sprintf("  %s/%d: a transaction is open on the source; %d offsets "+
			"behind it wait for its end", one.Topic, one.Partition, one.SourceOpen), "")
	}
	return list
}

// lostBy says which side has lost how much.
func lostBy(c *inspect.CutStatus) string {
	side, last, where := "the "+c.Side, "the last", ""
	switch {
	case c.BothSides:
		side, last = "source and target together", "the last of the "+c.Side
	case c.Side == "source":
		where = "; " + whereLost(c.OnTarget)
	}
	return fmt.Sprintf("%s lost up to %d records after they were copied (%s, %s at [%d,%d))%s", side, c.Offsets,
		terminal.Count(int(c.Count), "cut"), last, c.At, c.Copied, where)
}

// whereLost says where records are that the source has lost.
func whereLost(onTarget bool) string {
	if onTarget {
		return "they are on the target alone"
	}
	return "the target topic that had them was made anew since"
}

const findWriters = "find out who writes there; groups stop before these records"

// histories tells of all partitions, which stand by topic: each event by itself, or a line for a topic and kind.
func histories(s *inspect.FlowStatus, each bool) (list []remark) {
	for i := 0; i < len(s.Partitions); {
		first := i
		var all [open + 1][]event
		for ; i < len(s.Partitions) && s.Partitions[i].Topic == s.Partitions[first].Topic; i++ {
			for _, e := range events(&s.Partitions[i]) {
				all[e.kind] = append(all[e.kind], e)
			}
		}
		for _, same := range all {
			if len(same) > 1 && !each {
				list = append(list, folded(same, s.Partitions[first].Topic))
				continue
			}
			for _, e := range same {
				list = append(list, e.alone)
			}
		}
	}
	return list
}

// folded tells of several events of one kind in a topic; name is what --topic knows it by.
func folded(same []event, name string) remark {
	topic, offsets, times := same[0].topic, int64(0), int64(0)
	numbers := map[int32]bool{}
	for _, e := range same {
		offsets, times = offsets+e.offsets, times+e.times
		numbers[e.partition] = true
	}
	in := terminal.Count(len(numbers), "partition")
	where := fmt.Sprintf("'replicator status --topic %s' shows each", name)
	switch same[0].kind {
	case holes:
		return remark{fmt.Sprintf("! %s has %s in %s: at most %d records were deleted on the source before they were "+
			"copied", topic, terminal.Count(int(times), "hole"), in, offsets), where}
	case leftBehind:
		upTo, by := "up to ", "'replicator resume' or 'replicator failback'"
		if !slices.ContainsFunc(same, func(e event) bool { return !e.counted }) {
			upTo, by = "", "'replicator failback'"
		}
		return remark{fmt.Sprintf("! %s: %s%d records in %s were given up, by %s: the target lacks them", topic, upTo,
			offsets, in, by), where}
	case cuts:
		return remark{fmt.Sprintf("! %s: up to %d records were lost after they were copied (%s in %s), and copying went "+
			"on", topic, offsets, terminal.Count(int(times), "cut"), in), where}
	case strangers:
		return remark{fmt.Sprintf("! %s holds up to %d records of somebody else on the target, %d stretches in %s", topic,
			offsets, times, in), findWriters + "; " + where}
	}
	return remark{fmt.Sprintf("  %s: transactions are open on the source in %s; %d offsets behind them wait for their end",
		topic, in, offsets), where}
}
