package inspect

import (
	"context"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

// lookAtReplicas fills in who runs the flow, and which shards nobody has.
func lookAtReplicas(ctx context.Context, i *snapshot.Viewer, p *snapshot.Snapshot, status *FlowStatus) {
	list, settled, err := i.Replicas(ctx)
	if err != nil {
		p.Problems = append(p.Problems, err)
		return
	}
	p.Work = snapshot.WorkOf(list, settled, len(p.Books))
	status.Replicas, status.Members, status.Unowned = p.Work.Replicas, list, p.Work.Unowned
	i.NoteOtherRules(p, list)
}

// hiddenStatus are the partitions of topics that the source does not let us see, as the
// ledger knows them.
func hiddenStatus(i *snapshot.Viewer, p *snapshot.Snapshot) []PartitionStatus {
	var list []PartitionStatus
	for shard := range p.Books {
		seen := map[chunk.Partition]bool{}
		for _, k := range p.Books[shard].Keys() {
			err := p.Hidden[k.Partition.Topic]
			if err == nil || seen[k.Partition] {
				continue
			}
			seen[k.Partition] = true
			target, _ := i.Policy.Topic(k.Partition.Topic)
			one := PartitionStatus{
				Topic: k.Partition.Topic, Partition: k.Partition.Number, TargetTopic: target, Shard: shard,
				Phase: partition.PhaseStopped, Reason: err.Error(), Remedy: chunk.Remedy(err), EndsUnknown: true,
			}
			state := p.Books[shard].State(k)
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
