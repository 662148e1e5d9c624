package inspect

import (
	"context"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

// statusReplicas fills in who runs the flow, and which shards nobody has.
func statusReplicas(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot, status *FlowStatus) {
	list, settled, err := v.Replicas(ctx)
	if err != nil {
		snap.Problems = append(snap.Problems, err)
		return
	}
	snap.Work = snapshot.WorkOf(list, settled, len(snap.Books))
	status.Replicas, status.Members, status.Unowned = snap.Work.Replicas, list, snap.Work.Unowned
	snap.NoteOtherRules(list)
}

// hiddenStatus are the partitions of topics that the source does not let us see, as the
// ledger knows them.
func hiddenStatus(v *snapshot.Viewer, snap *snapshot.Snapshot) []PartitionStatus {
	var list []PartitionStatus
	for shard := range snap.Books {
		seen := map[chunk.Partition]bool{}
		for _, k := range snap.Books[shard].Keys() {
			err := snap.Hidden[k.Partition.Topic]
			if err == nil || seen[k.Partition] {
				continue
			}
			seen[k.Partition] = true
			target, _ := v.Policy.Topic(k.Partition.Topic)
			one := PartitionStatus{
				Topic: k.Partition.Topic, Partition: k.Partition.Number, TargetTopic: target, Shard: shard,
				Phase: partition.PhaseStopped, Reason: err.Error(), Remedy: chunk.Remedy(err), EndsUnknown: true,
			}
			state := snap.Books[shard].State(k)
			if state.Start != ledger.NotStarted {
				progress := offsets.Source(state.Progress)
				one.Progress = &progress
			}
			if state.Stop != nil {
				since := state.Stop.Since
				one.Reason, one.Remedy, one.StoppedSince = state.Stop.Reason, state.Stop.Fix, &since
			}
			list = append(list, one)
		}
	}
	return list
}
