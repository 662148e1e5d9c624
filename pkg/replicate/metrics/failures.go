package metrics

// Failure says what has failed: the label kind of replicator_errors_total. There are no others than these, so
// that each of them shows at 0 before it happens.
type Failure int

const (
	PositionFailed   Failure = iota // the source does not give the records at a position
	ConnectionFailed                // a reader of the source, which tries again by itself
	EndsFailed                      // the source does not tell where its logs end
	ClusterFailed                   // a cluster has answered with what is explained
	LedgerFailed                    // a shard cannot go on with the ledger as it is
	TopicsFailed                    // the topics were not compared
	GroupsFailed                    // the groups were not synced
	RetentionFailed                 // the target does not tell its retention
	FlowFailed                      // the flow starts over
	CircleFailed                    // the flow stands still, since records would go round
	OtherFailed                     // whatever has no kind of its own
	failureKinds                    // how many there are
)

var failureNames = [failureKinds]string{"source_position", "source_connection", "source_ends", "cluster", "ledger",
	"topics", "groups", "retention", "flow", "circle", "other"}

func (k Failure) String() string { return failureNames[k] }

// Failures lists them all.
func Failures() []Failure {
	list := make([]Failure, failureKinds)
	for k := range list {
		list[k] = Failure(k)
	}
	return list
}
