package integration

import (
	"testing"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// olderVersion stands for the brokers that know only the first generation of the
// transaction protocol.
const olderVersion = "3.9.1"

// brokerConfig is what the brokers of most tests are started with.
func brokerConfig() []cluster.Option {
	opts := []cluster.Option{cluster.Config("message.max.bytes", "2000000")}
	for key, value := range workload.ServerConfig {
		opts = append(opts, cluster.Config(key, value))
	}
	return opts
}

// older gives the broker of the older version that tests share.
func older(t *testing.T) *cluster.Cluster {
	t.Helper()
	return cluster.Shared(t, "older", append(brokerConfig(), cluster.Version(olderVersion))...)
}

// newer gives one broker of the pair that most tests share.
func newer(t *testing.T, name string) *cluster.Cluster {
	t.Helper()
	return cluster.Shared(t, name, brokerConfig()...)
}
