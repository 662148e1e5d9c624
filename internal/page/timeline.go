package page

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/handover"
)

// timeline is what both clusters keep of what happened in flows, the oldest first.
func timeline(seen []*inspect.FlowStatus) []Event {
	list := []Event{}
	for _, s := range seen {
		add := func(at *time.Time, kind, where, what string) {
			if at != nil && !at.IsZero() {
				list = append(list, Event{*at, s.Flow, kind, where, what})
			}
		}
		for i := range s.Partitions {
			ofPartition(&s.Partitions[i], add)
		}
		if c := s.Cutover; c != nil {
			ofCutover(c, add)
		}
		if f := s.Failover; f != nil {
			ofFailover(f, add)
		}
		add(s.RolledBack, "rollback", "", "the rollback by this flow was done")
	}
	slices.SortStableFunc(list, func(a, b Event) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Where, b.Where))
	})
	return list
}

func ofPartition(one *inspect.PartitionStatus, add func(at *time.Time, kind, where, what string)) {
	where := fmt.Sprintf("%s/%d", one.Topic, one.Partition)
	add(one.StoppedSince, "stop", where, "stopped: "+one.Reason)
	if c := one.Cuts; c != nil {
		add(c.Seen, "cut", where, fmt.Sprintf("the log of the %s was cut at offset %d of %d that were copied", c.Side, c.At,
			c.Copied))
		if c.Resumed != nil {
			add(c.Decided, "order", where, fmt.Sprintf("it was ordered to go on at offset %d", *c.Resumed))
		}
	}
	for _, g := range one.GivenUp {
		add(&g.Ordered, "given_up", where, g.String())
	}
}

func ofCutover(c *inspect.CutoverStatus, add func(at *time.Time, kind, where, what string)) {
	kind, what := "cutover", "cutover "+c.ID
	if c.TakesBack != "" {
		kind, what = "rollback", "rollback of cutover "+c.TakesBack
	}
	add(&c.Begun, kind, "", what+" was begun")
	for _, g := range c.Groups {
		add(g.Ended, kind, "", "group "+g.Group+" was moved by "+what)
	}
	add(c.Ended, kind, "", what+" was done")
	for _, given := range c.GivenUp {
		add(cmp.Or(c.Ended, &c.Begun), "given_up", "", "given up by "+what+": "+given)
	}
}

func ofFailover(f *handover.Failover, add func(at *time.Time, kind, where, what string)) {
	add(&f.Begun, "failover", "", "failover "+f.ID+" was begun")
	add(&f.Ended, "failover", "", fmt.Sprintf("failover %s was done: at most %d records of what was seen of the source "+
		"were not copied", f.ID, f.NotCopied))
	add(&f.FailedBack, "failback", "", "the flow was opened again after failover "+f.ID)
}
