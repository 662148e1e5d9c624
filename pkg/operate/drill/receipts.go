package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wait"
)

// rightsOnGroups asks whether positions may be committed for the groups on the target: with the right to describe
// alone they can be read, and do not follow.
func (d *drill) rightsOnGroups(ctx context.Context, plan *preflight.FlowPlan) error {
	ctx, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	request := kmsg.NewPtrDescribeGroupsRequest()
	request.IncludeAuthorizedOperations = true
	for i := range plan.Groups {
		if g := &plan.Groups[i]; g.Err == nil {
			request.Groups = append(request.Groups, g.Target)
		} else {
			d.because(Reason{Why: g.Err.Error(), Remedy: chunk.Remedy(g.Err)})
		}
	}
	if len(request.Groups) == 0 {
		return nil
	}
	for _, shard := range d.viewer.TargetClient.RequestSharded(ctx, request) {
		answer, ok := shard.Resp.(*kmsg.DescribeGroupsResponse)
		if shard.Err != nil || !ok {
			continue // its positions are read as well, and tell what is wrong
		}
		for _, g := range answer.Groups {
			said := kerr.ErrorForCode(g.ErrorCode) == nil && g.AuthorizedOperations != kafka.RightsUnknown
			if said && g.AuthorizedOperations&(1<<kmsg.ACLOperationRead) == 0 {
				err := d.viewer.TargetCluster.Denied("Read", "group "+g.Group, nil)
				d.because(Reason{Why: err.Error(), Remedy: chunk.Remedy(err)})
			}
		}
	}
	return ctx.Err()
}

// translate makes the receipt of every position.
func (d *drill) translate(ctx context.Context) error {
	for i := range d.snap.Held {
		g, _ := inspect.GroupStatusOf(ctx, d.viewer, &d.snap.Held[i], d.views)
		if g.Error != "" {
			d.because(Reason{Why: fmt.Sprintf("group %s: %s", g.Group, g.Error), Remedy: g.Remedy})
		}
		for _, n := range g.Nowhere {
			d.warn(fmt.Sprintf("group %s has a position in %s/%d, which is not there: it is not carried over", g.Group, n.Topic,
				n.Partition), "")
		}
		for j := range g.Positions {
			at := chunk.Partition{Topic: g.Positions[j].Topic, Number: g.Positions[j].Partition}
			receipt, err := d.receipt(ctx, &g, &g.Positions[j], d.views[at])
			if err != nil {
				return err
			}
			d.report.Groups = append(d.report.Groups, receipt)
		}
	}
	return ctx.Err()
}

// receipt says where a group would stand in one partition, and what that means for it.
func (d *drill) receipt(ctx context.Context, g *inspect.GroupStatus, p *inspect.PositionStatus,
	view *snapshot.PartitionView) (Receipt, error) {
	r := Receipt{Group: g.Group, Target: g.Target, Topic: p.Topic, Partition: p.Partition, Source: p.Source,
		Exact: p.Translation, Stands: p.Target, State: p.State, Why: p.Why, remedy: p.Remedy, left: p.Lasting()}
	kind := groups.Kind(p.State)
	r.Exactly = kind == groups.InSync
	if p.Skips != nil {
		d.warn(fmt.Sprintf("group %s in %s/%d: %s", g.Group, p.Topic, p.Partition, p.Skips.Why), "")
	}
	if p.Unused && r.Stands != nil {
		var none int64
		r.Exactly, r.ReadAgain, r.Lost = true, &none, &none
		r.Why = "the group lives on the target: its position on the source follows from there"
		return r, nil
	}
	if r.Stands == nil || !view.Begun() {
		return r, nil // its auto.offset.reset decides what it reads
	}
	exact := view.State.Expected() // it has read all that was copied, where it has read more
	if r.Exact != nil {
		exact = *r.Exact
	} else if kind != groups.NotCopiedYet {
		return r, nil
	}
	count := func(from, to offsets.Target) (*int64, error) {
		n, err := view.State.Map.Count(from, to, d.viewer.Segments(ctx, view))
		return &n, err
	}
	standing, err := view.Standing()
	if err != nil { // it cannot be translated, and says why
		return r, nil
	}
	if r.ReadAgain, err = count(*r.Stands, exact); err != nil {
		return r, err
	}
	if standing.Opposite != nil { // the orders of both logs differ: so may what was read differ at any position
		if *r.ReadAgain, err = d.viewer.Translator.Again(ctx, standing, p.Source, *r.Stands); err != nil {
			return r, err
		}
	}
	if r.Lost, err = count(exact, *r.Stands); err == nil {
		*r.Lost += p.UnreadDeleted
		r.Exactly = r.Exactly || !r.left && *r.ReadAgain+*r.Lost == 0
	}
	return r, err
}

// place is where a receipt is about.
type place struct {
	group string
	at    chunk.Partition
}

// follow waits until positions that the flow still moves have come to where they were translated to, for as long as
// counts as in flight; those that do not come are reasons.
func (d *drill) follow(ctx context.Context) error {
	open := map[place]*Receipt{}
	for i := range d.report.Groups {
		r := &d.report.Groups[i]
		switch {
		case r.Exactly:
		case r.left:
			d.astray(r)
		default:
			open[place{r.Group, chunk.Partition{Topic: r.Topic, Number: r.Partition}}] = r
		}
	}
	if err := d.young(ctx, open); err != nil {
		return err
	}
	if len(open) == 0 {
		return errNothingToDo
	}
	giveUp := time.Now().Add(d.o.InFlight)
	every := max(d.o.Flow.GroupSyncInterval/2, 100*time.Millisecond)
	exact := map[place]offsets.Target{}
	for at, r := range open {
		if r.Exact != nil {
			exact[at] = *r.Exact
		}
	}
	err := wait.Until(ctx, every, func() (bool, error) {
		list, err := inspect.GroupStatuses(ctx, d.viewer)
		if err != nil {
			return false, err
		}
		for i := range list {
			for j := range list[i].Positions {
				p := &list[i].Positions[j]
				at := place{list[i].Group, chunk.Partition{Topic: p.Topic, Number: p.Partition}}
				if r := open[at]; r != nil && came(r, p, exact, at) {
					r.InFlight = true
					delete(open, at)
				}
			}
		}
		return len(open) == 0 || time.Now().After(giveUp), nil
	})
	for i := range d.report.Groups {
		r := &d.report.Groups[i]
		if open[place{r.Group, chunk.Partition{Topic: r.Topic, Number: r.Partition}}] == r {
			d.astray(r)
		}
	}
	if err != nil {
		return errors.Join(errors.New("whether groups follow is not known"), err)
	}
	return nil
}

// young takes out the positions from which nothing is read again but what is young enough to be in flight: those of a
// group that reads at the source's end are always a little behind.
func (d *drill) young(ctx context.Context, open map[place]*Receipt) error {
	byGroup := map[string]map[chunk.Partition]int64{}
	for at, r := range open {
		if r.ReadAgain == nil || *r.ReadAgain == 0 || *r.Lost > 0 {
			continue
		}
		if byGroup[at.group] == nil {
			byGroup[at.group] = map[chunk.Partition]int64{}
		}
		byGroup[at.group][d.views[at.at].Target] = int64(*r.Stands)
	}
	for group, from := range byGroup {
		first, err := firstRecords(ctx, d.viewer.TargetCluster, from, true)
		if err != nil {
			return err
		}
		for at, r := range open {
			record := first[d.views[at.at].Target]
			if at.group != group || record == nil {
				continue
			}
			age := d.age(record)
			seconds := age.Seconds()
			r.AgainSeconds = &seconds
			if r.InFlight = age <= d.o.InFlight; r.InFlight {
				delete(open, at)
			}
		}
	}
	return nil
}

// came says whether a position has come to where it was translated to. Where there was no translation yet, the first
// one that there is counts.
func came(r *Receipt, p *inspect.PositionStatus, exact map[place]offsets.Target, at place) bool {
	to, known := exact[at]
	if !known && p.Translation != nil && p.Source >= r.Source {
		exact[at] = *p.Translation
		to, known = *p.Translation, true
	}
	if groups.Kind(p.State) == groups.InSync || !known || p.Target == nil {
		return groups.Kind(p.State) == groups.InSync
	}
	if r.Stands != nil && *r.Stands > to {
		return *p.Target <= to // it follows backwards
	}
	return *p.Target >= to
}

// astray is a position that would not be exact.
func (d *drill) astray(r *Receipt) {
	stands := "it has no position on the target"
	if r.Stands != nil {
		stands = fmt.Sprintf("it stands at %d", *r.Stands)
	}
	if r.Exact != nil {
		stands += fmt.Sprintf(" and ought to at %d", *r.Exact)
	}
	if r.ReadAgain != nil && *r.ReadAgain > 0 {
		stands += fmt.Sprintf(": %d records would be read again", *r.ReadAgain)
		if r.AgainSeconds != nil {
			stands += fmt.Sprintf(", the oldest is %s old", short(time.Duration(*r.AgainSeconds*float64(time.Second))))
		}
	}
	if r.Lost != nil && *r.Lost > 0 {
		stands += fmt.Sprintf(": %d records would not be read", *r.Lost)
	}
	why := stands
	if r.Why != "" {
		why += "; " + r.Why
	}
	d.because(Reason{Group: r.Group, Topic: r.Topic, Partition: &r.Partition, Why: why,
		Remedy: cmp.Or(r.remedy, "see 'replicator status' for the group, and whether a replica runs that moves it")})
}
