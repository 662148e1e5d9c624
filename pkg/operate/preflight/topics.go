package preflight

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/survey"
)

// What a topic's Action may be.
const (
	actionCreate = "create"
	actionAlter  = "alter"
	actionAsIs   = "as_is"
	actionStop   = "stop"
)

// askTopics takes over what is planned about topics; it needs no further question.
func (m *migration) askTopics() {
	for i := range m.plan.Topics {
		t := &m.plan.Topics[i]
		one := MigrationTopic{
			Topic: t.Source, Target: t.Target, Partitions: t.Partitions, TargetPartitions: t.PartitionsTo,
			ReplicationFactor: t.ReplicationFactor, Records: t.Behind, Action: actionAsIs, Altered: map[string]string{},
			Differing: []survey.Difference{},
		}
		switch {
		case t.Stop != nil, len(t.Stops) > 0:
			one.Action = actionStop
		case t.Create:
			one.Action = actionCreate
			m.Totals.Create++
		case !t.Nothing():
			one.Action = actionAlter
		}
		maps.Copy(one.Altered, t.Set)
		if one.Action == actionCreate || one.Action == actionAlter {
			m.Totals.Partitions += t.PartitionsTo - t.PartitionsFrom
		}
		m.Topics = append(m.Topics, one)
	}
	m.Totals.Topics = len(m.Topics)
}

// askSizes asks how large topics are, and whether the target has room for them.
func (m *migration) askSizes(ctx context.Context) {
	var err error
	if m.placed, m.brokers, err = m.source.Placement(ctx, m.snap.Topics); err != nil {
		m.unknown("sizes on the source", err)
		return
	}
	sizes, _, err := m.source.Sizes(ctx, m.placed)
	m.unknown("sizes on the source", err)
	var names []string
	for i := range m.Topics {
		if m.Topics[i].Action != actionCreate {
			names = append(names, m.Topics[i].Target)
		}
	}
	there, brokers, err := m.target.Placement(ctx, names)
	m.unknown("replicas on the target", err)
	loads := []survey.Load{}
	known := len(sizes) == len(m.placed)
	for i := range m.Topics {
		t := &m.Topics[i]
		if at := there[chunk.Partition{Topic: t.Target}]; t.Action != actionCreate {
			t.ReplicationFactor = len(at)
		}
		if t.Action == actionCreate || t.Action == actionAlter {
			m.Totals.Replicas += (t.TargetPartitions - m.plan.Topics[i].PartitionsFrom) * t.ReplicationFactor
		}
		more := m.size(t, sizes, there)
		known = known && t.Disk != nil
		loads = append(loads, more...)
	}
	m.sum(known)
	_, dirs, err := m.target.Sizes(ctx, survey.Placement{})
	m.unknown("room on the target's disks", err)
	if err == nil && len(brokers) > 0 {
		m.room(survey.Spread(brokers, dirs, loads), known)
	}
}

// size fills in what a topic takes, where all of its partitions are known.
func (m *migration) size(t *MigrationTopic, sizes survey.Sizes, there survey.Placement) []survey.Load {
	var size, left int64
	loads := []survey.Load{}
	for n := range t.Partitions {
		p := chunk.Partition{Topic: t.Topic, Number: int32(n)}
		bytes, ok := sizes[p]
		view := m.snap.View(p)
		if !ok || view.Unknown != nil {
			return nil
		}
		one := survey.Left(bytes, inspect.PartitionStatusOf(m.snap, view).Behind, int64(view.High-view.Earliest))
		size, left = size+bytes, left+one
		loads = append(loads, survey.Load{Bytes: one, At: there[view.Target], Replicas: t.ReplicationFactor})
	}
	t.Size, t.Left = &size, &left
	if t.ReplicationFactor > 0 {
		disk := left * int64(t.ReplicationFactor)
		t.Disk = &disk
	}
	return loads
}

// sum adds topics up.
func (m *migration) sum(known bool) {
	var size, left, disk int64
	for i := range m.Topics {
		t := &m.Topics[i]
		m.Totals.Records += t.Records
		if known {
			size, left, disk = size+*t.Size, left+*t.Left, disk+*t.Disk
		}
	}
	if known {
		m.Totals.Size, m.Totals.Left, m.Totals.Disk = &size, &left, &disk
	}
}

// room holds what is needed against what is there.
func (m *migration) room(rooms []survey.Room, known bool) {
	m.Rooms = rooms
	for _, r := range rooms {
		switch {
		case r.Usable < 0:
			m.unknown("room on the target's disks", &kafka.Problem{
				What: fmt.Sprintf("broker %d of cluster %s does not tell it", r.Broker, m.viewer.Flow.To),
				Fix:  "look there; brokers tell it from 3.3 on",
			})
		case known && r.Short():
			m.warn("give it more room, or let the topics there keep less",
				"broker %d of cluster %s has %d bytes left, and about %d are to come (new topics taken as spread evenly)",
				r.Broker, m.viewer.Flow.To, r.Usable, r.Needed)
		}
	}
}

// askSettings compares what holds on both sides.
func (m *migration) askSettings(ctx context.Context) {
	var names []string
	create := map[string]survey.New{}
	sources := make([]string, len(m.Topics))
	for i := range m.Topics {
		t := &m.Topics[i]
		sources[i] = t.Topic
		switch t.Action {
		case actionCreate:
			create[t.Target] = survey.New{Partitions: t.TargetPartitions, ReplicationFactor: t.ReplicationFactor, Set: t.Altered}
		case actionAlter, actionAsIs:
			names = append(names, t.Target)
		}
	}
	from, denied, err := m.source.Settings(ctx, sources)
	m.settingsUnknown(m.viewer.Flow.From, denied, err)
	to, denied, err := m.target.Settings(ctx, names)
	m.settingsUnknown(m.viewer.Flow.To, denied, err)
	would, err := m.target.NewSettings(ctx, create)
	m.unknown("settings of new topics", err)
	maps.Copy(to, would)
	for i := range m.Topics {
		t := &m.Topics[i]
		if from[t.Topic] != nil && to[t.Target] != nil {
			t.Differing = survey.Differing(from[t.Topic], to[t.Target], t.Altered)
		}
	}
}

// settingsUnknown says it once for all topics that are refused alike.
func (m *migration) settingsUnknown(cluster string, denied map[string]error, err error) {
	m.unknown("settings on cluster "+cluster, err)
	for _, topic := range slices.Sorted(maps.Keys(denied)) {
		m.unknown("settings on cluster "+cluster+fmt.Sprintf(" (%d topics)", len(denied)), denied[topic])
		return
	}
}

// applications are the producers that are no flow's whose records are left out. Where that cannot be told, all are.
func (m *migration) applications(ctx context.Context, producers []survey.Producer, now time.Time) []survey.Producer {
	ours, err := provenance.OpenSourceWriters(&m.viewer.Flow, m.viewer.SourceCluster, m.viewer.TargetCluster)
	if err != nil || ours == nil {
		return producers
	}
	defer ours.Close()
	return slices.DeleteFunc(slices.Clone(producers), func(p survey.Producer) bool {
		brings, err := ours.Brings(ctx, p.ID, now)
		return brings && err == nil
	})
}

// askWriters asks who writes to the source, and which transactions are open.
func (m *migration) askWriters(ctx context.Context) {
	partitions := slices.Collect(maps.Keys(m.placed))
	producers, err := m.source.Producers(ctx, partitions)
	m.unknown("producers on the source", err)
	if err != nil && len(producers) == 0 {
		return
	}
	now := time.Now()
	writing := survey.Write(m.applications(ctx, producers, now), now.Add(-m.opts.Active))
	for i := range m.Topics {
		t := &m.Topics[i]
		if w := writing[t.Topic]; err == nil || w.Known > 0 {
			t.Writers = &w
		}
	}
	var ids []int64
	for _, p := range producers {
		if p.Open >= 0 && !slices.Contains(ids, p.ID) {
			ids = append(ids, p.ID)
		}
	}
	if len(ids) == 0 {
		return
	}
	known, err := m.source.Transactions(ctx, ids)
	m.unknown("transactions on the source", err)
	longest, wrong := m.source.LongestTransaction(ctx, m.brokers)
	if wrong != nil {
		longest = usualLongest
		m.unknown("how long a transaction may last on the source, taken as Kafka's default of "+longest.String(), wrong)
	}
	// One that ended between both questions is not shown by its coordinator, and hangs as little as can be.
	again, err := m.source.Producers(ctx, partitions)
	m.unknown("producers on the source, asked again", err)
	still := slices.DeleteFunc(producers, func(p survey.Producer) bool {
		return !slices.ContainsFunc(again, func(now survey.Producer) bool {
			return now.Partition == p.Partition && now.ID == p.ID && now.Open == p.Open
		})
	})
	m.Open = survey.Judge(still, known, longest, now)
	for i := range m.Open {
		m.open(&m.Open[i])
	}
}

// usualLongest is Kafka's default of transaction.max.timeout.ms.
const usualLongest = 15 * time.Minute

// open reports one open transaction.
func (m *migration) open(o *survey.Open) {
	at := chunk.Partition{Topic: o.Topic, Number: o.Partition}
	behind := int64(m.snap.View(at).High) - o.Offset
	what := fmt.Sprintf("a transaction of producer %d (transactional id %q) has been open in %s since offset %d: the "+
		"last stable offset stays there, so that the copy cannot pass it, and %d offsets wait behind it", o.Producer, o.ID,
		at, o.Offset, max(behind, 0))
	end := o.Remedy(m.viewer.SourceCluster.Properties["bootstrap.servers"])
	switch o.Verdict {
	case survey.Hanging:
		m.inTheWay(&kafka.Problem{What: what + "; " + o.Why, Fix: "end it on the source: " + end})
	case survey.Unseen:
		m.warn("grant Describe on transactional ids of the source and look again; if it hangs: "+end, "%s; %s", what, o.Why)
	case survey.Running:
		m.warn("", "%s; %s", what, o.Why)
	}
}
