package reload

import (
	"maps"
	"sync"

	"replicator/pkg/replicate/kafka"
)

// Clusters are those of the configuration that runs: each client asks them for its passwords and certificates when it
// connects, so that others in the configuration are used at once, like others in a file that it names.
type Clusters struct {
	mu  sync.Mutex
	now map[string]kafka.Config
}

// Take makes clusters those that clients ask. What is answered are the same clusters, for clients.
func (c *Clusters) Take(clusters map[string]kafka.Config) map[string]kafka.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = clusters
	clients := maps.Clone(clusters)
	for name, cluster := range clients {
		cluster.Renew = func() map[string]string { return c.renewed(name) }
		clients[name] = cluster
	}
	return clients
}

// renewed are the properties of a cluster at this moment; nil: there is none of that name any more.
func (c *Clusters) renewed(name string) map[string]string {
	c.mu.Lock()
	cluster, known := c.now[name]
	c.mu.Unlock()
	if known && cluster.Renew != nil {
		return cluster.Renew()
	}
	return maps.Clone(cluster.Properties)
}
