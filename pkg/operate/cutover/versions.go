package cutover

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/translate"
	announce "replicator/pkg/versions"
)

// moved is an announcement of a topic's version that was copied to the target, where
// its offsets mean nothing: they are those of another cluster.
type moved struct {
	next, from announce.Version
	here       announce.Offsets // on the source
}

// movedVersions lists the announcements on the target that do not say yet where
// versions end and begin there; none where the flow does not copy announcements under
// their own name, or not the topics that they are about.
func movedVersions(ctx context.Context, viewer *snapshot.Viewer) ([]moved, error) {
	if target, verdict := viewer.Policy.Topic(announce.Meta); !verdict.Selected || target != announce.Meta {
		return nil, nil
	}
	source, err := announce.ClusterID(ctx, viewer.SourceClient)
	if err != nil {
		return nil, viewer.SourceCluster.Explain(err)
	}
	target, err := announce.ClusterID(ctx, viewer.TargetClient)
	if err != nil {
		return nil, viewer.TargetCluster.Explain(err)
	}
	views, err := announce.LoadAll(ctx, viewer.TargetClient)
	if err != nil {
		return nil, viewer.TargetCluster.Explain(err)
	}
	var list []moved
	for _, view := range views {
		for _, next := range view.Versions {
			from, known := view.Get(next.From)
			here, there := next.Offsets[source]
			_, named := next.Offsets[target]
			if !known || !there || named || from.State == announce.Retired || next.State == announce.Retired {
				continue
			}
			_, a := viewer.Policy.Topic(from.Physical)
			if _, b := viewer.Policy.Topic(next.Physical); a.Selected && b.Selected {
				list = append(list, moved{next, from, here})
			}
		}
	}
	return list, nil
}

// versionsNamed asks whether consumers that follow a topic's versions find their way
// on the target.
func versionsNamed(ctx context.Context, viewer *snapshot.Viewer) (string, error) {
	list, err := movedVersions(ctx, viewer)
	if err != nil || len(list) == 0 {
		return "", err
	}
	var keys []string
	for _, m := range list {
		keys = append(keys, m.next.Key())
	}
	return fmt.Sprintf("%s does not say yet where these begin on %s: %s", announce.Meta, viewer.Flow.To,
		strings.Join(keys, ", ")), nil
}

// nameVersions adds the target's offsets to the announcements there.
func nameVersions(ctx context.Context, viewer *snapshot.Viewer) error {
	list, err := movedVersions(ctx, viewer)
	if err != nil {
		return err
	}
	for _, m := range list {
		there, err := carriedOffsets(ctx, viewer, m)
		if err != nil {
			return fmt.Errorf("%s on %s: %w", m.next.Key(), viewer.Flow.To, err)
		}
		id, err := announce.ClusterID(ctx, viewer.TargetClient)
		if err != nil {
			return err
		}
		named := map[string]announce.Offsets{id: there}
		for cluster, at := range m.next.Offsets {
			named[cluster] = at
		}
		m.next.Offsets = named
		r := &kgo.Record{Topic: announce.Meta, Key: []byte(m.next.Key()), Value: m.next.Encode()}
		if err := viewer.TargetClient.ProduceSync(ctx, r).FirstErr(); err != nil {
			return viewer.TargetCluster.Explain(fmt.Errorf("announce %s: %w", m.next.Key(), err))
		}
	}
	return nil
}

// carriedOffsets are the offsets of an announcement as the flow's maps have them on the
// target. Everything up to them must be copied.
func carriedOffsets(ctx context.Context, viewer *snapshot.Viewer, m moved) (there announce.Offsets, err error) {
	both := func(topic string) bool { return topic == m.from.Physical || topic == m.next.Physical }
	snap, err := viewer.Take(ctx, both, false)
	if err == nil {
		err = snap.LedgerErr
	}
	if err != nil {
		return there, err
	}
	for p, end := range m.here.Drained {
		on, err := snap.View(chunk.Partition{Topic: m.from.Physical, Number: int32(p)}).Standing()
		if err != nil {
			return there, err
		}
		at, err := behind(ctx, viewer, on, offsets.Source(end))
		if err != nil {
			return there, err
		}
		there.Drained, there.Ends = append(there.Drained, int64(at)), append(there.Ends, int64(on.Stable))
	}
	for p, begin := range m.here.Begins {
		on, err := snap.View(chunk.Partition{Topic: m.next.Physical, Number: int32(p)}).Standing()
		if err != nil {
			return there, err
		}
		got, err := viewer.Translator.Translate(ctx, on, offsets.Source(begin), groups.Place{})
		if err == nil && !got.Ready {
			err = fmt.Errorf("%s: %s", on.Source, got.Why)
		}
		if err != nil {
			return there, err
		}
		there.Begins = append(there.Begins, int64(got.Exact))
	}
	return there, nil
}

// behind is the target offset behind the last record whose source offset is below end:
// what a consumer commits there that has read it.
func behind(ctx context.Context, viewer *snapshot.Viewer, on translate.Standing, end offsets.Source) (offsets.Target,
	error) {
	last, mapped := on.State.Map.Last()
	switch {
	case on.State.Progress < end:
		return 0, fmt.Errorf("%s has been copied up to %d, not %d", on.Source, on.State.Progress, end)
	case !mapped:
		return 0, nil
	case last.SourceEnd() <= end:
		return last.TargetEnd(), nil
	}
	got, err := viewer.Translator.Translate(ctx, on, end-1, groups.Place{})
	if err == nil && !got.Ready {
		err = fmt.Errorf("%s: %s", on.Source, got.Why)
	}
	if got.Rule == offsets.InRun {
		return got.Exact + 1, err
	}
	return got.Exact, err // compacted since: the next record is the first that is not part of it
}
