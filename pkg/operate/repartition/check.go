package repartition

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
	announce "replicator/pkg/versions"
	"replicator/pkg/versions/tail"
)

// sampled is how many offsets of each partition are looked at, at both ends of it.
const sampled = 500

// Check says what [Move] would do, and refuses what that would; it changes nothing.
func Check(ctx context.Context, o Options) error {
	m, err := openMover(ctx, o)
	if err != nil {
		return err
	}
	defer m.close()
	if err := m.check(ctx); err != nil {
		return err
	}
	if m.next.State == announce.Current {
		m.Say("%s is current", m.next.Key())
		return nil
	}
	groups, err := m.lookNow(ctx)
	if err != nil {
		return err
	}
	m.Say("%s with %d partitions would become %s with %d, by partitioner %s", m.source.name, m.source.partitions,
		m.target.name, m.Partitions, m.put.name)
	for _, g := range groups {
		m.Say("%s", g)
	}
	return nil
}

// read finds what is announced and what exists.
func (m *mover) read(ctx context.Context) error {
	if err := m.names(); err != nil {
		return err
	}
	for i, s := range m.sides() {
		view, err := announce.Load(ctx, s.client, m.Topic)
		if err != nil {
			return s.cfg.Explain(err)
		}
		if i == 0 {
			m.view = view
			continue
		}
		for _, v := range view.Versions { // a run may have ended between the two clusters
			if known, ok := m.view.Get(v.Version); !ok || further(v.State) > further(known.State) {
				m.view = m.view.With(v)
			}
		}
	}
	m.next, _ = m.view.Get(m.ToVersion)
	var err error
	if m.source, err = m.physical(ctx); err != nil {
		return err
	}
	m.target, err = m.to.look(ctx, m.Topic+"."+m.ToVersion)
	return err
}

func further(s announce.State) int {
	return slices.Index([]announce.State{announce.Preparing, announce.Switching, announce.Current, announce.Retired}, s)
}

func (m *mover) names() error {
	from, to := announce.Number(m.FromVersion), announce.Number(m.ToVersion)
	wrong := ""
	switch {
	case from < 0 || to < 0:
		wrong = fmt.Sprintf("%q and %q: a version is v and a number", m.FromVersion, m.ToVersion)
	case from == to:
		wrong = fmt.Sprintf("%s and %s are the same version", m.FromVersion, m.ToVersion)
	case to < from:
		wrong = fmt.Sprintf("%s goes back from %s: readers take the highest version for the newest",
			m.ToVersion, m.FromVersion)
	}
	if wrong == "" {
		return nil
	}
	return &kafka.Problem{What: wrong, Fix: "name the version that is used as --from and a higher one as --to"}
}

// physical is the topic of the old version: as announced, else with the version in
// its name, else, for v0, plain.
func (m *mover) physical(ctx context.Context) (topic, error) {
	if v, known := m.view.Get(m.FromVersion); known {
		return m.from.look(ctx, v.Physical)
	}
	versioned, err := m.from.look(ctx, m.Topic+"."+m.FromVersion)
	if err != nil || m.FromVersion != "v0" {
		return versioned, err
	}
	plain, err := m.from.look(ctx, m.Topic)
	if err != nil || !versioned.exists {
		return plain, err
	}
	if plain.exists {
		return topic{}, &kafka.Problem{
			What: fmt.Sprintf("both %s and %s exist, and nothing says which is v0", plain.name, versioned.name),
			Fix:  "see which of them applications use; name a version that is announced, or see that the other one is gone",
		}
	}
	return versioned, nil
}

// check refuses what cannot be done, or would lose the order of keys, before
// anything is changed.
func (m *mover) check(ctx context.Context) error {
	if m.next.State == announce.Current {
		return m.checkCurrent()
	}
	if !m.source.exists {
		return &kafka.Problem{What: fmt.Sprintf("topic %s is not on cluster %s", m.source.name, m.From.Name),
			Fix: "check --topic, --from and the cluster"}
	}
	current := m.view.Current()
	if len(m.view.Versions) > 0 && current.Version != m.FromVersion {
		return &kafka.Problem{What: fmt.Sprintf("%s is at %s, not at %s", m.Topic, current.Version, m.FromVersion),
			Fix: "name the current version: --from " + current.Version}
	}
	if coming, moving := m.view.Coming(); moving && coming.Version != m.ToVersion {
		return &kafka.Problem{What: fmt.Sprintf("%s is being moved to %s", m.Topic, coming.Version),
			Fix: fmt.Sprintf("finish that with --to %s, or give it up with --to %[1]s --abandon", coming.Version)}
	}
	if (m.source.partitions+m.Partitions-1)/m.Partitions > mostShared {
		return &kafka.Problem{What: fmt.Sprintf("%d partitions into %d: more than %d of the old version for one of the new",
			m.source.partitions, m.Partitions, mostShared), Fix: "choose more partitions, or go in two moves"}
	}
	if err := m.checkTarget(ctx); err != nil {
		return err
	}
	return m.checkKeys(ctx)
}

// follows refuses another old version than the one whose ends are announced.
func (m *mover) follows() error {
	if m.next.From == m.FromVersion {
		return nil
	}
	return &kafka.Problem{What: fmt.Sprintf("%s is current, and follows %s, not %s", m.next.Key(), m.next.From,
		m.FromVersion), Fix: "name the version that it follows as --from"}
}

func (m *mover) checkCurrent() error {
	if err := m.follows(); err != nil {
		return err
	}
	if !m.source.exists {
		return &kafka.Problem{What: m.next.Key() + " is current, and the version before it is gone",
			Fix: "nothing is left to do"}
	}
	m.target.partitions, m.NoCopy = m.next.Partitions, !m.next.Copied
	return nil
}

func (m *mover) checkTarget(ctx context.Context) error {
	announced := m.next.State == announce.Preparing || m.next.State == announce.Switching
	if announced && (m.next.Partitions != m.Partitions || m.next.Copied == m.NoCopy || m.next.From != m.FromVersion) {
		return &kafka.Problem{
			What: fmt.Sprintf("%s was begun from %s with %d partitions, copied: %v", m.next.Key(), m.next.From,
				m.next.Partitions, m.next.Copied),
			Fix: "go on with the same flags, or give it up with --abandon and begin again",
		}
	}
	if !m.target.exists {
		return nil
	}
	if m.target.partitions != m.Partitions {
		return &kafka.Problem{What: fmt.Sprintf("topic %s exists with %d partitions, not %d", m.target.name,
			m.target.partitions, m.Partitions), Fix: "choose another --to; whose the topic is cannot be known here"}
	}
	if announced {
		return nil
	}
	if m.next.State == announce.Retired {
		return &kafka.Problem{What: m.next.Key() + " was given up, and its topic is still there",
			Fix: "run the command with --abandon again, which deletes it"}
	}
	first, last, err := m.to.span(ctx, m.target)
	if err == nil && !slices.Equal(first, last) {
		err = &kafka.Problem{What: fmt.Sprintf("topic %s holds records, and is announced as no version",
			m.target.name), Fix: "choose another --to; whose the topic is cannot be known here"}
	}
	return err
}

// checkKeys holds the partitioner against what the old version holds. Copying does
// so again with every record.
func (m *mover) checkKeys(ctx context.Context) error {
	name := m.Partitioner
	if m.next.Partitioner != "" && m.next.State != announce.Retired {
		if name != "" && name != m.next.Partitioner {
			return &kafka.Problem{What: fmt.Sprintf("%s was begun with partitioner %s", m.next.Key(), m.next.Partitioner),
				Fix: "go on with that, or give it up with --abandon and begin again"}
		}
		name = m.next.Partitioner
	}
	chosen := name != ""
	if !chosen {
		name = Java
	}
	var known bool
	if m.put, known = partitionerNamed(name); !known {
		return &kafka.Problem{What: fmt.Sprintf("%q is no partitioner", name),
			Fix: "choose one of " + strings.Join(Partitioners(), ", ")}
	}
	if m.NoCopy || m.Force {
		return nil
	}
	sample, err := m.sample(ctx)
	if err != nil {
		return err
	}
	keyed := slices.ContainsFunc(sample, func(s placed) bool { return s.key != nil })
	if keyed && !chosen && m.source.partitions == 1 {
		return &kafka.Problem{
			What: fmt.Sprintf("%s has one partition, so that nothing shows by which partitioner its publishers go",
				m.source.name),
			Fix: "name it with --partitioner: " + Java + " for Java and franz-go, consistent_random for librdkafka " +
				"unless it is configured otherwise",
		}
	}
	if wrong := m.put.misfits(sample, m.source.partitions); wrong > 0 {
		return &kafka.Problem{
			What: fmt.Sprintf("%d of %d records that were looked at in %s stand in other partitions than partitioner %s "+
				"would have put them: with it the order of keys would be lost", wrong, len(sample), m.source.name, name),
			Fix: advice(sample, m.source.partitions),
		}
	}
	return nil
}

// sample reads some of each partition, at its beginning and at its end.
func (m *mover) sample(ctx context.Context) ([]placed, error) {
	first, last, err := m.from.span(ctx, m.source)
	if err != nil {
		return nil, err
	}
	stable, err := m.from.stable(ctx, m.source)
	if err != nil {
		return nil, err
	}
	var sample []placed
	for p := range first {
		end := min(last[p], stable[p])
		for _, from := range []int64{first[p], max(first[p], end-sampled)} {
			reader := tail.New(m.from.client, m.source.name, int32(p))
			reader.Unpack(wire.Decompressor{})
			reader.Limit(64 << 10)
			for at := from; at < min(from+sampled, end); {
				answer, err := reader.Fetch(ctx, at, 0)
				if err != nil {
					return nil, m.from.cfg.Explain(err)
				}
				for _, r := range answer.Records {
					sample = append(sample, placed{r.Key, r.Partition})
				}
				at = answer.Next
			}
		}
	}
	return sample, nil
}
