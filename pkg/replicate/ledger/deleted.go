package ledger

import (
	"fmt"

	"replicator/pkg/replicate/kafka"
)

// Deleted is a flow that runs without its ledger.
func Deleted(name, cluster string, err error) error {
	return &kafka.Problem{
		What: fmt.Sprintf("the ledger topic %s was deleted on cluster %s while the flow runs: nothing is copied any more",
			name, cluster),
		Fix: "stop the replicas and find out who deleted it. No record on the target is lost, but without the ledger " +
			"nobody can tell what was copied, nor where groups stand: what is there will be refused as foreign_records " +
			"when the flow begins anew. Copy to topics of another name then (naming: prefix), or onto topics that you " +
			"have emptied",
		Err: err,
	}
}
