package shard

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/metrics"
	"replicator/pkg/replicate/source"
	"replicator/pkg/replicate/txlimit"
)

// Final says whether no retry can cure an error.
func Final(err error) bool {
	var same *policy.SameClusterError
	var shards *ledger.ShardsError
	var version *ledger.VersionError
	var damage *ledger.Damage
	var idless *identity.NoTopicIDsError
	var strange *ledger.NotLedgerError
	return identity.IsOtherFlow(err) || errors.As(err, &strange) ||
		errors.As(err, &same) || errors.As(err, &shards) || errors.As(err, &version) || errors.As(err, &damage) ||
		errors.As(err, &idless) ||
		handover.IsClosed(err)
}

// Hopeless says whether only a person can cure an error of a shard.
func Hopeless(err error) bool {
	if Final(err) || txlimit.IsLimit(err) {
		return true
	}
	code, _ := kafka.Code(err)
	switch kerr.ErrorForCode(int16(code)) {
	case kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed:
		return true // one that is missing on a topic stops that topic
	}
	return false
}

// kindOf gives a failure a bounded label.
func kindOf(err error) metrics.Failure {
	var unreadable *source.Unreadable
	var problem *kafka.Problem
	switch {
	case Final(err):
		return metrics.LedgerFailed
	case errors.As(err, &unreadable):
		return metrics.PositionFailed
	case errors.As(err, &problem):
		return metrics.ClusterFailed
	}
	return metrics.OtherFailed
}
