package snapshot

import (
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/seen"
	"replicator/pkg/replicate/translate"
)

// Snapshot is what both clusters said, in the order of the fields. The order
// matters:
//
//   - group positions come before the ends, so that no lag is negative, and before what the opposite flow says;
//   - the target's last stable offsets come before the ledger, which is then read
//     beyond what it held at that time: its maps explain every record of ours below
//     those ends. The other way round, markers that arrive in between would show
//     records that no map knows, and a position at the end would skip them;
//   - the source's ends come after it, so that progress is never ahead of them, and so do the ends by which the target
//     is seen to have lost records that the ledger knows.
type Snapshot struct {
	Held    []groups.Held      // groups of the source that the flow selects, with their positions
	Listed  int                // groups on the source
	HeldErr error              // why the source does not tell of its groups
	Source  *kafka.Description // with all topics that it lets us see
	Target  *kafka.Description // the ledger, and the topics that those of the source are copied to
	Topics  []string           // selected ones of the source
	Targets []string           // those of the target that they are copied to, that are there and can be asked

	earliest, stable listoffsets.Offsets // of the target
	Books            []Book              // by shard; none while there is no ledger

	sourceEarliest, sourceStable, sourceHigh, starts, epochs listoffsets.Offsets
	targetEnds                                               listoffsets.Offsets
	// targetCuts is how far the target holds what was copied, by source partition, where its log ends before that.
	targetCuts map[chunk.Partition]offsets.Source

	Taken     time.Time        // when the source's ends were asked for
	Problems  []error          // what could not be seen
	Work      Work             // who works on which shards; the zero Work where nobody asked
	Hidden    map[string]error // topics that the ledger knows and the source does not let us see
	LedgerErr error            // why the ledger could not be read: then nothing is known of the flow
	// Away is why the source has not answered: Source, Topics and all positions are then as ledger and target know them.
	Away error
	// Alone: a tolerant viewer was not told of groups by the source. Held is nil then, and the target alone tells.
	Alone bool
	keys  map[chunk.Partition]ledger.Key // what the ledger calls partitions, then

	opposites    *translate.Opposites // what the flows in the opposite direction say; nil: they were not asked
	oppositesErr error                // why they cannot be read

	policy *policy.Policy // what names topics of the target
	shards int            // of a flow that has no ledger yet
}

// Paired says whether the ledger knows of a flow that carries records of the target back, and of which this one leaves
// out what it brought.
func (snap *Snapshot) Paired() bool {
	if len(snap.Books) == 0 {
		return false
	}
	rules, err := snap.Books[0].Rules()
	return err == nil && rules != nil && rules.LeavesOut != policy.Nothing &&
		slices.ContainsFunc(rules.Upstream, func(up ledger.Upstream) bool {
			return up.Identity.SourceCluster == snap.Target.ID && up.Identity.Naming == string(policy.Identity)
		})
}

// Book is one ledger partition as read.
type Book struct {
	*ledger.Shard
	// Unsettled: a transaction on it stayed open. Records of it may be on the target already, unexplained.
	Unsettled bool
	Seen      seen.Note // what was last seen of the source
}

// Lasting is a problem that stays however long one waits, whatever runs.
type Lasting struct{ error }

// Unwrap is the problem itself.
func (l *Lasting) Unwrap() error { return l.error }
