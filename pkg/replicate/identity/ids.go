package identity

import (
	"fmt"
)

// NoTopicIDsError reports a target that gives its topics no ids (KIP-516). By them a
// topic is told from another one that was made later under its name, which else would
// be taken for the copy: so nothing is copied there.
type NoTopicIDsError struct {
	Cluster string // its name
	Topic   string // one without an id; "": none is there yet
	Back    bool   // the cluster is to become a target, by a rollback
}

func (e *NoTopicIDsError) Error() string {
	what := "nothing can be copied to it"
	if e.Back {
		what = "nothing can be carried back to it"
	}
	seen := "by what its brokers say"
	if e.Topic != "" {
		seen = fmt.Sprintf("as %q", e.Topic)
	}
	return fmt.Sprintf("cluster %s gives its topics no ids, %s: %s", e.Cluster, seen, what)
}

// Remedy tells what to do.
func (e *NoTopicIDsError) Remedy() string {
	return fmt.Sprintf("brokers give ids from Kafka 2.8 on, with inter.broker.protocol.version 2.8 or later: finish the "+
		"upgrade of cluster %s, and its topics get theirs; as a source it can be used as it is", e.Cluster)
}
